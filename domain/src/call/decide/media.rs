//! The document that an answered call asks for, and the media connection it leads to.

use super::super::command::{Conversation, Document, MediaEnd, MediaGrant, SaidTurn};
use super::super::event::What;
use super::{Draft, carrier};
use crate::carrier::Instruction;
use crate::machine::Rejection;
use crate::row::{RowKey, RowWrite, Turn};

/// A call that has lost its media this often is given up.
const GENERATIONS_MAX: u32 = 6;

/// Turns taken down at once, and sealed bytes of one.
const TURNS_MAX: usize = 100;
const TURN_BYTES_MAX: usize = 20_000;

/// The gate: one carrier call per attempt gets the conversation, any other is told to hang up.
pub(super) fn document(d: &mut Draft<'_>, attempt: u16, sid: &str, again: bool) -> Document {
    if d.live(attempt).is_none() || !carrier::adopt(d, attempt, sid) {
        return Document::Hangup;
    }
    let Some(live) = d.s.live.as_ref() else { return Document::Hangup };
    let over = live.hangup_sent || live.message_left || live.conversation_over || d.s.cancel;
    let over = over || d.s.is_dismissed();
    if over || (again && live.generation >= GENERATIONS_MAX) {
        return Document::Hangup;
    }
    // Only an answered call asks for its document.
    carrier::answered(d);
    Document::Connect
}

pub(super) fn opened(d: &mut Draft<'_>, attempt: u16, sid: &str) -> MediaGrant {
    if d.live(attempt).is_none() || !carrier::adopt(d, attempt, sid) {
        return MediaGrant::Refused;
    }
    let Some(live) = d.s.live.as_ref() else { return MediaGrant::Refused };
    let Some(customer) = d.s.customer else { return MediaGrant::Refused };
    let spent = live.generation >= GENERATIONS_MAX;
    let over = live.hangup_sent || live.message_left || live.conversation_over;
    if over || spent || d.s.is_dismissed() {
        return MediaGrant::Refused;
    }
    let generation = live.generation + 1;
    carrier::answered(d);
    d.event(What::MediaOpened { generation });
    MediaGrant::Go(Box::new(Conversation {
        generation,
        customer,
        agent: d.s.plan.agent.clone(),
        person: d.s.person.clone(),
        turns: d.s.turns,
    }))
}

pub(super) fn closed(d: &mut Draft<'_>, attempt: u16, generation: u32, end: &MediaEnd) {
    let Some(live) = d.live(attempt) else { return };
    // An older connection has been replaced; its end says nothing about the newer one.
    if live.generation != generation || !live.media_open {
        return;
    }
    let sid = live.sid.clone();
    let silent = live.hangup_sent || live.message_left;
    d.event(What::MediaClosed { generation, end: end.clone() });
    // The agent has ended the conversation: nobody is left to talk to the person.
    if let (MediaEnd::Agent(_), false, Some(sid)) = (end, silent, sid) {
        d.instruct(sid, Instruction::Hangup);
    }
}

pub(super) fn said(
    d: &mut Draft<'_>,
    attempt: u16,
    generation: u32,
    turns: &[SaidTurn],
) -> Result<(), Rejection> {
    if turns.len() > TURNS_MAX || turns.iter().any(|t| t.text.0.len() > TURN_BYTES_MAX) {
        return Err(Rejection::invalid("turns", "at most 100 at once, of at most 20 kB each"));
    }
    // Last words may come after the carrier has reported the end of the call.
    let newest = match d.live(attempt) {
        Some(live) => live.generation,
        None if d.s.live.is_none() && attempt == d.s.attempt => d.s.last_generation,
        None => return Ok(()),
    };
    if newest == 0 || newest != generation || turns.is_empty() {
        return Ok(());
    }
    let (company, call, first) = (d.company(), d.call(), d.s.turns);
    let mut no = first;
    for turn in turns {
        let row = Turn { at: turn.at, speaker: turn.speaker, text: turn.text.clone() };
        d.rows.push(RowWrite::set(RowKey::Turn { company, call, no }, &row));
        no += 1;
    }
    d.event(What::Said { first, count: no - first });
    Ok(())
}
