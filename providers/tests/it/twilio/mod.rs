mod dial;
mod questions;
mod tls;

use crate::server::Server;
use std::time::Duration;
use tandem_domain::carrier::DialRequest;
use tandem_providers::Secret;
use tandem_providers::twilio::{Credentials, Options, Twilio};

pub const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
pub const CALL: &str = "CA0123456789abcdef0123456789abcdef";

pub fn options(base_url: &str) -> Options {
    let mut options =
        Options::new(ACCOUNT, Credentials::ApiKey { sid: "SK1".into(), secret: Secret::from("secret") });
    options.base_url = base_url.to_owned();
    options
}

pub fn twilio(server: &Server) -> Twilio {
    Twilio::new(options(&server.url)).unwrap()
}

/// A client that gives up soon on answers that do not come.
pub fn impatient(server: &Server) -> Twilio {
    let mut options = options(&server.url);
    options.limits.request_timeout = Duration::from_millis(100);
    Twilio::new(options).unwrap()
}

pub fn request() -> DialRequest {
    DialRequest {
        to: "+15005550010".into(),
        from: "+15005550006".into(),
        document_url: "https://voice.example.com/doc/1".into(),
        status_url: "https://voice.example.com/status/1".into(),
        fallback_url: None,
        ring_timeout_s: 25,
        max_duration_s: 900,
        amd: None,
        recording: None,
    }
}

pub fn created() -> String {
    serde_json::json!({"sid": CALL, "status": "queued", "price": null, "queue_time": "0"}).to_string()
}

pub fn error(code: u32, status: u16) -> String {
    serde_json::json!({"code": code, "message": "The number +15005550010", "more_info": "u", "status": status})
        .to_string()
}
