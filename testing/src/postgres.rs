//! A private PostgreSQL.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Set where tests are to fail, not to be skipped, without a server.
const REQUIRE: &str = "TANDEM_REQUIRE_POSTGRESQL";
const USER: &str = "tandem";
/// The superuser needs no password, so that connections cost little; users that a test makes need theirs.
const LOGINS: &str = "host all tandem 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
/// For a server to take connections, its recovery from a crash included.
const START: Duration = Duration::from_secs(60);

/// No server is installed.
#[derive(Debug, Clone)]
pub struct Missing;

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "no PostgreSQL server is installed: `initdb` and `postgres` are neither in PATH nor in \
             /usr/lib/postgresql/*/bin (Debian: apt-get install postgresql; scripts/test does that)",
        )
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    Missing(Missing),
    Failed(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Missing(missing) => missing.fmt(f),
            StartError::Failed(why) => write!(f, "PostgreSQL did not start: {why}"),
        }
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        StartError::Failed(error.to_string())
    }
}

/// Where the programs of the server are: the newest there is.
fn programs() -> Result<PathBuf, Missing> {
    let has_both = |dir: &Path| dir.join("initdb").is_file() && dir.join("postgres").is_file();
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(dir) = std::env::split_paths(&path).find(|dir| has_both(dir)) {
        return Ok(dir);
    }
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut dirs: Vec<(u32, PathBuf)> = installed
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, dir)| has_both(dir))
        .collect();
    dirs.sort();
    dirs.extend(
        Some((0, PathBuf::from("/usr/local/bin"))).filter(|(_, dir)| dirs.is_empty() && has_both(dir)),
    );
    dirs.pop().map(|(_, dir)| dir).ok_or(Missing)
}

/// Whom the server runs as: it refuses to be root.
#[derive(Clone, Copy)]
struct Owner(Option<(u32, u32)>);

impl Owner {
    fn find() -> Owner {
        if !rustix::process::geteuid().is_root() {
            return Owner(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let id = |name: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        Owner(Some(id("postgres").or_else(|| id("nobody")).unwrap_or((65_534, 65_534))))
    }

    fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Owner(Some((user, group))) = self {
            command.uid(user).gid(group);
        }
        // An interrupt from the keyboard is for the tests; the server follows them.
        command.process_group(0).stdin(Stdio::null()).env_remove("PGDATA").current_dir("/");
        command
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A server of our own, with its data in a directory of its own. It syncs what it commits.
pub struct Postgres {
    dir: TempDir,
    programs: PathBuf,
    owner: Owner,
    port: u16,
    settings: Vec<(String, String)>,
    server: Option<Child>,
    /// Ends server and directory when the pipe to it is closed: when this process is gone.
    keeper: Child,
}

impl Postgres {
    /// Makes a database and starts a server on it. Takes some two seconds.
    ///
    /// # Errors
    /// [`StartError::Missing`] where no server is installed.
    pub async fn start() -> Result<Postgres, StartError> {
        Postgres::start_with(&[], &[]).await
    }

    /// As [`Postgres::start`], with settings of the server beside its defaults, and files (by name, with what
    /// is in them, for the server's eyes only) in the directory that settings are relative to.
    ///
    /// # Errors
    /// As of [`Postgres::start`].
    pub async fn start_with(
        settings: &[(&str, &str)],
        files: &[(&str, &str)],
    ) -> Result<Postgres, StartError> {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let (settings, files) = (owned(settings), owned(files));
        let mut postgres = blocking(move || {
            let postgres = Postgres::make(settings)?;
            for (name, text) in files {
                let path = postgres.data().join(name);
                std::fs::write(&path, text)?;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
                if let Owner(Some((user, group))) = postgres.owner {
                    chown(&path, Some(user), Some(group))?;
                }
            }
            Ok(postgres)
        })
        .await?;
        postgres.up().await?;
        Ok(postgres)
    }

    /// One server for all tests of this process, which ends with it. `None` where none is installed: the
    /// reason is printed, and tests have nothing to do.
    ///
    /// # Panics
    /// If the server does not start; and if none is installed where `TANDEM_REQUIRE_POSTGRESQL` is `1`.
    pub async fn shared() -> Option<&'static Postgres> {
        static SHARED: tokio::sync::OnceCell<Option<Postgres>> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_init(Postgres::start_or_skip).await.as_ref()
    }

    /// A server for one test; `None` and panics as of [`Postgres::shared`].
    pub async fn start_or_skip() -> Option<Postgres> {
        Postgres::or_skip(Postgres::start().await)
    }

    /// What was started; `None` and panics as of [`Postgres::shared`].
    pub fn or_skip(started: Result<Postgres, StartError>) -> Option<Postgres> {
        match started {
            Ok(postgres) => Some(postgres),
            Err(StartError::Missing(missing)) => {
                let required = std::env::var_os(REQUIRE).is_some_and(|value| value == "1");
                assert!(!required, "{missing}");
                static TOLD: OnceLock<()> = OnceLock::new();
                TOLD.get_or_init(|| eprintln!("\nSKIPPED: tests over PostgreSQL: {missing}\n"));
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn make(settings: Vec<(String, String)>) -> Result<Postgres, StartError> {
        let programs = programs().map_err(StartError::Missing)?;
        let owner = Owner::find();
        let dir = tempfile::Builder::new().prefix("tandem-postgresql-").tempdir()?;
        if let Owner(Some((user, group))) = owner {
            chown(dir.path(), Some(user), Some(group))?;
        }
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700))?;
        let keeper = keeper(owner, &programs, dir.path())?;
        let postgres = Postgres { port: free_port()?, dir, programs, owner, settings, server: None, keeper };
        postgres.initialise()?;
        Ok(postgres)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn initialise(&self) -> Result<(), StartError> {
        let mut command = self.owner.command(self.programs.join("initdb"));
        command.args([
            "--username",
            USER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        command.arg("--pgdata").arg(self.data());
        let done = command.output()?;
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr);
            return Err(StartError::Failed(format!("initdb: {}", why.trim())));
        }
        // The file keeps its owner.
        std::fs::write(self.data().join("pg_hba.conf"), LOGINS)?;
        Ok(())
    }

    /// For a client: a superuser without a password, on loopback.
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// The same by another port, of something that passes on what it gets.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgresql://{USER}@127.0.0.1:{port}/postgres?sslmode=disable")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A name that no other caller in this process gets, for a schema of one test.
    pub fn unique_prefix(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs one statement as the superuser. Gives the first column of its first row, as text; empty without one.
    ///
    /// # Errors
    /// What the server says.
    pub async fn sql(&self, sql: &str) -> Result<String, String> {
        let url = self.url();
        let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
        let (client, connection) = connected.map_err(|error| error.to_string())?;
        let driving = tokio::spawn(connection);
        let said = client.simple_query(sql).await;
        drop(client);
        let _ = driving.await;
        let said =
            said.map_err(|error| error.as_db_error().map_or(error.to_string(), ToString::to_string))?;
        let first = said.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some(row.try_get(0).ok().flatten().unwrap_or_default().to_owned())
            }
            _ => None,
        });
        Ok(first.unwrap_or_default())
    }

    /// Starts the server, and waits until it takes connections.
    ///
    /// # Errors
    /// If it ends, or takes longer than a minute.
    pub async fn up(&mut self) -> Result<(), StartError> {
        let deadline = Instant::now() + START;
        loop {
            self.launch()?;
            match self.ready(deadline).await {
                Ok(()) => return Ok(()),
                // Processes of one that was killed may be about for a moment.
                Err(_) if Instant::now() < deadline && self.has_ended() => {
                    self.server = None;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(why) => return Err(StartError::Failed(why)),
            }
        }
    }

    fn launch(&mut self) -> io::Result<()> {
        let log = std::fs::File::create(self.dir.path().join("log"))?;
        let mut command = self.owner.command(self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.dir.path())
            .arg("-p")
            .arg(self.port.to_string());
        let defaults = [("listen_addresses", "127.0.0.1"), ("fsync", "on"), ("logging_collector", "off")];
        let settings =
            defaults.into_iter().chain(self.settings.iter().map(|(name, value)| (&name[..], &value[..])));
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdout(log.try_clone()?).stderr(log);
        self.server = Some(command.spawn()?);
        Ok(())
    }

    /// The server writes `ready` into its file once it takes connections.
    async fn ready(&mut self, deadline: Instant) -> Result<(), String> {
        let file = self.data().join("postmaster.pid");
        let pid = self.pid().unwrap_or_default().to_string();
        loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let mut lines = text.lines();
            if lines.next() == Some(&pid[..])
                && lines.next_back().is_some_and(|state| state.trim() == "ready")
            {
                return Ok(());
            }
            if self.has_ended() || Instant::now() > deadline {
                let mut why = String::from("its log says:\n");
                let _ =
                    why.write_str(&std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default());
                return Err(why);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn has_ended(&mut self) -> bool {
        self.server.as_mut().is_none_or(|server| !matches!(server.try_wait(), Ok(None)))
    }

    /// The number of the server's first process.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.pid().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    async fn end(&mut self, signal: rustix::process::Signal) -> Option<ExitStatus> {
        self.signal(signal);
        let mut server = self.server.take()?;
        blocking(move || Ok(server.wait()?)).await.ok()
    }

    /// Stops the server: connections are cut, what is committed is written out.
    pub async fn stop(&mut self) {
        self.end(rustix::process::Signal::INT).await;
    }

    /// Kills the server as a power cut would, but for what the system has in its caches.
    pub async fn kill(&mut self) {
        self.end(rustix::process::Signal::KILL).await;
    }

    /// Stops and starts the server.
    ///
    /// # Errors
    /// As of [`Postgres::up`].
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.stop().await;
        self.up().await
    }

    /// Stops the server's first process and all others it has made, without ending them; or lets them go on.
    pub async fn freeze(&self, frozen: bool) {
        let signal = if frozen { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        for child in self.children() {
            if let Some(pid) = rustix::process::Pid::from_raw(child) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        self.signal(signal);
    }

    fn children(&self) -> Vec<i32> {
        let Some(parent) = self.pid().map(|pid| pid.to_string()) else { return Vec::new() };
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let is_child = |pid: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit(')').next().unwrap_or_default();
            fields.split_whitespace().nth(1) == Some(&parent[..])
        };
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
    }
}

/// A process that waits for the end of its input, then stops the server, if there is one, and removes its files.
fn keeper(owner: Owner, programs: &Path, dir: &Path) -> io::Result<Child> {
    let script =
        "cat > /dev/null; \"$1/pg_ctl\" -D \"$2/data\" -m immediate stop > /dev/null 2>&1; rm -rf \"$2\"";
    let mut command = owner.command("sh");
    command.args(["-c", script, "sh"]).arg(programs).arg(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::QUIT);
        if let Some(mut server) = self.server.take() {
            let _ = server.wait();
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StartError::Failed(error.to_string()))?
}
