//! Changes to one thing that come at the same time.

use super::campaigns::{create, created};
use super::world::{World, reason};
use std::time::Duration;
use tandem_actors::SendError;
use tandem_domain::campaign::{Campaign, Command, Config};
use tandem_domain::id::Entity;
use tandem_domain::machine::Rejection;
use tandem_proto::v1;
use tandem_proto::v1::variable::Value;
use tonic::Code;

/// Rounds of changes at once: enough that they cross.
const ROUNDS: u32 = 12;

async fn all<T: Send + 'static>(asked: Vec<impl Future<Output = Result<T, tonic::Status>> + Send + 'static>) {
    for task in asked.into_iter().map(tokio::spawn).collect::<Vec<_>>() {
        task.await.expect("asked").expect("changed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_a_campaign_all_take_effect() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    for n in 1..=ROUNDS {
        let gap = prost_types::Duration { seconds: i64::from(n) * 60, nanos: 0 };
        let limits = v1::Limits { concurrency: Some(n), ..<_>::default() };
        let other = v1::Limits { attempts_per_day: Some(n), ..<_>::default() };
        let changes = [
            v1::CampaignSettings { gap: Some(gap), ..<_>::default() },
            v1::CampaignSettings { person_attempts_per_day: Some(n), ..<_>::default() },
            v1::CampaignSettings { limits: Some(limits), ..<_>::default() },
            v1::CampaignSettings { limits: Some(other), ..<_>::default() },
        ];
        let asked = changes.map(|settings| {
            let (client, campaign_id) = (client.clone(), campaign.clone());
            let request =
                v1::UpdateCampaignRequest { campaign_id, settings: Some(settings), ..<_>::default() };
            async move { client.campaigns().update_campaign(request).await }
        });
        all(asked.into()).await;
        let get = v1::GetCampaignRequest { campaign_id: campaign.clone() };
        let shown = client.campaigns().get_campaign(get).await.expect("there").into_inner();
        let settings = shown.campaign.and_then(|c| c.settings).expect("settings");
        let limits = settings.limits.expect("limits");
        assert_eq!(settings.gap.map(|gap| gap.seconds), Some(i64::from(n) * 60));
        assert_eq!(settings.person_attempts_per_day, Some(n));
        assert_eq!((limits.concurrency, limits.attempts_per_day), (Some(n), Some(n)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_a_company_all_take_effect() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    for n in 1..=ROUNDS {
        let request = |limits| v1::UpdateCompanyRequest { limits: Some(limits), ..<_>::default() };
        let single = v1::CampaignSettings { person_attempts_per_day: Some(n), ..<_>::default() };
        let changes = [
            request(v1::Limits { concurrency: Some(n), ..<_>::default() }),
            request(v1::Limits { calls_per_second: Some(f64::from(n)), ..<_>::default() }),
            request(v1::Limits { attempts_per_day: Some(n), ..<_>::default() }),
            v1::UpdateCompanyRequest { single_calls: Some(single), ..<_>::default() },
        ];
        let asked = changes.map(|request| {
            let client = client.clone();
            async move { client.companies().update_company(request).await }
        });
        all(asked.into()).await;
        let shown = client.companies().get_company(v1::GetCompanyRequest::default()).await.expect("there");
        let company = shown.into_inner().company.expect("a company");
        let limits = company.limits.expect("limits");
        assert_eq!((limits.concurrency, limits.attempts_per_day), (Some(n), Some(n)));
        assert_eq!(limits.calls_per_second, Some(f64::from(n)));
        assert_eq!(company.single_calls.and_then(|s| s.person_attempts_per_day), Some(n));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_a_customer_all_take_effect() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let lookup = v1::LookupRequest {
        phone: "+12025550143".into(),
        call_id: uuid::Uuid::from_u128(1).to_string(),
        ..<_>::default()
    };
    let told = client.customers().lookup(lookup).await.expect("told").into_inner();
    let id = told.customer.expect("a customer").customer_id;
    for n in 1..=ROUNDS {
        let variable = |name: &str| {
            let value = v1::Variable { value: Some(Value::Text(n.to_string())) };
            [(name.to_owned(), value)].into()
        };
        let changes = [
            v1::UpdateCustomerRequest { name: Some(format!("Ada {n}")), ..<_>::default() },
            v1::UpdateCustomerRequest { email: Some(format!("ada{n}@example.com")), ..<_>::default() },
            v1::UpdateCustomerRequest { variables: variable("a"), ..<_>::default() },
            v1::UpdateCustomerRequest { variables: variable("b"), ..<_>::default() },
        ];
        let asked = changes.map(|request| {
            let client = client.clone();
            let customer = Some(v1::update_customer_request::Customer::CustomerId(id.clone()));
            let request = v1::UpdateCustomerRequest { customer, ..request };
            async move { client.customers().update_customer(request).await }
        });
        all(asked.into()).await;
        let customer = Some(v1::get_customer_request::Customer::CustomerId(id.clone()));
        let shown = client.customers().get_customer(v1::GetCustomerRequest { customer }).await;
        let shown = shown.expect("there").into_inner().customer.expect("a customer");
        assert_eq!((shown.name, shown.email), (format!("Ada {n}"), format!("ada{n}@example.com")));
        for name in ["a", "b"] {
            let value = shown.variables.get(name).and_then(|v| v.value.clone());
            assert_eq!(value, Some(Value::Text(n.to_string())), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_is_no_more_is_refused_and_may_be_made_up_anew() {
    let world = World::start().await;
    let (company, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let entity = Entity::campaign(company, campaign.parse().expect("an id"));
    let was = world.handle().read::<Campaign>(entity).await.expect("readable").expect("there").state.config;
    let stale = Config { person_attempts_a_day: was.person_attempts_a_day + 1, ..was.clone() };
    let command = Command::Configure { config: Box::new(was), from: Some(Box::new(stale)) };
    let refused = world.handle().send::<Campaign>(entity, command, None).await.expect_err("stale");
    assert!(matches!(refused, SendError::Rejected(Rejection::Stale(_))), "{refused:?}");
    let status = tandem::grpc::error::send(refused, 0);
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "STALE"));
    let details = tonic_types::StatusExt::get_error_details(&status);
    assert!(details.retry_info().and_then(|r| r.retry_delay).is_some_and(|delay| delay > Duration::ZERO));
}
