//! What time it is for the person on the line.

use super::{Now, Tool, ToolError};
use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// `current_time {"time_zone": "Europe/Berlin"}`: the local date, time and weekday there. Without a
/// zone, those of UTC. `timezone` and `zone` are understood as well, since agents are set up by hand.
pub struct CurrentTime {
    now: Now,
}

impl CurrentTime {
    pub fn new(now: Now) -> Self {
        CurrentTime { now }
    }
}

#[async_trait]
impl Tool for CurrentTime {
    fn name(&self) -> &str {
        "current_time"
    }

    async fn call(&self, parameters: &Value) -> Result<Value, ToolError> {
        let zone = ["time_zone", "timezone", "zone"].iter().find_map(|name| parameters.get(name));
        let name = match zone {
            None | Some(Value::Null) => "UTC",
            Some(Value::String(name)) => name.trim(),
            Some(_) => return Err(ToolError::Parameters("time_zone must be text".into())),
        };
        let zone = TimeZone::get(name).map_err(|_| {
            ToolError::Parameters("time_zone must be an IANA name such as Europe/Berlin".into())
        })?;
        let local = Timestamp::from_millisecond((self.now)())
            .map_err(|_| ToolError::Failed("the clock is out of range".into()))?
            .to_zoned(zone);
        Ok(json!({
            "time_zone": name,
            "local_time": local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            "date": local.strftime("%Y-%m-%d").to_string(),
            "time": local.strftime("%H:%M").to_string(),
            "weekday": local.strftime("%A").to_string(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    // 2026-03-29T01:30:00Z, in the hour in which Berlin has just gone to summer time.
    const NOW: i64 = 1_774_747_800_000;

    async fn at(parameters: Value) -> Result<Value, ToolError> {
        CurrentTime::new(Arc::new(|| NOW)).call(&parameters).await
    }

    #[tokio::test]
    async fn local_time_follows_the_zone() {
        let berlin = at(json!({"time_zone": "Europe/Berlin"})).await.unwrap();
        assert_eq!(
            berlin,
            json!({
                "time_zone": "Europe/Berlin", "local_time": "2026-03-29T03:30:00+02:00",
                "date": "2026-03-29", "time": "03:30", "weekday": "Sunday",
            })
        );
        let new_york = at(json!({"timezone": "America/New_York"})).await.unwrap();
        assert_eq!(new_york["local_time"], "2026-03-28T21:30:00-04:00");
        assert_eq!(at(json!({})).await.unwrap()["local_time"], "2026-03-29T01:30:00+00:00");
        assert_eq!(at(json!(null)).await.unwrap()["time_zone"], "UTC");
    }

    #[tokio::test]
    async fn unknown_zones_are_refused() {
        for zone in
            [json!("Middle/Earth"), json!(""), json!(7), json!("../../etc/passwd"), json!("x".repeat(5_000))]
        {
            assert!(
                matches!(at(json!({ "time_zone": zone })).await, Err(ToolError::Parameters(_))),
                "{zone}"
            );
        }
    }
}
