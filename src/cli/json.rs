//! Answers as JSON: the canonical mapping of protocol buffers, with the names of the protos.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use std::sync::LazyLock;
use tandem_proto::v1;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(v1::FILE_DESCRIPTOR_SET).unwrap_or_default());

/// A message that can be shown.
pub trait Named: Message {
    /// Its name in the protos.
    const NAME: &'static str;
}

macro_rules! named {
    ($($message:ident),* $(,)?) => {
        $(impl Named for v1::$message {
            const NAME: &'static str = concat!("tandem.v1.", stringify!($message));
        })*

        #[cfg(test)]
        const NAMES: &[&str] = &[$(<v1::$message as Named>::NAME),*];
    };
}

named!(
    ActivateNodeResponse,
    AddNoteResponse,
    ApiKey,
    Call,
    CallEvent,
    CallStatus,
    Campaign,
    ClearDoNotCallResponse,
    CloseCompanyResponse,
    Company,
    Contact,
    CreateCampaignResponse,
    CreateCompanyResponse,
    CreateKeyResponse,
    Customer,
    DrainNodeResponse,
    ExplainCallResponse,
    ExplainCampaignResponse,
    ExplainContactResponse,
    ForgetNodeResponse,
    GetClusterResponse,
    GetCustomerResponse,
    HangupCallResponse,
    HistoryEntry,
    ImportContactsResponse,
    ImportDoNotCallResponse,
    LocateEntityResponse,
    LookupResponse,
    OpenCompanyResponse,
    PauseCampaignResponse,
    PlaceCallResponse,
    PreflightCampaignResponse,
    ResumeCampaignResponse,
    RevokeConsentResponse,
    RevokeKeyResponse,
    SetConsentResponse,
    SetDoNotCallResponse,
    StartCampaignResponse,
    StopCampaignResponse,
    Turn,
    UpdateCampaignResponse,
    UpdateCompanyResponse,
    UpdateCustomerResponse,
    WatchCampaignResponse,
);

/// A message as JSON. Fields without presence are always there, at their default if need be.
pub fn of<M: Named>(message: &M) -> Value {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    let dynamic = POOL
        .get_message_by_name(M::NAME)
        .and_then(|descriptor| DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok());
    // What was compiled from the descriptors can be read by them; a test holds it for every name.
    dynamic
        .and_then(|message| message.serialize_with_options(serde_json::value::Serializer, &options).ok())
        .unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_known() {
        for name in NAMES {
            assert!(POOL.get_message_by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn messages_are_shown_by_the_names_of_the_protos() {
        let call = v1::Call {
            call_id: "c-1".into(),
            phase: v1::CallPhase::InProgress.into(),
            created_at: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            talk_time: Some(prost_types::Duration { seconds: 90, nanos: 0 }),
            event: 1 << 53,
            variables: [("n".to_owned(), v1::Variable { value: Some(v1::variable::Value::Number(2.5)) })]
                .into(),
            ..Default::default()
        };
        let json = of(&call);
        assert_eq!(json["call_id"], "c-1");
        assert_eq!(json["phase"], "CALL_PHASE_IN_PROGRESS");
        assert_eq!(json["created_at"], "1970-01-01T00:00:00Z");
        assert_eq!(json["talk_time"], "90s");
        assert_eq!(json["event"], 1_u64 << 53);
        assert_eq!(json["variables"]["n"]["number"], 2.5);
        assert_eq!(json["attempts_counted"], 0, "a count is there even if it is 0");
        assert_eq!(json["disposition"], "DISPOSITION_UNSPECIFIED");
    }
}
