//! The connection to a node.

use super::exit::Exit;
use super::failure::Failure;
use crate::config::Secret;
use std::path::Path;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::StatusExt as _;

/// Largest answer that is taken, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// What the server's own deadline gets before ours.
const GRACE: Duration = Duration::from_millis(500);
/// Between the two attempts at a request, where the server does not say.
const RETRY_AFTER: Duration = Duration::from_millis(200);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// Attempts in a row to take up a watch that broke off.
const RESUMES_MAX: u32 = 8;

/// Where the server is and who asks.
#[derive(Clone, Debug)]
pub struct Options {
    /// `http://` or `https://`, host and port.
    pub server: String,
    /// An API key, or the admin token.
    pub key: Option<Secret>,
    /// For one request; streams are not limited.
    pub timeout: Duration,
    /// Certificates to trust besides the usual ones, PEM.
    pub ca: Option<Vec<u8>>,
}

/// A connection, made when it is first used.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    bearer: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Client {
    /// # Errors
    /// An address or a key that cannot be one.
    pub fn new(options: &Options) -> Result<Client, Failure> {
        let server = &options.server;
        let bad = |why: &str| {
            Failure::usage(format!("--server {server}: {why}"))
                .with_help("an address such as http://127.0.0.1:7350 or https://tandem.example.com:7350")
        };
        if !server.starts_with("http://") && !server.starts_with("https://") {
            return Err(bad("must begin with http:// or https://"));
        }
        let mut endpoint =
            Endpoint::from_shared(server.clone()).map_err(|_| bad("is no address of a server"))?;
        if server.starts_with("https://") {
            let mut tls = ClientTlsConfig::new().with_webpki_roots();
            if let Some(pem) = &options.ca {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint = endpoint.tls_config(tls).map_err(|error| Failure::of(&error))?;
        } else if options.ca.is_some() {
            return Err(bad("--ca is for https://"));
        }
        let channel = endpoint
            .connect_timeout(options.timeout.min(Duration::from_secs(10)))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .user_agent(concat!("tandem-cli/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| Failure::of(&error))?
            .connect_lazy();
        let bearer = options.key.as_ref().map(bearer).transpose()?;
        Ok(Client { channel, bearer, timeout: options.timeout })
    }

    /// Sends a request, and sends it once more where the server could not be reached or asks for it.
    /// Every request may be repeated: those that change something carry an idempotency key.
    ///
    /// # Errors
    /// What the server answered, or that it did not.
    pub async fn ask<Q, A>(
        &self,
        request: Q,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure>
    where
        Q: Clone,
    {
        let mut repeated = false;
        loop {
            let answer =
                timeout(self.timeout + GRACE, send(self.channel.clone(), self.request(request.clone())))
                    .await
                    .unwrap_or_else(|_| Err(Status::deadline_exceeded("")));
            match answer {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => match retry_after(&status).filter(|_| !repeated) {
                    Some(rest) => sleep(rest).await,
                    None => return Err(Failure::of_status(&status)),
                },
            }
            repeated = true;
        }
    }

    /// Sends a request that changes something and carries this idempotency key.
    ///
    /// # Errors
    /// As [`Client::ask`]; where nobody knows whether it was done, how to find out.
    pub async fn change<Q, A>(
        &self,
        key: &str,
        request: Q,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure>
    where
        Q: Clone,
    {
        self.ask(request, send).await.map_err(|failure| repeatable(failure, key))
    }

    /// Opens a stream of answers, without a deadline.
    ///
    /// # Errors
    /// What the server answered, or that it did not.
    pub async fn stream<Q, A>(
        &self,
        request: Q,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<Streaming<A>>, Status>,
    ) -> Result<Streaming<A>, Failure> {
        self.open(request, send).await.map_err(|status| Failure::of_status(&status))
    }

    async fn open<Q, A>(
        &self,
        request: Q,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<Streaming<A>>, Status>,
    ) -> Result<Streaming<A>, Status> {
        let answer = timeout(self.timeout, send(self.channel.clone(), self.authorised(request))).await;
        answer.unwrap_or_else(|_| Err(Status::deadline_exceeded(""))).map(Response::into_inner)
    }

    /// Follows a watch to its end, and takes it up again behind the newest event where it breaks off.
    /// `request` makes the request that goes on behind an event; `each` gives the number of the event
    /// that it was shown.
    ///
    /// # Errors
    /// What the server answered; that it cannot be reached any more; what `each` says.
    pub async fn watch<Q, A>(
        &self,
        after: u64,
        request: impl Fn(u64) -> Q,
        send: impl AsyncFn(Channel, Request<Q>) -> Result<Response<Streaming<A>>, Status>,
        mut each: impl FnMut(A) -> Result<u64, Failure>,
    ) -> Result<(), Failure> {
        let (mut newest, mut failures) = (after, 0);
        loop {
            let broken = match self.open(request(newest), &send).await {
                Err(status) => status,
                Ok(mut stream) => loop {
                    match stream.message().await {
                        Ok(Some(answer)) => {
                            newest = newest.max(each(answer)?);
                            failures = 0;
                        }
                        Ok(None) => return Ok(()),
                        Err(status) => break status,
                    }
                },
            };
            failures += 1;
            match retry_after(&broken).filter(|_| failures <= RESUMES_MAX) {
                Some(rest) => sleep(rest * failures).await,
                None => return Err(Failure::of_status(&broken)),
            }
        }
    }

    /// Sends a stream, without a deadline.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn send<S, A>(
        &self,
        stream: S,
        send: impl AsyncFnOnce(Channel, Request<S>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        send(self.channel.clone(), self.authorised(stream)).await.map(Response::into_inner)
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = self.authorised(message);
        request.set_timeout(self.timeout);
        request
    }

    fn authorised<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }
}

/// Says how to repeat a request of which nobody knows whether it was done.
pub fn repeatable(mut failure: Failure, key: &str) -> Failure {
    if failure.exit == Exit::Unavailable {
        let help = format!("nothing is done twice if you repeat it with --idempotency-key {key}");
        failure.help = Some(failure.help.map_or(help.clone(), |other| format!("{other}\n{help}")));
        failure.metadata.insert("idempotency_key".to_owned(), key.to_owned());
    }
    failure
}

fn bearer(key: &Secret) -> Result<MetadataValue<Ascii>, Failure> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", key.expose())
        .parse()
        .map_err(|_| Failure::new(Exit::Usage, "the API key holds characters that no key has"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// How long to wait before a request is sent again, where that may help.
pub fn retry_after(status: &Status) -> Option<Duration> {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::Unavailable => Some(asked.unwrap_or(RETRY_AFTER).min(RETRY_AFTER_MAX)),
        Code::ResourceExhausted | Code::Aborted => asked.map(|rest| rest.min(RETRY_AFTER_MAX)),
        _ => None,
    }
}

/// Reads an API key from a file.
///
/// # Errors
/// A file that cannot be read or holds no key.
pub fn key_from(path: &Path) -> Result<Secret, Failure> {
    const BYTES_MAX: usize = 4_096;
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| Failure::usage(format!("--key-file {shown}: {error}")))?;
    let key = text.trim();
    if key.is_empty() || key.len() > BYTES_MAX || key.contains(char::is_whitespace) {
        return Err(Failure::usage(format!("--key-file {shown}: holds no API key")));
    }
    Ok(Secret::new(key))
}

/// A key for a request that is to act once, however often it is sent.
pub fn fresh_key() -> String {
    format!("cli-{}", uuid::Uuid::new_v4())
}
