//! The public interface of Tandem: package `tandem.v1` as Rust types, clients and servers.
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
