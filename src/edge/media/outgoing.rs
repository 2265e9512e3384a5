//! What waits to be written to a carrier's media socket, bounded.

use std::collections::VecDeque;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Most audio that waits, in bytes of frames: half a minute and more. A carrier takes audio as fast as it comes and
/// plays it in its own time, so this fills only when its socket is stuck; then the oldest is forgotten.
const AUDIO_BYTES_MAX: usize = 512 * 1024;
/// Most other orders that wait.
const OTHERS_MAX: usize = 64;

enum Order {
    Audio(Utf8Bytes),
    Other(Utf8Bytes),
}

#[derive(Default)]
pub(super) struct Outgoing {
    orders: VecDeque<Order>,
    audio_bytes: usize,
    others: usize,
    /// Pieces of audio that were forgotten because the socket was stuck.
    pub dropped: u64,
}

impl Outgoing {
    pub fn audio(&mut self, frame: Utf8Bytes) {
        self.audio_bytes += frame.len();
        self.orders.push_back(Order::Audio(frame));
        while self.audio_bytes > AUDIO_BYTES_MAX {
            let Some(oldest) = self.orders.iter().position(|order| matches!(order, Order::Audio(_))) else {
                break;
            };
            if let Some(Order::Audio(frame)) = self.orders.remove(oldest) {
                self.audio_bytes -= frame.len();
                self.dropped += 1;
            }
        }
    }

    /// An order whose place among the audio matters. `false`: too many wait, and this one is forgotten.
    pub fn other(&mut self, frame: Utf8Bytes) -> bool {
        if self.others == OTHERS_MAX {
            return false;
        }
        self.others += 1;
        self.orders.push_back(Order::Other(frame));
        true
    }

    /// An order in the place of all that waits.
    pub fn instead(&mut self, frame: Utf8Bytes) {
        self.orders.clear();
        (self.audio_bytes, self.others) = (0, 1);
        self.orders.push_back(Order::Other(frame));
    }

    pub fn next(&mut self) -> Option<Utf8Bytes> {
        match self.orders.pop_front()? {
            Order::Audio(frame) => {
                self.audio_bytes -= frame.len();
                Some(frame)
            }
            Order::Other(frame) => {
                self.others -= 1;
                Some(frame)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(out: &mut Outgoing) -> Vec<Utf8Bytes> {
        std::iter::from_fn(|| out.next()).collect()
    }

    #[test]
    fn orders_keep_their_order() {
        let mut out = Outgoing::default();
        out.audio("a".into());
        assert!(out.other("mark".into()));
        out.audio("b".into());
        assert_eq!(all(&mut out), ["a", "mark", "b"]);
        assert_eq!((out.audio_bytes, out.others), (0, 0));
    }

    #[test]
    fn the_oldest_audio_is_forgotten_and_nothing_else() {
        let mut out = Outgoing::default();
        let piece = "x".repeat(AUDIO_BYTES_MAX / 4);
        assert!(out.other("mark".into()));
        for n in 0..6 {
            out.audio(format!("{n}{}", &piece[1..]).into());
        }
        assert_eq!(out.dropped, 2);
        let left = all(&mut out);
        assert_eq!(left.len(), 5);
        assert_eq!(left[0], "mark");
        assert!(left[1].starts_with('2'));
        out.audio("x".repeat(AUDIO_BYTES_MAX + 1).into());
        assert!(all(&mut out).is_empty(), "one that is too large for itself");
        assert_eq!(out.audio_bytes, 0);
    }

    #[test]
    fn what_is_said_instead_overtakes_everything() {
        let mut out = Outgoing::default();
        out.audio("a".into());
        for _ in 0..OTHERS_MAX {
            assert!(out.other("mark".into()));
        }
        assert!(!out.other("one too many".into()));
        out.instead("clear".into());
        out.audio("b".into());
        assert_eq!(all(&mut out), ["clear", "b"]);
        assert_eq!((out.audio_bytes, out.others), (0, 0));
    }
}
