//! Permits and the people they are for.

use super::{Picture, ensure};
use crate::call::State;
use std::collections::BTreeMap;

pub(super) fn are_attempts(p: &Picture<'_>) -> Result<(), String> {
    let alive: BTreeMap<_, _> = p
        .calls
        .iter()
        .filter(|(_, s)| s.phase.is_alive())
        .filter_map(|(id, s)| Some(((s.campaign?, *id), s.attempt)))
        .collect();
    ensure(alive == p.rows.permits, || {
        format!("alive are {alive:?}, permits are held by {:?}", p.rows.permits)
    })
}

pub(super) fn one_a_person(p: &Picture<'_>) -> Result<(), String> {
    let mut live = BTreeMap::new();
    for (id, s) in p.calls.iter().filter(|(_, s)| s.phase.is_alive()) {
        let State { customer: Some(customer), attempt, .. } = s else {
            return Err(format!("{id} is alive and calls nobody"));
        };
        if let Some((other, _)) = live.insert(*customer, (*id, *attempt)) {
            return Err(format!("{id} and {other} call one person at once"));
        }
    }
    let recorded: BTreeMap<_, _> =
        p.rows.contacted.iter().filter_map(|(customer, c)| Some((*customer, c.live?))).collect();
    ensure(live == recorded, || format!("alive are {live:?}, recorded is {recorded:?}"))
}
