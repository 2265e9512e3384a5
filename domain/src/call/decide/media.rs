//! The document that an answered call asks for, and the media connection it leads to.

use super::super::command::{Conversation, Document, MediaEnd, MediaGrant, SaidTurn};
use super::super::event::What;
use super::{Draft, carrier};
use crate::carrier::Instruction;
use crate::machine::Rejection;
use crate::row::{RowKey, RowWrite, Turn};

/// So many media connections are offered in one attempt, opened or not. A call that needs more has nobody to talk to.
const GENERATIONS_MAX: u32 = 16;

/// Turns taken down at once, and sealed bytes of one.
const TURNS_MAX: usize = 100;
const TURN_BYTES_MAX: usize = 20_000;

/// The gate: one carrier call per attempt gets the conversation, any other is told to hang up. `ended`: the
/// generation whose connection has ended at the carrier, where that is why it asks.
pub(super) fn document(d: &mut Draft<'_>, attempt: u16, sid: &str, ended: Option<u32>) -> Document {
    if d.live(attempt).is_none() || !carrier::adopt(d, attempt, sid) {
        return Document::Hangup;
    }
    let Some(live) = d.s.live.as_deref() else { return Document::Hangup };
    let (newest, open) = (live.generation, live.media_open);
    // Whoever held it may be gone with its node, and cannot say so. Of a newer one a late request says nothing.
    if open && ended.is_some_and(|ended| newest <= ended) {
        d.event(What::MediaClosed { generation: newest, end: MediaEnd::Node });
    }
    let generation = newest.max(ended.unwrap_or(0)).saturating_add(1);
    if is_over(d) || d.s.cancel || generation > GENERATIONS_MAX {
        return Document::Hangup;
    }
    // Only an answered call asks for its document.
    carrier::answered(d);
    Document::Stream { generation }
}

/// Nobody is to talk to the person, or not any more.
fn is_over(d: &Draft<'_>) -> bool {
    let ends = d.s.live.as_ref().is_none_or(|l| l.hangup_sent || l.message_left || l.conversation_over);
    ends || d.s.is_dismissed()
}

/// Each generation is granted once, and only upwards: what comes with an older one, or a second time, is stale.
pub(super) fn attach(d: &mut Draft<'_>, attempt: u16, sid: &str, generation: Option<u32>) -> MediaGrant {
    if d.live(attempt).is_none() || !carrier::adopt(d, attempt, sid) {
        return MediaGrant::Refused;
    }
    let Some(live) = d.s.live.as_deref() else { return MediaGrant::Refused };
    let Some(customer) = d.s.customer else { return MediaGrant::Refused };
    let generation = generation.unwrap_or(live.generation.saturating_add(1));
    if generation <= live.generation || generation > GENERATIONS_MAX || is_over(d) {
        return MediaGrant::Refused;
    }
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
