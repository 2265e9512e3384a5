//! Calls against a carrier that loses, doubles and reorders.

use crate::world::World;
use crate::world::setup::{NUMBERS, plain};
use tandem_domain::agent::{AgentEnd, Speaker};
use tandem_domain::call::{
    self, CarrierStep, Command, Document, MachineAction, MediaEnd, MediaGrant, Phase, Plan, SaidTurn, Verdict,
};
use tandem_domain::campaign::{self, Limits, call_of, direct};
use tandem_domain::carrier::{AnsweredBy, DialOutcome, End, Instruction, Progress};
use tandem_domain::effect::{Effect, Reply};
use tandem_domain::id::{Attempt, CallId, CampaignId};
use tandem_domain::retry::{self, Disposition, Outcome};
use tandem_domain::row::{Priority, RowKey};
use tandem_domain::sealed::Sealed;
use tandem_domain::time::{MINUTE, SECOND};

const HANGUP: Instruction = Instruction::Hangup;

/// One contact, dialed and not yet answered by the carrier.
fn dialing(plan: Plan) -> (World, CampaignId, CallId, Attempt) {
    let mut w = World::ordinary(Limits::default());
    let id = w.running(0, campaign::Config { plan, ..plain() }, [2]);
    w.flow();
    let attempt = w.dial().attempt;
    (w, id, call_of(id, 0), attempt)
}

fn ringing(plan: Plan) -> (World, CallId, String) {
    let (mut w, _, call, attempt) = dialing(plan);
    let sid = w.accept(attempt);
    w.progress(&sid, Progress::Ringing);
    (w, call, sid)
}

fn answered(plan: Plan) -> (World, CallId, String) {
    let (mut w, call, sid) = ringing(plan);
    w.progress(&sid, Progress::Answered);
    (w, call, sid)
}

fn document(w: &mut World, call: CallId, sid: &str) -> Document {
    let command = Command::Document { attempt: 1, sid: sid.into(), again: false };
    match w.tell_call(call, command).unwrap() {
        Reply::Call(call::Reply::Document(document)) => document,
        other => panic!("{other:?}"),
    }
}

/// The media connection of this generation has ended at the carrier, which asks what now.
fn reattach(w: &mut World, call: CallId, sid: &str, generation: u32) -> Document {
    match w.tell_call(call, Command::Reattach { attempt: 1, sid: sid.into(), generation }).unwrap() {
        Reply::Call(call::Reply::Document(document)) => document,
        other => panic!("{other:?}"),
    }
}

/// The socket of a document presents itself; whether it may.
fn attach(w: &mut World, call: CallId, sid: &str, generation: u32) -> bool {
    match w.tell_call(call, Command::Attach { attempt: 1, sid: sid.into(), generation }).unwrap() {
        Reply::Call(call::Reply::Media(MediaGrant::Go(conversation))) => {
            assert_eq!(conversation.generation, generation);
            true
        }
        Reply::Call(call::Reply::Media(MediaGrant::Refused)) => false,
        other => panic!("{other:?}"),
    }
}

/// The next media connection, whatever its generation.
fn open(w: &mut World, call: CallId, sid: &str) -> Option<u32> {
    let Document::Stream { generation } = document(w, call, sid) else { return None };
    attach(w, call, sid, generation).then_some(generation)
}

fn leaves_message() -> Plan {
    let mut plan = plain().plan;
    plan.amd.on_machine =
        MachineAction::LeaveMessage { text: "Please call us back.".into(), language: "en-GB".into() };
    plan
}

fn end_of(w: &World, call: CallId) -> Option<Disposition> {
    w.call(call).ended.as_ref().map(|e| e.disposition)
}

#[test]
fn a_second_carrier_call_for_one_attempt_is_hung_up() {
    let (mut w, _, call, attempt) = dialing(plain().plan);
    let first = w.carrier.take(attempt);
    let second = w.carrier.take(attempt);
    // The callback of the second overtakes the answer that names the first.
    w.progress(&second, Progress::Ringing);
    w.answer(attempt, DialOutcome::Accepted { sid: first.clone() });
    assert_eq!(w.instructed(), [(first.clone(), HANGUP)]);
    assert_eq!(document(&mut w, call, &first), Document::Hangup);
    assert_eq!(w.call(call).live.as_ref().unwrap().sid.as_deref(), Some(second.as_str()));
    assert_eq!(open(&mut w, call, &first), None);
}

#[test]
fn late_news_of_an_ended_attempt_changes_nothing() {
    let (mut w, call, sid) = answered(plain().plan);
    w.progress(&sid, Progress::Ended(End::Completed));
    let before = w.call(call).clone();
    let line = w.carrier.line(&sid).unwrap().clone();
    for progress in [Progress::Ringing, Progress::Answered, Progress::Initiated, Progress::Ended(End::Busy)] {
        let report = tandem_domain::carrier::Report { progress, ..line.report(w.now) };
        w.tell_call(call, Command::Reported { attempt: 1, report }).unwrap();
    }
    assert_eq!(*w.call(call), before);
    assert!(w.instructed().is_empty());
}

#[test]
fn callbacks_in_any_order_lead_to_the_same_end() {
    use itertools_free::permutations;
    for order in permutations(&[0usize, 1, 2, 3]) {
        let (mut w, _, call, attempt) = dialing(plain().plan);
        let sid = w.carrier.take(attempt);
        let at = 0;
        for progress in
            [Progress::Initiated, Progress::Ringing, Progress::Answered, Progress::Ended(End::Completed)]
        {
            w.carrier.advance(at, progress, w.now);
        }
        let mail = std::mem::take(&mut w.carrier.mail);
        for n in order {
            w.tell_call(call, mail[n].1.clone()).unwrap();
            w.check();
        }
        w.answer(attempt, DialOutcome::Accepted { sid });
        assert_eq!(end_of(&w, call), Some(Disposition::Completed));
        assert!(w.instructed().is_empty());
    }
}

/// All orders of a few things.
mod itertools_free {
    pub fn permutations<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
        if of.is_empty() {
            return vec![Vec::new()];
        }
        (0..of.len())
            .flat_map(|n| {
                let mut rest = of.to_vec();
                let first = rest.remove(n);
                permutations(&rest).into_iter().map(move |mut tail| {
                    tail.insert(0, first.clone());
                    tail
                })
            })
            .collect()
    }
}

#[test]
fn a_hang_up_before_the_carrier_has_answered_follows_the_call() {
    let (mut w, _, call, attempt) = dialing(plain().plan);
    w.tell_call(call, Command::Hangup).unwrap();
    assert!(w.instructed().is_empty(), "there is nothing to hang up yet");
    let sid = w.accept(attempt);
    assert_eq!(w.instructed(), [(sid.clone(), HANGUP)]);
    w.carrier.hang_up(&sid, w.now);
    w.mail(0, crate::world::step::Post::Arrives);
    assert_eq!(end_of(&w, call), Some(Disposition::Canceled));
    w.flow();
    w.check_rest();
}

#[test]
fn a_hang_up_that_did_not_get_through_is_repeated() {
    for phase in [Progress::Ringing, Progress::Answered] {
        let (mut w, call, sid) = ringing(plain().plan);
        w.progress(&sid, phase);
        w.tell_call(call, Command::Hangup).unwrap();
        assert_eq!(w.instructed().len(), 1);
        w.pass(20 * SECOND);
        assert!(w.instructed().contains(&(sid.clone(), HANGUP)), "{phase:?}: it is not tried again");
    }
}

#[test]
fn a_refused_dial_of_a_call_that_is_hung_up_ends_it() {
    let (mut w, id, call, attempt) = dialing(plain().plan);
    w.tell_call(call, Command::Hangup).unwrap();
    w.refuse(attempt, tandem_domain::carrier::RefusalReason::Overloaded, 1);
    w.flow();
    assert_eq!(end_of(&w, call), Some(Disposition::Canceled));
    assert_eq!(w.campaign(id).counts.attempts, 0, "the carrier never took it");
    w.check_rest();
}

#[test]
fn an_unknown_outcome_is_searched_for_and_found() {
    let (mut w, _, call, attempt) = dialing(plain().plan);
    let sid = w.carrier.take(attempt);
    w.answer(attempt, DialOutcome::Unknown);
    assert_eq!(w.phase(call), Phase::Unknown);
    assert!(w.orders.iter().any(|o| matches!(o, Effect::Find { .. })));
    w.perform_all();
    assert_eq!(w.phase(call), Phase::Initiated);
    assert_eq!(w.call(call).live.as_ref().unwrap().sid.as_deref(), Some(sid.as_str()));
}

#[test]
fn a_dispatcher_that_died_leaves_an_attempt_that_is_searched_for_and_lost() {
    let mut plan = plain().plan;
    plan.settle_ms = 2 * MINUTE;
    let (mut w, id, call, attempt) = dialing(plan);
    w.pass(31 * SECOND);
    assert_eq!(w.phase(call), Phase::Unknown);
    for _ in 0..12 {
        w.perform_all();
        w.pass(10 * SECOND);
    }
    assert_eq!(end_of(&w, call), Some(Disposition::Lost));
    assert!(w.dialed().is_empty(), "it may have been a call");
    assert_eq!(w.campaign(id).phase, campaign::Phase::Completed);
    // It was a call after all, and it rings now.
    let sid = w.carrier.take(attempt);
    w.progress(&sid, Progress::Ringing);
    assert_eq!(w.instructed(), [(sid.clone(), HANGUP)]);
    assert_eq!(document(&mut w, call, &sid), Document::Hangup);
}

#[test]
fn a_call_that_is_given_up_does_not_ring_on() {
    let (mut w, call, sid) = ringing(plain().plan);
    // The carrier answers nothing any more.
    for _ in 0..60 {
        w.orders.retain(|o| !matches!(o, Effect::Fetch { .. }));
        w.pass(30 * SECOND);
        if w.phase(call) == Phase::Ended {
            break;
        }
    }
    assert_eq!(end_of(&w, call), Some(Disposition::Lost));
    assert!(w.instructed().contains(&(sid.clone(), HANGUP)), "it may still ring");
    // And if it rings all the same, it is told again.
    let report = w.carrier.line(&sid).unwrap().clone().report(w.now);
    w.tell_call(call, Command::Reported { attempt: 1, report }).unwrap();
    assert_eq!(w.instructed(), [(sid, HANGUP)]);
}

#[test]
fn an_answered_call_that_the_carrier_forgot_ended_as_what_answered() {
    let (mut w, call, sid) = answered(leaves_message());
    w.verdict(&sid, AnsweredBy::MachineStart);
    w.tell_call(call, Command::Missing { attempt: 1, sid }).unwrap();
    assert_eq!(w.call(call).past[0].outcome, Outcome::Voicemail);
}

#[test]
fn a_verdict_may_be_revised() {
    let (mut w, call, sid) = answered(Plan {
        amd: call::AmdPolicy { on_machine: MachineAction::Continue, ..call::AmdPolicy::default() },
        ..plain().plan
    });
    let verdict = |w: &World| w.call(call).live.as_ref().unwrap().verdict;
    w.verdict(&sid, AnsweredBy::Human);
    assert_eq!(verdict(&w), Verdict::Human);
    w.verdict(&sid, AnsweredBy::MachineStart);
    assert_eq!(verdict(&w), Verdict::LikelyMachine);
    w.verdict(&sid, AnsweredBy::MachineEndBeep);
    assert_eq!(verdict(&w), Verdict::Machine { beep: true });
    w.verdict(&sid, AnsweredBy::Human);
    assert_eq!(verdict(&w), Verdict::Human);
    // An undecided late word takes nothing back.
    w.verdict(&sid, AnsweredBy::Unknown);
    assert_eq!(verdict(&w), Verdict::Human);
    assert!(w.instructed().is_empty());
}

#[test]
fn a_message_is_left_once_after_the_greeting() {
    let (mut w, call, sid) = answered(leaves_message());
    w.verdict(&sid, AnsweredBy::MachineStart);
    assert!(w.instructed().is_empty(), "the greeting still plays");
    w.verdict(&sid, AnsweredBy::MachineEndBeep);
    let said = w.instructed();
    assert!(matches!(&said[..], [(to, Instruction::SayAndHangup { .. })] if *to == sid), "{said:?}");
    for verdict in [AnsweredBy::MachineEndBeep, AnsweredBy::Human, AnsweredBy::MachineEndOther] {
        w.verdict(&sid, verdict);
    }
    assert!(w.instructed().is_empty(), "once");
    assert_eq!(document(&mut w, call, &sid), Document::Hangup);
    w.progress(&sid, Progress::Ended(End::Completed));
    assert_eq!(w.call(call).past[0].outcome, Outcome::Voicemail);
    assert!(w.call(call).past[0].message_left);
}

#[test]
fn the_message_is_not_cut_short() {
    let (mut w, call, sid) = answered(leaves_message());
    assert_eq!(document(&mut w, call, &sid), Document::Stream { generation: 1 });
    let generation = open(&mut w, call, &sid).unwrap();
    w.verdict(&sid, AnsweredBy::MachineEndBeep);
    assert_eq!(w.instructed().len(), 1);
    // To say the message the carrier takes the call from the media connection.
    w.tell_call(call, Command::MediaClosed { attempt: 1, generation, end: MediaEnd::Carrier }).unwrap();
    w.pass(MINUTE);
    assert!(w.instructed().is_empty(), "the message is still being said");
    w.pass(4 * MINUTE);
    assert!(!w.instructed().is_empty(), "nobody hangs up a call that did not end by itself");
}

#[test]
fn a_machine_that_is_to_be_hung_up_gets_no_agent() {
    let (mut w, call, sid) = answered(plain().plan);
    w.verdict(&sid, AnsweredBy::MachineStart);
    assert_eq!(w.instructed(), [(sid.clone(), HANGUP)]);
    assert_eq!(document(&mut w, call, &sid), Document::Hangup);
    w.pass(20 * SECOND);
    assert!(w.instructed().contains(&(sid.clone(), HANGUP)), "it did not get through and is not tried again");
}

#[test]
fn a_verdict_that_overtakes_the_answer_says_that_it_was_answered() {
    let (mut w, _, call, attempt) = dialing(leaves_message());
    let sid = w.carrier.take(attempt);
    w.verdict(&sid, AnsweredBy::MachineEndBeep);
    assert_eq!(w.phase(call), Phase::InProgress);
    w.progress(&sid, Progress::Ringing);
    assert_eq!(w.phase(call), Phase::InProgress);
}

fn closed(generation: u32, end: MediaEnd) -> Command {
    Command::MediaClosed { attempt: 1, generation, end }
}

fn generation_of(w: &World, call: CallId) -> (u32, bool) {
    let live = w.call(call).live.as_ref().expect("alive");
    (live.generation, live.media_open)
}

fn said(generation: u32, n: u8) -> Command {
    let turn = SaidTurn { at: 5, speaker: Speaker::Agent, text: Sealed(vec![n].into()) };
    Command::Said { attempt: 1, generation, turns: vec![turn] }
}

#[test]
fn media_that_is_lost_comes_back_and_the_old_connection_is_stale() {
    let (mut w, call, sid) = answered(plain().plan);
    assert_eq!(document(&mut w, call, &sid), Document::Stream { generation: 1 });
    assert!(attach(&mut w, call, &sid, 1));
    w.tell_call(call, closed(1, MediaEnd::Node)).unwrap();
    assert_eq!(w.phase(call), Phase::Reattaching);
    assert_eq!(reattach(&mut w, call, &sid, 1), Document::Stream { generation: 2 });
    assert_eq!(w.phase(call), Phase::Reattaching);
    assert!(attach(&mut w, call, &sid, 2));
    assert_eq!(w.phase(call), Phase::InProgress);
    // Nothing of the old one counts any more.
    w.tell_call(call, closed(1, MediaEnd::Carrier)).unwrap();
    w.tell_call(call, said(1, 1)).unwrap();
    assert_eq!((generation_of(&w, call), w.call(call).turns), ((2, true), 0));
    w.tell_call(call, closed(2, MediaEnd::Agent(AgentEnd::Finished))).unwrap();
    assert_eq!(w.instructed(), [(sid.clone(), HANGUP)]);
    assert_eq!(reattach(&mut w, call, &sid, 2), Document::Hangup);
}

#[test]
fn a_generation_is_granted_once_and_an_older_one_never() {
    let (mut w, call, sid) = answered(plain().plan);
    // The document is asked for twice: the first answer was lost.
    for _ in 0..2 {
        assert_eq!(document(&mut w, call, &sid), Document::Stream { generation: 1 });
    }
    assert!(attach(&mut w, call, &sid, 1));
    assert!(!attach(&mut w, call, &sid, 1), "a second socket of the same document");
    assert_eq!(reattach(&mut w, call, &sid, 1), Document::Stream { generation: 2 });
    assert!(!attach(&mut w, call, &sid, 1), "one that comes too late");
    assert!(!attach(&mut w, call, &sid, 0));
    assert!(attach(&mut w, call, &sid, 2));
    assert_eq!(generation_of(&w, call), (2, true));
}

/// Its node is gone and nobody says that the connection is lost, but the carrier that asks what now.
#[test]
fn whoever_asks_again_says_that_the_media_is_lost() {
    let (mut w, call, sid) = answered(plain().plan);
    assert_eq!(open(&mut w, call, &sid), Some(1));
    assert_eq!(reattach(&mut w, call, &sid, 1), Document::Stream { generation: 2 });
    assert_eq!((w.phase(call), generation_of(&w, call)), (Phase::Reattaching, (1, false)));
    // What had been said and was on its way is still taken down.
    w.tell_call(call, said(1, 1)).unwrap();
    assert_eq!(w.call(call).turns, 1);
    assert!(attach(&mut w, call, &sid, 2));
    // A node that slept over all this asks once more what the first connection led to.
    assert_eq!(reattach(&mut w, call, &sid, 1), Document::Stream { generation: 3 });
    assert_eq!(
        (w.phase(call), generation_of(&w, call)),
        (Phase::InProgress, (2, true)),
        "it says nothing of the second"
    );
    w.pass(30 * SECOND);
    assert!(w.instructed().is_empty());
}

#[test]
fn a_call_whose_sockets_never_come_is_given_up() {
    let (mut w, call, sid) = answered(plain().plan);
    let mut offered = vec![document(&mut w, call, &sid)];
    while let Some(Document::Stream { generation }) = offered.last().copied() {
        offered.push(reattach(&mut w, call, &sid, generation));
        assert!(offered.len() < 100, "without end");
    }
    assert_eq!(offered.len(), 17, "sixteen, and then no more");
    assert!(!attach(&mut w, call, &sid, 17));
    assert!(attach(&mut w, call, &sid, 16));
}

#[test]
fn a_stream_that_the_carrier_closes_goes_on_if_the_call_does() {
    let (mut w, call, sid) = answered(plain().plan);
    assert_eq!(open(&mut w, call, &sid), Some(1));
    w.tell_call(call, closed(1, MediaEnd::Carrier)).unwrap();
    assert_eq!(reattach(&mut w, call, &sid, 1), Document::Stream { generation: 2 });
    assert!(attach(&mut w, call, &sid, 2));
    w.pass(30 * SECOND);
    assert!(w.instructed().is_empty());
    // More often the call is over, and its end on the way; where that is lost, it is asked about.
    w.tell_call(call, closed(2, MediaEnd::Carrier)).unwrap();
    w.pass(11 * SECOND);
    assert!(w.instructed().contains(&(sid, HANGUP)));
}

#[test]
fn media_that_does_not_come_back_ends_the_call() {
    let (mut w, id, call, attempt) = dialing(plain().plan);
    let sid = w.accept(attempt);
    w.progress(&sid, Progress::Answered);
    let generation = open(&mut w, call, &sid).unwrap();
    w.tell_call(call, closed(generation, MediaEnd::Node)).unwrap();
    w.pass(9 * SECOND);
    assert!(w.instructed().is_empty());
    w.pass(2 * SECOND);
    assert_eq!(w.instructed(), [(sid.clone(), HANGUP)]);
    w.progress(&sid, Progress::Ended(End::Completed));
    w.flow();
    assert_eq!(w.call(call).past[0].outcome, Outcome::Answered);
    assert_eq!((end_of(&w, call), w.campaign(id).in_flight), (Some(Disposition::Completed), 0));
}

/// Neither the media comes back nor a word from the carrier, whatever it is asked.
#[test]
fn media_that_does_not_come_back_ends_the_call_though_the_carrier_is_silent() {
    let (mut w, id, call, attempt) = dialing(plain().plan);
    let sid = w.accept(attempt);
    w.progress(&sid, Progress::Answered);
    let generation = open(&mut w, call, &sid).unwrap();
    w.tell_call(call, closed(generation, MediaEnd::Node)).unwrap();
    w.pass(MINUTE);
    w.flow();
    assert_eq!((end_of(&w, call), w.campaign(id).in_flight), (Some(Disposition::Completed), 0));
    assert_eq!(w.call(call).past[0].outcome, Outcome::Answered);
}

/// The node that held the conversation is gone, the carrier did not reach any other, and its word of the end was lost.
#[test]
fn a_conversation_that_is_not_heard_of_is_asked_about() {
    let (mut w, call, sid) = answered(plain().plan);
    assert_eq!(open(&mut w, call, &sid), Some(1));
    let asked = |w: &World| w.orders.iter().filter(|order| matches!(order, Effect::Fetch { .. })).count();
    for minute in 1..=3 {
        w.pass(50 * SECOND);
        assert_eq!(asked(&w), 0, "minute {minute}: it is heard of");
        w.tell_call(call, said(1, minute)).unwrap();
    }
    w.pass(61 * SECOND);
    assert_eq!(asked(&w), 1);
    assert!(w.instructed().is_empty(), "nobody is hung up on for being silent");
    // As often as it takes, and as long as it may last: then it is ended.
    w.pass(12 * MINUTE);
    assert!(asked(&w) > 8 && w.instructed().is_empty());
    assert_eq!(w.phase(call), Phase::InProgress);
    w.pass(3 * MINUTE);
    assert!(w.instructed().contains(&(sid, HANGUP)));
    w.pass(5 * MINUTE);
    assert!(w.call(call).live.is_none(), "and the carrier need not say so");
}

#[test]
fn last_words_are_kept_though_the_call_has_ended() {
    let (mut w, call, sid) = answered(plain().plan);
    let generation = open(&mut w, call, &sid).unwrap();
    w.tell_call(call, said(generation, 1)).unwrap();
    w.progress(&sid, Progress::Ended(End::Completed));
    w.tell_call(call, said(generation, 2)).unwrap();
    let (company, turns) = (w.company, w.call(call).turns);
    assert_eq!(turns, 2);
    assert!(w.rows.bytes(&RowKey::Turn { company, call, no: 1 }).is_some());
    let stale = Command::Said {
        attempt: 1,
        generation: generation + 1,
        turns: vec![SaidTurn { at: 5, speaker: Speaker::Agent, text: Sealed(vec![1].into()) }],
    };
    w.tell_call(call, stale).unwrap();
    assert_eq!(w.call(call).turns, 2);
}

#[test]
fn talk_time_is_known_though_the_answer_was_never_reported() {
    let (mut w, call, sid) = ringing(plain().plan);
    let mut report = w.carrier.line(&sid).unwrap().clone().report(w.now);
    report.progress = Progress::Ended(End::Completed);
    report.duration_s = Some(42);
    w.tell_call(call, Command::Reported { attempt: 1, report }).unwrap();
    assert_eq!(w.call(call).talk_ms, 42 * SECOND);
    assert_eq!(end_of(&w, call), Some(Disposition::Completed));
}

#[test]
fn who_was_answered_is_not_called_again_because_the_line_failed() {
    let (mut w, call, sid) = answered(plain().plan);
    w.progress(&sid, Progress::Ended(End::Failed(tandem_domain::carrier::Cause::Carrier)));
    assert_eq!(end_of(&w, call), Some(Disposition::Completed));
}

#[test]
fn a_lost_attempt_may_be_repeated_by_an_explicit_wish_only() {
    let mut plan = plain().plan;
    plan.settle_ms = MINUTE;
    plan.retry = retry::Unchecked {
        retried: retry::OutcomeSet::default().with(Outcome::Lost),
        ..retry::Policy::default().get().clone()
    }
    .check()
    .unwrap();
    let (mut w, _, call, attempt) = dialing(plan);
    w.answer(attempt, DialOutcome::Unknown);
    w.pass(MINUTE);
    assert_eq!(w.phase(call), Phase::Queued);
    w.pass(15 * MINUTE);
    let second = w.dial().attempt;
    assert_eq!(second.number, 2);
    // The first one shows up now: it is not the second.
    let sid = w.carrier.take(attempt);
    w.progress(&sid, Progress::Answered);
    assert_eq!(w.instructed(), [(sid, HANGUP)]);
    assert_eq!(w.phase(call), Phase::Dispatching);
}

#[test]
fn a_single_call_is_placed_and_called_off_in_any_moment() {
    for pause in 0..6 {
        let mut w = World::ordinary(Limits::default());
        let order = w.order(2, plain().plan, None, Priority::High);
        let call = w.place(order);
        for _ in 0..pause {
            let Some(lane) = w.lanes.keys().next().copied() else {
                w.tick_due();
                continue;
            };
            w.deliver(lane);
        }
        w.tell_call(call, Command::Hangup).unwrap();
        w.check();
        w.flow();
        w.rest();
        w.check_rest();
        assert_eq!(w.campaign(direct(w.company)).ready, 0);
    }
}

#[test]
fn a_single_call_that_overtakes_its_company_is_not_forgotten() {
    let mut w = World::new(1);
    let owned = crate::world::setup::owned(&[Limits::default()]);
    w.found(Limits::default(), owned, plain());
    let order = w.order(2, plain().plan, None, Priority::Normal);
    let call = w.place(order);
    let company = tandem_domain::id::Entity::company(w.company);
    let (from, to) = (tandem_domain::id::Entity::call(w.company, call), w.direct());
    w.deliver((from, to));
    w.deliver((company, to));
    assert!(w.refused.is_empty(), "{:?}", w.refused);
    w.flow();
    assert_eq!(w.everybody_answers(), 1);
    assert_eq!(end_of(&w, call), Some(Disposition::Completed));
}

#[test]
fn single_calls_are_not_stopped_by_trouble_of_the_carrier() {
    let mut w = World::ordinary(Limits::default());
    let order = w.order(2, plain().plan, None, Priority::Normal);
    let call = w.place(order);
    w.flow();
    let dial = w.dial();
    w.refuse(dial.attempt, tandem_domain::carrier::RefusalReason::CallerId, 21_210);
    w.flow();
    assert!(w.dialed().is_empty(), "not at once");
    w.pass(2 * MINUTE);
    assert_eq!(w.everybody_answers(), 1, "{}", w.describe());
    assert_eq!(end_of(&w, call), Some(Disposition::Completed));
    assert!(w.tell_campaign(direct(w.company), campaign::Command::Stop).is_err());
}

#[test]
fn a_call_that_the_application_dials_obeys_the_rules_and_has_its_end() {
    let mut w = World::ordinary(Limits::default());
    let plan = Plan { carrier: Plan::EXTERNAL.into(), ..plain().plan };
    let order = w.order(2, plan, None, Priority::Normal);
    let call = w.place(order);
    let step = |step| Command::Step(step);
    let begin = || step(CarrierStep::Begin { from: NUMBERS[0].into() });
    w.tell_call(call, begin()).unwrap();
    assert_eq!(w.phase(call), Phase::Dispatching);
    assert!(w.dialed().is_empty(), "the application dials");
    assert!(w.tell_call(call, begin()).is_err());
    w.tell_call(call, step(CarrierStep::Ringing { attempt: 1 })).unwrap();
    w.tell_call(call, step(CarrierStep::Answered { attempt: 1, answered_by: None })).unwrap();
    w.tell_call(call, step(CarrierStep::Talking { attempt: 1 })).unwrap();
    assert!(w.tell_call(call, step(CarrierStep::Ringing { attempt: 1 })).is_err());
    w.tell_call(call, step(CarrierStep::Ended { attempt: 1, outcome: Outcome::Busy })).unwrap();
    assert_eq!(w.phase(call), Phase::Queued);
    assert!(w.tell_call(call, begin()).is_err(), "not before its time");
    w.pass(15 * MINUTE);
    w.tell_call(call, begin()).unwrap();
    w.tell_call(call, step(CarrierStep::Ended { attempt: 2, outcome: Outcome::Answered })).unwrap();
    assert_eq!(end_of(&w, call), Some(Disposition::Completed));
    w.flow();
    w.check_rest();
}

#[test]
fn an_application_that_falls_silent_loses_its_call() {
    let mut w = World::ordinary(Limits::default());
    let plan = Plan { carrier: Plan::EXTERNAL.into(), ..plain().plan };
    let order = w.order(2, plan, None, Priority::Normal);
    let call = w.place(order);
    w.tell_call(call, Command::Step(CarrierStep::Begin { from: NUMBERS[0].into() })).unwrap();
    w.pass(20 * MINUTE);
    assert_eq!(end_of(&w, call), Some(Disposition::Lost));
}
