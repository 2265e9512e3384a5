//! Whom to trust. The cryptography is `ring`'s, named explicitly, so that no process-wide default
//! has to be installed first.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Which certificate authorities are trusted.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// Mozilla's, compiled in.
    #[default]
    Public,
    /// Mozilla's and those of this PEM text, for a provider behind a private endpoint.
    PublicAnd(Vec<u8>),
    /// Only those of this PEM text.
    Only(Vec<u8>),
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsError {
    #[error("unreadable certificate authorities: {0}")]
    Pem(String),
    #[error("no certificate authority in the PEM text")]
    NoRoots,
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// TLS for clients: 1.2 and 1.3, HTTP/1.1.
pub fn client_config(roots: &Roots) -> Result<Arc<ClientConfig>, TlsError> {
    let mut store = RootCertStore::empty();
    if !matches!(roots, Roots::Only(_)) {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Roots::PublicAnd(pem) | Roots::Only(pem) = roots {
        let before = store.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| TlsError::Pem(error.to_string()))?;
            store.add(certificate).map_err(|error| TlsError::Pem(error.to_string()))?;
        }
        if store.len() == before {
            return Err(TlsError::NoRoots);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_checked() {
        assert!(client_config(&Roots::Public).is_ok());
        assert_eq!(client_config(&Roots::Only(b"nothing".to_vec())).unwrap_err(), TlsError::NoRoots);
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
        assert!(matches!(client_config(&Roots::PublicAnd(broken)), Err(TlsError::Pem(_))));
    }
}
