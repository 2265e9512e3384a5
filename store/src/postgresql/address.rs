//! The url of a database, and how a connection is to be made.

use super::tls::{Tls, Verify};
use crate::StoreError;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Until a server has taken a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// Until what was sent and not acknowledged means that the other side is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);
/// Silence after which the other side is asked whether it is there, three times, a second each.
const SILENCE: Duration = Duration::from_secs(2);

/// Where the database is. It may hold a password and is never shown.
#[derive(Clone)]
pub(super) struct Address {
    pub config: Config,
    pub tls: Tls,
    /// Hosts and ports, for messages.
    pub server: String,
}

const FORM: &str = "the url should be postgresql://user:password@host:port/database; letters of a password that \
                    mean something in a url are written as %40 and the like";

fn bad(what: &str) -> StoreError {
    StoreError::Refused(what.to_owned())
}

/// The url without the options that concern certificates, and those: the client library knows fewer modes.
fn split(url: &str) -> Result<(String, Option<String>, Option<PathBuf>), StoreError> {
    // A password may have a question mark in it.
    let host = url.find('@').unwrap_or(0);
    let at = url[host..].find('?').map_or(url.len(), |at| host + at);
    let (base, query) = (&url[..at], url.get(at + 1..).unwrap_or(""));
    let (mut mode, mut authorities, mut others) = (None, None, Vec::new());
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => authorities = Some(PathBuf::from(decoded(value)?)),
            _ => others.push(option),
        }
    }
    let rest = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
    Ok((rest, mode, authorities))
}

/// Text of a url with its %XX taken back.
fn decoded(text: &str) -> Result<String, StoreError> {
    let broken = || bad("the url has a % that is not followed by two hexadecimal digits");
    let (mut bytes, mut left) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = left.split_first() {
        if *first == b'%' {
            let digits =
                after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or_else(broken)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| broken())?);
            left = &after[2..];
        } else {
            bytes.push(*first);
            left = after;
        }
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

impl Address {
    /// # Errors
    /// [`StoreError::Refused`], without a word of the url in it.
    pub fn new(url: &str) -> Result<Address, StoreError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(bad(FORM));
        }
        let (url, mode, authorities) = split(url)?;
        // What the library says of it may repeat a part of the password.
        let mut config: Config = url.parse().map_err(|_| bad(FORM))?;
        if config.get_hosts().is_empty() || config.get_user().is_none() {
            return Err(bad(FORM));
        }
        if config.get_dbname().is_none() {
            return Err(bad("the url names no database: postgresql://user:password@host:port/database"));
        }
        let (ssl_mode, verify) = match mode.as_deref().unwrap_or("prefer") {
            "disable" => (SslMode::Disable, Verify::Nothing),
            "prefer" => (SslMode::Prefer, Verify::Nothing),
            // As in libpq: with authorities at hand they are asked.
            "require" if authorities.is_none() => (SslMode::Require, Verify::Nothing),
            "require" | "verify-ca" => (SslMode::Require, Verify::Authority),
            "verify-full" => (SslMode::Require, Verify::AuthorityAndName),
            _ => return Err(bad("sslmode is disable, prefer, require, verify-ca or verify-full")),
        };
        let tls = Tls::new(verify, authorities.as_deref())?;
        config.ssl_mode(ssl_mode).target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.keepalives(true).keepalives_idle(SILENCE);
        config.keepalives_interval(Duration::from_secs(1)).keepalives_retries(3);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNACKNOWLEDGED);
        }
        if config.get_application_name().is_none() {
            config.application_name("tandem");
        }
        let server = server(&config);
        Ok(Address { config, tls, server })
    }
}

impl Address {
    /// What the url permits and may not be meant.
    pub fn warning(&self) -> Option<&'static str> {
        let is_near = |host: &Host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
        };
        if self.config.get_hosts().iter().all(is_near) || self.tls.is_verified() {
            return None;
        }
        Some(match self.config.get_ssl_mode() {
            SslMode::Require => {
                "sslmode=require: encrypted, but nobody looks at who the server is; verify-full does"
            }
            _ => {
                "the password and the data may travel in plain text: sslmode=verify-full keeps them from that"
            }
        })
    }
}

fn server(config: &Config) -> String {
    let port = |index: usize| match config.get_ports() {
        [] => 5432,
        [one] => *one,
        ports => ports.get(index).copied().unwrap_or(5432),
    };
    let host = |(index, host): (usize, &Host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(index)),
        Host::Unix(path) => format!("{}:{}", path.display(), port(index)),
    };
    config.get_hosts().iter().enumerate().map(host).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        match Address::new(url) {
            Ok(_) => panic!("it was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn hosts_are_shown_and_nothing_else() {
        let address = Address::new("postgresql://u:topsecret@db1:5433,db2:5434/calls?sslmode=disable");
        assert_eq!(address.expect("sound").server, "db1:5433, db2:5434");
    }

    #[test]
    fn modes_of_encryption() {
        let mode = |url: &str| {
            let address = Address::new(url).expect("sound");
            (address.config.get_ssl_mode(), address.tls.verify)
        };
        let base = "postgres://u@h/d";
        assert_eq!(mode(base), (SslMode::Prefer, Verify::Nothing));
        assert_eq!(mode("postgres://u@h/d?sslmode=disable"), (SslMode::Disable, Verify::Nothing));
        assert_eq!(
            mode("postgres://u@h/d?connect_timeout=2&sslmode=require"),
            (SslMode::Require, Verify::Nothing)
        );
        assert_eq!(mode("postgres://u:a?b@h/d?sslmode=disable"), (SslMode::Disable, Verify::Nothing));
        assert_eq!(mode("postgres://u@h/d?sslmode=verify-ca"), (SslMode::Require, Verify::Authority));
        assert_eq!(
            mode("postgres://u@h/d?sslmode=verify-full"),
            (SslMode::Require, Verify::AuthorityAndName)
        );
        assert!(refusal("postgres://u@h/d?sslmode=sometimes").contains("verify-full"));
        assert!(
            refusal("postgres://u@h/d?sslmode=verify-full&sslrootcert=%2Fnot%2Fthere").contains("/not/there")
        );
    }

    #[test]
    fn what_may_be_overheard_is_warned_of() {
        let warning = |url: &str| Address::new(url).expect("sound").warning();
        assert_eq!(warning("postgres://u@localhost/d"), None);
        assert_eq!(warning("postgres://u@127.0.0.1/d?sslmode=disable"), None);
        assert_eq!(warning("postgres://u@db/d?sslmode=verify-full"), None);
        assert!(warning("postgres://u@db/d").is_some_and(|text| text.contains("plain text")));
        assert!(
            warning("postgres://u@localhost,db/d?sslmode=require").is_some_and(|text| text.contains("who"))
        );
    }

    #[test]
    fn refusals_say_what_is_wrong_and_no_password() {
        for url in [
            "",
            "mysql://u:topsecret@h/d",
            "postgres://",
            "postgres://h/d",
            "postgres://u:topsecret@h",
            "postgres://u:topsecret@h:port/d",
            "postgres://u:topsecret@h/d?topsecret=1",
            "postgres://u:topsecret@h/d?sslmode=topsecret",
            "postgres://u:topsecret@h/d?sslrootcert=%zz",
        ] {
            let said = refusal(url);
            assert!(!said.contains("secret") && said.len() > 30, "{said}");
        }
    }
}
