//! The clock of a zone: what is added to UTC, from when until when.
//!
//! From the time zone database that is compiled in, never from the machine's, so that every node
//! decides alike. The transitions of a zone are listed once and then searched, which makes a check
//! some tens of nanoseconds.

use crate::phone::Zone;
use crate::time::Millis;
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use std::sync::OnceLock;

/// A stretch of time in which a zone's clock runs evenly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    /// First instant after it.
    pub end: Millis,
    /// Local time less UTC.
    pub offset_ms: Millis,
}

/// The changes of one zone's clock between the years below.
#[derive(Debug)]
pub(super) struct Clock {
    /// Offset before the first change.
    first_offset_ms: Millis,
    /// Instants from which another offset counts, in order.
    changes: Vec<(Millis, Millis)>,
}

/// 1970-01-01: earlier times are no times of calls.
const FROM_MS: Millis = 0;
/// 2120-01-01. Later times have no stretch, and then no window is open.
const UNTIL_MS: Millis = 4_733_510_400_000;
/// No zone has more changes in that time; Morocco's moving month makes two a year.
const CHANGES_MAX: usize = 1_000;

impl Clock {
    /// The clock of a zone; `None` when this build does not know the zone.
    pub fn of(zone: Zone) -> Option<&'static Clock> {
        static CLOCKS: OnceLock<Vec<OnceLock<Option<Clock>>>> = OnceLock::new();
        let clocks = CLOCKS.get_or_init(|| (0..Zone::count()).map(|_| OnceLock::new()).collect());
        clocks.get(usize::from(zone.number()))?.get_or_init(|| zone.name().and_then(Clock::load)).as_ref()
    }

    fn load(name: &str) -> Option<Clock> {
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        let start = Timestamp::from_millisecond(FROM_MS).ok()?;
        let offset_ms = |offset: jiff::tz::Offset| Millis::from(offset.seconds()) * 1_000;
        let first_offset_ms = offset_ms(zone.to_offset(start));
        let mut changes: Vec<(Millis, Millis)> = Vec::new();
        for change in zone.following(start).take(CHANGES_MAX) {
            let at = change.timestamp().as_millisecond();
            if at >= UNTIL_MS {
                break;
            }
            // Some changes are only of the name of the time.
            let before = changes.last().map_or(first_offset_ms, |(_, offset)| *offset);
            if offset_ms(change.offset()) != before {
                changes.push((at, offset_ms(change.offset())));
            }
        }
        Some(Clock { first_offset_ms, changes })
    }

    /// The stretch that an instant is in.
    pub fn stretch(&self, at: Millis) -> Option<Stretch> {
        if !(FROM_MS..UNTIL_MS).contains(&at) {
            return None;
        }
        let next = self.changes.partition_point(|(from, _)| *from <= at);
        let offset_ms = match next.checked_sub(1).and_then(|n| self.changes.get(n)) {
            Some((_, offset)) => *offset,
            None => self.first_offset_ms,
        };
        Some(Stretch { end: self.changes.get(next).map_or(UNTIL_MS, |(from, _)| *from), offset_ms })
    }
}
