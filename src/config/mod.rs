//! The configuration of a node: `tandem.toml`, with the environment laid over it.
//!
//! Every key is asked for in one place, with its default, its bounds and what it is for; anything else
//! in the file is refused. `tandem config example` and the tables of `docs/operations.md` are made of
//! the same words, and a test holds them together.

mod check;
mod cluster;
mod edges;
mod example;
mod load;
mod node;
mod providers;
pub mod read;
mod secret;
#[cfg(test)]
mod tests;

pub use check::Warning;
pub use cluster::{Cluster, ClusterTls};
pub use edges::{Grpc, Http, Metrics, Tls};
pub use example::{documentation, example};
pub use load::{LoadError, Loaded, Origin, load, parse, read_text};
pub use node::{Clock, Embedded, Format, Keys, Limits, Log, Node, PostgreSql, Store};
pub use providers::{Agent, Carrier, ElevenLabs, Twilio, TwilioLogin};
pub use secret::Secret;

use read::{Key, Problems, Reader, Section};
use std::collections::BTreeMap;

/// Everything that a node is told. Made only by [`load`] and [`parse`], so it is known to be sound.
#[derive(Clone, Debug)]
pub struct Config {
    pub node: Node,
    pub store: Store,
    pub cluster: Cluster,
    pub grpc: Grpc,
    pub http: Http,
    pub metrics: Metrics,
    pub keys: Keys,
    /// Carrier accounts by the name that plans use.
    pub carriers: BTreeMap<String, Carrier>,
    /// Voice agent providers by the name that plans use.
    pub agents: BTreeMap<String, Agent>,
    pub limits: Limits,
    pub clock: Clock,
    pub log: Log,
}

impl Config {
    /// Asks for every key there is. An entry that cannot be read is a problem, and left out.
    fn read(reader: &mut Reader<'_>) -> Config {
        Config {
            node: Node::read(&mut reader.section("node")),
            store: Store::read(&mut reader.section("store")),
            cluster: Cluster::read(&mut reader.section("cluster")),
            grpc: Grpc::read(&mut reader.section("grpc")),
            http: Http::read(&mut reader.section("http")),
            metrics: Metrics::read(&mut reader.section("metrics")),
            keys: Keys::read(&mut reader.section("keys")),
            carriers: entries(reader, "carriers", Carrier::read),
            agents: entries(reader, "agents", Agent::read),
            limits: Limits::read(&mut reader.section("limits")),
            clock: Clock::read(&mut reader.section("clock")),
            log: Log::read(&mut reader.section("log")),
        }
    }

    /// Reads a whole tree of settings, and checks what concerns several of them.
    fn from_reader(mut reader: Reader<'_>, variables: &[String]) -> Result<(Config, Vec<Key>), Problems> {
        let config = Config::read(&mut reader);
        config.check(&mut reader);
        reader.finish(variables).map(|keys| (config, keys))
    }
}

fn entries<T>(
    reader: &mut Reader<'_>,
    table: &str,
    read: fn(&mut Section<'_, '_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let names = reader.entries(table);
    let entry = |name: String| Some((name.clone(), read(&mut reader.entry(table, &name))?));
    names.into_iter().filter_map(entry).collect()
}
