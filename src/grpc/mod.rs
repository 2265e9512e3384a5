//! The gRPC interface: the services of `tandem.v1` over the entities of a node.
//!
//! A service authenticates, reads the request, sends one command or looks something up, and writes
//! the answer. What is allowed and what follows is decided in `tandem_domain`, nowhere here.

mod auth;
mod call;
mod campaign;
mod cluster;
mod company;
pub mod convert;
mod customer;
mod deadline;
mod defaults;
pub mod error;
mod gate;
mod import;
mod page;
mod room;
mod watch;

use crate::config::Secret;
use crate::configured::Configured;
use auth::Auth;
use room::Room;
use std::sync::Arc;
use std::time::Duration;
use tandem_actors::Handle;
use tandem_proto::v1;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

pub use auth::{KeyId, Minted};
pub use gate::{Gate, Gated};

/// What the interface is made of.
#[derive(Clone)]
pub struct Options {
    pub handle: Handle,
    /// The node's place among others, where it has any.
    pub cluster: Option<tandem_cluster::Cluster>,
    /// What plans may name.
    pub configured: Arc<Configured>,
    /// Who presents it may make companies and ask about any. Without it nobody may.
    pub admin_token: Option<Secret>,
    /// Largest message that is taken, in bytes.
    pub message_bytes_max: usize,
    /// Longest time for a request that is no stream.
    pub timeout: Duration,
    /// Requests and streams under way, over all connections.
    pub requests_max: usize,
    /// Largest file that is imported, in bytes.
    pub import_bytes_max: u64,
}

impl Options {
    pub fn new(handle: Handle) -> Self {
        Options {
            handle,
            cluster: None,
            configured: Arc::default(),
            admin_token: None,
            message_bytes_max: 4 * 1024 * 1024,
            timeout: Duration::from_secs(30),
            requests_max: 16_384,
            import_bytes_max: 1024 * 1024 * 1024,
        }
    }
}

/// The services, to be served, and the means to say whether they serve.
pub struct Router {
    pub routes: Routes,
    /// To be laid around them: `Server::layer`.
    pub gate: Gate,
    /// Everything is reported as serving from the start; a node that drains says otherwise.
    pub health: HealthReporter,
}

/// Pieces of files and lists come in these; everything else is small.
const SMALL_BYTES_MAX: usize = 256 * 1024;

/// All services of `tandem.v1`, health and reflection.
///
/// # Errors
/// Where the descriptors that were built in cannot be read.
pub async fn router(options: Options) -> Result<Router, tonic_reflection::server::Error> {
    let Options {
        handle,
        cluster,
        configured,
        admin_token,
        message_bytes_max,
        timeout,
        requests_max,
        import_bytes_max,
    } = options;
    let auth = Auth::new(handle.clone(), admin_token.as_ref());
    let room = Arc::new(Room {
        handle,
        configured,
        auth,
        defaults: defaults::Remembered::default(),
        timeout,
        import_bytes_max,
    });
    let small = message_bytes_max.min(SMALL_BYTES_MAX);

    let calls = v1::call_service_server::CallServiceServer::new(call::Calls(room.clone()));
    let campaigns =
        v1::campaign_service_server::CampaignServiceServer::new(campaign::Campaigns(room.clone()));
    let customers =
        v1::customer_service_server::CustomerServiceServer::new(customer::Customers(room.clone()));
    let companies = v1::company_service_server::CompanyServiceServer::new(company::Companies(room.clone()));
    let nodes = v1::cluster_service_server::ClusterServiceServer::new(cluster::Nodes { room, cluster });

    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<v1::call_service_server::CallServiceServer<call::Calls>>().await;
    health.set_serving::<v1::campaign_service_server::CampaignServiceServer<campaign::Campaigns>>().await;
    health.set_serving::<v1::customer_service_server::CustomerServiceServer<customer::Customers>>().await;
    health.set_serving::<v1::company_service_server::CompanyServiceServer<company::Companies>>().await;
    health.set_serving::<v1::cluster_service_server::ClusterServiceServer<cluster::Nodes>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;

    let routes = Routes::new(calls.max_decoding_message_size(small))
        .add_service(campaigns.max_decoding_message_size(message_bytes_max))
        .add_service(customers.max_decoding_message_size(message_bytes_max))
        .add_service(companies.max_decoding_message_size(small))
        .add_service(nodes.max_decoding_message_size(small))
        .add_service(health_service)
        .add_service(reflection)
        .prepare();
    Ok(Router { routes, gate: Gate::new(requests_max), health })
}
