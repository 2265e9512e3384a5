//! Whatever is sent, the answer is a typed error, and nothing is lost.

use super::campaigns::{create, created};
use super::world::{World, external, reason};
use bytes::{Buf, BufMut};
use tandem_proto::v1;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

/// Sends bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

async fn send(world: &World, token: &str, path: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut grpc = tonic::client::Grpc::new(world.client("").channel);
    grpc.ready().await.expect("connected");
    let mut request = Request::new(bytes);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    let path: PathAndQuery = path.parse().expect("a path");
    grpc.unary(request, path, Raw).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_an_error_of_the_sender_and_the_node_goes_on() {
    let world = World::start().await;
    let made = world.make_company(v1::CreateCompanyRequest { name: "A".into(), ..<_>::default() }).await;
    let paths = [
        "/tandem.v1.CallService/PlaceCall",
        "/tandem.v1.CallService/ReportCall",
        "/tandem.v1.CampaignService/CreateCampaign",
        "/tandem.v1.CampaignService/ImportContacts",
        "/tandem.v1.CustomerService/Lookup",
        "/tandem.v1.CompanyService/CreateKey",
    ];
    let mut bits = 0x9e37_79b9_u32;
    for path in paths {
        for len in [1, 2, 7, 40, 400] {
            let bytes = (0..len).map(|_| {
                bits ^= bits << 13;
                bits ^= bits >> 17;
                bits ^= bits << 5;
                bits as u8
            });
            let refused = send(&world, &made.secret, path, bytes.collect()).await.expect_err("garbage");
            let told = [Code::InvalidArgument, Code::Internal, Code::NotFound].contains(&refused.code());
            assert!(told, "{path}: {refused:?}");
        }
    }
    let client = world.client(&made.secret);
    client.companies().get_company(v1::GetCompanyRequest::default()).await.expect("it goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let world = World::start_with(|options| options.message_bytes_max = 64 * 1024).await;
    let (_, client) = world.company().await;
    let name = "x".repeat(100_000);
    let place = v1::PlaceCallRequest { to: "+12025550143".into(), name, ..<_>::default() };
    let refused = client.calls().place_call(place).await.expect_err("too large");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_cannot_be_taken_are_named() {
    use tonic_types::StatusExt as _;
    let world = World::start().await;
    let (_, client) = world.company().await;
    let good =
        || v1::PlaceCallRequest { to: "+12025550143".into(), plan: Some(external()), ..<_>::default() };
    let text = |t: String| v1::Variable { value: Some(v1::variable::Value::Text(t)) };
    let too_short = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let cases = [
        (v1::PlaceCallRequest { to: String::new(), ..good() }, "to", "INVALID_FIELD"),
        (v1::PlaceCallRequest { to: "911".into(), ..good() }, "to", "INVALID_NUMBER"),
        (v1::PlaceCallRequest { to: "555-0143".into(), ..good() }, "to", "INVALID_NUMBER"),
        (v1::PlaceCallRequest { default_region: "USA".into(), ..good() }, "default_region", "INVALID_FIELD"),
        (v1::PlaceCallRequest { time_zone: "Mars/Base".into(), ..good() }, "time_zone", "INVALID_FIELD"),
        (v1::PlaceCallRequest { name: "x".repeat(201), ..good() }, "name", "INVALID_FIELD"),
        (v1::PlaceCallRequest { email: "nobody".into(), ..good() }, "email", "INVALID_FIELD"),
        (v1::PlaceCallRequest { language: "a language".into(), ..good() }, "language", "INVALID_FIELD"),
        (v1::PlaceCallRequest { priority: 99, ..good() }, "priority", "INVALID_FIELD"),
        (
            v1::PlaceCallRequest { idempotency_key: "k".repeat(129), ..good() },
            "idempotency_key",
            "INVALID_FIELD",
        ),
        (
            v1::PlaceCallRequest { variables: [("v".to_owned(), text("x".repeat(5_000)))].into(), ..good() },
            "variables",
            "INVALID_FIELD",
        ),
        (
            v1::PlaceCallRequest { plan: Some(v1::Plan { ring_timeout: too_short, ..external() }), ..good() },
            "plan.ring_timeout",
            "INVALID_FIELD",
        ),
        (
            v1::PlaceCallRequest {
                not_before: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
                ..good()
            },
            "not_before",
            "INVALID_FIELD",
        ),
    ];
    for (request, field, expected) in cases {
        let refused = client.calls().place_call(request).await.expect_err("refused");
        let details = refused.get_error_details();
        let named = &details.bad_request().expect("fields").field_violations[0].field;
        assert_eq!((named.as_str(), reason(&refused).as_str()), (field, expected), "{refused:?}");
        assert_eq!(refused.code(), Code::InvalidArgument);
        // What was sent is not sent back.
        assert!(!refused.message().contains("nobody") && !refused.message().contains("0143"));
    }
    let list = client.calls().list_calls(v1::ListCallsRequest::default()).await.expect("listed").into_inner();
    assert!(list.calls.is_empty(), "nothing was placed");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_tokens_and_sizes_that_are_none_are_refused() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    for call_id in ["", "x", "00000000-0000-7000-8000-00000000000g", &"0".repeat(1_000)] {
        let get = v1::GetCallRequest { call_id: (*call_id).into() };
        let refused = client.calls().get_call(get).await.expect_err("no id");
        assert_eq!(refused.code(), Code::InvalidArgument, "{call_id}");
    }
    for page_token in ["x", "AAAA", "////", &"A".repeat(10_000)] {
        let list = v1::ListCallsRequest { page_token: (*page_token).into(), ..<_>::default() };
        let refused = client.calls().list_calls(list).await.expect_err("no token");
        assert_eq!(reason(&refused), "INVALID_PAGE_TOKEN");
    }
    let list = v1::ListCallsRequest { page_size: -1, ..<_>::default() };
    assert_eq!(client.calls().list_calls(list).await.expect_err("no size").code(), Code::InvalidArgument);
    let huge = v1::ListCallsRequest { page_size: i32::MAX, ..<_>::default() };
    client.calls().list_calls(huge).await.expect("as much as there may be");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_out_of_bounds_are_refused_and_nothing_is_made() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let base = create("Spring").settings.expect("settings");
    let forever = Some(prost_types::Duration { seconds: 40 * 86_400, nanos: 0 });
    let cases = [
        (v1::CampaignSettings { caller_ids: Vec::new(), ..base.clone() }, "settings.caller_ids"),
        (v1::CampaignSettings { caller_ids: vec!["12".into()], ..base.clone() }, "settings.caller_ids"),
        (v1::CampaignSettings { gap: forever, ..base.clone() }, "settings.gap"),
        (
            v1::CampaignSettings { person_attempts_per_day: Some(99), ..base.clone() },
            "settings.person_attempts_per_day",
        ),
        (v1::CampaignSettings { plan: None, ..base }, "settings.plan.agent.agent_id"),
    ];
    for (settings, field) in cases {
        use tonic_types::StatusExt as _;
        let request = v1::CreateCampaignRequest { settings: Some(settings), ..create("Spring") };
        let refused = client.campaigns().create_campaign(request).await.expect_err("refused");
        let details = refused.get_error_details();
        let named = &details.bad_request().expect("fields").field_violations[0].field;
        assert_eq!(named, field, "{refused:?}");
    }
    for name in ["", "  ", &"x".repeat(201)] {
        let request = v1::CreateCampaignRequest { name: (*name).into(), ..create("") };
        let refused = client.campaigns().create_campaign(request).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let list = client.campaigns().list_campaigns(v1::ListCampaignsRequest::default()).await;
    assert!(list.expect("listed").into_inner().campaigns.is_empty());
    created(&client, create("Spring")).await;
}
