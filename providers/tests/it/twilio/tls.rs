//! Under TLS: whom the adapter trusts, and what it sends to whom it does not.

use super::{created, options, request};
use crate::server::{Server, Step};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use tandem_domain::carrier::{DialOutcome, Refusal, RefusalReason};
use tandem_providers::carrier::Carrier as _;
use tandem_providers::net::Roots;
use tandem_providers::twilio::Twilio;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A certificate authority's PEM text, and a server's configuration with a certificate of its.
fn authority() -> (Vec<u8>, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().unwrap();
    let server =
        CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&server_key, &issuer).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], private)
        .unwrap();
    (root.pem().into_bytes(), Arc::new(config))
}

/// Takes TLS off and passes everything on to `server`; gives the port.
async fn terminator(server: &Server, config: Arc<ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let backend = server.url.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut outer) = TlsAcceptor::from(config.clone()).accept(stream).await {
                let mut inner = TcpStream::connect(&backend).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut outer, &mut inner).await });
            }
        }
    });
    port
}

#[tokio::test]
async fn a_private_authority_can_be_trusted() {
    let (root, config) = authority();
    let server = Server::start([Step::json(201, created()), Step::json(201, created())]).await;
    let port = terminator(&server, config).await;
    for roots in [Roots::Only(root.clone()), Roots::PublicAnd(root)] {
        let mut options = options(&format!("https://localhost:{port}"));
        options.roots = roots;
        let outcome = Twilio::new(options).unwrap().dial(&request()).await;
        assert!(matches!(outcome, DialOutcome::Accepted { .. }), "{outcome:?}");
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn who_is_not_trusted_is_sent_nothing() {
    let (_, config) = authority();
    let (other_root, _) = authority();
    let server = Server::start([]).await;
    let port = terminator(&server, config).await;
    for (host, roots) in [
        ("localhost", Roots::Public),
        ("localhost", Roots::Only(other_root.clone())),
        ("127.0.0.1", Roots::PublicAnd(other_root)),
    ] {
        let mut options = options(&format!("https://{host}:{port}"));
        options.roots = roots;
        let outcome = Twilio::new(options).unwrap().dial(&request()).await;
        let refusal = Refusal { reason: RefusalReason::Overloaded, code: 0 };
        assert_eq!(outcome, DialOutcome::Refused(refusal));
    }
    assert!(server.seen().is_empty());
}
