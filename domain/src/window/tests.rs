use super::*;

fn at(text: &str) -> Millis {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn zones(names: &[&str]) -> ZoneSet {
    let mut set = ZoneSet::EMPTY;
    names.iter().for_each(|name| set.insert(Zone::by_name(name).unwrap()).unwrap());
    set
}

fn no_margin() -> Rules {
    Rules { margin_minutes: 0, ..Rules::default() }
}

#[test]
fn nine_in_the_morning_in_new_york() {
    let set = zones(&["America/New_York"]);
    let check = |now: &str| check(at(now), &set, &Hours::default(), &no_margin());
    // A Tuesday in winter: UTC-5.
    assert_eq!(check("2026-01-13T13:59:59Z"), Verdict::Closed { opens_at: at("2026-01-13T14:00:00Z") });
    assert_eq!(check("2026-01-13T14:00:00Z"), Verdict::Open { closes_at: at("2026-01-14T01:00:00Z") });
    // Saturday evening to Monday morning.
    assert_eq!(check("2026-01-18T01:00:00Z"), Verdict::Closed { opens_at: at("2026-01-19T14:00:00Z") });
}

#[test]
fn no_zone_no_window() {
    assert_eq!(
        check(0, &ZoneSet::EMPTY, &Hours::always(), &Rules::none()),
        Verdict::Never { why: Never::NoZone }
    );
    let unheard = ZoneSet::one(Zone::from_number(60_000));
    assert_eq!(
        check(0, &unheard, &Hours::always(), &Rules::none()),
        Verdict::Never { why: Never::UnknownZone }
    );
}
