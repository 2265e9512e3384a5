//! Time zones by number, and small sets of them.

use super::zone_names::NAMES;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::OnceLock;

/// An IANA time zone: its place in an append-only list of names, which is how it is stored.
/// Human-readable formats carry the name.
///
/// A number that this build does not know (stored by a newer one) is kept as it is; no call window
/// is ever open in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(u16);

struct Index {
    names: Vec<&'static str>,
    /// Numbers ordered by their names in lower case.
    by_name: Vec<(String, u16)>,
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let names: Vec<&'static str> = NAMES.split_ascii_whitespace().collect();
        let mut by_name: Vec<(String, u16)> =
            names.iter().zip(0u16..).map(|(name, n)| (name.to_ascii_lowercase(), n)).collect();
        by_name.sort_unstable();
        Index { names, by_name }
    })
}

/// Why a text does not name a time zone that can be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ZoneError {
    #[error("the time zone is empty")]
    Empty,
    #[error(
        "an abbreviation such as EST or CET does not say which place is meant: write an IANA name such as America/New_York"
    )]
    Abbreviation,
    #[error("not a time zone of the IANA database: write a name such as America/New_York or Europe/Berlin")]
    Unknown,
}

/// Longer than any name in the database.
const NAME_BYTES_MAX: usize = 64;

impl Zone {
    /// The zone of an IANA name, in any case.
    pub fn by_name(name: &str) -> Option<Zone> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let index = index();
        let name = name.to_ascii_lowercase();
        let at = index.by_name.binary_search_by(|(known, _)| known.as_str().cmp(&name)).ok()?;
        Some(Zone(index.by_name[at].1))
    }

    /// The zone that someone wrote into a contact: an IANA name, in any case, blanks around it and
    /// a blank instead of an underscore forgiven.
    pub fn parse(text: &str) -> Result<Zone, ZoneError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ZoneError::Empty);
        }
        if let Some(zone) = Zone::by_name(text) {
            return Ok(zone);
        }
        if let Some(zone) = Zone::by_name(&text.replace(' ', "_")) {
            return Ok(zone);
        }
        if text.len() <= 5 && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(ZoneError::Abbreviation);
        }
        Err(ZoneError::Unknown)
    }

    /// The number it is stored under.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The zone stored under a number, known to this build or not.
    pub fn from_number(number: u16) -> Zone {
        Zone(number)
    }

    /// Its IANA name; `None` when a newer build stored it.
    pub fn name(self) -> Option<&'static str> {
        index().names.get(usize::from(self.0)).copied()
    }

    /// Every zone that this build knows.
    pub fn all() -> impl Iterator<Item = Zone> {
        (0..index().names.len()).filter_map(|n| u16::try_from(n).ok()).map(Zone)
    }

    /// How many zones this build knows.
    pub fn count() -> usize {
        index().names.len()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "zone {}", self.0),
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) if serializer.is_human_readable() => serializer.serialize_str(name),
            None if serializer.is_human_readable() => serializer.serialize_str(&format!("#{}", self.0)),
            _ => serializer.serialize_u16(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u16::deserialize(deserializer).map(Zone);
        }
        let text = String::deserialize(deserializer)?;
        if let Some(number) = text.strip_prefix('#').and_then(|n| n.parse().ok()) {
            return Ok(Zone(number));
        }
        Zone::by_name(&text).ok_or_else(|| D::Error::custom(ZoneError::Unknown))
    }
}

/// At most [`ZoneSet::CAPACITY`] different zones, in the order in which they were added.
///
/// The zones in which a person may be. Empty means that nothing is known, and then no window is
/// open.
#[derive(Clone, Copy)]
pub struct ZoneSet {
    len: u8,
    zones: [Zone; ZoneSet::CAPACITY],
}

/// A seventh zone was added to a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("more than {} time zones", ZoneSet::CAPACITY)]
pub struct TooManyZones;

impl ZoneSet {
    pub const CAPACITY: usize = 6;
    pub const EMPTY: ZoneSet = ZoneSet { len: 0, zones: [Zone(0); ZoneSet::CAPACITY] };

    pub fn one(zone: Zone) -> ZoneSet {
        let mut set = ZoneSet::EMPTY;
        set.zones[0] = zone;
        set.len = 1;
        set
    }

    /// Adds a zone that is not there yet.
    pub fn insert(&mut self, zone: Zone) -> Result<(), TooManyZones> {
        if self.as_slice().contains(&zone) {
            return Ok(());
        }
        let slot = self.zones.get_mut(usize::from(self.len)).ok_or(TooManyZones)?;
        *slot = zone;
        self.len += 1;
        Ok(())
    }

    pub fn as_slice(&self) -> &[Zone] {
        self.zones.get(..usize::from(self.len)).unwrap_or(&[])
    }

    pub fn iter(&self) -> impl Iterator<Item = Zone> + '_ {
        self.as_slice().iter().copied()
    }

    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn contains(&self, zone: Zone) -> bool {
        self.as_slice().contains(&zone)
    }
}

impl Default for ZoneSet {
    fn default() -> Self {
        ZoneSet::EMPTY
    }
}

impl PartialEq for ZoneSet {
    /// Equal when they hold the same zones, in whatever order.
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|zone| other.contains(zone))
    }
}

impl Eq for ZoneSet {}

impl fmt::Debug for ZoneSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl From<Zone> for ZoneSet {
    fn from(zone: Zone) -> Self {
        ZoneSet::one(zone)
    }
}

impl Serialize for ZoneSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.len()))?;
        for zone in self.as_slice() {
            seq.serialize_element(zone)?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for ZoneSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Zones;
        impl<'de> Visitor<'de> for Zones {
            type Value = ZoneSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {} time zones", ZoneSet::CAPACITY)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ZoneSet, A::Error> {
                let mut set = ZoneSet::EMPTY;
                while let Some(zone) = seq.next_element::<Zone>()? {
                    set.insert(zone).map_err(A::Error::custom)?;
                }
                Ok(set)
            }
        }
        deserializer.deserialize_seq(Zones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_every_place_of_the_bundled_database() {
        let database = jiff::tz::TimeZoneDatabase::bundled();
        let missing: Vec<String> = database
            .available()
            .map(|name| name.as_str().to_owned())
            .filter(|name| name.contains('/') && Zone::by_name(name).is_none())
            .collect();
        assert!(missing.is_empty(), "append to zone_names: {missing:?}");
        for zone in Zone::all() {
            let name = zone.name().unwrap();
            assert!(database.get(name).is_ok(), "{name} is not in the database");
        }
    }

    #[test]
    fn numbers_of_zones_are_for_ever() {
        // Samples from the start, the middle and the end of the list as first released.
        for (number, name) in [
            (0, "Africa/Abidjan"),
            (Zone::by_name("America/New_York").unwrap().number(), "America/New_York"),
            (553, "UTC"),
        ] {
            assert_eq!(Zone::from_number(number).name(), Some(name));
        }
        let digest = Zone::all().take(554).fold(0xcbf2_9ce4_8422_2325_u64, |hash, zone| {
            zone.name()
                .unwrap()
                .bytes()
                .chain([b'\n'])
                .fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
        });
        assert_eq!(digest, FIRST_RELEASE, "the first 554 names were moved, renamed or removed");
    }

    /// FNV-1a of the first released list.
    const FIRST_RELEASE: u64 = 16_474_272_159_783_788_856;

    #[test]
    fn written_zones() {
        let new_york = Zone::by_name("America/New_York").unwrap();
        assert_eq!(Zone::parse(" america/new york "), Ok(new_york));
        assert_eq!(Zone::parse("AMERICA/NEW_YORK"), Ok(new_york));
        assert_eq!(Zone::parse(""), Err(ZoneError::Empty));
        assert_eq!(Zone::parse("EST"), Err(ZoneError::Abbreviation));
        assert_eq!(Zone::parse("PST"), Err(ZoneError::Abbreviation));
        assert_eq!(Zone::parse("Eastern Time (US & Canada)"), Err(ZoneError::Unknown));
        assert_eq!(Zone::parse("America/Gotham"), Err(ZoneError::Unknown));
        assert_eq!(Zone::parse(&"x".repeat(10_000)), Err(ZoneError::Unknown));
        assert!(Zone::parse("UTC").is_ok());
    }

    #[test]
    fn a_set_holds_six_different_zones() {
        let mut set = ZoneSet::EMPTY;
        assert!(set.is_empty());
        for n in 0..6 {
            set.insert(Zone(n)).unwrap();
            set.insert(Zone(n)).unwrap();
        }
        assert_eq!(set.len(), 6);
        assert_eq!(set.insert(Zone(6)), Err(TooManyZones));
        assert_eq!(set.insert(Zone(3)), Ok(()));
        let mut reversed = ZoneSet::EMPTY;
        (0..6).rev().for_each(|n| reversed.insert(Zone(n)).unwrap());
        assert_eq!(set, reversed);
        assert_ne!(set, ZoneSet::one(Zone(0)));
    }
}
