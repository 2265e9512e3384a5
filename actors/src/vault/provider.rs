//! Where the key of keys comes from.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyError {
    #[error("the key file {path} cannot be read: {why}")]
    Unreadable { path: PathBuf, why: String },
    #[error(
        "the key file {0} does not hold 64 hex digits; restore it from its backup: without it the data cannot be read"
    )]
    Malformed(PathBuf),
    #[error("there is no key file at {0}; restore it, or set keys.create = true on a new installation")]
    Missing(PathBuf),
    #[error("a sealed key cannot be opened: it was sealed with another key file")]
    Other,
    #[error("the system gives no random numbers")]
    NoEntropy,
}

/// Source of random bytes for keys and nonces.
pub trait Entropy: Send + Sync + 'static {
    /// # Errors
    /// Where the system has none.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), KeyError>;
}

/// The system's.
pub struct SystemEntropy(SystemRandom);

impl Default for SystemEntropy {
    fn default() -> Self {
        SystemEntropy(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), KeyError> {
        self.0.fill(bytes).map_err(|_| KeyError::NoEntropy)
    }
}

/// Seals companies' keys: a local key file, or a key service.
pub trait KeyProvider: Send + Sync + 'static {
    /// # Errors
    /// Where the provider cannot be asked.
    fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>, KeyError>;
    /// # Errors
    /// Also where it was sealed by another provider.
    fn unwrap(&self, sealed: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// A local file with one 256-bit key in hex.
pub struct FileKeys {
    key: LessSafeKey,
    entropy: SystemEntropy,
}

impl FileKeys {
    /// Opens the file; with `create`, makes one (mode 0600) where there is none.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn open(path: &Path, create: bool) -> Result<Self, KeyError> {
        let unreadable = |e: std::io::Error| KeyError::Unreadable { path: path.into(), why: e.to_string() };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => {
                let mut key = [0u8; 32];
                SystemEntropy::default().fill(&mut key)?;
                let text: String = key.iter().map(|b| format!("{b:02x}")).collect();
                if let Some(dir) = path.parent() {
                    std::fs::create_dir_all(dir).map_err(unreadable)?;
                }
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.open(path).map_err(unreadable)?;
                let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
                // The name has to last as well: data that is sealed with a key that a power cut took is lost.
                written.and_then(|()| sync_parent(path)).map_err(|e| {
                    // Nothing is sealed with it yet, and half a key would be taken for a damaged one.
                    drop(std::fs::remove_file(path));
                    unreadable(e)
                })?;
                text
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(KeyError::Missing(path.into()));
            }
            Err(e) => return Err(unreadable(e)),
        };
        Self::from_hex(text.trim()).ok_or_else(|| KeyError::Malformed(path.into()))
    }

    fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut key = [0u8; 32];
        for (i, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(Self::from_bytes(&key))
    }

    /// A provider with this key.
    pub fn from_bytes(key: &[u8; 32]) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key");
        FileKeys { key: LessSafeKey::new(unbound), entropy: SystemEntropy::default() }
    }
}

fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl KeyProvider for FileKeys {
    fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0u8; NONCE_LEN];
        self.entropy.fill(&mut nonce)?;
        let mut body = secret.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body)
            .map_err(|_| KeyError::Other)?;
        let mut out = nonce.to_vec();
        out.extend_from_slice(&body);
        Ok(out)
    }

    fn unwrap(&self, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(KeyError::Other)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::Other)?;
        let mut body = body.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::empty(), &mut body).map_err(|_| KeyError::Other)?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/root.key");
        assert!(matches!(FileKeys::open(&path, false), Err(KeyError::Missing(_))));
        let sealed = FileKeys::open(&path, true).unwrap().wrap(b"secret").unwrap();
        let again = FileKeys::open(&path, true).unwrap();
        assert_eq!(again.unwrap(&sealed).unwrap(), b"secret");
        let other = FileKeys::from_bytes(&[7; 32]);
        assert!(matches!(other.unwrap(&sealed), Err(KeyError::Other)));
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(FileKeys::open(&path, true), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn what_was_sealed_with_a_key_file_opens_for_ever() {
        let sealed = "eaf1297c49f55044e64bba8372a5bc1c177b4c78aa50f6075a37002ca95be1927e14";
        let sealed: Vec<u8> = (0..sealed.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&sealed[i..i + 2], 16).unwrap())
            .collect();
        assert_eq!(FileKeys::from_bytes(&[7; 32]).unwrap(&sealed).unwrap(), b"secret");
    }
}
