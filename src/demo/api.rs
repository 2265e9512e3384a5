//! The public interface, as any application sees it.

use super::DemoError;
use std::net::SocketAddr;
use tandem_proto::v1::call_service_client::CallServiceClient;
use tandem_proto::v1::campaign_service_client::CampaignServiceClient;
use tandem_proto::v1::company_service_client::CompanyServiceClient;
use tandem_proto::v1::customer_service_client::CustomerServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Shows a key with every request.
#[derive(Clone)]
pub(super) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Door = InterceptedService<Channel, Bearer>;

/// The services of a node, for whoever holds a key. A clone shares the connection.
#[derive(Clone)]
pub(super) struct Api {
    pub calls: CallServiceClient<Door>,
    pub campaigns: CampaignServiceClient<Door>,
    pub companies: CompanyServiceClient<Door>,
    pub customers: CustomerServiceClient<Door>,
}

impl Api {
    /// Connects with an API key or the admin token.
    pub async fn connect(address: SocketAddr, key: &str) -> Result<Api, DemoError> {
        const WHAT: &str = "connecting to the node";
        let failed =
            |error: tonic::transport::Error| DemoError::refused(WHAT)(Status::unavailable(error.to_string()));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(failed)?;
        let channel = endpoint.connect().await.map_err(failed)?;
        let mut bearer: MetadataValue<Ascii> = format!("Bearer {key}")
            .parse()
            .map_err(|_| DemoError::refused(WHAT)(Status::unauthenticated("the key is no key")))?;
        bearer.set_sensitive(true);
        let door = || InterceptedService::new(channel.clone(), Bearer(bearer.clone()));
        Ok(Api {
            calls: CallServiceClient::new(door()),
            campaigns: CampaignServiceClient::new(door()),
            companies: CompanyServiceClient::new(door()),
            customers: CustomerServiceClient::new(door()),
        })
    }
}

/// A key under which a request acts once.
pub(super) fn once() -> String {
    format!("demo-{}", uuid::Uuid::new_v4())
}
