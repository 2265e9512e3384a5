//! Compiles the protos in Rust, so that nobody needs `protoc`.

use prost::Message as _;
use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 10] = [
    "tandem/v1/common.proto",
    "tandem/v1/call.proto",
    "tandem/v1/call_service.proto",
    "tandem/v1/campaign.proto",
    "tandem/v1/campaign_service.proto",
    "tandem/v1/customer.proto",
    "tandem/v1/customer_service.proto",
    "tandem/v1/company.proto",
    "tandem/v1/company_service.proto",
    "tandem/v1/cluster_service.proto",
];

/// Messages that name a person, repeat what was said, or hold a secret: `src/redact.rs` shows what may
/// be shown of them.
const REDACTED: [&str; 25] = [
    "AddNoteRequest",
    "AnnotateCallRequest",
    "Call",
    "ClearDoNotCallRequest",
    "Contact",
    "CreateCompanyResponse",
    "CreateKeyResponse",
    "Customer",
    "ExplainContactRequest",
    "GetCustomerRequest",
    "GetHistoryRequest",
    "ImportContactsRequest",
    "ImportDoNotCallRequest",
    "ListCallsRequest",
    "LookupRequest",
    "NewContact",
    "NoteAdded",
    "PhoneNumbers",
    "PlaceCallRequest",
    "RevokeConsentRequest",
    "SetConsentRequest",
    "SetDoNotCallRequest",
    "Turn",
    "UpdateCustomerRequest",
    "Variable",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=tandem");
    let set = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("tandem_v1.bin"), set.encode_to_vec())?;
    tonic_prost_build::configure()
        // Ordered maps: the same request always has the same bytes, by which a reused idempotency key
        // is told from a repeated request.
        .btree_map(".")
        // Pieces of files are not copied out of the buffer they came in.
        .bytes(".")
        .skip_debug(REDACTED.map(|name| format!(".tandem.v1.{name}")))
        .compile_fds(set)?;
    // Not in the descriptors that reflection shows: nobody but nodes speaks it.
    let peer = protox::compile(["tandem/peer/v1/peer.proto"], ["."])?;
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug([".tandem.peer.v1.AskRequest", ".tandem.peer.v1.AskResponse"])
        .compile_fds(peer)?;
    Ok(())
}
