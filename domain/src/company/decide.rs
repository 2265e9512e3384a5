//! The decisions of a company.

use super::Company;
use super::command::{Command, Join, NewKey, Reply, Share, Update};
use super::event::{Event, State, What, evolve};
use super::lend::Book;
use crate::campaign::{self, Config};
use crate::effect::Effect;
use crate::id::{CampaignId, Entity};
use crate::machine::{Context, Decision, Machine, Rejection};
use crate::row::{ApiKeyValue, CompanyGate, RowKey, RowWrite};
use crate::time::DAY;

/// Keys a company can have, revoked ones included.
const KEYS_MAX: usize = 100;
/// Campaigns of one company that can run at once.
const RUNNING_MAX: usize = 500;
/// Caller ids of one campaign, those included that are only in use until a call ends.
const CALLERS_LENT_MAX: usize = 2 * Config::CALLERS_MAX;
/// Parts of limits that can be lent at once: the whole book is one value.
const POOLS_MAX: usize = 1_500;

struct Draft<'a> {
    s: State,
    cx: &'a Context<'a>,
    events: Vec<Event>,
    effects: Vec<Effect>,
    rows: Vec<RowWrite>,
}

impl Draft<'_> {
    fn event(&mut self, what: What) {
        let event = Event { at: self.cx.now, what };
        evolve(&mut self.s, &event);
        self.events.push(event);
    }

    fn gate(&mut self) {
        let company = self.cx.me.company;
        let gate = CompanyGate { open: self.s.closed.is_none(), reason: self.s.closed.clone() };
        self.rows.push(RowWrite::set(RowKey::Gate { company }, &gate));
    }

    fn key_row(&mut self, key: &NewKey, revoked: bool) {
        let value = ApiKeyValue {
            company: self.cx.me.company,
            hash: key.hash,
            scopes: key.scopes,
            created_at: self.cx.now,
            revoked_at: revoked.then_some(self.cx.now),
        };
        self.rows.push(RowWrite::set(RowKey::ApiKey { key_id: key.key_id }, &value));
    }
}

pub(super) fn decide(s: &State, command: &Command, cx: &Context<'_>) -> Result<Decision<Company>, Rejection> {
    let company = cx.me.company;
    let mut d = Draft { s: s.clone(), cx, events: Vec::new(), effects: Vec::new(), rows: Vec::new() };
    match command {
        Command::Create { name, secrets, settings, key } => {
            if Company::exists(s) {
                return Err(Rejection::AlreadyExists);
            }
            if name.trim().is_empty() || name.len() > 200 {
                return Err(Rejection::invalid("name", "1 to 200 bytes"));
            }
            d.event(What::Created { name: name.clone(), secrets: secrets.clone() });
            d.rows.push(RowWrite::mark(RowKey::Company { company }));
            d.gate();
            if let Some(key) = key {
                add_key(&mut d, key)?;
            }
            update(&mut d, settings)?;
            let direct = Entity::campaign(company, campaign::direct(company));
            let config = Box::new(single_calls(&d.s));
            d.effects.push(Effect::send(
                direct,
                campaign::Command::Create { name: "single calls".into(), config, direct: true },
            ));
        }
        _ if !Company::exists(s) => return Err(Rejection::NotFound("company")),
        Command::Update { settings, from } => {
            if from.as_deref().is_some_and(|from| !from.holds_in(s)) {
                return Err(Rejection::Stale("settings"));
            }
            update(&mut d, settings)?;
            let direct = Entity::campaign(company, campaign::direct(company));
            let config = Box::new(single_calls(&d.s));
            d.effects.push(Effect::send(direct, campaign::Command::Configure { config, from: None }));
            let mut book = Book::of(&d.s);
            book.limits_changed(s, &d.s);
            lent(&mut d, s, book, None);
        }
        Command::AddKey(key) => add_key(&mut d, key)?,
        Command::RevokeKey { key_id } => {
            let known = s.keys.iter().find(|k| k.key_id == *key_id);
            let Some(key) = known else { return Err(Rejection::NotFound("key")) };
            if key.revoked_at.is_none() {
                d.event(What::KeyRevoked { key_id: *key_id });
                // A hash that no secret has.
                let gone = NewKey { key_id: *key_id, hash: [0; 32], name: String::new(), scopes: 0 };
                d.key_row(&gone, true);
            }
        }
        Command::Close { reason } => {
            if reason.is_empty() || reason.len() > 500 {
                return Err(Rejection::invalid("reason", "1 to 500 bytes"));
            }
            d.event(What::Closed { reason: reason.clone() });
            d.gate();
        }
        Command::Open => {
            if s.closed.is_some() {
                d.event(What::Opened);
                d.gate();
            }
        }
        Command::Join(wants) => join(&mut d, s, wants)?,
        Command::Leave(leave) => {
            let mut book = Book::of(s);
            if book.leave(s, leave) {
                d.event(What::Left { campaign: leave.campaign });
                lent(&mut d, s, book, None);
            }
        }
        Command::Shared { campaign, version, in_use } => {
            let mut book = Book::of(s);
            book.taken_down(s, *campaign, *version, in_use);
            lent(&mut d, s, book, None);
        }
        Command::Get => {}
    }
    let reply = Reply::State(Box::new(d.s));
    Ok(Decision { events: d.events, effects: d.effects, rows: d.rows, reply })
}

fn join(d: &mut Draft<'_>, before: &State, wants: &Join) -> Result<(), Rejection> {
    if wants.callers.len() > CALLERS_LENT_MAX {
        return Err(Rejection::Exhausted { what: "caller ids", max: CALLERS_LENT_MAX as u64 });
    }
    // Whoever is turned away asks again after a while.
    let known = d.s.loans.contains_key(&wants.campaign);
    let pools: usize = d.s.loans.values().map(|l| l.pools.len()).sum();
    if !known && (d.s.loans.len() >= RUNNING_MAX || pools + wants.callers.len() >= POOLS_MAX) {
        return Err(Rejection::Exhausted { what: "running campaigns", max: RUNNING_MAX as u64 });
    }
    let mut book = Book::of(&d.s);
    book.turn_to(&d.s, i32::try_from(d.cx.now.div_euclid(DAY)).unwrap_or(i32::MAX));
    book.join(&d.s, wants);
    lent(d, before, book, Some(wants.campaign));
    Ok(())
}

/// Writes changed loans down, and tells those campaigns of whom something changed.
fn lent(d: &mut Draft<'_>, before: &State, mut book: Book, asked: Option<CampaignId>) {
    let now = d.cx.now;
    let was = Book::of(before).shares(before, now);
    let version = d.s.share_version + 1;
    let mut told = Vec::new();
    for (campaign, share) in book.shares(&d.s, now) {
        let Some(loan) = book.loans.get_mut(&campaign) else { continue };
        if asked == Some(campaign) || was.get(&campaign).is_none_or(|w| *w != share) {
            loan.version = Share::version_of(loan.wants.session, version);
            told.push((campaign, Share { version: loan.version, ..share }));
        }
    }
    let same = |(id, loan): &(CampaignId, super::Loan)| d.s.loans.get(id) == Some(loan);
    let loans: Vec<_> = book.loans.into_iter().filter(|l| !same(l)).collect();
    if loans.is_empty() && book.spent == d.s.spent && book.day == d.s.day {
        return;
    }
    d.event(What::Lent { day: book.day, version, loans, spent: book.spent });
    for (campaign, share) in told {
        d.effects.push(Effect::send(
            Entity::campaign(d.cx.me.company, campaign),
            campaign::Command::Share(Box::new(share)),
        ));
    }
}

fn add_key(d: &mut Draft<'_>, key: &NewKey) -> Result<(), Rejection> {
    if d.s.keys.len() >= KEYS_MAX {
        return Err(Rejection::Exhausted { what: "keys", max: KEYS_MAX as u64 });
    }
    if key.name.len() > 100 {
        return Err(Rejection::invalid("name", "at most 100 bytes"));
    }
    if d.s.keys.iter().any(|k| k.key_id == key.key_id) {
        return Err(Rejection::AlreadyExists);
    }
    d.event(What::KeyAdded { key_id: key.key_id, name: key.name.clone(), scopes: key.scopes });
    d.key_row(key, false);
    Ok(())
}

fn update(d: &mut Draft<'_>, settings: &Update) -> Result<(), Rejection> {
    let refused = |e: campaign::ConfigError| Rejection::invalid(e.field, e.why);
    if let Some(limits) = &settings.limits {
        limits.validate().map_err(refused)?;
    }
    if let Some(config) = &settings.single_calls {
        config.rules().map_err(refused)?;
    }
    if let Some(callers) = &settings.callers {
        if callers.len() > Config::CALLERS_MAX {
            return Err(Rejection::Exhausted { what: "caller ids", max: Config::CALLERS_MAX as u64 });
        }
        for (i, caller) in callers.iter().enumerate() {
            let digits = caller.number.strip_prefix('+').unwrap_or("");
            let plain = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            if !plain || callers[..i].iter().any(|c| c.number == caller.number) {
                return Err(Rejection::invalid("callers", "E.164 numbers such as +15551234567, each once"));
            }
            caller.limits.validate().map_err(refused)?;
        }
    }
    d.event(What::Updated(Box::new(settings.clone())));
    let company = d.cx.me.company;
    // Calls that the application dials itself obey the same rules.
    let policy = single_calls(&d.s).policy(true);
    d.rows.push(RowWrite::set(RowKey::Policy { company, campaign: None }, &policy));
    Ok(())
}

/// Single calls may use every caller id of the company.
fn single_calls(s: &State) -> Config {
    let mut config = s.single_calls.clone();
    config.callers = s.callers.iter().map(|c| c.number.clone()).collect();
    config
}
