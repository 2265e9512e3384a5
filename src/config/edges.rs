//! Where the node listens.

use super::Secret;
use super::read::{Section, Span, Url};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A certificate and its key, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Tls {
    fn read(section: &mut Section<'_, '_>) -> Option<Tls> {
        let about =
            "Certificates for TLS, PEM, the server's own first. Without, the listener speaks plain text.";
        let cert: Option<PathBuf> = section.optional("tls_cert", "\"/etc/tandem/tls.crt\"", about);
        let key: Option<PathBuf> = section.optional(
            "tls_key",
            "\"/etc/tandem/tls.key\"",
            "The private key of the certificate, PEM.",
        );
        for (name, path) in [("tls_cert", &cert), ("tls_key", &key)] {
            let unreadable = path.as_ref().and_then(|path| Some((path, std::fs::File::open(path).err()?)));
            if let Some((path, error)) = unreadable {
                section.refuse(name, format!("cannot read {}: {error}", path.display()));
            }
        }
        match (section.is_given("tls_cert"), section.is_given("tls_key")) {
            (true, false) => section.refuse("tls_key", "is required together with tls_cert"),
            (false, true) => section.refuse("tls_cert", "is required together with tls_key"),
            _ => {}
        }
        Some(Tls { cert: cert?, key: key? })
    }
}

/// `[grpc]`
#[derive(Clone, Debug)]
pub struct Grpc {
    pub listen: SocketAddr,
    /// Who may make companies. Without it nobody may.
    pub admin_token: Option<Secret>,
    pub max_message_kb: u32,
    /// Longest time for a request that is no stream, whatever its deadline.
    pub timeout: Duration,
    pub tls: Option<Tls>,
}

impl Grpc {
    /// Shortest admin token, in characters.
    const TOKEN_CHARS_MIN: usize = 16;

    pub(super) fn read(section: &mut Section<'_, '_>) -> Grpc {
        let listen = section.or("listen", loopback(7350), "Where applications and the command line connect.");
        let about = "Who presents it may make companies and work for any of them. At least 16 characters.";
        let admin_token = section.secret("admin_token", false, about);
        if admin_token.as_ref().is_some_and(|token| token.expose().len() < Grpc::TOKEN_CHARS_MIN) {
            let given = if section.is_given("admin_token") { "admin_token" } else { "admin_token_file" };
            section.refuse(given, format!("has less than {} characters", Grpc::TOKEN_CHARS_MIN));
        }
        let max_message_kb =
            section.number("max_message_kb", 4_096, 64..=65_536, "Largest message that is taken, in KiB.");
        let timeout = section.or(
            "timeout",
            Span::from_secs(30),
            "Longest time for a request that is no stream, where its sender does not ask for less.",
        );
        if !(Span::from_secs(1)..=Span::from_secs(600)).contains(&timeout) {
            section.refuse("timeout", "must be 1s to 10m");
        }
        Grpc { listen, admin_token, max_message_kb, timeout: timeout.0, tls: Tls::read(section) }
    }
}

/// `[http]`
#[derive(Clone, Debug)]
pub struct Http {
    pub listen: SocketAddr,
    /// How carriers reach this node; without it no call can be placed with a carrier.
    pub public_url: Option<Url>,
    /// Plain HTTP will do: for trials on one machine.
    pub dev: bool,
    pub body_kb_max: u32,
    pub tls: Option<Tls>,
}

impl Http {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Http {
        let listen = section.or(
            "listen",
            loopback(7351),
            "Where carriers' callbacks, documents and media sockets arrive, usually from a proxy.",
        );
        let public_url: Option<Url> = section.optional(
            "public_url",
            "\"https://calls.example.com\"",
            "What carriers call: the address of this listener as seen from outside. Required with a carrier.",
        );
        let dev = section.or(
            "dev",
            false,
            "For trials: public_url and base_url may be plain http, to any machine.",
        );
        if public_url.as_ref().is_some_and(|url| !dev && !url.is_https()) {
            section
                .refuse("public_url", "must be https: carriers send personal data (dev = true permits http)");
        }
        let body_kb_max =
            section.number("body_kb_max", 256, 16..=16_384, "Largest callback that is read, in KiB.");
        Http { listen, public_url, dev, body_kb_max, tls: Tls::read(section) }
    }
}

/// `[metrics]`
#[derive(Clone, Debug)]
pub struct Metrics {
    pub listen: SocketAddr,
    pub enabled: bool,
}

impl Metrics {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Metrics {
        Metrics {
            listen: section.or("listen", loopback(7352), "Where /metrics, /livez and /readyz are answered."),
            enabled: section.or("enabled", true, "Whether they are."),
        }
    }
}
