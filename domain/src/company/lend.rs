//! Dividing a company's limits among its running campaigns.
//!
//! Nothing is promised twice: concurrency that was lent counts as held until its campaign has said
//! that it uses no more than its newer, smaller share. Only what is free is lent on. Attempts of a
//! day are lent in pieces, and those of a campaign that has left still count.

use super::command::{CallerShare, Join, Leave, Share};
use super::event::{Loan, Pool, PoolName, Spent, State};
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

/// Limits of a pool: the company's own, or a caller id's. `None`: it is not (any more) a number of
/// this company, which lends nothing of it.
fn limits_of(s: &State, pool: &PoolName) -> Option<Limits> {
    match pool {
        None => Some(s.limits),
        Some(number) => s.callers.iter().find(|c| c.number == *number).map(|c| c.limits),
    }
}

/// Attempts of a day; none of a number that is not the company's.
fn a_day(s: &State, pool: &PoolName) -> u32 {
    limits_of(s, pool).map_or(0, |l| limit(l.attempts_a_day))
}

/// The names of a loan's pools, in their order.
fn names(wants: &Join) -> impl Iterator<Item = PoolName> + '_ {
    std::iter::once(None).chain(wants.callers.iter().cloned().map(Some))
}

/// Attempts made on the day of the book, by pool, as far as the campaign has said.
fn used(wants: &Join, day: i32, index: usize) -> u32 {
    match (wants.day == day, index) {
        (false, _) => 0,
        (true, 0) => wants.used_today,
        (true, i) => wants.callers_today.get(i - 1).copied().unwrap_or(0),
    }
}

/// What is lent to whom, being changed.
pub(super) struct Book {
    pub day: i32,
    pub loans: BTreeMap<CampaignId, Loan>,
    pub spent: Spent,
}

impl Book {
    pub fn of(s: &State) -> Book {
        Book { day: s.day, loans: s.loans.clone(), spent: s.spent.clone() }
    }

    /// On a new day nobody has made an attempt yet. Days never go back, whatever a clock says.
    pub fn turn_to(&mut self, s: &State, day: i32) {
        if day <= self.day {
            return;
        }
        self.day = day;
        self.spent.clear();
        for loan in self.loans.values_mut() {
            for (name, pool) in names(&loan.wants).zip(&mut loan.pools) {
                pool.base = 0;
                pool.quota = if a_day(s, &name) == UNLIMITED { UNLIMITED } else { 0 };
            }
        }
    }

    /// A campaign joins, or asks anew.
    pub fn join(&mut self, s: &State, wants: &Join) {
        let old = self.loans.remove(&wants.campaign);
        let mut before: BTreeMap<PoolName, Pool> =
            old.iter().flat_map(|l| names(&l.wants).zip(l.pools.iter().copied())).collect();
        let pools = names(wants).enumerate().map(|(i, name)| {
            let used = used(wants, self.day, i);
            // What it made in an earlier session is among what was spent.
            let mut pool =
                before.remove(&name).unwrap_or(Pool { base: used, quota: used, ..Pool::default() });
            pool.held = pool.held.max(wants.in_use.get(i).copied().unwrap_or(0));
            pool
        });
        let pools = pools.collect();
        for (name, pool) in before {
            self.spend(name, if pool.quota == UNLIMITED { 0 } else { pool.quota.saturating_sub(pool.base) });
        }
        let version = old.map_or(0, |l| l.version);
        self.loans.insert(wants.campaign, Loan { wants: wants.clone(), pools, version });
        self.take_note(s, wants);
        self.share_out(s, Some(wants.campaign));
    }

    /// A campaign has ceased to run. Whether it was among the borrowers.
    pub fn leave(&mut self, s: &State, leave: &Leave) -> bool {
        let Some(loan) = self.loans.remove(&leave.campaign) else { return false };
        let told = Join {
            day: leave.day,
            used_today: leave.used_today,
            callers_today: leave.callers_today.clone(),
            ..loan.wants.clone()
        };
        for (i, (name, pool)) in names(&loan.wants).zip(&loan.pools).enumerate() {
            self.spend(name, used(&told, self.day, i).saturating_sub(pool.base));
        }
        self.share_out(s, None);
        true
    }

    /// A campaign has taken down its share and says what it still uses.
    pub fn taken_down(&mut self, s: &State, campaign: CampaignId, version: u64, in_use: &[u32]) {
        let Some(loan) = self.loans.get_mut(&campaign).filter(|l| l.version == version) else { return };
        for (i, pool) in loan.pools.iter_mut().enumerate() {
            pool.held = pool.share.max(in_use.get(i).copied().unwrap_or(0));
        }
        self.divide(s);
    }

    /// The limits are others now. Where fewer attempts a day are allowed than before, everybody
    /// has to ask again, with what they have used by then.
    pub fn limits_changed(&mut self, before: &State, s: &State) {
        for loan in self.loans.values_mut() {
            for (i, (name, pool)) in names(&loan.wants).zip(&mut loan.pools).enumerate() {
                let (was, is) = (a_day(before, &name), a_day(s, &name));
                if is == UNLIMITED {
                    pool.quota = UNLIMITED;
                } else if is < was || pool.quota == UNLIMITED {
                    pool.quota = pool.base.max(used(&loan.wants, self.day, i));
                }
            }
        }
        self.share_out(s, None);
    }

    fn spend(&mut self, pool: PoolName, attempts: u32) {
        if attempts > 0 {
            let spent = self.spent.entry(pool).or_default();
            *spent = spent.saturating_add(attempts);
        }
    }

    /// Attempts of the day that were made by campaigns that have left, or are lent, by pool.
    fn out(&self) -> Spent {
        let mut out = self.spent.clone();
        for loan in self.loans.values() {
            for (name, pool) in names(&loan.wants).zip(&loan.pools) {
                if pool.quota < UNLIMITED {
                    let out = out.entry(name).or_default();
                    *out = out.saturating_add(pool.quota.saturating_sub(pool.base));
                }
            }
        }
        out
    }

    /// Takes down what the campaign has used. One that rests gives back what it has not.
    fn take_note(&mut self, s: &State, wants: &Join) {
        for (i, name) in names(wants).enumerate() {
            let (a_day, used) = (a_day(s, &name), used(wants, self.day, i));
            let Some(pool) = self.pool((wants.campaign, i)) else { continue };
            if a_day == UNLIMITED {
                pool.quota = UNLIMITED;
            } else if wants.idle || pool.quota == UNLIMITED || used > pool.quota {
                pool.quota = used.max(pool.base);
            }
        }
    }

    /// Another piece of the day's attempts to a campaign that works and has used up its own.
    fn feed(&mut self, s: &State, campaign: CampaignId, out: &mut Spent) {
        let Some(wants) = self.wants(campaign).filter(|w| !w.idle).cloned() else { return };
        for (i, name) in names(&wants).enumerate() {
            let (a_day, used) = (a_day(s, &name), used(&wants, self.day, i));
            let Some(pool) = self.pool((campaign, i)) else { continue };
            if a_day == UNLIMITED || used < pool.quota {
                continue;
            }
            let out = out.entry(name).or_default();
            let more = piece(a_day).min(a_day.saturating_sub(*out));
            pool.quota = pool.quota.saturating_add(more);
            *out = out.saturating_add(more);
        }
    }

    /// Something may have become free: everybody who waits for it has a part, and whoever asks is
    /// the first.
    fn share_out(&mut self, s: &State, asks: Option<CampaignId>) {
        let mut out = self.out();
        let ids: Vec<CampaignId> = asks.into_iter().chain(self.loans.keys().copied()).collect();
        for id in ids {
            self.feed(s, id, &mut out);
        }
        self.divide(s);
    }

    /// It has nothing to do, or no attempts of the day to do it with: others come first.
    fn rests(&self, s: &State, id: CampaignId) -> bool {
        let Some(loan) = self.loans.get(&id) else { return true };
        let mut over = names(&loan.wants).zip(&loan.pools).enumerate().map(|(i, (name, pool))| {
            a_day(s, &name) != UNLIMITED && used(&loan.wants, self.day, i) >= pool.quota
        });
        loan.wants.idle || over.next().unwrap_or(false) || over.all(|over| over)
    }

    /// The pools by name, and who has a part in each.
    fn groups(&self) -> BTreeMap<PoolName, Vec<(CampaignId, usize)>> {
        let mut groups: BTreeMap<PoolName, Vec<(CampaignId, usize)>> = BTreeMap::new();
        for (id, loan) in &self.loans {
            for (i, name) in names(&loan.wants).enumerate() {
                groups.entry(name).or_default().push((*id, i));
            }
        }
        groups
    }

    fn wants(&self, id: CampaignId) -> Option<&Join> {
        self.loans.get(&id).map(|l| &l.wants)
    }

    fn pool(&mut self, (id, index): (CampaignId, usize)) -> Option<&mut Pool> {
        self.loans.get_mut(&id).and_then(|l| l.pools.get_mut(index))
    }

    /// Equal shares of every pool, none larger than what its campaign can use, none promised while
    /// another still holds it.
    fn divide(&mut self, s: &State) {
        for (name, members) in self.groups() {
            let total = limits_of(s, &name).map_or(0, |l| limit(l.concurrency));
            let targets = self.targets(s, total, &members);
            let total = if total == UNLIMITED { u64::MAX } else { u64::from(total) };
            // Shrink first: what is given back counts once it is known to be unused.
            let mut held: u64 = 0;
            for (member, target) in members.iter().zip(&targets) {
                if let Some(pool) = self.pool(*member) {
                    pool.share = pool.share.min(*target);
                    held += u64::from(pool.held.max(pool.share));
                }
            }
            for (member, target) in members.iter().zip(&targets) {
                let Some(pool) = self.pool(*member) else { continue };
                // Up to what it holds anyway, and beyond that only what is free.
                let mine = pool.held.max(pool.share);
                let free = u32::try_from(total.saturating_sub(held)).unwrap_or(UNLIMITED);
                pool.share = pool.share.max((*target).min(mine.saturating_add(free)));
                pool.held = mine.max(pool.share);
                held += u64::from(pool.held - mine);
            }
        }
    }

    /// Those who work come first; what they leave goes to those who rest.
    fn targets(&self, s: &State, total: u32, members: &[(CampaignId, usize)]) -> Vec<u32> {
        let wish = |busy: bool| -> Vec<u32> {
            members
                .iter()
                .map(|(id, _)| match self.wants(*id) {
                    Some(wants) if self.rests(s, *id) != busy => limit(wants.concurrency),
                    _ => 0,
                })
                .collect()
        };
        let busy = fair(total, &wish(true));
        let rest = if total == UNLIMITED {
            UNLIMITED
        } else {
            total.saturating_sub(busy.iter().fold(0, |sum, x| sum.saturating_add(*x)))
        };
        busy.iter().zip(fair(rest, &wish(false))).map(|(a, b)| a.saturating_add(b)).collect()
    }

    /// What every campaign is told of its loan.
    pub fn shares(&self, s: &State, at: Millis) -> BTreeMap<CampaignId, Share> {
        let mut rates: BTreeMap<(CampaignId, usize), [u32; 2]> = BTreeMap::new();
        for (name, members) in self.groups() {
            let whole = limits_of(s, &name).map_or(UNLIMITED, |l| limit(l.milli_cps));
            for (member, rate) in members.iter().zip(self.rates(s, whole, &members)) {
                rates.insert(*member, [rate, whole]);
            }
        }
        let rate = |id, index| rates.get(&(id, index)).copied().unwrap_or([1, 1]);
        self.loans
            .iter()
            .map(|(id, loan)| {
                let [milli_cps, company] = rate(*id, 0);
                let callers = loan.pools.iter().enumerate().skip(1).map(|(i, pool)| {
                    let [milli_cps, number] = rate(*id, i);
                    CallerShare {
                        concurrency: pool.share,
                        milli_cps,
                        quota: pool.quota,
                        whole_milli_cps: [company, number],
                    }
                });
                let own = loan.pools.first().copied().unwrap_or_default();
                let share = Share {
                    version: loan.version,
                    concurrency: own.share,
                    milli_cps,
                    day: self.day,
                    quota: own.quota,
                    callers: callers.collect(),
                    at,
                };
                (*id, share)
            })
            .collect()
    }

    /// Parts of a rate. Who rests may begin at any time, and asks at once for a part of its own.
    fn rates(&self, s: &State, whole: u32, members: &[(CampaignId, usize)]) -> Vec<u32> {
        if whole == UNLIMITED {
            return vec![UNLIMITED; members.len()];
        }
        let wants = |id| self.wants(id).map_or((0, false), |w| (limit(w.milli_cps), self.rests(s, id)));
        let busy: Vec<u32> = members
            .iter()
            .map(|(id, _)| wants(*id))
            .map(|(rate, idle)| if idle { 0 } else { rate })
            .collect();
        let parts = fair(whole, &busy);
        let working = u32::try_from(busy.iter().filter(|w| **w > 0).count()).unwrap_or(UNLIMITED);
        members
            .iter()
            .zip(parts)
            .map(|((id, _), part)| match wants(*id) {
                (rate, true) => rate.min(whole / working.saturating_add(1)).max(1),
                (_, false) => part.max(1),
            })
            .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_parts_and_the_rest_to_whoever_can_use_it() {
        assert_eq!(fair(10, &[UNLIMITED, UNLIMITED]), [5, 5]);
        assert_eq!(fair(10, &[2, UNLIMITED]), [2, 8]);
        assert_eq!(fair(2, &[5, 5, 5]), [1, 1, 0]);
        assert_eq!(fair(0, &[5]), [0]);
        assert_eq!(fair(UNLIMITED, &[7, UNLIMITED]), [7, UNLIMITED]);
        assert_eq!(fair(11, &[UNLIMITED; 3]).iter().sum::<u32>(), 11);
    }

    proptest! {
        #[test]
        fn parts_never_exceed_the_whole_and_nothing_wanted_is_left(
            total in prop_oneof![0..50u32, Just(UNLIMITED), any::<u32>()],
            wants in prop::collection::vec(prop_oneof![0..20u32, Just(UNLIMITED), any::<u32>()], 0..12),
        ) {
            let parts = fair(total, &wants);
            let sum: u64 = parts.iter().map(|p| u64::from(*p)).sum();
            let wanted: u64 = wants.iter().map(|w| u64::from(*w)).sum();
            prop_assert!(parts.iter().zip(&wants).all(|(p, w)| p <= w));
            if total == UNLIMITED {
                prop_assert_eq!(sum, wanted);
            } else {
                prop_assert_eq!(sum, wanted.min(u64::from(total)));
                // Nobody gets less than another who did not want more.
                for (p, w) in parts.iter().zip(&wants) {
                    let most = parts.iter().max().copied().unwrap_or(0);
                    prop_assert!(p == w || p.saturating_add(1) >= most, "{parts:?} of {total} for {wants:?}");
                }
            }
        }
    }
}
