//! Values, behind their version byte.

use super::{Named, hold, lines};
use crate::dead::Letter;
use crate::dispatch::Record;
use crate::entity::{EventRecord, RecordRef, Remembered, Stored, StoredRef};
use crate::node::Format;
use serde::{Serialize, de::DeserializeOwned};
use tandem_domain::call::{self, Direction};
use tandem_domain::carrier::Instruction;
use tandem_domain::codec::{self, VERSION};
use tandem_domain::customer;
use tandem_domain::effect::Effect;
use tandem_domain::id::{Attempt, CallId, CompanyId, CustomerId, Entity};
use tandem_domain::retry::Disposition;
use tandem_domain::row::{ConsentBasis, DncSource};
use tandem_domain::sealed::Sealed;

const COMPANY: CompanyId = CompanyId::from_bytes([0xc0; 16]);
const CALL: CallId = CallId::from_bytes([0xa1; 16]);
const CUSTOMER: CustomerId = CustomerId::from_bytes([0xcc; 16]);
const AT: i64 = 1_800_000_000_123;

/// The lines of `file` are these values, and are read and written back to the same bytes.
fn hold_values<T: Serialize + DeserializeOwned>(file: &str, examples: Vec<(&str, T)>) {
    let file = format!("v{VERSION}/{file}.hex");
    let encoded = |(name, value): (&str, T)| -> Named { (name.to_owned(), codec::encode(&value)) };
    hold(&file, &examples.into_iter().map(encoded).collect::<Vec<_>>());
    for (name, bytes) in lines(&file) {
        let value: T = codec::decode(&bytes).unwrap_or_else(|e| panic!("{file}: {name}: {e}"));
        assert_eq!(codec::encode(&value), bytes, "{file}: {name} is written back otherwise");
    }
}

fn remembered() -> Remembered {
    let reply = call::Reply::Status(call::Status {
        phase: call::Phase::Ended,
        attempt: 2,
        next_at: None,
        disposition: Some(Disposition::Completed),
        ignored: false,
    });
    Remembered { request: [0x4e; 16], events: 300, reply: codec::encode(&reply) }
}

fn person() -> customer::State {
    customer::State {
        status: customer::Status::Lead,
        phone: Sealed([9; 40].into()),
        last4: *b"0100",
        person: None,
        tags: vec!["vip".into()],
        first_contact_at: AT,
        last_contact_at: AT + 1,
        became_customer_at: None,
        total_calls: 3,
        answered_calls: 2,
        talk_ms: 61_000,
        last_disposition: Some(Disposition::Completed),
        do_not_call: false,
        consent: Some(ConsentBasis::Oral),
        history: 7,
    }
}

#[test]
fn states() {
    let stored = |armed| Stored { events: 7, sent: 300, armed, state: person() };
    hold_values("stored", vec![("armed", stored(Some(AT))), ("unarmed", stored(None))]);
}

#[test]
fn events_of_a_call() {
    let event = |what| call::Event { at: AT, what };
    let one = EventRecord { events: vec![event(call::What::Ringing)], answered: None };
    let talked = call::What::MediaOpened { generation: 1 };
    let two = vec![event(call::What::Answered), event(talked)];
    let two = EventRecord { events: two, answered: Some(([0x1d; 16], remembered())) };
    hold_values("event-record-call", vec![("one", one), ("two, asked for with a key", two)]);
}

#[test]
fn events_of_a_customer() {
    let event = |what| customer::Event { at: AT, what };
    let ended = customer::What::CallEnded {
        call: CALL,
        direction: Direction::Outbound,
        disposition: Disposition::DoNotCall,
        attempts: 1,
        talk_ms: 9_000,
        counted: true,
    };
    let source = DncSource::OptOut;
    let events = vec![event(ended), event(customer::What::DoNotCall { source })];
    hold_values("event-record-customer", vec![("two", EventRecord { events, answered: None })]);
}

#[test]
fn answers() {
    hold_values("remembered", vec![("a reply", remembered())]);
}

#[test]
fn orders() {
    let attempt = Attempt { company: COMPANY, call: CALL, number: 2 };
    let hangup = Effect::Instruct {
        attempt,
        carrier: "twilio".into(),
        sid: "CA00000000000000000000000000000001".into(),
        instruction: Instruction::Hangup,
    };
    let source = DncSource::OptOut;
    let opt_out = customer::Command::DoNotCall { source, call: Some(CALL) };
    let message = Effect::send(Entity::customer(COMPANY, CUSTOMER), opt_out);
    let record = |effect| Record { from: Entity::call(COMPANY, CALL), number: 70_000, effect };
    hold_values("outbox", vec![("to a carrier", record(hangup)), ("to an entity", record(message))]);
}

#[test]
fn dead_letters() {
    let command = tandem_domain::effect::Command::Call(call::Command::Hangup);
    let letter = Letter {
        entity: Entity::call(COMPANY, CALL),
        at: AT,
        why: "attempt to add with overflow".into(),
        command: codec::encode(&command),
    };
    hold_values("dead-letter", vec![("of a call", letter)]);
}

#[test]
fn the_format_row() {
    hold_values("format", vec![("256 shards", Format { layout: 1, shards: 256 })]);
}

#[test]
fn what_is_written_borrowed_is_what_is_read() {
    let state = person();
    let borrowed = StoredRef { events: 7, sent: 300, armed: Some(AT), state: &state };
    let owned = Stored { events: 7, sent: 300, armed: Some(AT), state: person() };
    assert_eq!(codec::encode(&borrowed), codec::encode(&owned));

    let events = vec![call::Event { at: AT, what: call::What::Ringing }];
    for answered in [None, Some(([0x1d; 16], remembered()))] {
        let borrowed = codec::encode(&RecordRef { events: &events, answered: answered.as_ref() });
        let owned = EventRecord { events: events.clone(), answered };
        assert_eq!(codec::decode::<EventRecord<call::Event>>(&borrowed), Ok(owned));
    }
}
