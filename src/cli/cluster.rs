//! `tandem cluster`: nodes, shards, and who has what. Needs the admin token.

use super::client::Client;
use super::exit::Exit;
use super::failure::Failure;
use super::output::Output;
use super::table::{Card, Table};
use super::time::shown;
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;
use tandem_proto::v1;
use tandem_proto::v1::cluster_node::State;
use tandem_proto::v1::cluster_service_client::ClusterServiceClient;
use tandem_proto::v1::locate_entity_request::Kind;
use tokio::time::sleep;
use tonic::transport::Channel;

/// Between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Show nodes, and how many shards each has.
    Status(Status),
    /// Say which node has a call, a campaign, a customer or a company.
    Locate(Locate),
    /// Have a node hand its shards over. It goes on forwarding until it is stopped.
    Drain(Drain),
    /// Let a node that was drained have shards again.
    Activate {
        /// Name of the node.
        node: String,
    },
    /// Remove a node that is down from the list.
    Forget {
        /// Name of the node.
        node: String,
    },
}

#[derive(Args, Clone, Debug)]
pub struct Status {
    /// Every shard with its epoch and its node, too.
    #[arg(long)]
    shards: bool,
}

#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  tandem cluster locate call 01990c1e-8b1c-7cc0-9a51-0242ac120002 --company ID"
)]
pub struct Locate {
    /// What it is.
    kind: Word,
    /// Its id; of a company that id is enough.
    id: String,
    /// The company that it belongs to.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    company: String,
}

#[derive(Args, Clone, Debug)]
pub struct Drain {
    /// Name of the node.
    node: String,
    /// Return once it has no shards any more.
    #[arg(long)]
    wait: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Word {
    Call,
    Campaign,
    Customer,
    Company,
}

fn service(channel: Channel) -> ClusterServiceClient<Channel> {
    ClusterServiceClient::new(channel).max_decoding_message_size(super::client::MESSAGE_BYTES_MAX)
}

async fn cluster(client: &Client) -> Result<v1::GetClusterResponse, Failure> {
    let get = async |channel, request| service(channel).get_cluster(request).await;
    client.ask(v1::GetClusterRequest {}, get).await
}

impl Command {
    pub async fn run(self, client: &Client, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Command::Status(Status { shards }) => {
                let answer = cluster(client).await?;
                out.answer(&answer, |answer| status(answer, shards))?;
            }
            Command::Locate(locate) => locate.run(client, out).await?,
            Command::Drain(drain) => drain.run(client, out).await?,
            Command::Activate { node } => {
                let activate = async |channel, request| service(channel).activate_node(request).await;
                let answer = client.ask(v1::ActivateNodeRequest { name: node }, activate).await?;
                out.answer(&answer, |_| vec!["active: it gets shards again".to_owned()])?;
            }
            Command::Forget { node } => {
                let forget = async |channel, request| service(channel).forget_node(request).await;
                let answer = client.ask(v1::ForgetNodeRequest { name: node }, forget).await?;
                out.answer(&answer, |_| vec!["forgotten".to_owned()])?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl Locate {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let (kind, company_id, id) = match self.kind {
            Word::Company => (Kind::Company, self.id, String::new()),
            Word::Call => (Kind::Call, self.company, self.id),
            Word::Campaign => (Kind::Campaign, self.company, self.id),
            Word::Customer => (Kind::Customer, self.company, self.id),
        };
        if company_id.is_empty() {
            return Err(Failure::usage("--company: required, except for a company itself"));
        }
        let request = v1::LocateEntityRequest { company_id, kind: kind as i32, id };
        let locate = async |channel, request| service(channel).locate_entity(request).await;
        let answer = client.ask(request, locate).await?;
        out.answer(&answer, |answer| {
            let mut card = Card::new();
            let nobody = "nobody at the moment".to_owned();
            card.add("node", if answer.node.is_empty() { nobody } else { answer.node.clone() })
                .add("shard", answer.shard.to_string())
                .add("epoch", answer.epoch.to_string());
            card.lines()
        })
    }
}

impl Drain {
    async fn run(self, client: &Client, out: &mut Output) -> Result<(), Failure> {
        let Drain { node, wait } = self;
        let drain = async |channel, request| service(channel).drain_node(request).await;
        let mut answer = client.ask(v1::DrainNodeRequest { name: node.clone() }, drain).await?;
        while wait && answer.shards > 0 {
            sleep(LOOK_EVERY).await;
            let now = cluster(client).await?;
            let there = now.nodes.iter().find(|there| there.name == node);
            let others = now.nodes.iter().any(|there| there.state() == State::Active && there.name != node);
            answer.shards = there.map_or(0, |there| there.shards);
            if answer.shards > 0 && !others {
                out.end_progress();
                let why = "there is no other active node: it keeps its shards until one joins";
                return Err(Failure::new(Exit::Refused, why));
            }
            out.progress(&format!("{} shards to go", answer.shards));
        }
        out.end_progress();
        out.answer(&answer, |answer| {
            vec![match answer.shards {
                0 => "drained: it has no shards".to_owned(),
                1 => "draining: 1 shard to go".to_owned(),
                n => format!("draining: {n} shards to go"),
            }]
        })
    }
}

fn state(node: &v1::ClusterNode) -> String {
    match node.state() {
        State::Active => "active",
        State::Draining => "draining",
        State::Down => "down",
        State::Unspecified => "unknown",
    }
    .to_owned()
}

fn status(answer: &v1::GetClusterResponse, shards: bool) -> Vec<String> {
    let mut card = Card::new();
    let nobody = answer.owners.iter().filter(|owner| owner.node.is_empty()).count();
    card.add(
        "cluster",
        if answer.name.is_empty() { "none: one node on its own store" } else { &answer.name },
    )
    .add("store", &answer.engine)
    .add("shards", answer.shards.to_string())
    .add("without a node", if nobody > 0 { nobody.to_string() } else { String::new() })
    .add("answered by", &answer.answered_by);
    let mut lines = card.lines();
    lines.push(String::new());
    let headings = ["NODE", "STATE", "SHARDS", "RENEWED", "PEERS", "GRPC", "HTTP", "BUILD", "JOINED"];
    let mut table = Table::new(&headings).right(&[2, 3]);
    for node in &answer.nodes {
        let renewed = match node.state() {
            State::Down => String::new(),
            _ => format!("{} ms ago", node.renewed_ms_ago),
        };
        table.row([
            node.name.clone(),
            state(node),
            node.shards.to_string(),
            renewed,
            node.peer_address.clone(),
            node.grpc_address.clone(),
            node.http_address.clone(),
            node.build.clone(),
            node.joined_at.as_ref().map(|at| shown(Some(at))).unwrap_or_default(),
        ]);
    }
    lines.extend(table.lines());
    if shards {
        lines.push(String::new());
        let mut table = Table::new(&["SHARD", "EPOCH", "NODE"]).right(&[0, 1]);
        for owner in &answer.owners {
            table.row([owner.shard.to_string(), owner.epoch.to_string(), owner.node.clone()]);
        }
        lines.extend(table.lines());
    }
    lines
}
