//! `tandem company key`

use super::{Which, service, show};
use crate::cli::args::Once;
use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::words::parse_scope;
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tandem_proto::v1;

#[derive(Subcommand, Clone, Debug)]
pub enum Keys {
    /// Make a key. Its secret is shown once.
    Create(Create),
    /// List all keys, revoked ones included.
    List(Which),
    /// End a key for good.
    Revoke {
        /// The public part: 16 hexadecimal digits.
        key_id: String,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        once: Once,
    },
}

#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  \
    tandem company key create reporting --scope calls:read --scope campaigns:read --key-out reporting.key")]
pub struct Create {
    /// What it is for.
    name: String,
    /// What it may do: calls, campaigns, customers or company, each with :read or :write. Many times.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope, required = true)]
    scopes: Vec<v1::Scope>,
    /// Writes the secret into this new file instead of showing it.
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    once: Once,
}

impl Keys {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        match self {
            Keys::Create(create) => create.run(client, out).await,
            Keys::List(Which { company_id }) => {
                let request = v1::ListKeysRequest { company_id };
                let list = async |channel, request| service(channel).list_keys(request).await;
                let answer = client.ask(request, list).await?;
                if out.is_json() {
                    return answer.keys.iter().try_for_each(|key| out.item(key, |_| String::new()));
                }
                let mut table = show::key_table();
                answer.keys.iter().for_each(|key| table.row(show::key_row(key)));
                out.table(&table)
            }
            Keys::Revoke { key_id, which, once } => {
                let idempotency_key = once.key();
                let request = v1::RevokeKeyRequest {
                    company_id: which.company_id,
                    key_id,
                    idempotency_key: idempotency_key.clone(),
                };
                let revoke = async |channel, request| service(channel).revoke_key(request).await;
                let answer = client.change(&idempotency_key, request, revoke).await?;
                out.answer(&answer, |answer| show::done("revoked", answer.replayed))
            }
        }
    }
}

impl Create {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let file = self.key_out.as_deref().map(KeyFile::create).transpose()?;
        let idempotency_key = self.once.key();
        let request = v1::CreateKeyRequest {
            company_id: self.which.company_id,
            name: self.name,
            scopes: self.scopes.into_iter().map(Into::into).collect(),
            idempotency_key: idempotency_key.clone(),
        };
        let create = async |channel, request| service(channel).create_key(request).await;
        let mut answer = client.change(&idempotency_key, request, create).await?;
        let place = file.map(|file| file.keep(&mut answer.secret, out)).transpose()?;
        out.answer(&answer, |answer| {
            let key = answer.key.clone().unwrap_or_default();
            show::new_key(&key, &answer.secret, place.as_deref(), answer.replayed)
        })
    }
}

/// A new file for a secret, for its owner's eyes only. Made before the key is, so that no secret is
/// lost to a path that cannot be written; taken away again where there is none to keep.
pub struct KeyFile {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl KeyFile {
    pub fn create(path: &Path) -> Result<KeyFile, Failure> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let refused = |error| Failure::usage(format!("--key-out {}: {error}", path.display()));
        let file = options.open(path).map_err(refused)?;
        Ok(KeyFile { file, path: path.to_owned(), kept: false })
    }

    /// Moves the secret into the file, and tells where it is. One that cannot be written is left
    /// where it was, to be shown after all: it cannot be had again.
    pub fn keep(mut self, secret: &mut String, out: &mut Output) -> Result<String, Failure> {
        if secret.is_empty() {
            return Err(Failure::new(
                Exit::Refused,
                "the key was made before, and its secret is not given again",
            )
            .with_help("make another key"));
        }
        if let Err(error) = writeln!(self.file, "{secret}").and_then(|()| self.file.sync_all()) {
            out.note(&format!("--key-out {}: {error}; keep what is shown here instead", self.path.display()));
            return Ok(String::new());
        }
        self.kept = true;
        secret.clear();
        Ok(self.path.display().to_string())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        if !self.kept {
            // It is empty, and ours.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out() -> Output {
        Output::to(false, Box::new(std::io::sink()))
    }

    #[test]
    fn a_secret_is_kept_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.key");
        let mut secret = "tdm_secret".to_owned();
        let place = KeyFile::create(&path).unwrap().keep(&mut secret, &mut out()).unwrap();
        assert_eq!((place, secret.as_str()), (path.display().to_string(), ""));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "tdm_secret\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(KeyFile::create(&path).is_err(), "nothing is written over");
    }

    #[test]
    fn a_file_without_a_secret_is_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.key");
        drop(KeyFile::create(&path).unwrap());
        assert!(!path.exists());
        let kept = KeyFile::create(&path).unwrap().keep(&mut String::new(), &mut out());
        assert!(kept.is_err() && !path.exists());
    }
}
