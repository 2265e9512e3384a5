//! The node's clock. A simulated one goes on where it stood when its node starts again: stored
//! times would otherwise lie in the future.

use super::NodeError;
use crate::config::Config;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tandem_actors::{Clock, SystemClock};

#[derive(Serialize, Deserialize)]
struct Origin {
    /// Milliseconds since 1970 that the clock showed …
    shown: i64,
    /// … when the system's clock showed this.
    at: i64,
    speed: f64,
}

pub fn clock(config: &Config) -> Result<Arc<SystemClock>, NodeError> {
    if !config.clock.is_simulated() {
        return Ok(Arc::new(SystemClock::new()));
    }
    let speed = config.clock.speed;
    tracing::warn!(speed, "time is simulated: retries and calling hours do not follow the world's clock");
    if let Some(since) = config.clock.since {
        let since = since.as_millisecond();
        let shown = config.clock.epoch.map_or(since, |epoch| epoch.as_millisecond());
        return Ok(Arc::new(SystemClock::simulated(shown, since, speed)));
    }
    let path = config.node.data_dir.join("simulated-clock.json");
    let failed = |why: String| NodeError::Clock(format!("{}: {why}", path.display()));
    let now = SystemClock::new().now();
    let origin = match std::fs::read(&path) {
        Ok(bytes) => {
            let origin: Origin = serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))?;
            if origin.speed == speed {
                origin
            } else {
                // From where it stands now, at the new pace.
                let shown = origin.shown + ((now - origin.at) as f64 * origin.speed) as i64;
                Origin { shown, at: now, speed }
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Origin { shown: config.clock.epoch.map_or(now, |t| t.as_millisecond()), at: now, speed }
        }
        Err(e) => return Err(failed(e.to_string())),
    };
    let text = serde_json::to_vec(&origin).map_err(|e| failed(e.to_string()))?;
    std::fs::create_dir_all(&config.node.data_dir)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|e| failed(e.to_string()))?;
    Ok(Arc::new(SystemClock::simulated(origin.shown, origin.at, speed)))
}
