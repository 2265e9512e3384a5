//! The node itself: where its data is, which keys seal it, what bounds it.

use super::Secret;
use super::read::{Section, Span};
use jiff::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// `[node]`
#[derive(Clone, Debug)]
pub struct Node {
    /// Unique among the nodes of a cluster.
    pub name: String,
    pub data_dir: PathBuf,
    /// Fixed when the data directory is made.
    pub shards: u16,
    /// How long a node that was told to stop waits for conversations to end.
    pub drain: Duration,
}

impl Node {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Node {
        let name =
            section.or("name", "node-1".to_owned(), "Name of this node in logs, and unique in a cluster.");
        let well_formed = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.');
        if !well_formed {
            section.refuse("name", "a name has 1 to 64 letters, digits, dots, dashes and underscores");
        }
        let data_dir =
            section.or("data_dir", PathBuf::from("data"), "Directory of the data; made if it is not there.");
        let shards = section.number(
            "shards",
            16,
            1..=4096,
            "Parts into which entities are divided among nodes. Fixed when the data directory is made.",
        );
        let drain = section.or(
            "drain",
            Span::from_secs(60),
            "After SIGTERM, how long conversations may go on before they are handed to other nodes, or cut off where \
             there are none.",
        );
        if drain > Span::from_secs(24 * 3600) {
            section.refuse("drain", "at most 1d");
        }
        Node { name, data_dir, shards, drain: drain.0 }
    }
}

/// `[store]`
#[derive(Clone, Debug)]
pub enum Store {
    Embedded(Embedded),
    PostgreSql(PostgreSql),
}

/// The engine for one machine.
#[derive(Clone, Debug)]
pub struct Embedded {
    pub cache_mb: u32,
    pub memtable_mb: u32,
}

/// The engine for several nodes on one PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PostgreSql {
    pub url: Secret,
    pub prefix: String,
    pub connections_max: usize,
}

#[derive(Clone, Copy)]
enum Engine {
    Embedded,
    PostgreSql,
}

impl Store {
    /// Whether several nodes may use it at once.
    pub fn is_shared(&self) -> bool {
        match self {
            Store::Embedded(_) => false,
            Store::PostgreSql(_) => true,
        }
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Store {
        let engines = [("embedded", Engine::Embedded), ("postgresql", Engine::PostgreSql)];
        let about = "Where the data is kept: embedded is on this machine's disk, for one node; postgresql is shared by nodes.";
        let engine = section.choice("engine", &engines, Some("embedded"), about).unwrap_or(Engine::Embedded);
        // All keys are asked for, whichever engine it is, so that each is known and described.
        let cache_mb =
            section.number("cache_mb", 128, 8..=1 << 20, "embedded: memory for data that was read, in MiB.");
        let memtable_mb = section.number(
            "memtable_mb",
            32,
            4..=4096,
            "embedded: memory for data that was newly written, in MiB; up to three times this is held.",
        );
        let url = section.secret(
            "url",
            false,
            "postgresql: postgresql://user:password@host:port/database?sslmode=verify-full, and sslrootcert=FILE.",
        );
        let prefix = section.or(
            "prefix",
            "tandem".to_owned(),
            "postgresql: the schema of the tables, made where it is absent. Each cluster needs one of its own.",
        );
        let connections_max = section.number(
            "connections_max",
            16,
            4..=1_000,
            "postgresql: connections of this node at most; the server's own limit is for all nodes together.",
        );
        let given = section.is_given("url") || section.is_given("url_file");
        let key = if section.is_given("url_file") { "url_file" } else { "url" };
        match engine {
            Engine::Embedded => {
                if given {
                    section.refuse(key, "a database is named, and engine is not \"postgresql\"");
                }
                Store::Embedded(Embedded { cache_mb, memtable_mb })
            }
            Engine::PostgreSql => {
                if !given {
                    section.refuse("url", "is required with this engine: give url or url_file");
                }
                let readable = url.is_some();
                let url = url.unwrap_or_else(|| Secret::new(""));
                let postgresql = PostgreSql { url, prefix, connections_max };
                if readable && let Err(error) = postgresql.options().check_url() {
                    section.refuse(key, error.to_string());
                }
                if let Err(error) = postgresql.options().check_prefix() {
                    section.refuse("prefix", error.to_string());
                }
                Store::PostgreSql(postgresql)
            }
        }
    }
}

impl PostgreSql {
    /// How the store is opened.
    pub fn options(&self) -> tandem_store::postgresql::Options {
        let mut options = tandem_store::postgresql::Options::new(self.url.expose());
        options.prefix.clone_from(&self.prefix);
        options.connections_max = self.connections_max;
        options
    }
}

/// `[keys]`
#[derive(Clone, Debug)]
pub enum Keys {
    /// A file on this machine holds the key that seals all others.
    File {
        path: PathBuf,
        /// Make it, readable by its owner only, where it is absent and there is no data yet.
        create: bool,
    },
}

#[derive(Clone, Copy)]
enum KeyProvider {
    File,
}

impl Keys {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Keys {
        let about = "What keeps the key that seals personal data.";
        let provider = section.choice("provider", &[("file", KeyProvider::File)], Some("file"), about);
        match provider.unwrap_or(KeyProvider::File) {
            KeyProvider::File => Keys::File {
                path: section.or(
                    "path",
                    PathBuf::from("tandem.key"),
                    "The key's file. Without it the data cannot be read: keep a copy, apart from copies of the data.",
                ),
                create: section.or(
                    "create",
                    false,
                    "Make the key when a node starts without one, for its owner's eyes only. For the first start.",
                ),
            },
        }
    }
}

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Commands that wait for one entity.
    pub mailbox_max: usize,
    /// Requests and streams under way on one connection.
    pub in_flight_max: usize,
    /// Requests and streams under way on all connections.
    pub requests_max: usize,
    /// Calls, campaigns, customers and companies in memory.
    pub entities_max: usize,
    /// Largest file that is imported, in MiB.
    pub import_mb_max: u32,
    /// Conversations held by this node at a time.
    pub conversations_max: usize,
}

impl Limits {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Limits {
        Limits {
            mailbox_max: section.number(
                "mailbox_max",
                1_024,
                16..=65_536,
                "Commands that may wait for one call, campaign, customer or company; more are refused.",
            ),
            in_flight_max: section.number(
                "in_flight_max",
                8_192,
                16..=1_000_000,
                "Requests and streams under way on one gRPC connection; a client waits with more.",
            ),
            requests_max: section.number(
                "requests_max",
                16_384,
                16..=1_000_000,
                "Requests and streams under way on all gRPC connections; more are refused, health checks excepted.",
            ),
            entities_max: section.number(
                "entities_max",
                500_000,
                1_000..=100_000_000,
                "Calls, campaigns, customers and companies in memory, up to 16 KiB each. Idle ones leave; more are refused.",
            ),
            import_mb_max: section.number(
                "import_mb_max",
                1_024,
                1..=1_048_576,
                "Largest file that is imported, in MiB; what lies behind that is not looked at.",
            ),
            conversations_max: section.number(
                "conversations_max",
                1_000,
                1..=100_000,
                "Conversations, each with a media socket and an agent, held at a time; more are refused.",
            ),
        }
    }
}

/// `[clock]`
#[derive(Clone, Debug)]
pub struct Clock {
    /// Seconds of the node's time in a second of the world's.
    pub speed: f64,
    /// What time it is when the node starts, instead of now.
    pub epoch: Option<Timestamp>,
    /// When that was, by the world's clock, instead of at the node's first start.
    pub since: Option<Timestamp>,
}

impl Clock {
    pub const SPEED_MAX: f64 = 100_000.0;

    /// The node's time is not the world's: for trials only.
    pub fn is_simulated(&self) -> bool {
        self.speed != 1.0 || self.epoch.is_some() || self.since.is_some()
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Clock {
        let speed = section.or(
            "speed",
            1.0,
            "Seconds of simulated time in a second. Other than 1 for trials only: retries and calling hours follow it.",
        );
        if !(0.001..=Clock::SPEED_MAX).contains(&speed) {
            section.refuse("speed", "must be 0.001 to 100000");
        }
        let about = "Simulated time at which the node starts, instead of now. For trials only.";
        let epoch = section.optional("epoch", "2026-03-02T15:00:00Z", about);
        let about = "When the simulated clock showed clock.epoch, by the world's clock: the same for all nodes of a cluster.";
        Clock { speed, epoch, since: section.optional("since", "2026-11-01T09:00:00Z", about) }
    }
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    pub format: Format,
    /// A level, or levels by module.
    pub level: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Log { format: Format::Text, level: "info".to_owned() }
    }
}

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Log {
        let formats = [("text", Format::Text), ("json", Format::Json)];
        let about = "For people, or one JSON object a line. Logs go to the standard error.";
        let format = section.choice("format", &formats, Some("text"), about).unwrap_or(Format::Text);
        let level = section.or(
            "level",
            "info".to_owned(),
            "error, warn, info, debug or trace; or by module, such as info,tandem_actors=debug.",
        );
        if let Err(error) = crate::telemetry::check_level(&level) {
            section.refuse("level", error.to_string());
        }
        Log { format, level }
    }
}
