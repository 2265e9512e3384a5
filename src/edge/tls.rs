//! TLS of the server, for nodes without a proxy before them.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// Why certificates cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificates are unreadable: {0}")]
    Certificates(String),
    #[error("there is no certificate in the PEM text")]
    NoCertificate,
    #[error("the private key is unreadable: {0}")]
    Key(String),
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// TLS 1.2 and 1.3 with these certificates, the server's own first, and its private key, both PEM. The cryptography is
/// `ring`'s, named explicitly, so that no process-wide default has to be installed first.
pub fn server_config(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificates(error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    // Media sockets are opened by an upgrade, which HTTP/2 has not.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_checked() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let config = server_config(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
        assert_eq!(server_config(b"", key.as_bytes()).unwrap_err(), TlsError::NoCertificate);
        assert!(matches!(server_config(certificate.as_bytes(), b""), Err(TlsError::Key(_))));
        let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let other = other.signing_key.serialize_pem();
        let mixed = server_config(certificate.as_bytes(), other.as_bytes());
        assert!(matches!(mixed, Err(TlsError::Setup(_))), "a key of another certificate");
    }
}
