//! What of the agent's voice the carrier has played.
//!
//! A carrier takes audio as fast as it comes and plays it in its own time. It says when it has come to a mark; before
//! that there is only the length of what was sent.

use tokio::time::{Duration, Instant};

/// Bytes of mu-law in a second.
const BYTES_PER_S: u64 = 8_000;
/// Most audio the carrier may hold unplayed. More is no conversation.
const AHEAD_MAX: Duration = Duration::from_secs(120);
/// A pause in what the agent sends after which a turn is taken to be over.
const QUIET: Duration = Duration::from_millis(500);
/// How long after its end by reckoning audio counts as played, should no mark come.
const SLACK: Duration = Duration::from_secs(2);

pub(super) struct Playback {
    /// When the last of it will have been played, by reckoning.
    ends_at: Instant,
    /// When the agent last sent any that no mark follows yet.
    unmarked_since: Option<Instant>,
    /// The newest mark.
    turn: u64,
    /// The newest mark that is known to be played, or whose audio was cleared.
    played: u64,
    /// The newest mark before the last time everything was cleared: such come back unplayed.
    cleared: u64,
    /// What was said may still be taken back.
    open: bool,
    dropped: u64,
}

impl Playback {
    pub fn new(now: Instant) -> Self {
        Playback {
            ends_at: now,
            unmarked_since: None,
            turn: 0,
            played: 0,
            cleared: 0,
            open: false,
            dropped: 0,
        }
    }

    /// Takes a piece of audio down, in characters of base64. `false`: too much waits to be played already.
    pub fn room(&mut self, now: Instant, chars: usize) -> bool {
        let bytes = chars as u64 / 4 * 3;
        let from = self.ends_at.max(now);
        if from > now + AHEAD_MAX {
            self.dropped += 1;
            return false;
        }
        self.ends_at = from + Duration::from_micros(bytes * 1_000_000 / BYTES_PER_S);
        self.unmarked_since = Some(now);
        self.open = true;
        true
    }

    /// Everything that was not played is forgotten.
    pub fn cleared(&mut self, now: Instant) {
        self.ends_at = now;
        self.unmarked_since = None;
        (self.played, self.cleared) = (self.turn, self.turn);
        // A correction follows; what was said is settled by what is said next.
        self.open = false;
    }

    /// The mark to send after what was sent, if any was.
    pub fn mark(&mut self) -> Option<String> {
        self.unmarked_since.take()?;
        self.turn += 1;
        Some(format!("t{}", self.turn))
    }

    /// A mark has come back. Whether all that the agent has said so far was played to its end.
    pub fn played(&mut self, name: &str) -> bool {
        let Some(turn) = name.strip_prefix('t').and_then(|n| n.parse::<u64>().ok()) else { return false };
        if turn <= self.cleared || turn > self.turn {
            return false;
        }
        self.played = self.played.max(turn);
        let all = self.is_played();
        self.open &= !all;
        all
    }

    /// Nothing is left to be played.
    pub fn is_played(&self) -> bool {
        self.played == self.turn && self.unmarked_since.is_none()
    }

    /// The agent has paused.
    pub fn is_quiet(&self, now: Instant) -> bool {
        self.unmarked_since.is_some_and(|since| since + QUIET <= now)
    }

    /// By reckoning everything has long been played.
    pub fn is_over(&mut self, now: Instant) -> bool {
        let over = self.open && self.over_at() <= now;
        self.open &= !over;
        over
    }

    /// When everything will have been played, with some slack.
    pub fn over_at(&self) -> Instant {
        self.ends_at + SLACK
    }

    /// When there is something to do.
    pub fn due(&self) -> Option<Instant> {
        let over = self.open.then(|| self.over_at());
        let quiet = self.unmarked_since.map(|since| since + QUIET);
        [over, quiet].into_iter().flatten().min()
    }

    /// Pieces that were forgotten because too much waited to be played.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters of base64 that last this long.
    fn chars(ms: u64) -> usize {
        usize::try_from(ms * BYTES_PER_S / 1_000 / 3 * 4).unwrap()
    }

    fn after(now: Instant, ms: u64) -> Instant {
        now + Duration::from_millis(ms)
    }

    #[test]
    fn a_turn_is_marked_after_a_pause_and_played_when_its_mark_comes() {
        let now = Instant::now();
        let mut playback = Playback::new(now);
        assert!(playback.is_played() && playback.due().is_none() && playback.mark().is_none());
        assert!(playback.room(now, chars(3_000)));
        assert!(!playback.is_quiet(after(now, 400)));
        assert!(playback.room(after(now, 400), chars(3_000)));
        assert!(!playback.is_quiet(after(now, 600)), "it went on");
        assert!(playback.is_quiet(after(now, 900)));
        assert_eq!(playback.due(), Some(after(now, 900)));
        assert_eq!(playback.mark().as_deref(), Some("t1"));
        assert_eq!(playback.mark(), None);
        assert!(!playback.is_played());
        assert!(!playback.played("t2") && !playback.played("x") && !playback.played("t"));
        assert!(playback.played("t1"));
        assert!(playback.is_played() && playback.due().is_none());
    }

    #[test]
    fn without_a_mark_it_is_over_by_reckoning() {
        let now = Instant::now();
        let mut playback = Playback::new(now);
        playback.room(now, chars(3_000));
        playback.mark();
        let over = playback.due().unwrap();
        assert!(over > after(now, 4_900) && over <= after(now, 5_000));
        assert!(!playback.is_over(after(now, 4_800)));
        assert!(playback.is_over(over));
        assert!(!playback.is_over(over), "once");
        assert_eq!(playback.due(), None);
    }

    #[test]
    fn cleared_marks_are_not_played() {
        let now = Instant::now();
        let mut playback = Playback::new(now);
        playback.room(now, chars(60_000));
        playback.mark();
        playback.cleared(now);
        assert!(!playback.played("t1"), "it comes back at once");
        assert!(playback.is_played() && playback.over_at() <= after(now, 2_000));
        playback.room(now, chars(20));
        assert_eq!(playback.mark().as_deref(), Some("t2"));
        assert!(playback.played("t2"));
    }

    #[test]
    fn too_much_is_not_taken() {
        let now = Instant::now();
        let mut playback = Playback::new(now);
        let taken = (0..1_000).filter(|_| playback.room(now, chars(1_000))).count();
        assert!((120..=122).contains(&taken), "{taken}");
        assert_eq!(playback.dropped(), 1_000 - taken as u64);
        assert!(playback.room(after(now, 10_000), chars(1_000)), "some has been played meanwhile");
    }
}
