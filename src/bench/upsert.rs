//! Callers recognised and counted: exactly once for each call, however often it is told.

use super::client::{Load, Tickets, phone, workers};
use super::report::{Meter, Recorder, Report};
use super::server::Server;
use super::{BenchArgs, BenchError};
use serde_json::json;
use tandem_proto::v1;
use uuid::Uuid;

/// Every so many requests one is sent again.
const REPEAT_EVERY: u64 = 50;

pub fn request(customer: u64, call: u64) -> v1::LookupRequest {
    v1::LookupRequest {
        phone: phone(customer),
        call_id: Uuid::from_u128(u128::from(call) + 1).to_string(),
        ..Default::default()
    }
}

/// Each customer is there before the measured phase, as in the peers' tables.
pub async fn prepare(load: &Load, customers: u64) -> Result<(), BenchError> {
    let tickets = Tickets::new(customers, 0);
    let recorder = workers(16, |worker| {
        let (mut client, tickets) = (load.customers(worker), tickets.clone());
        async move {
            let mut recorder = Recorder::default();
            while let Some((n, due)) = tickets.take().await {
                match client.lookup(request(n, u64::MAX / 2 + n)).await {
                    Ok(_) => recorder.success(due.elapsed()),
                    Err(e) => recorder.failure(&e),
                }
            }
            recorder
        }
    })
    .await?;
    if recorder.ok == customers {
        Ok(())
    } else {
        Err(BenchError(format!("only {} of {customers} customers could be made", recorder.ok)))
    }
}

pub async fn run(
    args: &BenchArgs,
    requests: u64,
    customers: u64,
    concurrency: usize,
) -> Result<Report, BenchError> {
    let server = Server::start(args).await?;
    let load = Load::connect(args, &server).await?;
    let tickets = Tickets::new(requests, 0);
    let meter = Meter::start(server.pid());
    let recorder = workers(concurrency, |worker| {
        let (mut client, tickets) = (load.customers(worker), tickets.clone());
        async move {
            let mut recorder = Recorder::default();
            while let Some((n, due)) = tickets.take().await {
                match client.lookup(request(n % customers, n)).await {
                    Ok(_) => recorder.success(due.elapsed()),
                    Err(e) => recorder.failure(&e),
                }
                if n % REPEAT_EVERY == 0
                    && let Err(e) = client.lookup(request(n % customers, n)).await
                {
                    recorder.failure(&e);
                }
            }
            recorder
        }
    })
    .await?;
    let mut report = meter.report("upsert", &recorder);
    let mut counted = 0;
    let mut client = load.customers(0);
    for n in 0..customers.min(requests) {
        let get =
            v1::GetCustomerRequest { customer: Some(v1::get_customer_request::Customer::Phone(phone(n))) };
        let got = client.get_customer(get).await.map_err(|e| BenchError::of("reading back", e))?;
        counted += u64::from(got.into_inner().customer.unwrap_or_default().total_calls);
    }
    report.set("customers", json!(customers));
    report.set("counted", json!(counted));
    report.set("exactly_once", json!(counted == requests));
    Ok(report)
}
