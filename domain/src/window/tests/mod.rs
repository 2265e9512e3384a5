mod oracle;
mod schedules;

use super::*;
use crate::phone::UsState;

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

fn hours(text: &str) -> Hours {
    text.parse().unwrap()
}

fn ask(now: &str, places: &[&str], text: &str) -> Verdict {
    check(at(now), &zones(places), &hours(text), &Rules::none())
}

fn opens(when: &str) -> Verdict {
    Verdict::Closed { opens_at: at(when) }
}

fn closes(when: &str) -> Verdict {
    Verdict::Open { closes_at: at(when) }
}

const NEW_YORK: &[&str] = &["America/New_York"];

#[test]
fn nine_oclock_follows_the_clock_change() {
    let nine = "Mon-Sun 09:00-20:00";
    assert_eq!(ask("2026-03-07T06:00:00Z", NEW_YORK, nine), opens("2026-03-07T14:00:00Z"));
    assert_eq!(ask("2026-03-08T06:00:00Z", NEW_YORK, nine), opens("2026-03-08T13:00:00Z"));
    assert_eq!(ask("2026-10-31T06:00:00Z", NEW_YORK, nine), opens("2026-10-31T13:00:00Z"));
    assert_eq!(ask("2026-11-01T04:00:00Z", NEW_YORK, nine), opens("2026-11-01T14:00:00Z"));
    // Closing too: twenty o'clock on the eve and on the day of the change.
    assert_eq!(ask("2026-03-07T20:00:00Z", NEW_YORK, nine), closes("2026-03-08T01:00:00Z"));
    assert_eq!(ask("2026-03-08T20:00:00Z", NEW_YORK, nine), closes("2026-03-09T00:00:00Z"));
}

#[test]
fn an_hour_that_spring_skips_does_not_exist() {
    // 2026-03-08: 02:00 EST is 03:00 EDT, at 07:00Z.
    let night = "Sun 02:30-03:30";
    assert_eq!(ask("2026-03-08T06:59:59.999Z", NEW_YORK, night), opens("2026-03-08T07:00:00Z"));
    assert_eq!(ask("2026-03-08T07:00:00Z", NEW_YORK, night), closes("2026-03-08T07:30:00Z"));
    // Hours that are skipped whole come back a week later.
    assert_eq!(ask("2026-03-08T00:00:00Z", NEW_YORK, "Sun 02:00-03:00"), opens("2026-03-15T06:00:00Z"));
    // Open when the clock jumps, and still open behind it.
    assert_eq!(ask("2026-03-08T06:30:00Z", NEW_YORK, "Sun 01:00-04:00"), closes("2026-03-08T08:00:00Z"));
    // Open when the clock jumps over the end.
    assert_eq!(ask("2026-03-08T06:30:00Z", NEW_YORK, "Sun 01:00-02:30"), closes("2026-03-08T07:00:00Z"));
}

#[test]
fn an_hour_that_autumn_repeats_counts_twice() {
    // 2026-11-01: 02:00 EDT is 01:00 EST again, at 06:00Z.
    let night = "Sun 00:30-01:30";
    assert_eq!(ask("2026-11-01T04:30:00Z", NEW_YORK, night), closes("2026-11-01T05:30:00Z"));
    assert_eq!(ask("2026-11-01T05:30:00Z", NEW_YORK, night), opens("2026-11-01T06:00:00Z"));
    assert_eq!(ask("2026-11-01T06:00:00Z", NEW_YORK, night), closes("2026-11-01T06:30:00Z"));
    // Open through both: three hours long on the clock, four in time.
    assert_eq!(ask("2026-11-01T04:00:00Z", NEW_YORK, "Sun 00:00-03:00"), closes("2026-11-01T08:00:00Z"));
}

#[test]
fn places_with_their_own_ways() {
    let nine = "Mon-Sun 09:00-20:00";
    for (now, place, want) in [
        ("2026-01-10T08:00:00Z", "America/Phoenix", "2026-01-10T16:00:00Z"),
        ("2026-07-10T08:00:00Z", "America/Phoenix", "2026-07-10T16:00:00Z"),
        ("2026-01-10T00:00:00Z", "Europe/Berlin", "2026-01-10T08:00:00Z"),
        ("2026-07-10T00:00:00Z", "Europe/Berlin", "2026-07-10T07:00:00Z"),
        // The change of 2026-03-29 is at 01:00Z.
        ("2026-03-29T00:00:00Z", "Europe/Berlin", "2026-03-29T07:00:00Z"),
        ("2026-01-10T00:00:00Z", "Asia/Kolkata", "2026-01-10T03:30:00Z"),
        ("2026-01-10T00:00:00Z", "Asia/Kathmandu", "2026-01-10T03:15:00Z"),
        ("2026-01-10T00:00:00Z", "Pacific/Honolulu", "2026-01-10T00:00:00Z"),
        // Half an hour of daylight saving.
        ("2026-01-09T12:00:00Z", "Australia/Lord_Howe", "2026-01-09T22:00:00Z"),
        ("2026-07-09T12:00:00Z", "Australia/Lord_Howe", "2026-07-09T22:30:00Z"),
    ] {
        match ask(now, &[place], nine) {
            Verdict::Closed { opens_at } => assert_eq!(opens_at, at(want), "{place}"),
            Verdict::Open { .. } => assert_eq!(at(now), at(want), "{place}"),
            never => panic!("{place}: {never:?}"),
        }
    }
}

#[test]
fn split_zones_share_the_hours_they_have_in_common() {
    // Idaho: nine in Los Angeles is ten in Boise; eight in the evening comes to Boise first.
    let idaho = &["America/Boise", "America/Los_Angeles"];
    let nine = "Mon-Sun 09:00-20:00";
    assert_eq!(ask("2026-01-13T16:00:00Z", idaho, nine), opens("2026-01-13T17:00:00Z"));
    assert_eq!(ask("2026-01-13T17:00:00Z", idaho, nine), closes("2026-01-14T03:00:00Z"));
    // Across Russia one hour is left.
    let russia = &["Europe/Kaliningrad", "Europe/Moscow", "Asia/Yakutsk", "Asia/Kamchatka"];
    assert_eq!(ask("2026-01-13T00:00:00Z", russia, nine), opens("2026-01-13T07:00:00Z"));
    assert_eq!(ask("2026-01-13T07:00:00Z", russia, nine), closes("2026-01-13T08:00:00Z"));
    // And none between New York and Tokyo by day.
    let far = &["America/New_York", "Asia/Tokyo"];
    assert_eq!(
        ask("2026-01-13T00:00:00Z", far, "Mon-Sun 10:00-17:00"),
        Verdict::Never { why: Never::NoCommonHours }
    );
}

#[test]
fn the_margin_keeps_the_ring_inside() {
    let set = zones(NEW_YORK);
    let check = |now: &str| check(at(now), &set, &Hours::default(), &Rules::default());
    assert_eq!(check("2026-01-14T00:54:59.999Z"), closes("2026-01-14T00:55:00Z"));
    assert_eq!(check("2026-01-14T00:55:00Z"), opens("2026-01-14T14:00:00Z"));
    // Hours that are no longer than the margin never open.
    let short = hours("Mon-Sun 12:00-12:05");
    let never = super::check(at("2026-01-14T00:00:00Z"), &set, &short, &Rules::default());
    assert_eq!(never, Verdict::Never { why: Never::NoCommonHours });
    // Midnight is no end when the next day goes on.
    let rules = Rules { margin_minutes: 5, ..Rules::none() };
    let night = hours("Mon 22:00-24:00; Tue 00:00-02:00");
    let verdict = super::check(at("2026-01-13T04:57:00Z"), &set, &night, &rules);
    assert_eq!(verdict, closes("2026-01-13T06:55:00Z"));
}

#[test]
fn the_federal_hours_bound_every_campaign() {
    let set = zones(NEW_YORK);
    let all_day = Hours::always();
    let check = |now: &str| check(at(now), &set, &all_day, &no_margin());
    assert_eq!(check("2026-01-13T12:59:00Z"), opens("2026-01-13T13:00:00Z"));
    assert_eq!(check("2026-01-13T13:00:00Z"), closes("2026-01-14T02:00:00Z"));
}

#[test]
fn stricter_states() {
    let check = |now: &str, state: &str, place: &str| {
        let rules = Rules { state: UsState::new(state), ..no_margin() };
        check(at(now), &zones(&[place]), &Hours::always(), &rules)
    };
    // Kentucky from ten; Pennsylvania on Sunday from noon; Alabama neither on Sunday nor on
    // Thanksgiving; Maine on weekdays until five; Ohio as everywhere.
    assert_eq!(check("2026-01-13T13:00:00Z", "KY", "America/New_York"), opens("2026-01-13T15:00:00Z"));
    assert_eq!(check("2026-01-18T13:00:00Z", "PA", "America/New_York"), opens("2026-01-18T17:00:00Z"));
    assert_eq!(check("2026-01-18T13:00:00Z", "OH", "America/New_York"), closes("2026-01-19T02:00:00Z"));
    assert_eq!(check("2026-11-26T15:00:00Z", "AL", "America/Chicago"), opens("2026-11-27T14:00:00Z"));
    assert_eq!(check("2026-11-29T15:00:00Z", "AL", "America/Chicago"), opens("2026-11-30T14:00:00Z"));
    assert_eq!(check("2026-11-27T22:00:00Z", "ME", "America/New_York"), opens("2026-11-30T14:00:00Z"));
}

#[test]
fn excluded_dates_are_local_dates() {
    let dates = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Date>>();
    let nine = hours("Mon-Sun 09:00-20:00").with_excluded(dates(&["2026-12-25", "2026-12-26"])).unwrap();
    let check = |now: &str, place: &str| super::check(at(now), &zones(&[place]), &nine, &Rules::none());
    assert_eq!(check("2026-12-25T04:00:00Z", "America/New_York"), opens("2026-12-27T14:00:00Z"));
    // Christmas begins in Auckland while it is the 24th in London.
    assert_eq!(check("2026-12-24T21:00:00Z", "Pacific/Auckland"), opens("2026-12-26T20:00:00Z"));
    assert!(check("2026-12-24T19:00:00Z", "Europe/London").is_open());
    // Two weeks of holidays are beyond the horizon.
    let from: Date = "2026-07-01".parse().unwrap();
    let away =
        hours("Mon-Sun 09:00-20:00").with_excluded((0..20).map(|n| from.plus_days(n)).collect()).unwrap();
    let check = |now: Millis| super::check(now, &zones(NEW_YORK), &away, &Rules::none());
    let look_at = at("2026-07-15T12:00:00Z");
    assert_eq!(check(at("2026-07-01T12:00:00Z")), Verdict::NotInSight { look_at });
    assert_eq!(check(look_at), opens("2026-07-21T13:00:00Z"));
}

#[test]
fn hours_that_meet_in_summer_only_are_waited_for() {
    // Both are seven hours behind UTC in summer; in winter one of them is eight.
    let places = &["America/Phoenix", "America/Los_Angeles"];
    let noon = "Mon-Sun 12:00-13:00";
    let now = at("2026-01-13T00:00:00Z");
    let look_at = now + Millis::from(HORIZON_DAYS) * DAY;
    assert_eq!(ask("2026-01-13T00:00:00Z", places, noon), Verdict::NotInSight { look_at });
    assert_eq!(ask("2026-03-01T00:00:00Z", places, noon), opens("2026-03-08T19:00:00Z"));
    // Half a day apart all year: never, however long one waits.
    let never = Verdict::Never { why: Never::NoCommonHours };
    let far = &["America/Phoenix", "Asia/Kolkata"];
    for now in ["2026-01-13T00:00:00Z", "2026-07-13T00:00:00Z"] {
        assert_eq!(ask(now, far, noon), never);
    }
}

#[test]
fn a_state_that_closes_on_the_only_weekday_never_opens() {
    let closed = rules::STATE_HOURS.iter().find(|rule| rule.week[Weekday::Sunday.index()].is_none());
    let state = UsState::new(closed.expect("a state that rests on Sundays").state);
    let rules = Rules { state, ..Rules::default() };
    let verdict = check(at("2026-01-13T00:00:00Z"), &zones(NEW_YORK), &hours("Sun 09:00-17:00"), &rules);
    assert_eq!(verdict, Verdict::Never { why: Never::NoCommonHours });
}

#[test]
fn always_open_is_open_until_the_horizon() {
    let now = at("2026-06-01T00:00:00Z");
    let verdict = check(now, &zones(NEW_YORK), &Hours::always(), &Rules::none());
    assert_eq!(verdict, Verdict::Open { closes_at: now + Millis::from(HORIZON_DAYS) * DAY });
}

#[test]
fn times_without_a_clock_are_closed() {
    for now in [Millis::MIN, -1, at("2121-01-01T00:00:00Z"), Millis::MAX] {
        let verdict = check(now, &zones(NEW_YORK), &Hours::always(), &Rules::none());
        assert_eq!(verdict, Verdict::Never { why: Never::UnknownZone }, "{now}");
    }
}

#[test]
fn explained_zone_by_zone() {
    let rules = Rules { state: UsState::new("ID"), ..no_margin() };
    let set = zones(&["America/Boise", "America/Los_Angeles"]);
    let views = explain(at("2026-01-13T15:30:00Z"), &set, &Hours::default(), &rules);
    let told: Vec<(String, Option<Closure>)> =
        views.iter().map(|view| (view.local.unwrap().to_string(), view.closure)).collect();
    assert_eq!(
        told,
        [
            ("Tue 2026-01-13 08:30".to_owned(), Some(Closure::CampaignHours)),
            ("Tue 2026-01-13 07:30".to_owned(), Some(Closure::FederalHours)),
        ]
    );
    let closure = |now: &str, state: &str, hours: &Hours, margin: u16| {
        let rules = Rules { state: UsState::new(state), margin_minutes: margin, ..Rules::default() };
        explain(at(now), &zones(NEW_YORK), hours, &rules)[0].closure
    };
    assert_eq!(closure("2026-01-13T14:30:00Z", "KY", &Hours::default(), 5), Some(Closure::StateHours));
    assert_eq!(closure("2026-11-26T15:00:00Z", "PA", &Hours::default(), 5), Some(Closure::StateHoliday));
    let christmas = Hours::default().with_excluded(vec!["2026-12-25".parse().unwrap()]).unwrap();
    assert_eq!(closure("2026-12-25T15:00:00Z", "OH", &christmas, 5), Some(Closure::ExcludedDate));
    assert_eq!(closure("2026-01-14T00:57:00Z", "OH", &Hours::default(), 5), Some(Closure::Margin));
    assert_eq!(closure("2026-01-13T15:00:00Z", "OH", &Hours::default(), 5), None);
    let unheard = ZoneSet::one(Zone::from_number(60_000));
    assert_eq!(explain(0, &unheard, &Hours::default(), &rules)[0].closure, Some(Closure::UnknownZone));
}
