//! The node's part in a cluster.

use super::read::Section;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// `[cluster]`: of nodes that share a store. With the embedded engine a node is alone, and none of this is used.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub name: String,
    /// Where other nodes connect.
    pub listen: SocketAddr,
    /// Where other nodes reach it, where that is not where it listens.
    pub advertise: Option<String>,
    pub tls: Option<ClusterTls>,
}

/// Mutual TLS between nodes. All PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterTls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The name that the certificates of all nodes carry.
    pub domain: String,
}

impl Cluster {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Cluster {
        let name = section.or(
            "name",
            "tandem".to_owned(),
            "Name of the cluster. Written into the store by its first node; nodes that say another are refused.",
        );
        let well_formed = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.');
        if !well_formed {
            section.refuse("name", "a name has 1 to 64 letters, digits, dots, dashes and underscores");
        }
        let listen = section.or(
            "listen",
            SocketAddr::from((Ipv4Addr::LOCALHOST, 7353)),
            "Where the other nodes of a cluster connect. Not used with the embedded engine.",
        );
        let advertise: Option<String> = section.optional(
            "advertise",
            "\"node-1.internal:7353\"",
            "Where the other nodes reach this one, host and port; cluster.listen if left out.",
        );
        if advertise.as_ref().is_some_and(|address| !is_address(address)) {
            section.refuse("advertise", "must be host:port");
        }
        if advertise.is_none() && listen.ip().is_unspecified() && section.is_given("listen") {
            section.refuse("advertise", "is required where cluster.listen is every address of the machine");
        }
        Cluster { name, listen, advertise, tls: ClusterTls::read(section) }
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

impl ClusterTls {
    fn read(section: &mut Section<'_, '_>) -> Option<ClusterTls> {
        let ca: Option<PathBuf> = section.optional(
            "tls_ca",
            "\"/etc/tandem/nodes-ca.crt\"",
            "The authority of the nodes' certificates, PEM. With it nodes talk TLS, and only to those who have one.",
        );
        let cert: Option<PathBuf> = section.optional(
            "tls_cert",
            "\"/etc/tandem/node.crt\"",
            "This node's certificate, PEM, good for client and server.",
        );
        let key: Option<PathBuf> = section.optional(
            "tls_key",
            "\"/etc/tandem/node.key\"",
            "The private key of the certificate, PEM.",
        );
        let domain = section.or(
            "tls_domain",
            "tandem-node".to_owned(),
            "The DNS name that the certificates of all nodes carry.",
        );
        let names = ["tls_ca", "tls_cert", "tls_key"];
        for (name, path) in names.into_iter().zip([&ca, &cert, &key]) {
            let unreadable = path.as_ref().and_then(|path| Some((path, std::fs::File::open(path).err()?)));
            if let Some((path, error)) = unreadable {
                section.refuse(name, format!("cannot read {}: {error}", path.display()));
            }
        }
        let given = names.into_iter().filter(|name| section.is_given(name)).count();
        if given > 0 && given < names.len() {
            for name in names {
                if !section.is_given(name) {
                    section.refuse(
                        name,
                        "is required together with the other two of tls_ca, tls_cert and tls_key",
                    );
                }
            }
        }
        Some(ClusterTls { ca: ca?, cert: cert?, key: key?, domain })
    }
}
