//! Opening connections.

use super::target::Target;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Opens connections, each within a time limit that covers the name, TCP and TLS.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    timeout: Duration,
}

/// Why there is no connection. Nothing of any request has been sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the name cannot be resolved: {0}")]
    Name(String),
    #[error("{0}")]
    Tcp(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("no connection in time")]
    Timeout,
}

impl Connector {
    pub fn new(tls: Arc<ClientConfig>, timeout: Duration) -> Self {
        Connector { tls: TlsConnector::from(tls), timeout }
    }

    pub async fn connect(&self, target: &Target) -> Result<Socket, ConnectError> {
        timeout(self.timeout, self.connect_unbounded(target)).await.map_err(|_| ConnectError::Timeout)?
    }

    async fn connect_unbounded(&self, target: &Target) -> Result<Socket, ConnectError> {
        let tcp = self.tcp(target).await?;
        // Small frames every 20 ms must not wait for one another.
        tcp.set_nodelay(true).map_err(|error| ConnectError::Tcp(error.to_string()))?;
        if !target.secure {
            return Ok(Socket::Plain(tcp));
        }
        let name = ServerName::try_from(target.host.clone())
            .map_err(|error| ConnectError::Tls(error.to_string()))?;
        let tls = self.tls.connect(name, tcp).await.map_err(|error| ConnectError::Tls(error.to_string()))?;
        Ok(Socket::Tls(Box::new(tls)))
    }

    async fn tcp(&self, target: &Target) -> Result<TcpStream, ConnectError> {
        let addresses: Vec<_> = tokio::net::lookup_host((target.host.as_str(), target.port))
            .await
            .map_err(|error| ConnectError::Name(error.to_string()))?
            .take(ADDRESSES_MAX)
            .collect();
        let mut last = ConnectError::Name("no address".into());
        for (i, address) in addresses.iter().enumerate() {
            // An address that swallows packets must leave time for the others.
            let share = self.timeout / u32::try_from(addresses.len() - i + 1).unwrap_or(1);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = ConnectError::Tcp(error.to_string()),
                Err(_) => last = ConnectError::Timeout,
            }
        }
        Err(last)
    }
}

/// A connection, plain or under TLS.
#[derive(Debug)]
pub enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Plain($stream) => $call,
            Socket::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
