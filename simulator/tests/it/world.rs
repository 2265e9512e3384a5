//! A simulator and an orchestrator, ready to call.

use super::orchestrator::Orchestrator;
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tandem_simulator::{Options, Running, Scenario, Simulator, Summary};

pub const TOKEN: &str = "12345";
pub const XI_KEY: &str = "xi-test";
pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub const KEY: (&str, &str) = ("SK0123456789abcdef0123456789abcdef", "key-secret");
pub const FROM: &str = "+15550000001";
/// Nothing here takes so long unless it is stuck.
const STUCK: Duration = Duration::from_secs(60);

pub struct World {
    pub sim: Running,
    pub orchestrator: Arc<Orchestrator>,
}

/// One client for all tests. It keeps no connections: each test has a runtime of its own.
pub fn client() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let make = || {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client")
    };
    CLIENT.get_or_init(make).clone()
}

/// 201, 4xx, 5xx with JSON; or the connection broke.
pub type Created = Result<(u16, Value), reqwest::Error>;

impl World {
    pub async fn new(mix: Scenario) -> Self {
        Self::at(mix, 200.0).await
    }

    pub async fn at(mix: Scenario, speed: f64) -> Self {
        Self::with(Options { mix, speed, ..Options::default() }).await
    }

    pub async fn with(options: Options) -> Self {
        let sim = Simulator::start(Options {
            account_sid: ACCOUNT.to_owned(),
            auth_token: TOKEN.to_owned(),
            api_keys: vec![(KEY.0.to_owned(), KEY.1.to_owned())],
            xi_api_key: XI_KEY.to_owned(),
            ..options
        })
        .await
        .expect("the simulator starts");
        let orchestrator = Orchestrator::start(TOKEN).await;
        orchestrator.bridge_to(&sim.agent_url, XI_KEY);
        orchestrator.answer("/doc", 200, &orchestrator.connect(""));
        Self { sim, orchestrator }
    }

    pub fn rest(&self, path: &str) -> String {
        format!("{}/2010-04-01/Accounts/{ACCOUNT}{path}", self.sim.carrier_url)
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Created {
        let request = client().post(self.rest(path)).basic_auth(KEY.0, Some(KEY.1)).form(form);
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or(Value::Null)))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer =
            client().get(self.rest(path)).basic_auth(KEY.0, Some(KEY.1)).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or(Value::Null))
    }

    /// Creates a call for `attempt` with all status callbacks, the document at `/doc`, and `more` fields.
    pub async fn dial(&self, to: &str, attempt: &str, more: &[(&str, &str)]) -> Created {
        let (document, status) = (
            format!("{}/doc", self.orchestrator.base),
            format!("{}/status/{attempt}?campaign=c1#rc=2&rp=all", self.orchestrator.base),
        );
        let mut form = vec![("To", to), ("From", FROM), ("Url", &document), ("StatusCallback", &status)];
        for event in ["initiated", "ringing", "answered", "completed"] {
            form.push(("StatusCallbackEvent", event));
        }
        form.extend(more);
        self.post("/Calls.json", &form).await
    }

    pub async fn call(&self, to: &str, attempt: &str, more: &[(&str, &str)]) -> String {
        let (status, body) = self.dial(to, attempt, more).await.expect("an answer");
        assert_eq!(status, 201, "{body}");
        body["sid"].as_str().expect("a sid").to_owned()
    }

    /// Waits until `done` says so.
    pub async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(STUCK, waiting).await.is_err() {
            let lines: Vec<String> =
                self.sim.log.snapshot().entries.iter().map(|entry| format!("{entry:?}")).collect();
            panic!("waited in vain for {what}; the log:\n{}", lines.join("\n"));
        }
    }

    /// Waits until `calls` calls have ended and their last callback has come.
    pub async fn ended(&self, calls: usize) -> Summary {
        let over = |world: &Self| {
            let completed = world.sim.log.snapshot();
            completed.call_ends().count() >= calls
                && completed
                    .callbacks()
                    .filter(|callback| callback.kind == "status" && is_end(&callback.what))
                    .count()
                    >= calls
        };
        self.until(&format!("{calls} calls to end"), over).await;
        self.sim.log.summary()
    }

    /// Values of a field of the status callbacks of an attempt, in the order of their arrival.
    pub fn statuses(&self, attempt: &str, field: &str) -> Vec<String> {
        let received = self.orchestrator.at(&format!("/status/{attempt}"));
        received.iter().map(|received| received.field(field).to_owned()).collect()
    }
}

pub fn is_end(status: &str) -> bool {
    matches!(status, "completed" | "busy" | "no-answer" | "failed" | "canceled")
}
