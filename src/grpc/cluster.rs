//! Who runs what, for operators.

use super::convert::time;
use super::error::{self, Violation, reason};
use super::room::{self, Room};
use std::sync::Arc;
use tandem_cluster::{ChangeError, Cluster, Seen, State};
use tandem_domain::id::{CallId, CampaignId, CompanyId, CustomerId, Entity};
use tandem_proto::v1;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

/// The node's place, where it has others beside it.
pub struct Nodes {
    pub room: Arc<Room>,
    pub cluster: Option<Cluster>,
}

fn refused(e: ChangeError) -> Status {
    match e {
        ChangeError::NoNode(_) => error::not_found("node"),
        ChangeError::Not { .. } => {
            error::plain(Code::FailedPrecondition, reason::ILLEGAL_NODE_STATE, e.to_string())
        }
        ChangeError::Store(_) | ChangeError::Overtaken | ChangeError::Contended => {
            error::retryable(Code::Unavailable, reason::UNAVAILABLE, e.to_string())
        }
        ChangeError::Damaged(_) => error::internal("a row of the cluster cannot be read", &e),
    }
}

fn node(seen: Seen, answers: &str) -> v1::ClusterNode {
    use v1::cluster_node::State as S;
    let Seen { name, node, shards, silence } = seen;
    let state = match node.state {
        State::Active => S::Active,
        State::Draining => S::Draining,
        State::Down => S::Down,
    };
    let silence = silence.filter(|_| name != answers).unwrap_or_default();
    v1::ClusterNode {
        name,
        incarnation: node.incarnation.0,
        state: state as i32,
        peer_address: node.peer,
        grpc_address: node.grpc,
        http_address: node.http,
        build: node.build,
        protocol_min: node.protocol_min,
        protocol_max: node.protocol_max,
        shards: u32::try_from(shards).unwrap_or(u32::MAX),
        renewed_ms_ago: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
        joined_at: Some(time::timestamp(node.joined_ms)),
    }
}

impl Nodes {
    async fn admit(&self, metadata: &MetadataMap) -> Result<(), Status> {
        self.room.auth.admin(metadata).await
    }

    fn cluster(&self) -> Result<&Cluster, Status> {
        self.cluster.as_ref().ok_or_else(|| {
            let why = "this node is alone on its embedded store: there is nobody to hand anything over to";
            error::plain(Code::FailedPrecondition, reason::NO_CLUSTER, why)
        })
    }

    /// A node alone has all shards.
    fn alone(&self) -> v1::GetClusterResponse {
        let handle = &self.room.handle;
        let name = handle.name().to_owned();
        let owner = |(shard, epoch): (u16, u64)| v1::ShardOwner {
            shard: u32::from(shard),
            epoch,
            node: name.clone(),
        };
        let owners: Vec<v1::ShardOwner> = handle.open_shards().into_iter().map(owner).collect();
        let this = v1::ClusterNode {
            name: name.clone(),
            state: v1::cluster_node::State::Active as i32,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            shards: u32::try_from(owners.len()).unwrap_or(u32::MAX),
            ..v1::ClusterNode::default()
        };
        v1::GetClusterResponse {
            name: String::new(),
            engine: handle.store().engine().to_owned(),
            shards: u32::from(handle.shards()),
            nodes: vec![this],
            owners,
            answered_by: name,
        }
    }
}

fn entity(request: &v1::LocateEntityRequest) -> Result<Entity, Status> {
    use v1::locate_entity_request::Kind;
    let company: CompanyId = room::id("company_id", &request.company_id)?;
    Ok(match request.kind() {
        Kind::Call => Entity::call(company, room::id::<CallId>("id", &request.id)?),
        Kind::Campaign => Entity::campaign(company, room::id::<CampaignId>("id", &request.id)?),
        Kind::Customer => Entity::customer(company, room::id::<CustomerId>("id", &request.id)?),
        Kind::Company => Entity::company(company),
        Kind::Unspecified => {
            return Err(Violation::new("kind", "required: call, campaign, customer or company").into());
        }
    })
}

#[tonic::async_trait]
impl v1::cluster_service_server::ClusterService for Nodes {
    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterResponse>, Status> {
        self.admit(request.metadata()).await?;
        let Some(cluster) = &self.cluster else { return Ok(Response::new(self.alone())) };
        let (seen, view) = cluster.status().await.map_err(refused)?;
        let shards = (0u16..).zip(&view.holdings);
        let owners = shards.map(|(shard, holding)| v1::ShardOwner {
            shard: u32::from(shard),
            epoch: holding.epoch,
            node: view.owner(shard).map(|(owner, _)| owner.node.clone()).unwrap_or_default(),
        });
        Ok(Response::new(v1::GetClusterResponse {
            name: cluster.name().to_owned(),
            engine: self.room.handle.store().engine().to_owned(),
            shards: u32::from(cluster.shards()),
            owners: owners.collect(),
            nodes: seen.into_iter().map(|seen| node(seen, cluster.node())).collect(),
            answered_by: cluster.node().to_owned(),
        }))
    }

    async fn locate_entity(
        &self,
        request: Request<v1::LocateEntityRequest>,
    ) -> Result<Response<v1::LocateEntityResponse>, Status> {
        self.admit(request.metadata()).await?;
        let shard = self.room.handle.shard_of(entity(request.get_ref())?);
        let (epoch, node) = match &self.cluster {
            Some(cluster) => {
                let (_, view) = cluster.status().await.map_err(refused)?;
                let node = view.owner(shard).map(|(owner, _)| owner.node.clone()).unwrap_or_default();
                (view.holdings.get(usize::from(shard)).map_or(0, |holding| holding.epoch), node)
            }
            None => {
                let open = self.room.handle.open_shards();
                let epoch = open.into_iter().find(|(here, _)| *here == shard).map_or(0, |(_, epoch)| epoch);
                (epoch, self.room.handle.name().to_owned())
            }
        };
        Ok(Response::new(v1::LocateEntityResponse { shard: u32::from(shard), epoch, node }))
    }

    async fn drain_node(
        &self,
        request: Request<v1::DrainNodeRequest>,
    ) -> Result<Response<v1::DrainNodeResponse>, Status> {
        self.admit(request.metadata()).await?;
        let (cluster, name) = (self.cluster()?, &request.get_ref().name);
        cluster.set_state(name, State::Draining).await.map_err(refused)?;
        let (seen, _) = cluster.status().await.map_err(refused)?;
        let shards = seen.iter().find(|seen| seen.name == *name).map_or(0, |seen| seen.shards);
        Ok(Response::new(v1::DrainNodeResponse { shards: u32::try_from(shards).unwrap_or(u32::MAX) }))
    }

    async fn activate_node(
        &self,
        request: Request<v1::ActivateNodeRequest>,
    ) -> Result<Response<v1::ActivateNodeResponse>, Status> {
        self.admit(request.metadata()).await?;
        self.cluster()?.set_state(&request.get_ref().name, State::Active).await.map_err(refused)?;
        Ok(Response::new(v1::ActivateNodeResponse {}))
    }

    async fn forget_node(
        &self,
        request: Request<v1::ForgetNodeRequest>,
    ) -> Result<Response<v1::ForgetNodeResponse>, Status> {
        self.admit(request.metadata()).await?;
        self.cluster()?.forget(&request.get_ref().name).await.map_err(refused)?;
        Ok(Response::new(v1::ForgetNodeResponse {}))
    }
}
