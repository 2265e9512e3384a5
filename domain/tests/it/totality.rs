//! Every machine has an answer to every command in every state: a decision or a named refusal.

use crate::walks::each;
use crate::world::World;
use crate::world::arbitrary::{OF_CALL, OF_CAMPAIGN, OF_COMPANY, OF_CUSTOMER};
use crate::world::draw::any_step;
use crate::world::entity::{Home, survives_encoding};
use crate::world::setup::any_setup;
use proptest::prelude::*;
use std::ops::Range;
use tandem_domain::call::Call;
use tandem_domain::campaign::{Campaign, direct};
use tandem_domain::company::Company;
use tandem_domain::customer::Customer;
use tandem_domain::id::{CallId, CampaignId, CompanyId, CustomerId, Entity};
use tandem_domain::machine::Context;
use uuid::Uuid;

/// Walks of an ordinary run; `TANDEM_WALKS` asks for others.
const WALKS: Range<u64> = 0..48;

/// Decides and throws the decision away, but for what it says of the machine.
pub fn ask<M: Home>(w: &mut World, me: Entity, state: &M::State, command: &M::Command) {
    let wanted = M::facts(me, state, command, w.now);
    let facts = w.rows.read(wanted);
    let random = w.random();
    let context = Context { me, now: w.now, next_event: 1, random, facts: &facts };
    let decided = M::decide(state, command, &context);
    w.coverage.saw::<M>(state, command, decided.as_ref());
    match decided {
        Ok(decision) => {
            let mut after = state.clone();
            for event in &decision.events {
                survives_encoding(event);
                M::evolve(&mut after, event);
            }
            survives_encoding(&after);
            if let Some(harvest) = &mut w.harvest {
                harvest.decided(&after, &decision);
                harvest.keep(&command.clone().into());
            }
            let _ = (M::wakeup(&after), M::exists(&after), M::is_final(&after));
        }
        Err(rejection) => {
            assert_ne!(rejection.reason(), "INTERNAL", "{rejection}: {command:?} to {state:#?}");
            assert!(!rejection.to_string().is_empty());
        }
    }
}

/// Every kind of command to everything there is, and to what there is not.
pub fn ask_everything(w: &mut World) {
    let company = w.company;
    let mut calls: Vec<_> = w.calls.iter().map(|(id, k)| (*id, k.state.clone())).collect();
    calls.push((CallId(Uuid::from_u128(3)), Default::default()));
    for (id, state) in calls {
        for kind in 0..OF_CALL {
            let command = w.any_call_command(kind, &state);
            ask::<Call>(w, Entity::call(company, id), &state, &command);
        }
    }
    let mut campaigns: Vec<_> = w.campaigns.iter().map(|(id, k)| (*id, k.state.clone())).collect();
    campaigns.push((CampaignId::from_bytes([88; 16]), Default::default()));
    campaigns.push((direct(company), Default::default()));
    for (id, state) in campaigns {
        for kind in 0..OF_CAMPAIGN {
            let command = w.any_campaign_command(kind, &state);
            ask::<Campaign>(w, Entity::campaign(company, id), &state, &command);
        }
    }
    let mut customers: Vec<_> = w.customers.iter().map(|(id, k)| (*id, k.state.clone())).collect();
    customers.push((CustomerId::from_bytes([99; 16]), Default::default()));
    for (id, state) in customers {
        for kind in 0..OF_CUSTOMER {
            let command = w.any_customer_command(kind);
            ask::<Customer>(w, Entity::customer(company, id), &state, &command);
        }
    }
    let book = w.book.state.clone();
    let stranger = CompanyId::from_bytes([2; 16]);
    for kind in 0..OF_COMPANY {
        let command = w.any_company_command(kind);
        ask::<Company>(w, Entity::company(company), &book, &command);
        ask::<Company>(w, Entity::company(stranger), &Default::default(), &command);
    }
}

#[test]
fn every_command_in_every_state_has_an_answer() {
    let walks = (any_setup(), prop::collection::vec(any_step(), 0..160));
    each(WALKS, &walks, |(setup, steps)| {
        let mut w = setup.build();
        for (n, step) in steps.iter().enumerate() {
            w.step(step);
            if n % 8 == 0 {
                ask_everything(&mut w);
            }
        }
        ask_everything(&mut w);
    });
}
