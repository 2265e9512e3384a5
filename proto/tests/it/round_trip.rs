//! Values survive the wire, and the same value always has the same bytes.

use prost::Message;
use tandem_proto::v1::{
    CallEvent, CampaignSettings, ImportContactsRequest, Limits, NewContact, NewContacts, PlaceCallRequest,
    ReportCallRequest, Variable, call_event, import_contacts_request, variable,
};

fn back<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M) {
    let bytes = message.encode_to_vec();
    assert_eq!(&M::decode(bytes.as_slice()).expect("decodes"), message);
}

fn text(value: &str) -> Variable {
    Variable { value: Some(variable::Value::Text(value.into())) }
}

#[test]
fn a_call_with_variables_of_every_kind() {
    let variables = [
        ("first_name".to_owned(), text("Zoë")),
        ("balance".to_owned(), Variable { value: Some(variable::Value::Number(-12.5)) }),
        ("member".to_owned(), Variable { value: Some(variable::Value::Boolean(false)) }),
    ];
    back(&PlaceCallRequest {
        to: "+15551234567".into(),
        variables: variables.into(),
        not_before: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 5_000_000 }),
        ..PlaceCallRequest::default()
    });
}

#[test]
fn the_order_in_which_variables_were_set_does_not_change_the_bytes() {
    let names: Vec<String> = (0..50).map(|n| format!("variable_{n}")).collect();
    let request = |names: &mut dyn Iterator<Item = &String>| PlaceCallRequest {
        variables: names.map(|name| (name.clone(), text("x"))).collect(),
        ..PlaceCallRequest::default()
    };
    let (there, backwards) = (request(&mut names.iter()), request(&mut names.iter().rev()));
    assert_eq!(there.encode_to_vec(), backwards.encode_to_vec());
}

#[test]
fn zero_is_told_from_absent_where_it_means_something() {
    let unlimited = Limits { concurrency: Some(0), ..Limits::default() };
    back(&CampaignSettings { limits: Some(unlimited), ..CampaignSettings::default() });
    assert_ne!(unlimited.encode_to_vec(), Limits::default().encode_to_vec());
}

#[test]
fn pieces_of_files_and_lists_of_contacts() {
    let pieces = [
        import_contacts_request::Content::Csv(bytes::Bytes::from_static(b"phone\n+15551234567\n\xff")),
        import_contacts_request::Content::Contacts(NewContacts {
            contacts: vec![NewContact { phone: "+15551234567".into(), ..NewContact::default() }],
        }),
    ];
    for content in pieces {
        back(&ImportContactsRequest { content: Some(content) });
    }
}

#[test]
fn an_event_of_a_later_version_is_an_event_without_content() {
    // Field 500 is nothing that this version knows.
    let mut bytes = CallEvent { event: 7, at: None, what: Some(call_event::What::Ringing(<_>::default())) }
        .encode_to_vec();
    let known = bytes.len();
    prost::encoding::encode_key(500, prost::encoding::WireType::Varint, &mut bytes);
    prost::encoding::encode_varint(1, &mut bytes);
    assert!(bytes.len() > known);
    let read = CallEvent::decode(bytes.as_slice()).expect("decodes");
    assert_eq!(read.event, 7);
    assert!(matches!(read.what, Some(call_event::What::Ringing(_))));
}

#[test]
fn garbage_is_an_error_and_no_panic() {
    for seed in 0..=255u8 {
        let bytes: Vec<u8> = (0..64u8).map(|n| n.wrapping_mul(seed).rotate_left(3) ^ seed).collect();
        let _ = ReportCallRequest::decode(bytes.as_slice());
    }
    assert!(ReportCallRequest::decode([0x0a, 0xff].as_slice()).is_err());
}

#[test]
fn debug_shows_nothing_of_a_person_and_no_secret() {
    use tandem_proto::v1;
    let phone = || "+15551234567".to_owned();
    let shown = [
        format!("{:?}", PlaceCallRequest { to: phone(), name: "Ada".into(), ..<_>::default() }),
        format!("{:?}", v1::GetCallResponse { call: Some(v1::Call { phone: phone(), ..<_>::default() }) }),
        format!("{:?}", v1::LookupRequest { phone: phone(), ..<_>::default() }),
        format!("{:?}", v1::get_customer_request::Customer::Phone(phone())),
        format!("{:?}", NewContacts { contacts: vec![NewContact { phone: phone(), ..<_>::default() }] }),
        format!("{:?}", v1::CreateKeyResponse { secret: "tdm_5551234567_Ada".into(), ..<_>::default() }),
        format!("{:?}", text("Ada 5551234567")),
    ];
    for shown in shown {
        assert!(!shown.contains("5551234567") && !shown.contains("Ada"), "{shown}");
        assert!(!shown.is_empty());
    }
}
