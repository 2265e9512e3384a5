//! What a company lends, and what its campaigns do with it.

use super::{Picture, ensure};
use crate::campaign::{self, Limits, Phase};
use crate::company::{Loan, State};
use crate::id::CampaignId;
use std::collections::BTreeMap;

const UNLIMITED: u32 = u32::MAX;

/// The pools of one loan, by caller id; the company's own has none.
fn pools(loan: &Loan) -> impl Iterator<Item = (Option<&str>, &crate::company::Pool)> {
    std::iter::once(None).chain(loan.wants.callers.iter().map(|c| Some(c.as_str()))).zip(&loan.pools)
}

fn limits(s: &State, pool: Option<&str>) -> Option<Limits> {
    match pool {
        None => Some(s.limits),
        Some(number) => s.callers.iter().find(|c| c.number == number).map(|c| c.limits),
    }
}

/// 0 means no limit; a number that is not the company's gives nothing.
fn concurrency(s: &State, pool: Option<&str>) -> u64 {
    match limits(s, pool).map(|l| l.concurrency) {
        Some(0) => u64::MAX,
        Some(n) => u64::from(n),
        None => 0,
    }
}

pub(super) fn use_is_lent(p: &Picture<'_>) -> Result<(), String> {
    p.campaigns.iter().try_for_each(|(id, s)| of_campaign(p, *id, s))
}

fn of_campaign(p: &Picture<'_>, id: CampaignId, s: &campaign::State) -> Result<(), String> {
    let used = std::iter::once((None, s.in_flight))
        .chain(s.config.callers.iter().map(|c| Some(c.as_str())).zip(s.callers.iter().map(|c| c.in_flight)));
    let claims = s.phase == Phase::Running;
    let lent = |pool: Option<&str>| match (&s.share, pool) {
        _ if !claims => 0,
        (None, _) => 0,
        (Some(share), None) => share.concurrency,
        (Some(share), Some(number)) => s
            .config
            .callers
            .iter()
            .position(|c| c == number)
            .and_then(|i| share.callers.get(i))
            .map_or(0, |c| c.concurrency),
    };
    let loan = p.book.loans.get(&id);
    for (pool, used) in used {
        let may = used.max(lent(pool));
        let reckoned = loan
            .and_then(|l| pools(l).find(|(of, _)| *of == pool))
            .map_or(0, |(_, pool)| pool.held.max(pool.share));
        ensure(may <= reckoned, || {
            format!(
                "{id} ({:?}) uses {used} and may use {} of {pool:?}, the company reckons with {reckoned}",
                s.phase,
                lent(pool)
            )
        })?;
    }
    Ok(())
}

/// Sums over all loans, by pool.
fn sums(s: &State, of: impl Fn(&crate::company::Pool) -> u64) -> BTreeMap<Option<&str>, u64> {
    let mut sums: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for (name, pool) in s.loans.values().flat_map(pools) {
        let sum = sums.entry(name).or_default();
        *sum = sum.saturating_add(of(pool));
    }
    sums
}

pub(super) fn lent_once(p: &Picture<'_>) -> Result<(), String> {
    for (pool, sum) in sums(p.book, |x| u64::from(x.share)) {
        let limit = concurrency(p.book, pool);
        ensure(sum <= limit, || format!("{sum} of {limit} are lent of {pool:?}: {:?}", p.book.loans))?;
    }
    Ok(())
}

pub(super) fn day_within_limit(p: &Picture<'_>) -> Result<(), String> {
    let lent = |x: &crate::company::Pool| match x.quota {
        UNLIMITED => 0,
        quota => u64::from(quota.saturating_sub(x.base)),
    };
    for (pool, sum) in sums(p.book, lent) {
        let spent = p.book.spent.get(&pool.map(str::to_owned)).copied().unwrap_or(0);
        let sum = sum + u64::from(spent);
        let Some(limit) = limits(p.book, pool).map(|l| l.attempts_a_day).filter(|l| *l > 0) else { continue };
        ensure(sum <= u64::from(limit), || {
            format!("{sum} of {limit} attempts a day are spent or lent of {pool:?}")
        })?;
        let made: u64 = p
            .campaigns
            .values()
            .filter(|s| s.day == p.book.day)
            .map(|s| match pool {
                None => u64::from(s.today),
                Some(number) => {
                    let at = s.config.callers.iter().position(|c| c == number);
                    at.and_then(|i| s.callers.get(i)).map_or(0, |c| u64::from(c.today))
                }
            })
            .sum();
        ensure(made <= u64::from(limit), || {
            format!("{made} attempts of {limit} a day were made of {pool:?}")
        })?;
    }
    Ok(())
}
