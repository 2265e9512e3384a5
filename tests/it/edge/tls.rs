//! TLS without a proxy.

use super::line::STUCK;
use super::world::{World, pairs, status_form};
use http::header::HeaderName;
use http::{Method, StatusCode};
use tandem::edge;
use tandem_providers::net::http::{Client, Limits};
use tandem_providers::net::tls::{Roots, client_config};
use tandem_providers::net::{Connector, Target};
use tandem_providers::twilio::signature::HEADER;

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_come_over_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = edge::server_config(certificate.as_bytes(), key.as_bytes()).expect("usable");
    let mut world = World::with(|options| options.tls = Some(server)).await;
    let taken = world.call().await;

    let tls = client_config(&Roots::Only(certificate.into_bytes())).expect("roots");
    let target = Target::base(&format!("https://localhost:{}", world.addr.port())).expect("a URL");
    let client = Client::new(target, Connector::new(tls, STUCK), Limits::default()).expect("a client");
    let url = &taken.dialed.request.status_url;
    let form = status_form(&taken.sid, "ringing", "1");
    let signature = world.key.sign(url, &pairs(&form));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let path =
        url.strip_prefix("https://calls.example.test").expect("ours").split('#').next().expect("a path");
    let headers = [(HeaderName::from_static(HEADER), signature.parse().expect("ASCII"))];
    let answer = client.send(Method::POST, path, &headers, body.into()).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}
