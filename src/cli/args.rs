//! What every command takes.

use super::client::{self, Client, Options};
use super::failure::Failure;
use crate::config::Secret;
use crate::config::read::Span;
use clap::Args;
use std::path::PathBuf;

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Address of a node's gRPC interface.
    #[arg(
        long,
        global = true,
        env = "TANDEM_SERVER",
        default_value = "http://127.0.0.1:7350",
        value_name = "URL"
    )]
    pub server: String,

    /// API key, or the admin token. Others on this machine may see it here: prefer TANDEM_KEY or --key-file.
    #[arg(long, global = true, env = "TANDEM_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,

    /// File with the API key.
    #[arg(long, global = true, env = "TANDEM_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// File with certificates to trust besides the usual ones, PEM, for an https:// server.
    #[arg(long, global = true, env = "TANDEM_CA", value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Longest wait for an answer; streams are not limited.
    #[arg(long, global = true, env = "TANDEM_TIMEOUT", default_value = "30s", value_name = "TIME")]
    timeout: Span,

    /// One JSON object, or one a line for lists and streams, with the names of the protos.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    /// The key that was given in whichever way, if any.
    ///
    /// # Errors
    /// A file that holds none.
    pub fn key(&self) -> Result<Option<Secret>, Failure> {
        match (&self.key, &self.key_file) {
            // A key in the environment gives way to a file on the command line.
            (_, Some(path)) if self.key.is_none() || given("--key-file") => client::key_from(path).map(Some),
            (Some(key), _) if !key.trim().is_empty() => Ok(Some(Secret::new(key.trim()))),
            _ => Ok(None),
        }
    }

    /// # Errors
    /// An option that cannot be right.
    pub fn client(&self) -> Result<Client, Failure> {
        if self.timeout == Span::default() {
            return Err(Failure::usage("--timeout: must be more than 0"));
        }
        let key = self.key()?;
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| Failure::usage(format!("--ca {}: {error}", path.display())))
        };
        let ca = self.ca.as_ref().map(read).transpose()?;
        Client::new(&Options { server: self.server.trim().to_owned(), key, timeout: self.timeout.0, ca })
    }
}

/// Whether an option stands on the command line itself.
fn given(option: &str) -> bool {
    std::env::args_os().any(|arg| {
        let arg = arg.to_string_lossy();
        arg.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
}

/// Of commands that change something.
#[derive(Args, Clone, Debug)]
pub struct Once {
    /// Makes the command act once, however often it is given with this key. Made up if left out.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Once {
    /// The key that was given, or a fresh one.
    pub fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(client::fresh_key)
    }
}

/// Of commands that list something.
#[derive(Args, Clone, Debug)]
pub struct Paging {
    /// How many at most; 0 means all.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u64,
}

impl Paging {
    /// Everything there is.
    pub fn all() -> Pages {
        Paging { limit: 0 }.pages()
    }

    pub fn pages(&self) -> Pages {
        Pages { left: if self.limit == 0 { u64::MAX } else { self.limit }, token: Some(String::new()) }
    }
}

/// Goes from page to page of a list.
pub struct Pages {
    left: u64,
    token: Option<String>,
}

impl Pages {
    const SIZE_MAX: u64 = 500;

    /// Size and token of the next page, if there is one to be read.
    pub fn next(&mut self) -> Option<(i32, String)> {
        let token = self.token.take()?;
        let size = i32::try_from(self.left.min(Pages::SIZE_MAX)).unwrap_or(0);
        (size > 0).then_some((size, token))
    }

    /// Takes note of what the page held.
    pub fn read(&mut self, items: usize, next_token: String) {
        self.left = self.left.saturating_sub(items as u64);
        self.token = (!next_token.is_empty()).then_some(next_token);
    }

    /// Whether the list goes on behind what was shown.
    pub fn is_more(&self) -> bool {
        self.token.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_end_at_the_limit_and_at_the_end() {
        let mut pages = Paging { limit: 600 }.pages();
        assert_eq!(pages.next(), Some((500, String::new())));
        pages.read(500, "a".into());
        assert_eq!(pages.next(), Some((100, "a".into())));
        pages.read(100, "b".into());
        assert!(pages.is_more());
        assert_eq!(pages.next(), None);
        let mut pages = Paging { limit: 0 }.pages();
        assert_eq!(pages.next(), Some((500, String::new())));
        pages.read(3, String::new());
        assert_eq!((pages.next(), pages.is_more()), (None, false));
    }
}
