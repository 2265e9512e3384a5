//! The interfaces of Tandem as Rust types, clients and servers: package `tandem.v1`, which is public, and
//! `tandem.peer.v1`, which nodes speak among themselves.
//!
//! The protos under `proto/tandem/v1` are the documentation; their comments stand on the types.

mod redact;

/// Package `tandem.v1`.
pub mod v1 {
    #![allow(clippy::all, clippy::pedantic, missing_docs)]
    tonic::include_proto!("tandem.v1");

    /// All files of the package and what they import, encoded, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tandem_v1.bin"));
}

/// Package `tandem.peer.v1`.
pub mod peer {
    #![allow(clippy::all, clippy::pedantic, missing_docs, missing_debug_implementations)]
    tonic::include_proto!("tandem.peer.v1");

    impl std::fmt::Debug for AskRequest {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            // What it says may be personal.
            f.debug_struct("AskRequest").field("shard", &self.shard).field("bytes", &self.body.len()).finish()
        }
    }

    impl std::fmt::Debug for AskResponse {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("AskResponse").field("bytes", &self.body.len()).finish()
        }
    }
}
