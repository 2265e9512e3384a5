//! Signed URLs that were asked for ahead of their conversations.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// A URL is good for 15 minutes from when it was made; older ones than this are not relied on.
const AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// URLs that wait for one agent, and agents for which some wait.
const WAITING_MAX: usize = 64;
const AGENTS_MAX: usize = 256;

#[derive(Default)]
pub(super) struct Prepared(Mutex<HashMap<String, VecDeque<(String, Instant)>>>);

impl Prepared {
    /// Whether another URL for this agent would be kept.
    pub fn has_room(&self, agent_id: &str) -> bool {
        let mut all = self.0.lock();
        all.retain(|_, waiting| {
            waiting.retain(|(_, since)| since.elapsed() < AGE_MAX);
            !waiting.is_empty()
        });
        all.get(agent_id).map_or(all.len() < AGENTS_MAX, |waiting| waiting.len() < WAITING_MAX)
    }

    pub fn put(&self, agent_id: &str, url: String) {
        if self.has_room(agent_id) {
            self.0.lock().entry(agent_id.to_owned()).or_default().push_back((url, Instant::now()));
        }
    }

    /// The newest that is still good: it serves one conversation.
    pub fn take(&self, agent_id: &str) -> Option<String> {
        let mut all = self.0.lock();
        let waiting = all.get_mut(agent_id)?;
        let newest = waiting.pop_back().filter(|(_, since)| since.elapsed() < AGE_MAX);
        if waiting.is_empty() || newest.is_none() {
            all.remove(agent_id);
        }
        newest.map(|(url, _)| url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_url_serves_once_and_not_for_ever() {
        let prepared = Prepared::default();
        assert_eq!(prepared.take("a"), None);
        prepared.put("a", "1".into());
        tokio::time::advance(AGE_MAX / 2).await;
        prepared.put("a", "2".into());
        prepared.put("b", "3".into());
        assert_eq!(prepared.take("a").as_deref(), Some("2"));
        assert_eq!(prepared.take("a").as_deref(), Some("1"));
        assert_eq!(prepared.take("a"), None);
        tokio::time::advance(AGE_MAX).await;
        assert_eq!(prepared.take("b"), None, "too old");
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_kept() {
        let prepared = Prepared::default();
        for n in 0..WAITING_MAX + 10 {
            prepared.put("a", n.to_string());
        }
        assert!(!prepared.has_room("a") && prepared.has_room("b"));
        for n in 0..AGENTS_MAX + 10 {
            prepared.put(&n.to_string(), "1".into());
        }
        assert!(!prepared.has_room("another") && prepared.0.lock().len() == AGENTS_MAX);
        tokio::time::advance(AGE_MAX).await;
        assert!(prepared.has_room("another") && prepared.0.lock().is_empty(), "what nobody came for is gone");
    }
}
