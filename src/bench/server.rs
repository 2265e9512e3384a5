//! The node under load: a process of its own.

use super::process;
use super::{BenchArgs, BenchError};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take to answer.
const START_WAIT: Duration = Duration::from_secs(60);

pub const ADMIN_TOKEN: &str = "bench-admin-token";

pub struct Server {
    child: Child,
    dir: tempfile::TempDir,
    pub address: SocketAddr,
    config: std::path::PathBuf,
}

fn free_port() -> Result<u16, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|l| l.local_addr()).map_err(|e| BenchError::of("no free port", e))?;
    Ok(address.port())
}

impl Server {
    pub async fn start(args: &BenchArgs) -> Result<Server, BenchError> {
        let dir = tempfile::Builder::new()
            .prefix("tandem-bench-")
            .tempdir_in(&args.scratch)
            .map_err(|e| BenchError::of("the scratch directory cannot be used", e))?;
        let (grpc, http, metrics) = (free_port()?, free_port()?, free_port()?);
        let config = dir.path().join("tandem.toml");
        let text = format!(
            "[node]\ndata_dir = {data:?}\nshards = {shards}\n\
             [keys]\npath = {key:?}\ncreate = true\n\
             [grpc]\nlisten = \"127.0.0.1:{grpc}\"\nadmin_token = \"{ADMIN_TOKEN}\"\n\
             [http]\nlisten = \"127.0.0.1:{http}\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [carriers.null]\ntype = \"null\"\n\
             [limits]\nin_flight_max = 100000\n\
             [log]\nlevel = \"warn\"\n",
            data = dir.path().join("data"),
            key = dir.path().join("tandem.key"),
            shards = args.shards,
        );
        std::fs::write(&config, text).map_err(|e| BenchError::of("the configuration", e))?;
        let child = spawn(&config)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, grpc));
        let mut server = Server { child, dir, address, config };
        server.wait().await?;
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the node's process with SIGKILL and starts another on its data. Returns how long it
    /// took from the start to an open port.
    pub async fn kill_and_start(&mut self) -> Result<Instant, BenchError> {
        self.end();
        let started = Instant::now();
        self.child = spawn(&self.config)?;
        Ok(started)
    }

    async fn wait(&mut self) -> Result<(), BenchError> {
        let until = Instant::now() + START_WAIT;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(BenchError(format!("the node ended at once: {status}")));
            }
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(BenchError("the node does not answer".into()))
    }

    pub fn memory(&self) -> process::Sample {
        process::sample(self.pid())
    }

    pub fn data_bytes(&self) -> u64 {
        bytes_under(self.dir.path())
    }

    fn end(&mut self) {
        // Its own child, by its handle.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(config: &Path) -> Result<Child, BenchError> {
    let exe = std::env::current_exe().map_err(|e| BenchError::of("this program's own path", e))?;
    Command::new(exe)
        .arg("node")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| BenchError::of("the node cannot be started", e))
}

/// Allocated bytes below a directory.
fn bytes_under(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|e| match e.metadata() {
            Ok(m) if m.is_dir() => bytes_under(&e.path()),
            Ok(m) => m.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
