//! A node and the command line, each a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub const ADMIN: &str = "an-admin-token-for-tests";
/// Longer than anything here takes; a command that hangs fails instead of holding the tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Noon in New York on a Tuesday, and a carrier that calls nobody.
pub const CONFIG: &str = r#"
[node]
shards = 4
drain = "1s"
[grpc]
listen = "127.0.0.1:0"
admin_token_file = "admin.token"
[http]
listen = "127.0.0.1:0"
[metrics]
enabled = false
[keys]
create = true
[carriers.twilio]
type = "null"
[clock]
epoch = 2026-06-02T16:00:00Z
[log]
format = "json"
level = "info,tandem=trace,tandem_actors=trace,tandem_providers=trace"
"#;

pub struct World {
    server: String,
    node: Child,
    log: Arc<Mutex<String>>,
    /// Everything of a test: configuration, data, files.
    directory: PathBuf,
    kept: Option<tempfile::TempDir>,
}

impl World {
    pub async fn start() -> World {
        Self::start_with("").await
    }

    /// A node with more in its configuration.
    pub async fn start_with(more: &str) -> World {
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("tandem.toml"), format!("{CONFIG}{more}")).unwrap();
        std::fs::write(files.path().join("admin.token"), ADMIN).unwrap();
        let mut world = Self::start_in(files.path()).await;
        world.kept = Some(files);
        world
    }

    /// A node in a directory where its configuration lies already.
    pub async fn start_in(directory: &Path) -> World {
        let mut node = command(directory)
            .args(["node", "--config", "tandem.toml"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(node.stderr.take().unwrap()).lines();
        let mut server = None;
        while server.is_none() {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
            let line = line.unwrap_or_else(|| panic!("the node ended: {}", log.lock().unwrap()));
            let record: serde_json::Value = serde_json::from_str(&line).unwrap();
            server = record["grpc"].as_str().map(|address| format!("http://{address}"));
            *log.lock().unwrap() += &(line + "\n");
        }
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                *kept.lock().unwrap() += &(line + "\n");
            }
        });
        World { server: server.unwrap(), node, log, directory: directory.to_owned(), kept: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// What the node has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Runs the command line as the operator of the node.
    pub async fn admin(&self, line: &[&str]) -> Ran {
        self.run(line, Some(("TANDEM_KEY_FILE", "admin.token"))).await
    }

    /// Runs the command line with the key in the file `acme.key`.
    pub async fn acme(&self, line: &[&str]) -> Ran {
        self.run(line, Some(("TANDEM_KEY_FILE", "acme.key"))).await
    }

    /// Runs the command line without a key.
    pub async fn nobody(&self, line: &[&str]) -> Ran {
        self.run(line, None).await
    }

    /// A company with its key in `acme.key`.
    pub async fn company(&self) {
        let line = ["company", "create", "Acme", "--caller-id", "+12025550100", "--agent", "agent_1"];
        self.admin(&[&line[..], &["--key-out", "acme.key"]].concat()).await.ok();
    }

    async fn run(&self, line: &[&str], key: Option<(&str, &str)>) -> Ran {
        let mut command = command(&self.directory);
        command.args(line).env("TANDEM_SERVER", &self.server).envs(key);
        let output =
            timeout(PATIENCE, command.output()).await.unwrap_or_else(|_| panic!("{line:?} hangs")).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Ends the node's process at once, as a power cut does.
    pub async fn kill(&mut self) {
        self.node.kill().await.unwrap();
    }

    /// Tells the node to stop, and gives its exit code.
    pub async fn stop(mut self) -> Option<i32> {
        let id = self.node.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        timeout(PATIENCE, self.node.wait()).await.unwrap().unwrap().code()
    }
}

/// The program, with nothing of the environment of the tests.
pub fn command(directory: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TANDEM_")) {
        command.env_remove(name);
    }
    command.current_dir(directory).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// How a command line ended and what it printed.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// It was done.
    pub fn ok(self) -> Ran {
        self.ended(0)
    }

    pub fn ended(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    /// What it printed, as one JSON object.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// What it printed, as one JSON object a line.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
