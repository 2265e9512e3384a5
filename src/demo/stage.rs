//! What the demonstration runs on: a directory, a clock, the simulator and a node.

use super::screen::Screen;
use super::summary::Summary;
use super::{DemoArgs, DemoError, scenario, text};
use crate::config::{self, Config, Secret, read::Base};
use crate::node::{self, Parts};
use crate::telemetry;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tandem_actors::{Clock as _, SystemClock};
use tandem_domain::time::Millis;
use tandem_simulator::Simulator;
use uuid::Uuid;

/// Simulated seconds in a second while calls are alive. Answers within a few real milliseconds are then
/// answers within a simulated second.
pub(super) const SPEED: f64 = 80.0;

/// The same for whoever waits for the other side, in whose patience real milliseconds pass: somebody who
/// hears nothing for 8 s has then waited for half a real second.
const WAIT_SPEED: f64 = 16.0;

/// Tuesday, 2026-03-03, 14:30 UTC. On the east coast of America and in Europe people may be called;
/// further west the hours open one after the other; in Australia it is night.
const ORIGIN: Millis = 1_772_548_200_000;

/// Variables that may change how the demonstration logs; all others are the user's own node's.
const LOG_VARIABLES: &str = "TANDEM_LOG__";

/// The node's clock, as the simulator reads it: both show the same time, jumps included.
struct Shared(Arc<SystemClock>);

impl tandem_simulator::Clock for Shared {
    fn now_ms(&self) -> i64 {
        self.0.now()
    }
}

/// Everything that runs.
pub(super) struct Stage {
    pub clock: Arc<SystemClock>,
    pub speed: f64,
    pub seed: u64,
    pub simulator: tandem_simulator::Running,
    pub node: node::Running,
    pub admin_token: Secret,
    room: Room,
}

/// The directory; a temporary one is removed when this is dropped.
struct Room {
    path: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Room {
    fn open(given: Option<&Path>) -> Result<Room, DemoError> {
        let Some(path) = given else {
            let temporary = tempfile::Builder::new()
                .prefix("tandem-demo-")
                .tempdir()
                .map_err(|error| DemoError::Local { what: "a temporary directory", error })?;
            return Ok(Room { path: temporary.path().to_owned(), _temporary: Some(temporary) });
        };
        let failed = |error| DemoError::File { path: path.to_owned(), error };
        if path.exists() && !path.is_dir() {
            return Err(DemoError::NoDirectory(path.to_owned()));
        }
        std::fs::create_dir_all(path).map_err(failed)?;
        if std::fs::read_dir(path).map_err(failed)?.next().is_some() {
            // Calls of an earlier demonstration would be looked for at a carrier that knows nothing of them.
            return Err(DemoError::NotEmpty(path.to_owned()));
        }
        // What stands in the configuration must not depend on the working directory.
        let path = path.canonicalize().map_err(failed)?;
        Ok(Room { path, _temporary: None })
    }

    fn write_private(&self, name: &str, content: &str) -> Result<(), DemoError> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.path.join(name);
        let mut options = std::fs::OpenOptions::new();
        let written = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()));
        written.map_err(|error| DemoError::File { path, error })
    }
}

impl Stage {
    /// Starts the simulator and the node.
    pub async fn open(args: &DemoArgs) -> Result<Stage, DemoError> {
        let room = Room::open(args.data_dir.as_deref())?;
        let real = SystemClock::new().now();
        let clock = Arc::new(SystemClock::simulated(ORIGIN, real, args.speed));
        let account_sid = format!("AC{}", Uuid::new_v4().simple());
        let (auth_token, xi_api_key) = (secret(), secret());
        let simulator = Simulator::start(tandem_simulator::Options {
            account_sid: account_sid.clone(),
            auth_token: auth_token.clone(),
            xi_api_key: xi_api_key.clone(),
            seed: args.seed,
            speed: args.speed,
            wait_speed: Some(WAIT_SPEED),
            mix: scenario::scenario(),
            log_path: args.data_dir.is_some().then(|| room.path.join("carrier.jsonl")),
            clock: Arc::new(Shared(Arc::clone(&clock))),
            ..tandem_simulator::Options::default()
        })
        .await?;
        let admin_token = secret();
        let settings = settings(&Settings {
            room: &room.path,
            http_port: free_port().map_err(|error| DemoError::Local { what: "a free port", error })?,
            admin_token: &admin_token,
            account_sid: &account_sid,
            auth_token: &auth_token,
            carrier_url: &simulator.carrier_url,
            xi_api_key: &xi_api_key,
            agent_url: &simulator.agent_url,
        });
        let config = parse(&settings, &room.path)?;
        if args.data_dir.is_some() {
            room.write_private("tandem.toml", &settings)?;
        }
        let node =
            node::start(&config, Parts { clock: Some(Arc::clone(&clock)), ..Parts::default() }).await?;
        let (speed, seed, admin_token) = (args.speed, args.seed, Secret::new(admin_token));
        Ok(Stage { clock, speed, seed, simulator, node, admin_token, room })
    }

    /// Stops the node first: what it still has to say to the carrier is then heard.
    pub async fn close(self) {
        self.node.stop().await;
        self.simulator.shutdown().await;
    }

    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    pub fn introduce(&self, screen: &mut Screen) {
        screen.say(&format!("node       gRPC {}, webhooks {}", self.node.grpc, self.node.http));
        screen.say(&format!("carrier    {} (simulated)", self.simulator.carrier_url));
        screen.say(&format!("agent      {} (simulated)", self.simulator.agent_url));
        screen.say(&format!("data       {}", self.room.path.display()));
        screen.say(&format!(
            "time       simulated: it begins on {} and runs {} times as fast; where nothing is due it is skipped",
            text::time(ORIGIN),
            self.speed
        ));
    }

    /// Tells how to look at what is left running.
    pub fn invite(&self, summary: &Summary) {
        let grpc = self.node.grpc;
        let mut lines = vec![
            String::new(),
            "Everything is left running until Ctrl-C.".to_owned(),
            format!("  gRPC        http://{grpc}"),
            format!("  webhooks    http://{}", self.node.http),
        ];
        if let Some(metrics) = self.node.metrics {
            lines.push(format!("  metrics     http://{metrics}/metrics"));
        }
        let (carrier, agent) = (&self.simulator.carrier_url, &self.simulator.agent_url);
        lines.extend([
            format!("  carrier     {carrier}"),
            format!("  agent       {agent}"),
            format!("  data        {}", self.room.path.display()),
            format!("  API key     {}", summary.key()),
            format!("  admin token {}", self.admin_token.expose()),
            "Try:".to_owned(),
            format!("  export TANDEM_SERVER=http://{grpc} TANDEM_KEY={}", summary.key()),
            format!("  tandem campaign get {}", summary.campaign_id),
            format!("  tandem campaign explain {}", summary.campaign_id),
            format!("  tandem call list --campaign {} --disposition voicemail_left", summary.campaign_id),
            "  tandem customer history '+1 212 555 0100'".to_owned(),
            format!("  curl {carrier}/_sim/summary"),
        ]);
        // Where the summary is JSON, the standard output holds nothing else.
        for line in lines {
            crate::stderr::say(format_args!("{line}"));
        }
    }
}

fn secret() -> String {
    format!("demo-{}", Uuid::new_v4().simple())
}

/// A port that nobody listens on. The carrier has to be told the address before the node listens there.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

struct Settings<'a> {
    room: &'a Path,
    http_port: u16,
    admin_token: &'a str,
    account_sid: &'a str,
    auth_token: &'a str,
    carrier_url: &'a str,
    xi_api_key: &'a str,
    agent_url: &'a str,
}

/// A configuration as anybody would write it: the demonstration's node has no door of its own.
fn settings(s: &Settings<'_>) -> String {
    let quoted = |path: PathBuf| toml::Value::String(path.to_string_lossy().into_owned()).to_string();
    format!(
        "[node]\n\
         name = \"demo\"\n\
         data_dir = {data}\n\
         shards = 16\n\
         drain = \"2s\"\n\n\
         [keys]\n\
         path = {key}\n\
         create = true\n\n\
         [grpc]\n\
         listen = \"127.0.0.1:0\"\n\
         admin_token = \"{admin_token}\"\n\n\
         [http]\n\
         listen = \"127.0.0.1:{http_port}\"\n\
         public_url = \"http://127.0.0.1:{http_port}\"\n\
         dev = true\n\n\
         [metrics]\n\
         listen = \"127.0.0.1:0\"\n\n\
         [carriers.twilio]\n\
         type = \"twilio\"\n\
         account_sid = \"{account_sid}\"\n\
         auth_token = \"{auth_token}\"\n\
         base_url = \"{carrier_url}\"\n\n\
         [agents.elevenlabs]\n\
         type = \"elevenlabs\"\n\
         api_key = \"{xi_api_key}\"\n\
         base_url = \"{agent_url}\"\n",
        data = quoted(s.room.join("data")),
        key = quoted(s.room.join("tandem.key")),
        http_port = s.http_port,
        admin_token = s.admin_token,
        account_sid = s.account_sid,
        auth_token = s.auth_token,
        carrier_url = s.carrier_url,
        xi_api_key = s.xi_api_key,
        agent_url = s.agent_url,
    )
}

fn parse(settings: &str, room: &Path) -> Result<Config, DemoError> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with(LOG_VARIABLES))
        .collect::<Vec<_>>();
    let wants_logs = !variables.is_empty();
    let base = Base { directory: room.to_owned() };
    let (config, _) = config::parse(settings, base, variables)
        .map_err(|problems| DemoError::Settings(problems.to_string()))?;
    // Faults are part of the show: logs come only where they are asked for.
    if wants_logs {
        telemetry::init(&config.log).map_err(|error| DemoError::Settings(error.to_string()))?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_sound_wherever_the_directory_is() {
        for room in ["/tmp/demo", "/tmp/a \"quoted\" one\\", "/tmp/ümlaut\nline"] {
            let text = settings(&Settings {
                room: Path::new(room),
                http_port: 4711,
                admin_token: "0123456789abcdef",
                account_sid: "AC00000000000000000000000000000001",
                auth_token: "t",
                carrier_url: "http://127.0.0.1:1",
                xi_api_key: "x",
                agent_url: "http://127.0.0.1:2",
            });
            let (config, _) = config::parse(&text, Base::default(), Vec::new()).expect("sound");
            assert_eq!(config.node.data_dir, Path::new(room).join("data"));
            assert_eq!((config.carriers.len(), config.agents.len()), (1, 1));
            assert_eq!(config.http.listen.port(), 4711);
        }
    }

    #[test]
    fn the_day_begins_where_some_may_be_called_and_others_not_yet() {
        use tandem_domain::dial::{Bounds, Place, hours_at};
        use tandem_domain::phone::Number;
        use tandem_domain::window::{Hours, Verdict};
        let open = |number: &str| {
            let number = Number::from_e164(number).expect("a number");
            let verdict = hours_at(ORIGIN, &Place::of(&number, None), &Hours::default(), Bounds::default());
            matches!(verdict, Verdict::Open { .. })
        };
        assert!(open("+12125550100") && open("+442079460000"));
        assert!(!open("+12135550112") && !open("+61255500000"));
    }

    #[test]
    fn a_directory_that_holds_something_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let room = Room::open(Some(&directory.path().join("new"))).expect("made");
        room.write_private("tandem.toml", "x").expect("written");
        assert!(matches!(Room::open(Some(&room.path)), Err(DemoError::NotEmpty(_))));
        let file = room.path.join("tandem.toml");
        assert!(matches!(Room::open(Some(&file)), Err(DemoError::NoDirectory(_))));
    }
}
