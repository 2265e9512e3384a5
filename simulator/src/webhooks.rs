//! Requests to the system under test: signed, bounded in number and time, never redirected.

use crate::log::Delivery;
use crate::wire::{SIGNATURE_HEADER, Secret, SigningKey};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_CONNECTIONS_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    Post,
}

/// What came of one webhook.
pub(crate) struct Answer {
    /// Every try, in order; the last one counts.
    pub(crate) tries: Vec<Delivery>,
    /// Body of an answer of the 2xx kind.
    pub(crate) body: Option<String>,
}

impl Answer {
    pub(crate) fn outcome(&self) -> Delivery {
        self.tries.last().cloned().unwrap_or(Delivery::Failed)
    }
}

/// Sends signed requests. A cheap clone of one shared client.
#[derive(Clone)]
pub(crate) struct Webhooks {
    client: reqwest::Client,
    in_flight: Arc<Semaphore>,
    key: SigningKey,
    tls: Arc<rustls::ClientConfig>,
}

impl Webhooks {
    pub(crate) fn new(auth_token: &Secret, in_flight_max: usize) -> Result<Self, std::io::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_only()
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self {
            client,
            in_flight: Arc::new(Semaphore::new(in_flight_max.max(1))),
            key: SigningKey::new(auth_token),
            tls: Arc::new(tls),
        })
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(crate) fn tls(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// Asks `url` with `form`, trying again as the overrides in the URL's fragment say. `token` is the same for every
    /// try.
    pub(crate) async fn ask(
        &self,
        url: &str,
        method: Method,
        form: &[(String, String)],
        timeout: Duration,
        token: &str,
    ) -> Answer {
        let (url, overrides) = match url.split_once('#') {
            Some((url, fragment)) => (url, Overrides::parse(fragment)),
            None => (url, Overrides::default()),
        };
        let mut tries = Vec::new();
        loop {
            let (outcome, connected, body) = self.once(url, method, form, timeout, token).await;
            let again = tries.len() < overrides.retries && overrides.covers(&outcome, connected);
            tries.push(outcome);
            if !again {
                return Answer { tries, body };
            }
        }
    }

    async fn once(
        &self,
        url: &str,
        method: Method,
        form: &[(String, String)],
        timeout: Duration,
        token: &str,
    ) -> (Delivery, bool, Option<String>) {
        // Never closed; an error would only mean that nothing is to be limited any more.
        let _permit = self.in_flight.acquire().await;
        let url = match method {
            Method::Post => url.to_owned(),
            Method::Get => with_query(url, form),
        };
        let signature = self.key.sign(&url, if method == Method::Post { form } else { &[] });
        let request = match method {
            Method::Post => self.client.post(&url).form(form),
            Method::Get => self.client.get(&url),
        };
        let request = request
            .header(SIGNATURE_HEADER, signature)
            .header("i-twilio-idempotency-token", token)
            .header(http::header::USER_AGENT, "TwilioProxy/1.1")
            .timeout(timeout);
        match request.send().await {
            Err(error) if error.is_builder() => (Delivery::BadUrl, true, None),
            Err(error) if error.is_connect() => (Delivery::Failed, false, None),
            Err(error) if error.is_timeout() => (Delivery::TimedOut, true, None),
            Err(_) => (Delivery::Failed, true, None),
            Ok(answer) => {
                let status = answer.status().as_u16();
                match read(answer).await {
                    Some(body) => {
                        (Delivery::Answered(status), true, (200..300).contains(&status).then_some(body))
                    }
                    None => (Delivery::Failed, true, None),
                }
            }
        }
    }
}

/// The body, up to the limit; `None` when it breaks off or is larger.
async fn read(mut answer: reqwest::Response) -> Option<String> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.ok()? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    Some(String::from_utf8_lossy(&body).into_owned())
}

fn with_query(url: &str, form: &[(String, String)]) -> String {
    if form.is_empty() {
        return url.to_owned();
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    format!("{url}{joint}{query}")
}

/// Connection overrides: how often and after what a webhook is tried again. They stand in the URL's fragment, so they
/// are neither sent nor signed.
struct Overrides {
    retries: usize,
    policy: Vec<String>,
}

impl Default for Overrides {
    fn default() -> Self {
        Self { retries: 1, policy: vec!["ct".to_owned()] }
    }
}

impl Overrides {
    fn parse(fragment: &str) -> Self {
        let mut overrides = Self::default();
        for (name, value) in form_urlencoded::parse(fragment.as_bytes()).take(16) {
            match &*name {
                "rc" => overrides.retries = value.parse::<usize>().map_or(overrides.retries, |rc| rc.min(5)),
                "rp" => overrides.policy = value.split(',').take(8).map(str::to_owned).collect(),
                _ => {}
            }
        }
        overrides
    }

    fn covers(&self, outcome: &Delivery, connected: bool) -> bool {
        let kind = match outcome {
            Delivery::Answered(400..=499) => "4xx",
            Delivery::Answered(500..=599) => "5xx",
            Delivery::TimedOut => "rt",
            Delivery::Failed if connected => "rt",
            Delivery::Failed => "ct",
            Delivery::Answered(_) | Delivery::Withheld | Delivery::BadUrl => return false,
        };
        self.policy.iter().any(|policy| policy == kind || policy == "all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_say_how_often_and_after_what() {
        let plain = Overrides::default();
        assert!(plain.covers(&Delivery::Failed, false) && !plain.covers(&Delivery::Answered(500), true));
        let own = Overrides::parse("rc=3&rp=5xx,ct&ct=1000");
        assert_eq!(own.retries, 3);
        assert!(own.covers(&Delivery::Answered(503), true) && !own.covers(&Delivery::Answered(404), true));
        let all = Overrides::parse("rc=99&rp=all");
        assert_eq!(all.retries, 5);
        assert!(all.covers(&Delivery::TimedOut, true) && !all.covers(&Delivery::Answered(204), true));
    }

    #[test]
    fn a_get_carries_the_form_in_its_query() {
        let form = [("To".to_owned(), "+1 5".to_owned())];
        assert_eq!(with_query("http://h/p", &form), "http://h/p?To=%2B1+5");
        assert_eq!(with_query("http://h/p?a=b", &form), "http://h/p?a=b&To=%2B1+5");
    }
}
