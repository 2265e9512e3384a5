//! The lists that come with the repository: written here, and read here as an import reads them.
//!
//! `TANDEM_WRITE_EXAMPLES=1 cargo test -p tandem-domain examples` writes them anew.

use super::super::*;
use crate::phone::{Country, Number, us_state, zones_of};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

const HEADER: &str = "phone,first_name,last_name,email,timezone,priority,language,city,plan";

/// Area codes over all zones of the United States and Canada, with a city of each.
const AMERICAN: [(&str, &str); 54] = [
    ("212", "New York"),
    ("617", "Boston"),
    ("215", "Philadelphia"),
    ("412", "Pittsburgh"),
    ("305", "Miami"),
    ("813", "Tampa"),
    ("850", "Pensacola"),
    ("404", "Atlanta"),
    ("704", "Charlotte"),
    ("804", "Richmond"),
    ("410", "Baltimore"),
    ("202", "\"Washington, DC\""),
    ("614", "Columbus"),
    ("313", "Detroit"),
    ("906", "Marquette"),
    ("502", "Louisville"),
    ("270", "Bowling Green"),
    ("317", "Indianapolis"),
    ("812", "Evansville"),
    ("865", "Knoxville"),
    ("312", "Chicago"),
    ("414", "Milwaukee"),
    ("612", "Minneapolis"),
    ("314", "St. Louis"),
    ("615", "Nashville"),
    ("205", "Birmingham"),
    ("504", "New Orleans"),
    ("601", "Jackson"),
    ("512", "Austin"),
    ("713", "Houston"),
    ("405", "Oklahoma City"),
    ("402", "Omaha"),
    ("701", "Fargo"),
    ("605", "Rapid City"),
    ("785", "Topeka"),
    ("915", "El Paso"),
    ("303", "Denver"),
    ("801", "Salt Lake City"),
    ("505", "Albuquerque"),
    ("406", "Billings"),
    ("208", "Boise"),
    ("602", "Phoenix"),
    ("928", "Flagstaff"),
    ("702", "Las Vegas"),
    ("213", "Los Angeles"),
    ("415", "San Francisco"),
    ("503", "Portland"),
    ("206", "Seattle"),
    ("907", "Anchorage"),
    ("808", "Honolulu"),
    ("787", "San Juan"),
    ("416", "Toronto"),
    ("604", "Vancouver"),
    ("902", "Halifax"),
];
const AMERICAN_CONTACTS: usize = 270;

/// Numbers that regulators set aside for fiction: Ofcom, Bundesnetzagentur, ARCEP, PTS, ACMA.
const FOREIGN: [(&str, usize, &str, &str); 12] = [
    ("+44 20 7946 0{n:03}", 8, "London", "en-GB"),
    ("+44 113 496 0{n:03}", 2, "Leeds", "en-GB"),
    ("+44 (0)131 496 0{n:03}", 2, "Edinburgh", "en-GB"),
    ("0044 29 2018 0{n:03}", 3, "Cardiff", "en-GB"),
    ("+49 30 23125 {n:03}", 4, "Berlin", "de"),
    ("+49 (0)89 99998-{n:03}", 3, "München", "de"),
    ("+49 40 66969 {n:03}", 2, "Hamburg", "de"),
    ("+49 171 39200{n:02}", 2, "Köln", "de"),
    ("+33 1 99 00 12 {n:02}", 5, "Paris", "fr"),
    ("+46 8 465 004 {n:02}", 2, "Stockholm", "sv"),
    ("+61 2 5550 10{n:02}", 3, "Sydney", "en-AU"),
    ("+61 491 570 15{n:01}", 2, "Perth", "en-AU"),
];

const FIRST: [&str; 24] = [
    "Ada", "Bruno", "Carmen", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Keiko", "Liam",
    "Mona", "Nils", "Olga", "Pedro", "Quinn", "Rosa", "Sven", "Tara", "Uma", "Victor", "Wanda", "Zoë",
];
const LAST: [&str; 19] = [
    "Abbott",
    "Brandt",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Hughes",
    "Ito",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Novak",
    "O'Neill",
    "Petrov",
    "Quist",
    "Romero",
    "\"Stone, Jr.\"",
];
const PLANS: [&str; 4] = ["basic", "silver", "gold", "trial"];

fn american(nth: usize) -> (String, &'static str) {
    let (area, city) = AMERICAN[nth % AMERICAN.len()];
    let line = 100 + (nth / AMERICAN.len() * 17 + nth % AMERICAN.len()) % 100;
    (format!("{area}{}{line:04}", "555"), city)
}

/// One number in the ways in which people write it.
fn spelled(digits: &str, way: usize) -> String {
    let (area, exchange, line) = (&digits[..3], &digits[3..6], &digits[6..]);
    match way % 6 {
        0 => format!("+1{digits}"),
        1 => format!("({area}) {exchange}-{line}"),
        2 => format!("{area}-{exchange}-{line}"),
        3 => format!("1 {area} {exchange} {line}"),
        4 => format!("{area}.{exchange}.{line}"),
        _ => digits.to_owned(),
    }
}

fn contacts() -> String {
    let mut text = format!("{HEADER}\n");
    let mut person = 0;
    let mut line = |phone: &str, zone: &str, language: &str, city: &str| {
        let (first, last) = (FIRST[person % FIRST.len()], LAST[person * 7 % LAST.len()]);
        let email = if person % 3 == 0 { format!("contact{person:03}@example.com") } else { String::new() };
        let priority = if person % 10 == 0 { "9" } else { "" };
        let plan = PLANS[person * 5 / 3 % PLANS.len()];
        writeln!(text, "{phone},{first},{last},{email},{zone},{priority},{language},{city},{plan}").unwrap();
        person += 1;
    };
    for nth in 0..AMERICAN_CONTACTS {
        let (digits, city) = american(nth);
        // Some have moved: their own zone beats the number's.
        let zone = match nth % 45 {
            7 => "America/Los_Angeles",
            19 => "America/New_York",
            31 => "America/Phoenix",
            40 => "Europe/Berlin",
            _ => "",
        };
        line(&spelled(&digits, nth), zone, if nth % 9 == 4 { "es" } else { "en" }, city);
        // Every fifteenth comes again further down, written in another way.
        if nth % 15 == 14 {
            let (again, city) = american(nth - 11);
            line(&spelled(&again, nth + 2), "", "en", city);
        }
    }
    for (pattern, count, city, language) in FOREIGN {
        for n in 0..count {
            let phone = pattern
                .replace("{n:03}", &format!("{:03}", 17 * n + 40))
                .replace("{n:02}", &format!("{:02}", 7 * n + 11))
                .replace("{n:01}", &(n + 6).to_string());
            line(&phone, "", language, city);
        }
    }
    for (phone, zone) in [
        // Toll-free numbers are of no place: without a zone they are never called.
        ("1-800-555-0142", "America/Chicago"),
        ("888 555 0143", ""),
        ("877-555-0144", ""),
    ] {
        line(phone, zone, "en", "Chicago");
    }
    for (phone, _) in REFUSED_NUMBERS {
        line(phone, "", "en", "Springfield");
    }
    text.push_str(REFUSED_LINES);
    text
}

/// Texts that are no numbers to call, and why.
const REFUSED_NUMBERS: [(&str, &str); 18] = [
    ("", "empty"),
    ("n/a", "letters"),
    ("1-800-FLOWERS", "letters"),
    ("555-0123", "too_short"),
    ("212555012", "too_short"),
    ("2125550123456", "wrong_length"),
    ("212-555-0123 / 212-555-0124", "too_long"),
    ("2.12556E+09", "rounded"),
    ("(212) 555-0123 ext. 4", "extension"),
    ("212_555_0123", "character"),
    ("911", "emergency"),
    ("72345", "short_code"),
    ("(999) 555-0123", "not_assigned"),
    ("212-155-0123", "not_assigned"),
    ("900-555-0123", "premium"),
    ("+44 909 879 0123", "premium"),
    ("+44 20 7946", "wrong_length"),
    ("+999 20 7946 0123", "unknown_country_code"),
];

/// Lines with a good number that something else keeps out.
const REFUSED_LINES: &str = "\
212-555-0171,Ada,Abbott,,EST,,en,New York,gold
212-555-0172,Bruno,Brandt,,Gotham/Center,,en,New York,gold
212-555-0173,Carmen,Castillo,carmen at example.com,,,en,New York,gold
212-555-0174,Dmitri,Dubois,,,urgent,en,New York,gold
212-555-0175,Elif,Eriksen,,,,en,New York
";
const REFUSED_LINES_CODES: [&str; 5] = ["zone", "zone", "email", "priority", "field_count"];

/// Do-not-call entries: some in other spellings than in the list, one that is not in it.
fn dnc() -> String {
    let mut text = "phone,reason\n".to_owned();
    for (way, nth) in [3, 21, 48, 77, 91, 110, 138, 164, 199, 231, 260].into_iter().enumerate() {
        let reason = ["asked on a call", "letter", "web form"][way % 3];
        writeln!(text, "{},{reason}", spelled(&american(nth).0, way + 1)).unwrap();
    }
    text.push_str("+44 20 7946 0057,letter\n(415) 555-0199,asked on a call\n");
    text
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

#[test]
fn the_lists_are_as_they_are_written_here() {
    for (name, text) in [("contacts.csv", contacts()), ("dnc.csv", dnc())] {
        if std::env::var_os("TANDEM_WRITE_EXAMPLES").is_some() {
            std::fs::write(path(name), &text).unwrap();
        }
        let found = std::fs::read_to_string(path(name)).unwrap();
        assert!(found == text, "examples/{name} differs: write it anew (see the top of this file)");
    }
}

/// Reads a list the way an import does.
fn import(name: &str) -> (Vec<ContactLine>, Vec<LineError>) {
    let bytes = std::fs::read(path(name)).unwrap();
    let delimiter = detect_delimiter(&bytes);
    let mut scan = Scan::new(delimiter);
    bytes.chunks(1_000).for_each(|piece| scan.feed(piece).unwrap());
    assert_eq!(scan.finish().unwrap(), bytes.iter().filter(|byte| **byte == b'\n').count() as u64);
    let mut records = super::read(&bytes, delimiter).into_iter();
    let header = Header::parse(records.next().unwrap().iter()).unwrap();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for record in records {
        let line = record.position().map_or(0, csv::Position::line);
        match header.contact(line, record.iter(), Some(Country::US)) {
            Ok(contact) => good.push(contact),
            Err(error) => bad.push(error),
        }
    }
    (good, bad)
}

#[test]
fn the_list_of_contacts_has_what_the_demonstration_needs() {
    let (good, bad) = import("contacts.csv");
    let told: Vec<&str> = bad
        .iter()
        .map(|error| match &error.reason {
            Reason::Number(number) => number.reason(),
            other => other.code(),
        })
        .collect();
    let expected: Vec<&str> =
        REFUSED_NUMBERS.iter().map(|(_, why)| *why).chain(REFUSED_LINES_CODES).collect();
    assert_eq!(told, expected);
    assert!(good.len() + bad.len() >= 320, "{} lines", good.len() + bad.len());

    let mut times = BTreeMap::<Number, usize>::new();
    good.iter().for_each(|contact| *times.entry(contact.number).or_default() += 1);
    let duplicates = good.len() - times.len();
    assert_eq!(duplicates, AMERICAN_CONTACTS / 15);
    assert!(times.len() >= 300, "{} people", times.len());

    let zones: BTreeSet<String> = times
        .keys()
        .flat_map(|number| zones_of(number).iter().map(|zone| zone.to_string()).collect::<Vec<_>>())
        .collect();
    assert!(zones.len() >= 25, "{zones:?}");
    let states: BTreeSet<_> = times.keys().filter_map(us_state).collect();
    assert!(states.len() >= 35, "{} states", states.len());
    assert_eq!(times.keys().filter(|number| zones_of(number).is_empty()).count(), 3);
    assert!(good.iter().filter(|contact| contact.zone.is_some()).count() >= 20);
    assert!(good.iter().all(|contact| contact.variables.contains_key("plan")));
}

/// Nobody can be reached by accident: North American numbers end in 555-0100 to 555-0199.
#[test]
fn the_numbers_are_fictional() {
    for contact in import("contacts.csv").0.iter().chain(&import("dnc.csv").0) {
        let text = contact.number.as_e164();
        if let Some(national) = text.strip_prefix("+1") {
            assert!(national[3..].starts_with("55501"), "line {}", contact.line);
        } else {
            let fiction = [
                "+442079460",
                "+441134960",
                "+441314960",
                "+442920180",
                "+493023125",
                "+498999998",
                "+494066969",
                "+4917139200",
                "+33199001",
                "+468465004",
                "+61255501",
                "+6149157015",
            ];
            assert!(fiction.iter().any(|prefix| text.starts_with(prefix)), "line {}", contact.line);
        }
    }
}

#[test]
fn the_do_not_call_list_meets_the_contacts() {
    let (listed, bad) = import("dnc.csv");
    assert_eq!((listed.len(), bad.len()), (13, 0));
    let contacts: BTreeSet<Number> = import("contacts.csv").0.iter().map(|contact| contact.number).collect();
    assert_eq!(listed.iter().filter(|entry| contacts.contains(&entry.number)).count(), 12);
}
