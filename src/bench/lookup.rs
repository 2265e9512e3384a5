//! Recognition of callers who are known: the context is back before the phone is picked up.

use super::client::{Load, Tickets, phone, workers};
use super::report::{Meter, Recorder, Report};
use super::server::Server;
use super::{BenchArgs, BenchError, upsert};
use serde_json::json;
use tandem_proto::v1;

pub async fn run(
    args: &BenchArgs,
    requests: u64,
    customers: u64,
    concurrency: usize,
    rate: u32,
) -> Result<Report, BenchError> {
    let server = Server::start(args).await?;
    let load = Load::connect(args, &server).await?;
    upsert::prepare(&load, customers).await?;
    let tickets = Tickets::new(requests, rate);
    let meter = Meter::start(server.pid());
    let recorder = workers(concurrency, |worker| {
        let (mut client, tickets) = (load.customers(worker), tickets.clone());
        async move {
            let mut recorder = Recorder::default();
            while let Some((n, due)) = tickets.take().await {
                // A fixed odd multiplier walks the customers in a scattered order.
                let customer = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % customers;
                let get = v1::GetCustomerRequest {
                    customer: Some(v1::get_customer_request::Customer::Phone(phone(customer))),
                };
                match client.get_customer(get).await {
                    Ok(_) => recorder.success(due.elapsed()),
                    Err(e) => recorder.failure(&e),
                }
            }
            recorder
        }
    })
    .await?;
    let mut report = meter.report("lookup", &recorder);
    report.set("customers", json!(customers));
    report.set("rate_per_s", json!(rate));
    Ok(report)
}
