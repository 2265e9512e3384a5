//! Who may do what, asked of every method there is.

use super::world::{Client, World, reason};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tandem_proto::v1;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// (service, method) of the package.
fn methods() -> Vec<(String, String)> {
    let set = FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).expect("descriptors");
    set.file
        .into_iter()
        .filter(|f| f.package() == "tandem.v1")
        .flat_map(|f| f.service)
        .flat_map(|s| {
            let service = s.name().to_owned();
            s.method.into_iter().map(move |m| (service.clone(), m.name().to_owned()))
        })
        .collect()
}

/// Sends an empty message to a method, with this credential.
async fn knock(client: &Client, token: Option<&str>, service: &str, method: &str) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(client.channel.clone());
    grpc.ready().await.expect("connected");
    let mut request = Request::new(());
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    }
    let path: PathAndQuery = format!("/tandem.v1.{service}/{method}").parse().expect("a path");
    grpc.unary::<(), (), _>(request, path, ProstCodec::default()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_method_answers_without_a_valid_key() {
    let world = World::start().await;
    let made = world.make_company(v1::CreateCompanyRequest { name: "A".into(), ..<_>::default() }).await;
    let bent = format!("{}x", &made.secret[..made.secret.len() - 1]);
    assert_ne!(bent, made.secret);
    let client = world.client("");
    let strangers = [None, Some("tdm_0000000000000000_"), Some(bent.as_str()), Some("guess")];
    assert!(methods().len() >= 40);
    for (service, method) in methods() {
        for token in strangers {
            let refused = knock(&client, token, &service, &method).await.expect_err("refused");
            assert_eq!(refused.code(), Code::Unauthenticated, "{service}.{method}: {refused:?}");
            assert_eq!(reason(&refused), "UNAUTHENTICATED");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_method_answers_a_key_without_its_scope() {
    let world = World::start().await;
    let made = world.make_company(v1::CreateCompanyRequest { name: "A".into(), ..<_>::default() }).await;
    let mut companies = world.client(&made.secret).companies();
    let mut narrow = async |scope: v1::Scope| {
        let request = v1::CreateKeyRequest { scopes: vec![scope.into()], ..<_>::default() };
        companies.create_key(request).await.expect("made").into_inner().secret
    };
    let (calls, company) = (narrow(v1::Scope::CallsRead).await, narrow(v1::Scope::CompanyRead).await);
    let client = world.client("");
    for (service, method) in methods() {
        let foreign = if service == "CallService" { &company } else { &calls };
        let refused = knock(&client, Some(foreign), &service, &method).await.expect_err("refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{service}.{method}: {refused:?}");
        let expected = match (service.as_str(), method.as_str()) {
            ("ClusterService", _) | (_, "CreateCompany" | "ListCompanies") => "ADMIN_REQUIRED",
            _ => "SCOPE_MISSING",
        };
        assert_eq!(reason(&refused), expected, "{service}.{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_read_may_not_write() {
    let world = World::start().await;
    let made = world.make_company(v1::CreateCompanyRequest { name: "A".into(), ..<_>::default() }).await;
    let scopes =
        [v1::Scope::CallsRead, v1::Scope::CampaignsRead, v1::Scope::CustomersRead, v1::Scope::CompanyRead];
    let request = v1::CreateKeyRequest { scopes: scopes.map(i32::from).into(), ..<_>::default() };
    let key = world.client(&made.secret).companies().create_key(request).await.expect("made").into_inner();
    let client = world.client("");
    for (service, method) in methods() {
        let told = knock(&client, Some(&key.secret), &service, &method).await;
        let denied = matches!(&told, Err(status) if status.code() == Code::PermissionDenied);
        let reads = ["Get", "List", "Watch", "Explain", "Preflight"].iter().any(|v| method.starts_with(v));
        // Only the operator sees all companies, and the nodes.
        let operators = method == "ListCompanies" || service == "ClusterService";
        assert_eq!(denied, !reads || operators, "{service}.{method}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_at_once_and_the_others_go_on() {
    let world = World::start().await;
    let (_, owner) = world.company().await;
    let request = v1::CreateKeyRequest { scopes: vec![v1::Scope::CallsRead.into()], ..<_>::default() };
    let key = owner.companies().create_key(request).await.expect("made").into_inner();
    let reader = world.client(&key.secret);
    reader.calls().list_calls(v1::ListCallsRequest::default()).await.expect("valid, and remembered");

    let key_id = key.key.expect("a key").key_id;
    let request = v1::RevokeKeyRequest { key_id: key_id.clone(), ..<_>::default() };
    let revoked = owner.companies().revoke_key(request).await.expect("revoked").into_inner();
    assert!(revoked.key.expect("a key").revoked_at.is_some());
    let refused = reader.calls().list_calls(v1::ListCallsRequest::default()).await.expect_err("revoked");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let keys =
        owner.companies().list_keys(v1::ListKeysRequest::default()).await.expect("listed").into_inner();
    assert_eq!(keys.keys.len(), 2);
    assert_eq!(keys.keys.iter().filter(|k| k.revoked_at.is_some()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_no_more_than_it_has() {
    let world = World::start().await;
    let (_, owner) = world.company().await;
    let scopes = vec![v1::Scope::CompanyWrite.into()];
    let key = owner.companies().create_key(v1::CreateKeyRequest { scopes, ..<_>::default() }).await;
    let keeper = world.client(&key.expect("made").into_inner().secret);
    let more = v1::CreateKeyRequest { scopes: vec![v1::Scope::CallsWrite.into()], ..<_>::default() };
    let refused = keeper.companies().create_key(more).await.expect_err("refused");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_company_is_absent() {
    let world = World::start().await;
    let (company, owner) = world.company().await;
    let (_, other) = world.company().await;
    let plan = Some(super::world::external());
    let place = v1::PlaceCallRequest { to: "+12025550143".into(), plan, ..<_>::default() };
    let placed = owner.calls().place_call(place).await.expect("placed").into_inner();
    let create = v1::CreateCampaignRequest {
        name: "Spring".into(),
        settings: Some(v1::CampaignSettings {
            caller_ids: vec![super::world::CALLER.into()],
            ..super::world::settings()
        }),
        ..<_>::default()
    };
    let campaign = owner.campaigns().create_campaign(create).await.expect("made").into_inner();
    let none = "00000000-0000-7000-8000-000000000000".to_owned();

    // The same words for what is another's and for what nobody has.
    let mut told = Vec::new();
    for call_id in [placed.call_id.clone(), none.clone()] {
        let refused = other.calls().get_call(v1::GetCallRequest { call_id }).await.expect_err("absent");
        told.push((refused.code(), refused.message().to_owned(), refused.details().to_vec()));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].0, Code::NotFound);

    let id = placed.call_id.clone();
    let hangup = v1::HangupCallRequest { call_id: id.clone(), ..<_>::default() };
    assert_eq!(other.calls().hangup_call(hangup).await.expect_err("absent").code(), Code::NotFound);
    let watch = v1::WatchCallRequest { call_id: id.clone(), ..<_>::default() };
    assert_eq!(other.calls().watch_call(watch).await.expect_err("absent").code(), Code::NotFound);
    let said = v1::GetTranscriptRequest { call_id: id, ..<_>::default() };
    assert_eq!(other.calls().get_transcript(said).await.expect_err("absent").code(), Code::NotFound);

    let campaign_id = campaign.campaign_id;
    let start = v1::StartCampaignRequest { campaign_id: campaign_id.clone(), ..<_>::default() };
    assert_eq!(other.campaigns().start_campaign(start).await.expect_err("absent").code(), Code::NotFound);
    let get = v1::GetCampaignRequest { campaign_id };
    assert_eq!(other.campaigns().get_campaign(get).await.expect_err("absent").code(), Code::NotFound);

    let foreign = v1::GetCompanyRequest { company_id: company.to_string() };
    assert_eq!(other.companies().get_company(foreign).await.expect_err("absent").code(), Code::NotFound);
    let own = v1::GetCompanyRequest { company_id: company.to_string() };
    owner.companies().get_company(own).await.expect("one's own, by its name too");

    // The same number is another person to another company.
    let customer_id = placed.customer_id;
    let note = v1::AddNoteRequest {
        customer: Some(v1::add_note_request::Customer::CustomerId(customer_id.clone())),
        text: "x".into(),
        ..<_>::default()
    };
    assert_eq!(other.customers().add_note(note).await.expect_err("absent").code(), Code::NotFound);
    let dnc = v1::SetDoNotCallRequest {
        customer: Some(v1::set_do_not_call_request::Customer::CustomerId(customer_id)),
        ..<_>::default()
    };
    assert_eq!(other.customers().set_do_not_call(dnc).await.expect_err("absent").code(), Code::NotFound);
    let lists = other.calls().list_calls(v1::ListCallsRequest::default()).await.expect("listed").into_inner();
    assert!(lists.calls.is_empty());
}
