//! Something between a client and a server on loopback, which can cut or hold what goes through.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A port on loopback that leads to another one.
pub struct Proxy {
    port: u16,
    to_server: watch::Sender<Passing>,
    to_client: watch::Sender<Passing>,
    passed: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Leads to `port` on loopback.
    ///
    /// # Errors
    /// If no port is to be had.
    pub async fn start(port: u16) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let own = listener.local_addr()?.port();
        let (to_server, server) = watch::channel(Passing::Through);
        let (to_client, client) = watch::channel(Passing::Through);
        let passed = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn(accept(listener, port, (server, client), passed.clone()));
        Ok(Proxy { port: own, to_server, to_client, passed, accepting })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Both ways at once.
    pub fn set(&self, passing: Passing) {
        self.to_server.send_replace(passing);
        self.to_client.send_replace(passing);
    }

    /// What the server sends.
    pub fn set_answers(&self, passing: Passing) {
        self.to_client.send_replace(passing);
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

type Ways = (watch::Receiver<Passing>, watch::Receiver<Passing>);

async fn accept(listener: TcpListener, port: u16, ways: Ways, passed: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let (ways, passed) = (ways.clone(), passed.clone());
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
