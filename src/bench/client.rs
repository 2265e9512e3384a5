//! Connections to the node under load, and the work of many workers.

use super::report::Recorder;
use super::server::{ADMIN_TOKEN, Server};
use super::{BenchArgs, BenchError};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tandem_proto::v1;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// Puts the key on every request.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub type Wire = InterceptedService<Channel, Bearer>;

fn bearer(key: &str) -> Result<Bearer, BenchError> {
    format!("Bearer {key}").parse().map(Bearer).map_err(|e| BenchError::of("the key", e))
}

async fn channel(server: &Server) -> Result<Channel, BenchError> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address))
        .map_err(|e| BenchError::of("the address", e))?
        .tcp_nodelay(true)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    for _ in 0..200 {
        if let Ok(channel) = endpoint.connect().await {
            return Ok(channel);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(BenchError("the node does not answer".into()))
}

/// A company on the node, and connections that speak for it.
pub struct Load {
    wires: Vec<Wire>,
    key: String,
    pub channels: Vec<Channel>,
}

/// Calls at any hour, as often as one likes.
pub fn open_settings(carrier: &str) -> v1::CampaignSettings {
    use v1::calling_hours::{Day, Interval};
    let every_day =
        (1..=7).map(|day| Day { day, intervals: vec![Interval { open_minute: 0, close_minute: 1_440 }] });
    v1::CampaignSettings {
        plan: Some(v1::Plan {
            carrier: Some(carrier.into()),
            agent: Some(v1::Agent { agent_id: Some("bench".into()), ..Default::default() }),
            retry: Some(v1::RetryPolicy { attempts_max: Some(1), ..Default::default() }),
            ..Default::default()
        }),
        hours: Some(v1::CallingHours { week: every_day.collect(), excluded_dates: Vec::new() }),
        bounds: Some(v1::CallingBounds {
            federal: Some(false),
            state: Some(false),
            margin: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
        }),
        gap: Some(prost_types::Duration { seconds: 0, nanos: 0 }),
        person_attempts_per_day: Some(0),
        consent_required: Some(false),
        limits: None,
        caller_ids: Vec::new(),
    }
}

pub const CALLER_ID: &str = "+12125550100";

impl Load {
    pub async fn connect(args: &BenchArgs, server: &Server) -> Result<Load, BenchError> {
        let admin = InterceptedService::new(channel(server).await?, bearer(ADMIN_TOKEN)?);
        let request = v1::CreateCompanyRequest {
            name: "bench".into(),
            caller_ids: vec![v1::CallerId { number: CALLER_ID.into(), limits: None }],
            single_calls: Some(open_settings("null")),
            key_name: "bench".into(),
            ..Default::default()
        };
        let made = v1::company_service_client::CompanyServiceClient::new(admin)
            .create_company(request)
            .await
            .map_err(|e| BenchError::of("the company", e))?
            .into_inner();
        Load::with_key(args, server, &made.secret).await
    }

    pub async fn with_key(args: &BenchArgs, server: &Server, key: &str) -> Result<Load, BenchError> {
        let (mut wires, mut channels) = (Vec::new(), Vec::new());
        for _ in 0..args.connections {
            let channel = channel(server).await?;
            channels.push(channel.clone());
            wires.push(InterceptedService::new(channel, bearer(key)?));
        }
        Ok(Load { wires, channels, key: key.to_owned() })
    }

    pub fn calls(&self, worker: usize) -> v1::call_service_client::CallServiceClient<Wire> {
        v1::call_service_client::CallServiceClient::new(self.wire(worker))
    }

    pub fn customers(&self, worker: usize) -> v1::customer_service_client::CustomerServiceClient<Wire> {
        v1::customer_service_client::CustomerServiceClient::new(self.wire(worker))
    }

    pub fn campaigns(&self) -> v1::campaign_service_client::CampaignServiceClient<Wire> {
        v1::campaign_service_client::CampaignServiceClient::new(self.wire(0))
    }

    /// The company's API key.
    pub fn key(&self) -> String {
        self.key.clone()
    }

    fn wire(&self, worker: usize) -> Wire {
        self.wires[worker % self.wires.len()].clone()
    }
}

/// Hands out numbers, and with a rate the moment at which each is due.
#[derive(Clone)]
pub struct Tickets {
    next: Arc<AtomicU64>,
    total: u64,
    pace: Option<Pace>,
}

#[derive(Clone)]
struct Pace {
    started: std::time::Instant,
    gap: Duration,
    /// One for each number that is due and not taken.
    due: Arc<Semaphore>,
}

impl Pace {
    /// Counts from now. A thread of its own keeps it: the runtime's timers are a millisecond late.
    fn start(rate: u32, total: u64) -> Pace {
        let (started, due) = (std::time::Instant::now(), Arc::new(Semaphore::new(0)));
        let pace = Pace { started, gap: Duration::from_secs_f64(1.0 / f64::from(rate)), due };
        let Pace { gap, .. } = pace;
        let waiting = Arc::downgrade(&pace.due);
        std::thread::spawn(move || {
            for n in 0..total {
                std::thread::sleep(at(started, gap, n).saturating_duration_since(std::time::Instant::now()));
                // Ends with those who wait.
                let Some(due) = waiting.upgrade() else { return };
                due.add_permits(1);
            }
        });
        pace
    }
}

fn at(started: std::time::Instant, gap: Duration, n: u64) -> std::time::Instant {
    started + Duration::from_secs_f64(gap.as_secs_f64() * n as f64)
}

impl Tickets {
    pub fn new(total: u64, rate: u32) -> Tickets {
        let pace = (rate > 0).then(|| Pace::start(rate, total));
        Tickets { next: Arc::default(), total, pace }
    }

    pub async fn take(&self) -> Option<(u64, Instant)> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        if n >= self.total {
            return None;
        }
        let Some(pace) = &self.pace else { return Some((n, Instant::now())) };
        if let Ok(permit) = pace.due.acquire().await {
            permit.forget();
        }
        Some((n, at(pace.started, pace.gap, n).into()))
    }
}

/// Runs workers until they have nothing left, and adds up what they saw.
pub async fn workers<F, W>(count: usize, work: F) -> Result<Recorder, BenchError>
where
    F: Fn(usize) -> W,
    W: Future<Output = Recorder> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|worker| tokio::spawn(work(worker))).collect();
    let mut all = Recorder::default();
    for task in tasks {
        all.merge(task.await.map_err(|e| BenchError::of("a worker", e))?);
    }
    Ok(all)
}

/// The n-th of many valid numbers.
pub fn phone(n: u64) -> String {
    // Exchanges 200 to 999 without N11, in one area code after another.
    const AREAS: [u64; 8] = [212, 213, 312, 214, 303, 404, 415, 617];
    let area = AREAS[(n / 7_900_000) as usize % AREAS.len()];
    let within = n % 7_900_000;
    let exchange = 200 + within / 10_000;
    let exchange = if exchange % 100 == 11 { 990 + exchange / 100 } else { exchange };
    format!("+1{area}{exchange:03}{:04}", within % 10_000)
}
