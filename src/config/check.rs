//! What concerns several keys, and what is sound but worth a word.

use super::read::{Reader, Url, variable};
use super::{Config, Keys, Store};
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use tandem_domain::call::Plan;

/// Something that is permitted and may not be meant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Warning {
    pub key: String,
    pub message: String,
}

impl Config {
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        self.check_addresses(reader);
        self.check_providers(reader);
        let Keys::File { path, .. } = &self.keys;
        if path.starts_with(&self.node.data_dir) {
            reader.refuse(
                "keys.path",
                "must not be within data_dir: a copy of the data would hold the key that it is sealed with",
            );
        }
    }

    fn check_addresses(&self, reader: &mut Reader<'_>) {
        let mut taken: BTreeSet<SocketAddr> = BTreeSet::new();
        let metrics = self.metrics.enabled.then_some(("metrics.listen", self.metrics.listen));
        for (key, address) in
            [("grpc.listen", self.grpc.listen), ("http.listen", self.http.listen)].into_iter().chain(metrics)
        {
            // Port 0 is a free one each time.
            if address.port() != 0 && !taken.insert(address) {
                reader.refuse(key, format!("{address} is taken by another listener of this node"));
            }
        }
    }

    fn check_providers(&self, reader: &mut Reader<'_>) {
        // One that could not be read is taken for one that calls.
        let calls =
            self.carriers.is_empty() || self.carriers.values().any(|carrier| carrier.base_url().is_some());
        if reader.is_given("carriers") && calls && !reader.is_given("http.public_url") {
            reader.refuse("http.public_url", "is required with a carrier: where it sends callbacks");
        }
        let path = format!("carriers.{}", Plan::EXTERNAL);
        if reader.is_given(&path) {
            reader.refuse(&path, "this name stands for calls that applications dial themselves");
        }
        let carriers =
            self.carriers.iter().filter_map(|(name, carrier)| Some(("carriers", name, carrier.base_url()?)));
        let agents = self.agents.iter().map(|(name, agent)| ("agents", name, agent.base_url()));
        for (table, name, url) in carriers.chain(agents) {
            if !self.permits(url) {
                let path = format!("{table}.{name}.base_url");
                reader.refuse(&path, "must be https: credentials are sent (http.dev = true permits http)");
            }
        }
    }

    fn permits(&self, url: &Url) -> bool {
        url.is_https() || url.is_loopback() || self.http.dev
    }

    /// What an operator should know before the node runs.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |key: &str, message: String| warnings.push(Warning { key: key.to_owned(), message });
        if self.clock.is_simulated() {
            let message = match self.clock.epoch {
                Some(epoch) => format!(
                    "time is simulated: it starts at {epoch} and runs {} times as fast",
                    self.clock.speed
                ),
                None => format!("time is simulated: it runs {} times as fast", self.clock.speed),
            };
            warn("clock", message);
        }
        if let Store::PostgreSql(given) = &self.store
            && let Some(warning) = given.options().warning()
        {
            warn("store.url", warning.to_owned());
        }
        if self.http.dev {
            warn("http.dev", "plain http is permitted: not for real calls".to_owned());
        }
        if self.grpc.admin_token.is_none() {
            let variable = variable("grpc.admin_token");
            warn(
                "grpc.admin_token",
                format!("none: nobody can make a company (give the key, or {variable})"),
            );
        }
        if !self.grpc.listen.ip().is_loopback() && self.grpc.tls.is_none() {
            warn(
                "grpc.tls_cert",
                "none, and grpc.listen is no loopback address: API keys travel in plain text".to_owned(),
            );
        }
        for (name, _) in self.carriers.iter().filter(|(_, carrier)| carrier.base_url().is_none()) {
            warn(
                &format!("carriers.{name}.type"),
                "this carrier calls nobody: it is for load tests".to_owned(),
            );
        }
        if self.carriers.is_empty() {
            warn("carriers", "none: only calls that applications dial themselves can be made".to_owned());
        }
        if self.carriers.values().any(|carrier| carrier.base_url().is_some()) && self.agents.is_empty() {
            warn("agents", "none: calls of a carrier have nobody to talk to".to_owned());
        }
        let Keys::File { create, .. } = &self.keys;
        if *create {
            warn(
                "keys.create",
                "meant for the first start: take it out once the key is made and copied".to_owned(),
            );
        }
        warnings
    }
}
