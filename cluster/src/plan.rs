//! Which node is to have which shard: even, and with as few moves as possible.
//!
//! Rendezvous hashing alone divides unevenly, and a node that joins would now and then move more than its share. So the
//! numbers are fixed first (no two nodes differ by more than one), whoever has too many keeps those that fit best, and
//! what is free goes to whoever fits it best of those who have room.

/// How well a shard and a node fit: the same on every machine and in every build (FNV-1a, then a finishing mix).
pub fn affinity(node: &str, shard: u16) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for b in node.bytes().chain([0xff]).chain(shard.to_be_bytes()) {
        hash = (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut z = hash;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// For each shard the index of the member that is to have it. `now` has the member that has it at present, if any;
/// `members` are names without duplicates. Without members there is nothing to plan.
pub fn plan(now: &[Option<usize>], members: &[&str]) -> Vec<Option<usize>> {
    if members.is_empty() {
        return vec![None; now.len()];
    }
    let mut has: Vec<Vec<u16>> = vec![Vec::new(); members.len()];
    for (shard, owner) in (0u16..).zip(now) {
        if let Some(owner) = owner.filter(|owner| *owner < members.len()) {
            has[owner].push(shard);
        }
    }
    let room = rooms(now.len(), &has, members);
    let mut planned: Vec<Option<usize>> = vec![None; now.len()];
    let mut count = vec![0; members.len()];
    for (member, shards) in has.iter_mut().enumerate() {
        // The best fitting first: the others go.
        shards.sort_by_key(|shard| (std::cmp::Reverse(affinity(members[member], *shard)), *shard));
        for shard in shards.iter().take(room[member]) {
            planned[usize::from(*shard)] = Some(member);
            count[member] += 1;
        }
    }
    for (shard, place) in (0u16..).zip(planned.iter_mut()) {
        if place.is_none() {
            let with_room = (0..members.len()).filter(|m| count[*m] < room[*m]);
            let best = with_room.max_by_key(|m| (affinity(members[*m], shard), members[*m]));
            if let Some(best) = best {
                *place = Some(best);
                count[best] += 1;
            }
        }
    }
    planned
}

/// How many shards each member is to have: those who have most may have one more, so that least moves.
fn rooms(shards: usize, has: &[Vec<u16>], members: &[&str]) -> Vec<usize> {
    let (each, more) = (shards / members.len(), shards % members.len());
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|m| (std::cmp::Reverse(has[*m].len()), members[*m]));
    let mut room = vec![each; members.len()];
    for member in order.into_iter().take(more) {
        room[member] += 1;
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 7] = ["a", "b", "c", "node-4", "node-5", "f", "g"];

    fn even(planned: &[Option<usize>], members: usize) -> bool {
        let mut count = vec![0usize; members];
        for member in planned.iter().flatten() {
            count[*member] += 1;
        }
        let (least, most) = (count.iter().min(), count.iter().max());
        planned.iter().all(Option::is_some) && most.unwrap_or(&0) - least.unwrap_or(&0) <= 1
    }

    fn moved(before: &[Option<usize>], after: &[Option<usize>]) -> usize {
        before.iter().zip(after).filter(|(b, a)| b.is_some() && b != a).count()
    }

    proptest! {
        #[test]
        fn shards_are_divided_evenly_whatever_was_before(
            members in 1usize..7,
            now in prop::collection::vec(prop::option::of(0usize..9), 1..300),
        ) {
            let planned = plan(&now, &NAMES[..members]);
            prop_assert!(even(&planned, members));
            // A plan that is carried out is not changed any more.
            prop_assert_eq!(plan(&planned, &NAMES[..members]), planned);
        }

        #[test]
        fn a_join_moves_its_share_and_no_more(members in 1usize..6, shards in 1usize..300) {
            let before = plan(&vec![None; shards], &NAMES[..members]);
            let after = plan(&before, &NAMES[..members + 1]);
            prop_assert!(even(&after, members + 1));
            prop_assert!(moved(&before, &after) <= shards / (members + 1) + 1);
            // Nothing moves between those who were there.
            for (b, a) in before.iter().zip(&after) {
                prop_assert!(a == b || *a == Some(members));
            }
        }

        #[test]
        fn a_death_moves_nothing_of_the_living(members in 2usize..7, shards in 1usize..300, dead in 0usize..6) {
            let dead = dead % members;
            let before = plan(&vec![None; shards], &NAMES[..members]);
            let left: Vec<&str> = (0..members).filter(|m| *m != dead).map(|m| NAMES[m]).collect();
            let index = |m: usize| (m != dead).then(|| if m > dead { m - 1 } else { m });
            let now: Vec<Option<usize>> = before.iter().map(|m| m.and_then(index)).collect();
            let after = plan(&now, &left);
            prop_assert!(even(&after, left.len()));
            prop_assert_eq!(moved(&now, &after), 0);
        }

        #[test]
        fn moves_one_at_a_time_in_any_order_come_to_rest(
            members in 2usize..6,
            shards in 1usize..120,
            choices in prop::collection::vec(any::<usize>(), 200),
        ) {
            let mut now = plan(&vec![None; shards], &NAMES[..members - 1]);
            let mut moves = 0;
            for choice in choices {
                let planned = plan(&now, &NAMES[..members]);
                let due: Vec<usize> = (0..shards).filter(|s| planned[*s] != now[*s]).collect();
                let Some(shard) = due.get(choice % due.len().max(1)) else { break };
                now[*shard] = planned[*shard];
                moves += 1;
            }
            prop_assert!(even(&now, members));
            prop_assert!(moves <= shards / members + 1);
        }
    }

    #[test]
    fn affinity_does_not_change() {
        assert_ne!(affinity("node-1", 7), affinity("node-2", 7));
        assert_eq!(affinity("a", 0), AFFINITY_A_0);
    }

    /// Nodes of different builds have to agree.
    const AFFINITY_A_0: u64 = 10_965_541_782_022_214_997;
}
