//! Checks that a history of concurrent transactions is strictly serializable.
//!
//! After Elle (Kingsbury, Alvaro): transactions append unique numbers to lists and read lists. The
//! final lists give the order of all appends, every read shows a prefix, and from that follows who
//! must come before whom. Together with who had returned before whom began, that must have no
//! cycle.

use std::collections::{BTreeMap, HashMap, HashSet};

pub type Key = u64;
pub type Element = u64;

/// A transaction that committed, or may have.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// Ticks of one clock for all: before the transaction began, and after it was acknowledged.
    pub invoked: u64,
    /// `None` if the outcome is not known.
    pub returned: Option<u64>,
    /// Lists as they were read, before own appends.
    pub reads: Vec<(Key, Vec<Element>)>,
    pub appends: Vec<(Key, Element)>,
}

/// Says what is wrong, if anything is.
pub fn check(events: &[Event], finals: &BTreeMap<Key, Vec<Element>>) -> Result<(), String> {
    let writers = writers(events, finals)?;
    let mut graph = Graph::new(events.len());
    for (key, list) in finals {
        for pair in list.windows(2) {
            graph.edge(writers[&(*key, pair[0])], writers[&(*key, pair[1])]);
        }
    }
    for (reader, event) in events.iter().enumerate() {
        for (key, seen) in &event.reads {
            let list = finals.get(key).map_or(&[][..], Vec::as_slice);
            if !list.starts_with(seen) {
                return Err(format!(
                    "transaction {reader} read {seen:?} of list {key}, which became {list:?}"
                ));
            }
            if let Some(last) = seen.last() {
                graph.edge(writers[&(*key, *last)], reader);
            }
            if let Some(next) = list.get(seen.len()) {
                graph.edge(reader, writers[&(*key, *next)]);
            }
        }
    }
    graph.real_time(events);
    graph.check_acyclic()
}

/// Who appended what; everything acknowledged must be there once, and nothing else.
fn writers(
    events: &[Event],
    finals: &BTreeMap<Key, Vec<Element>>,
) -> Result<HashMap<(Key, Element), usize>, String> {
    let mut writers = HashMap::new();
    for (writer, event) in events.iter().enumerate() {
        for append in &event.appends {
            if writers.insert(*append, writer).is_some() {
                return Err(format!("{append:?} was appended twice: the test is wrong"));
            }
        }
    }
    let mut present = HashSet::new();
    for (key, list) in finals {
        for element in list {
            if !writers.contains_key(&(*key, *element)) {
                return Err(format!(
                    "{element} is in list {key}, and no transaction that may have committed put it there"
                ));
            }
            if !present.insert((*key, *element)) {
                return Err(format!("{element} is in list {key} twice"));
            }
        }
    }
    for (writer, event) in events.iter().enumerate() {
        let there = event.appends.iter().filter(|append| present.contains(append)).count();
        let lost = event.returned.is_some() && there < event.appends.len();
        if lost || (there > 0 && there < event.appends.len()) {
            return Err(format!(
                "of transaction {writer}, {there} of {} appends are there",
                event.appends.len()
            ));
        }
    }
    Ok(writers)
}

/// Nodes are the transactions and, behind them, one moment for each return.
struct Graph {
    next: Vec<Vec<usize>>,
}

impl Graph {
    fn new(nodes: usize) -> Self {
        Self { next: vec![Vec::new(); nodes] }
    }

    fn edge(&mut self, from: usize, to: usize) {
        if from != to {
            self.next[from].push(to);
        }
    }

    /// Whoever returned before another began comes first.
    fn real_time(&mut self, events: &[Event]) {
        let mut returns: Vec<(u64, usize)> =
            events.iter().enumerate().filter_map(|(i, event)| Some((event.returned?, i))).collect();
        returns.sort_unstable();
        let first_moment = self.next.len();
        self.next.resize(first_moment + returns.len(), Vec::new());
        for (moment, (_, event)) in returns.iter().enumerate() {
            self.edge(*event, first_moment + moment);
            if moment > 0 {
                self.edge(first_moment + moment - 1, first_moment + moment);
            }
        }
        for (i, event) in events.iter().enumerate() {
            let before = returns.partition_point(|(returned, _)| *returned < event.invoked);
            if before > 0 {
                self.edge(first_moment + before - 1, i);
            }
        }
    }

    /// Takes away nodes that nothing comes before until none is left.
    fn check_acyclic(&self) -> Result<(), String> {
        let mut before = vec![0usize; self.next.len()];
        self.next.iter().flatten().for_each(|to| before[*to] += 1);
        let mut free: Vec<usize> = (0..self.next.len()).filter(|node| before[*node] == 0).collect();
        let mut ordered = 0;
        while let Some(node) = free.pop() {
            ordered += 1;
            for to in &self.next[node] {
                before[*to] -= 1;
                if before[*to] == 0 {
                    free.push(*to);
                }
            }
        }
        if ordered == self.next.len() {
            return Ok(());
        }
        let stuck: Vec<usize> = (0..self.next.len()).filter(|node| before[*node] > 0).take(20).collect();
        Err(format!("no order fits: there is a cycle among or before {stuck:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(times: (u64, u64), reads: &[(Key, &[Element])], appends: &[(Key, Element)]) -> Event {
        Event {
            invoked: times.0,
            returned: Some(times.1),
            reads: reads.iter().map(|(key, list)| (*key, list.to_vec())).collect(),
            appends: appends.to_vec(),
        }
    }

    fn finals(lists: &[(Key, &[Element])]) -> BTreeMap<Key, Vec<Element>> {
        lists.iter().map(|(key, list)| (*key, list.to_vec())).collect()
    }

    #[test]
    fn a_sound_history_passes() {
        let events = [
            event((0, 9), &[(1, &[])], &[(1, 10)]),
            event((1, 8), &[(1, &[10])], &[(2, 20)]),
            event((10, 11), &[(1, &[10]), (2, &[20])], &[]),
        ];
        assert_eq!(check(&events, &finals(&[(1, &[10]), (2, &[20])])), Ok(()));
    }

    #[test]
    fn write_skew_is_found() {
        let events = [event((0, 9), &[(1, &[])], &[(2, 20)]), event((0, 9), &[(2, &[])], &[(1, 10)])];
        let error = check(&events, &finals(&[(1, &[10]), (2, &[20])])).expect_err("a cycle");
        assert!(error.contains("cycle"), "{error}");
    }

    #[test]
    fn a_stale_read_after_an_acknowledgement_is_found() {
        let events = [event((0, 1), &[], &[(1, 10)]), event((2, 3), &[(1, &[])], &[])];
        let error = check(&events, &finals(&[(1, &[10])])).expect_err("a cycle");
        assert!(error.contains("cycle"), "{error}");
        let concurrent = [event((0, 3), &[], &[(1, 10)]), event((2, 3), &[(1, &[])], &[])];
        assert_eq!(check(&concurrent, &finals(&[(1, &[10])])), Ok(()));
    }

    #[test]
    fn lost_torn_foreign_and_doubled_appends_are_found() {
        let both = event((0, 1), &[], &[(1, 10), (2, 20)]);
        let unknown = Event { returned: None, ..both.clone() };
        let bad =
            |event: &Event, lists: &[(Key, &[Element])]| check(std::slice::from_ref(event), &finals(lists));
        assert!(bad(&both, &[(1, &[10])]).is_err());
        assert!(bad(&unknown, &[(1, &[10])]).is_err());
        assert_eq!(bad(&unknown, &[]), Ok(()));
        assert_eq!(bad(&unknown, &[(1, &[10]), (2, &[20])]), Ok(()));
        assert!(bad(&both, &[(1, &[10]), (2, &[20, 21])]).is_err());
        assert!(bad(&both, &[(1, &[10, 10]), (2, &[20])]).is_err());
    }

    #[test]
    fn a_read_of_what_was_undone_is_found() {
        let events = [event((0, 9), &[], &[(1, 10)]), event((0, 9), &[(1, &[11])], &[])];
        assert!(check(&events, &finals(&[(1, &[10])])).is_err());
    }
}
