//! Something between a client and a server on loopback, which can cut or hold what goes through.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to bytes on their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passing {
    /// They arrive.
    Through,
    /// They wait, as in a network that is gone.
    Held,
    /// Connections are closed on both sides, and new ones at once.
    Cut,
}

/// What holds for some connections: on the way to the server, and on the way back.
struct Ways {
    to_server: watch::Sender<Passing>,
    to_client: watch::Sender<Passing>,
}

impl Ways {
    fn new() -> Ways {
        Ways {
            to_server: watch::Sender::new(Passing::Through),
            to_client: watch::Sender::new(Passing::Through),
        }
    }

    fn set(&self, passing: Passing) {
        self.to_server.send_replace(passing);
        self.to_client.send_replace(passing);
    }
}

/// A port on loopback that leads to another one.
pub struct Proxy {
    port: u16,
    ways: Arc<Mutex<Ways>>,
    passed: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

/// Connections that do not do any more what the proxy is told.
pub struct Stranded(Ways);

impl Stranded {
    /// What was held arrives.
    pub fn deliver(&self) {
        self.0.set(Passing::Through);
    }
}

impl Proxy {
    /// Leads to `port` on loopback.
    ///
    /// # Errors
    /// If no port is to be had.
    pub async fn start(port: u16) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let ways = Arc::new(Mutex::new(Ways::new()));
        let passed = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn(accept(listener, port, ways.clone(), passed.clone()));
        Ok(Proxy { port: own, ways, passed, accepting })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Both ways at once.
    pub fn set(&self, passing: Passing) {
        self.ways().set(passing);
    }

    /// What the server sends.
    pub fn set_answers(&self, passing: Passing) {
        self.ways().to_client.send_replace(passing);
    }

    /// Leaves the present connections as they are, and passes on what new ones send.
    #[must_use = "its connections are cut when it is dropped"]
    pub fn strand(&self) -> Stranded {
        Stranded(std::mem::replace(&mut *self.ways(), Ways::new()))
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that have reached the server so far.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Passing::Cut);
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, ways: Arc<Mutex<Ways>>, passed: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let ways = {
            let ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
            (ways.to_server.subscribe(), ways.to_client.subscribe())
        };
        let passed = passed.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            // Whichever side ends first takes the other along.
            tokio::select! {
                () = pass(from_client, to_server, ways.0, Some(&passed)) => {}
                () = pass(from_server, to_client, ways.1, None) => {}
            }
        });
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Passing>,
    passed: Option<&AtomicU64>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = way.wait_for(|passing| *passing == Passing::Cut) => return,
            read = from.read(&mut buffer) => read,
        };
        let Ok(count @ 1..) = read else { return };
        if !matches!(way.wait_for(|passing| *passing != Passing::Held).await.as_deref(), Ok(Passing::Through))
        {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        if let Some(passed) = passed {
            passed.fetch_add(count as u64, Ordering::AcqRel);
        }
    }
}
