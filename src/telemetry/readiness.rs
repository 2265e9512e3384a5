//! Whether the node takes work.

use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// How far the node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Not ready yet, and what it is at.
    Starting(&'static str),
    Ready,
    /// Not ready for the moment, and why; it lives and will come back.
    Waiting(&'static str),
    /// Told to stop: takes nothing new.
    Draining,
    /// Nothing but a restart will help.
    Broken(&'static str),
}

impl State {
    pub fn is_ready(self) -> bool {
        self == State::Ready
    }

    /// Whether the process is of any use. One that is not wants to be started anew.
    pub fn is_alive(self) -> bool {
        !matches!(self, State::Broken(_))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Starting(what) => write!(f, "starting: {what}"),
            State::Ready => f.write_str("ready"),
            State::Waiting(why) => write!(f, "waiting: {why}"),
            State::Draining => f.write_str("draining"),
            State::Broken(why) => write!(f, "broken: {why}"),
        }
    }
}

/// Tells and is told how far the node is. A clone is another door to the same.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<State>>);

impl Readiness {
    pub fn starting(what: &'static str) -> Self {
        Readiness(Arc::new(watch::Sender::new(State::Starting(what))))
    }

    /// Who is draining stays so, and who is broken: neither becomes ready again.
    pub fn set(&self, next: State) {
        self.0.send_if_modified(|state| {
            let allowed = match (*state, next) {
                (State::Broken(_), _) => false,
                (State::Draining, next) => matches!(next, State::Broken(_)),
                _ => true,
            };
            let changed = allowed && *state != next;
            if changed {
                *state = next;
            }
            changed
        });
    }

    pub fn state(&self) -> State {
        *self.0.borrow()
    }

    /// Wakes at every change.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_comes_and_goes() {
        let readiness = Readiness::starting("opening the store");
        assert!(!readiness.state().is_ready() && readiness.state().is_alive());
        readiness.set(State::Ready);
        readiness.set(State::Waiting("the store does not answer"));
        assert_eq!(readiness.state().to_string(), "waiting: the store does not answer");
        readiness.set(State::Ready);
        assert!(readiness.clone().state().is_ready());
    }

    #[test]
    fn draining_and_broken_are_final() {
        let readiness = Readiness::starting("");
        readiness.set(State::Draining);
        readiness.set(State::Ready);
        assert_eq!(readiness.state(), State::Draining);
        readiness.set(State::Broken("a shard"));
        readiness.set(State::Draining);
        assert_eq!(readiness.state(), State::Broken("a shard"));
        assert!(!readiness.state().is_alive());
    }

    #[tokio::test]
    async fn watchers_wake_at_changes_only() {
        let readiness = Readiness::starting("");
        let mut watcher = readiness.watch();
        readiness.set(State::Starting(""));
        assert!(!watcher.has_changed().unwrap());
        readiness.set(State::Ready);
        watcher.changed().await.unwrap();
        assert!(watcher.borrow().is_ready());
    }
}
