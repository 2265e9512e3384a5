//! Dividing a company's limits among its running campaigns.
//!
//! Nothing is promised twice: concurrency that was lent counts as held until its campaign has said
//! that it uses no more than its newer, smaller share. Only what is free is lent on.

use super::command::{CallerShare, Join, Share};
use super::event::{Loan, Pool, State};
use crate::campaign::Limits;
use crate::id::CampaignId;
use crate::time::Millis;
use std::collections::BTreeMap;

const UNLIMITED: u32 = u32::MAX;

fn limit(x: u32) -> u32 {
    if x == 0 { UNLIMITED } else { x }
}

/// Attempts of a day are lent in pieces of a twentieth, so that one campaign does not hoard them.
fn piece(limit: u32) -> u32 {
    (limit / 20).clamp(1, 1_000)
}

/// Limits of the pool that stands at `index` of this loan: the company's own, or a caller id's.
fn limits_of(s: &State, wants: &Join, index: usize) -> Limits {
    if index == 0 {
        return s.limits;
    }
    let number = wants.callers.get(index - 1);
    match s.callers.iter().find(|c| Some(&c.number) == number) {
        Some(caller) => caller.limits,
        // Not (any more) a number of this company: it lends nothing of it.
        None => NOTHING,
    }
}

/// A marker: 0 would mean unlimited.
const NOTHING: Limits = Limits { concurrency: UNLIMITED - 1, milli_cps: 0, attempts_a_day: 0 };

fn concurrency_of(limits: Limits) -> u32 {
    if limits == NOTHING { 0 } else { limit(limits.concurrency) }
}

/// Where the pool of one loan stands in another.
fn same_pool(a: &Join, index: usize, b: &Join) -> Option<usize> {
    if index == 0 {
        return Some(0);
    }
    let number = a.callers.get(index - 1)?;
    b.callers.iter().position(|c| c == number).map(|i| i + 1)
}

/// The loans after `wants` has joined (or asked anew), those that changed only.
pub(super) fn join(s: &State, wants: &Join, day: i32) -> Vec<(CampaignId, Loan)> {
    let mut loans = s.loans.clone();
    if day != s.day {
        loans.values_mut().flat_map(|l| l.pools.iter_mut()).for_each(|p| p.quota = 0);
    }
    let pools = wants.callers.len() + 1;
    let mut loan = loans.remove(&wants.campaign).unwrap_or_else(|| Loan {
        wants: wants.clone(),
        pools: Vec::new(),
        version: 0,
    });
    if loan.wants.callers != wants.callers {
        // Places have moved; what is in use of each is told anew.
        loan.pools.clear();
    }
    loan.pools.resize(pools, Pool::default());
    for (i, pool) in loan.pools.iter_mut().enumerate() {
        let used = wants.in_use.get(i).copied().unwrap_or(0);
        pool.held = pool.held.max(used);
    }
    loan.wants = wants.clone();
    lend_attempts(s, &loans, &mut loan, day);
    loans.insert(wants.campaign, loan);
    divide(s, &mut loans);
    changed(s, loans, Some(wants.campaign))
}

/// The loans after a campaign has left or has given something back.
pub(super) fn returned(s: &State, mut loans: BTreeMap<CampaignId, Loan>) -> Vec<(CampaignId, Loan)> {
    divide(s, &mut loans);
    changed(s, loans, None)
}

fn changed(
    s: &State,
    loans: BTreeMap<CampaignId, Loan>,
    always: Option<CampaignId>,
) -> Vec<(CampaignId, Loan)> {
    let count = loans.len() != s.loans.len();
    loans
        .into_iter()
        .filter(|(id, loan)| {
            // With another number of campaigns, everybody's rate changes.
            count || Some(*id) == always || s.loans.get(id).is_none_or(|old| old.pools != loan.pools)
        })
        .collect()
}

/// Gives the asking campaign another piece of the day's attempts where its own are used up.
fn lend_attempts(s: &State, others: &BTreeMap<CampaignId, Loan>, loan: &mut Loan, day: i32) {
    for i in 0..loan.pools.len() {
        let a_day = limits_of(s, &loan.wants, i).attempts_a_day;
        if a_day == 0 {
            loan.pools[i].quota = UNLIMITED;
            continue;
        }
        let used = match (loan.wants.day == day, i) {
            (false, _) => 0,
            (true, 0) => loan.wants.used_today,
            (true, i) => loan.wants.callers_today.get(i - 1).copied().unwrap_or(0),
        };
        if loan.pools[i].quota == UNLIMITED {
            loan.pools[i].quota = used;
        }
        if used >= loan.pools[i].quota {
            let lent: u32 = others
                .values()
                .filter_map(|o| same_pool(&loan.wants, i, &o.wants).and_then(|at| o.pools.get(at)))
                .map(|p| if p.quota == UNLIMITED { 0 } else { p.quota })
                .fold(loan.pools[i].quota, u32::saturating_add);
            loan.pools[i].quota += piece(a_day).min(a_day.saturating_sub(lent));
        }
    }
}

/// Equal shares of every pool, none larger than what its campaign can use, none promised while
/// another still holds it.
fn divide(s: &State, loans: &mut BTreeMap<CampaignId, Loan>) {
    let ids: Vec<CampaignId> = loans.keys().copied().collect();
    // The company's own pool, then each caller id's, over all campaigns that name it.
    let mut groups: BTreeMap<Option<String>, Vec<(CampaignId, usize)>> = BTreeMap::new();
    for id in &ids {
        let Some(loan) = loans.get(id) else { continue };
        groups.entry(None).or_default().push((*id, 0));
        for (i, number) in loan.wants.callers.iter().enumerate() {
            groups.entry(Some(number.clone())).or_default().push((*id, i + 1));
        }
    }
    for members in groups.values() {
        let Some((first, index)) = members.first() else { continue };
        let Some(loan) = loans.get(first) else { continue };
        let total = concurrency_of(limits_of(s, &loan.wants, *index));
        let wants: Vec<u32> =
            members.iter().map(|(id, _)| loans.get(id).map_or(0, |l| limit(l.wants.concurrency))).collect();
        let targets = fair(total, &wants);
        // Shrink first: what is given back counts once it is known to be unused.
        let mut held: u64 = 0;
        for ((id, index), target) in members.iter().zip(&targets) {
            if let Some(pool) = loans.get_mut(id).and_then(|l| l.pools.get_mut(*index)) {
                pool.share = pool.share.min(*target);
                held += u64::from(pool.held.max(pool.share));
            }
        }
        for ((id, index), target) in members.iter().zip(&targets) {
            if let Some(pool) = loans.get_mut(id).and_then(|l| l.pools.get_mut(*index)) {
                let mine = pool.held.max(pool.share);
                let room = u64::from(total).saturating_sub(held);
                let more = u64::from(target.saturating_sub(mine)).min(room);
                let share = if *target > pool.share {
                    // Up to what it holds anyway, and beyond that only what is free.
                    (*target).min(mine.saturating_add(u32::try_from(more).unwrap_or(UNLIMITED)))
                } else {
                    pool.share
                };
                if total == UNLIMITED {
                    pool.share = *target;
                    pool.held = 0;
                } else {
                    pool.share = share;
                    let now = mine.max(share);
                    held += u64::from(now - mine);
                    pool.held = now;
                }
            }
        }
    }
}

/// Water filling: equal parts, what one cannot use goes to the others.
fn fair(total: u32, wants: &[u32]) -> Vec<u32> {
    if total == UNLIMITED {
        return wants.to_vec();
    }
    let mut shares = vec![0u32; wants.len()];
    let mut left = total;
    loop {
        let hungry: Vec<usize> = (0..wants.len()).filter(|i| shares[*i] < wants[*i]).collect();
        if hungry.is_empty() || left == 0 {
            return shares;
        }
        let each = left / u32::try_from(hungry.len()).unwrap_or(UNLIMITED);
        if each == 0 {
            // Fewer than one each: the first ones get one.
            for i in hungry.into_iter().take(left as usize) {
                shares[i] += 1;
            }
            return shares;
        }
        for i in hungry {
            let more = each.min(wants[i] - shares[i]);
            shares[i] += more;
            left -= more;
        }
    }
}

/// What a campaign is told of its loan.
pub(super) fn share(s: &State, loan: &Loan, at: Millis, running: u32) -> Share {
    let rate = |index: usize| {
        let total = limits_of(s, &loan.wants, index).milli_cps;
        if total == 0 {
            return UNLIMITED;
        }
        let sharers = if index == 0 {
            running
        } else {
            let same = s.loans.values().filter(|o| same_pool(&loan.wants, index, &o.wants).is_some());
            u32::try_from(same.count()).unwrap_or(UNLIMITED)
        };
        (total / sharers.max(1)).max(1)
    };
    let pool = |index: usize| loan.pools.get(index).copied().unwrap_or_default();
    Share {
        version: loan.version,
        concurrency: pool(0).share,
        milli_cps: rate(0),
        day: s.day,
        quota: pool(0).quota,
        callers: (1..loan.pools.len())
            .map(|i| CallerShare { concurrency: pool(i).share, milli_cps: rate(i), quota: pool(i).quota })
            .collect(),
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_and_the_rest_to_whoever_can_use_it() {
        assert_eq!(fair(10, &[UNLIMITED, UNLIMITED]), [5, 5]);
        assert_eq!(fair(10, &[2, UNLIMITED]), [2, 8]);
        assert_eq!(fair(2, &[5, 5, 5]), [1, 1, 0]);
        assert_eq!(fair(0, &[5]), [0]);
        assert_eq!(fair(UNLIMITED, &[7, UNLIMITED]), [7, UNLIMITED]);
        assert_eq!(fair(11, &[UNLIMITED; 3]).iter().sum::<u32>(), 11);
    }
}
