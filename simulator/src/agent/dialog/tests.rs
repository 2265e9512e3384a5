use super::*;
use crate::audio::{self, Manner, SILENCE, sentence};
use crate::pace::SystemClock;
use std::sync::Arc;

const EVERY_FAULT: [Option<AgentFault>; 9] = [
    None,
    Some(AgentFault::NeverAnswers),
    Some(AgentFault::Close1002),
    Some(AgentFault::Close1008),
    Some(AgentFault::Close1011),
    Some(AgentFault::Cut),
    Some(AgentFault::Flood),
    Some(AgentFault::Garbage),
    Some(AgentFault::EndsAtOnce),
];

fn dialog(speed: f64, fault: Option<AgentFault>) -> Dialog {
    let pace = Pace::new(speed, None, None, Arc::new(SystemClock));
    Dialog::new("conv_1".to_owned(), Agent::default(), Dialogue::default(), fault, pace)
}

fn begun(speed: f64) -> (Dialog, Vec<Out>) {
    let (mut dialog, mut out) = (dialog(speed, None), Vec::new());
    dialog.take(Incoming::Initiation(Box::default()), &mut out);
    (dialog, out)
}

fn kinds(out: &[Out]) -> Vec<String> {
    out.iter()
        .map(|out| match out {
            Out::Send(value) => value["type"].as_str().unwrap_or_default().to_owned(),
            other => format!("{other:?}"),
        })
        .collect()
}

/// Lets time pass until something is sent that is not a ping; pings are answered.
fn wait(dialog: &mut Dialog) -> Vec<Out> {
    for _ in 0..100_000 {
        let mut out = Vec::new();
        dialog.pass(dialog.due(), &mut out);
        let pings: Vec<u64> = out
            .iter()
            .filter_map(|out| {
                if let Out::Send(value) = out { value["ping_event"]["event_id"].as_u64() } else { None }
            })
            .collect();
        out.retain(|out| !matches!(out, Out::Send(value) if value["type"] == "ping"));
        let mut more = Vec::new();
        for ping in pings {
            dialog.take(Incoming::Pong(ping), &mut more);
        }
        out.extend(more);
        if !out.is_empty() || dialog.over() {
            return out;
        }
    }
    panic!("nothing happens");
}

#[test]
fn every_conversation_ends_by_itself_when_nobody_speaks() {
    for fault in EVERY_FAULT {
        for speed in [1.0, 1_000.0] {
            let mut dialog = dialog(speed, fault);
            let mut out = Vec::new();
            dialog.take(Incoming::Initiation(Box::default()), &mut out);
            for _ in 0..10_000 {
                if dialog.over() {
                    break;
                }
                wait(&mut dialog);
            }
            assert!(dialog.over(), "{fault:?} at {speed}");
            assert!(dialog.clock_ms() <= Agent::default().duration_ms_max);
        }
    }
}

#[test]
fn a_caller_who_cuts_in_is_heard_and_the_record_is_corrected() {
    let (mut dialog, out) = begun(1.0);
    assert_eq!(kinds(&out)[..2], ["conversation_initiation_metadata", "agent_response"]);
    let mut out = Vec::new();
    dialog.pass(Duration::from_millis(900), &mut out);
    dialog.take(Incoming::Audio(sentence("Wait", 1_600, Manner::INTERRUPTING)), &mut out);
    // Audio that was under way comes after the interruption, with an event id that says it is stale.
    assert_eq!(kinds(&out), ["interruption", "agent_response_correction", "audio", "user_transcript"]);
    let event = |out: &Out, path: &str| {
        if let Out::Send(value) = out { value[path]["event_id"].as_u64() } else { None }
    };
    assert!(event(&out[2], "audio_event") <= event(&out[0], "interruption_event"));
    let Out::Send(correction) = &out[1] else { panic!() };
    let correction = &correction["agent_response_correction_event"];
    let (original, corrected) =
        (correction["original_agent_response"].as_str(), correction["corrected_agent_response"].as_str());
    let (original, corrected) = (original.expect("text"), corrected.expect("text"));
    assert!(!corrected.is_empty() && corrected.len() < original.len() && original.starts_with(corrected));
    assert!(dialog.transcript[0].interrupted);
    assert_eq!(kinds(&wait(&mut dialog))[..1], ["agent_response"]);
}

#[test]
fn foreign_speech_is_a_turn_once_silence_follows() {
    let (mut dialog, _) = begun(1.0);
    let mut out = Vec::new();
    dialog.pass(Duration::from_secs(3), &mut out);
    out.clear();
    dialog.take(Incoming::Audio(audio::beep(4_000)), &mut out);
    assert!(out.is_empty());
    for _ in 0..34 {
        dialog.take(Incoming::Audio(vec![SILENCE; 160]), &mut out);
    }
    assert!(out.is_empty(), "{out:?}");
    dialog.take(Incoming::Audio(vec![SILENCE; 160]), &mut out);
    assert_eq!(kinds(&out), ["user_transcript"]);
}

#[test]
fn speech_that_breaks_off_does_not_hold_the_agent_up() {
    let (mut dialog, _) = begun(1.0);
    let mut out = Vec::new();
    dialog.pass(Duration::from_secs(3), &mut out);
    out.clear();
    let half = sentence("I wanted to say", 8_000, Manner::PLAIN)[..4_000].to_vec();
    dialog.take(Incoming::Audio(half), &mut out);
    assert!(out.is_empty());
    assert_eq!(kinds(&wait(&mut dialog)), ["user_transcript"]);
}

#[test]
fn a_tool_that_never_answers_is_given_up() {
    let (mut dialog, _) = begun(1.0);
    let mut called = false;
    for _ in 0..4 {
        let mut out = Vec::new();
        dialog.take(Incoming::Text("go on".to_owned()), &mut out);
        let out = wait(&mut dialog);
        if kinds(&out) == ["client_tool_call"] {
            called = true;
            let out = wait(&mut dialog);
            assert_eq!(kinds(&out)[0], "agent_response");
            let Out::Send(response) = &out[0] else { panic!() };
            assert!(response.to_string().contains("did not answer"));
        }
    }
    assert!(called);
}

#[test]
fn variables_are_filled_in_or_missed() {
    let mut variables = Map::new();
    variables.insert("name".to_owned(), "Ana".into());
    variables.insert("n".to_owned(), 3.into());
    assert_eq!(super::speak::fill("{{ name }} has {{n}} {", &variables).as_deref(), Some("Ana has 3 {"));
    assert_eq!(super::speak::fill("{{other}}", &variables), None);
    assert_eq!(super::speak::fill("{{open", &variables).as_deref(), Some("{{open"));
}
