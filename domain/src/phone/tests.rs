use super::*;

fn parse(text: &str, region: &str) -> Result<Number, NumberError> {
    Number::parse(text, Country::new(region))
}

fn e164(text: &str, region: &str) -> String {
    parse(text, region).unwrap_or_else(|e| panic!("{text}: {e}")).as_e164().to_owned()
}

#[test]
fn spellings_of_one_american_number() {
    for text in [
        "+12125550123",
        "+1 212 555 0123",
        "+1 (212) 555-0123",
        "1-212-555-0123",
        "212.555.0123",
        "(212) 555 0123",
        "2125550123",
        " 212\u{a0}555\u{2011}0123 ",
        "'2125550123",
        "tel:+1-212-555-0123",
        "011 1 212 555 0123",
        "001 212 555 0123",
        "＋１２１２５５５０１２３",
        "\u{202a}+1 212-555-0123\u{202c}",
    ] {
        assert_eq!(e164(text, "US"), "+12125550123", "{text}");
    }
    assert_eq!(e164("001 212 555 0123", "DE"), "+12125550123");
    assert_eq!(Number::parse("0012125550123", None).unwrap().as_e164(), "+12125550123");
}

#[test]
fn numbers_of_other_countries() {
    for (text, region, want) in [
        ("020 7946 0123", "GB", "+442079460123"),
        ("+44 (0)20 7946 0123", "US", "+442079460123"),
        ("0044 20 7946 0123", "DE", "+442079460123"),
        ("030 23125 123", "DE", "+493023125123"),
        ("+49 (0)30 23125-123", "US", "+493023125123"),
        ("06 6982 1234", "IT", "+390669821234"),
        ("+39 06 6982 1234", "US", "+390669821234"),
        ("98765 43210", "IN", "+919876543210"),
        ("+7 812 123-45-67", "US", "+78121234567"),
        ("+7 8 812 123-45-67", "US", "+78121234567"),
        ("+36 06 1 234 5678", "US", "+3612345678"),
        ("+52 1 55 1234 5678", "US", "+525512345678"),
        ("0011 44 20 7946 0123", "AU", "+442079460123"),
        ("011 44 20 7946 0123", "US", "+442079460123"),
        ("00 44 20 7946 0123", "US", "+442079460123"),
        ("+1 876 926 1234", "DE", "+18769261234"),
    ] {
        assert_eq!(e164(text, region), want, "{text}");
    }
}

#[test]
fn refusals_say_why() {
    use NumberError::*;
    let (us, gb) = (Country::US, Country::GB);
    for (text, region, want) in [
        ("", "US", Empty),
        ("   ", "US", Empty),
        ("+", "US", Empty),
        ("n/a", "US", Letters),
        ("1-800-FLOWERS", "US", Letters),
        ("212-555-01xx", "US", Letters),
        ("212-555-0123 ext. 4", "US", Extension),
        ("212-555-0123x44", "US", Extension),
        ("+1-212-555-0123;ext=44", "US", Extension),
        ("1.21E+10", "US", Rounded),
        ("212_555_0123", "US", Character('_')),
        ("212+5550123", "US", Character('+')),
        ("212-555-0123 / 212-555-0199", "US", TooLong),
        ("5550123", "US", TooShort { digits: 7 }),
        ("212555012", "US", TooShort { digits: 9 }),
        ("212555012345", "US", WrongLength { country: us, digits: 12 }),
        ("911", "US", Emergency),
        ("112", "DE", Emergency),
        ("411", "US", ShortCode),
        ("72345", "US", ShortCode),
        ("+1 911", "US", Emergency),
        ("+999 1234 5678", "US", UnknownCountryCode),
        ("+0123456789", "US", UnknownCountryCode),
        ("+870 773 111 632", "US", UnknownCountryCode),
        ("+800 1234 5678", "US", UnknownCountryCode),
        ("123 555 0123", "US", NotAssigned { country: us }),
        ("1 999 555 0123", "US", NotAssigned { country: us }),
        ("212 155 0123", "US", NotAssigned { country: us }),
        ("212 911 0123", "US", NotAssigned { country: us }),
        ("900 555 0123", "US", Premium { country: us }),
        ("500 555 0123", "US", Premium { country: us }),
        ("+44 909 879 0123", "US", Premium { country: gb }),
        ("+44 70 1234 5678", "US", Premium { country: gb }),
        ("+44 845 123 4567", "US", Premium { country: gb }),
        ("+33 6 39 98 01 11", "US", NotAssigned { country: Country::new("FR").unwrap() }),
        ("+44 99 7946 0123", "US", NotAssigned { country: gb }),
        ("+44 20 7946 01", "US", WrongLength { country: gb, digits: 8 }),
        ("+44 20 7946 012345", "US", WrongLength { country: gb, digits: 12 }),
    ] {
        assert_eq!(parse(text, region), Err(want), "{text}");
    }
    assert_eq!(Number::parse("2125550123", None), Err(NoCountry));
    assert_eq!(parse(&"1".repeat(100_000), "US"), Err(TooLong));
}

#[test]
fn a_number_does_not_show_itself() {
    let number = parse("+12125550123", "US").unwrap();
    for shown in [format!("{number}"), format!("{number:?}"), format!("{:?}", Some(number))] {
        assert!(shown.contains("0123") && !shown.contains("555"), "{shown}");
    }
    assert_eq!(number.last4(), "0123");
}

mod against_the_library {
    use super::*;
    use phonenumber::metadata::DATABASE;
    use proptest::prelude::*;

    fn valid(e164: &str) -> bool {
        phonenumber::parse(None, e164).is_ok_and(|number| phonenumber::is_valid(&number))
    }

    /// Every area code of the table with every kind of exchange, not only random ones.
    #[test]
    fn each_area_code_of_the_fast_way_is_known_to_the_library() {
        for area in 200..1000 {
            let text = format!("+1{area}5550123");
            let ours = Number::parse(&text, None);
            match ours {
                Ok(number) => {
                    assert!(valid(&text), "{area} is not assigned");
                    let toll_free = parse::TOLL_FREE.contains(&area.to_string().as_str());
                    assert_eq!(zones_of(&number).is_empty(), toll_free, "{area}");
                    assert_eq!(us_state(&number).is_some(), number.country() == Country::US && !toll_free);
                }
                // Two exchanges of Antigua are pagers.
                Err(NumberError::Premium { .. } | NumberError::NotAPerson { .. }) => {}
                // 600 is for machines and voice over IP of no place.
                Err(_) => assert!(!valid(&text) || area == 600, "{area} is refused"),
            }
        }
    }

    /// The library has an example of each kind of number of each region.
    #[test]
    fn the_examples_of_every_region_are_read_and_placed() {
        let mut tried = 0;
        for metadata in DATABASE.iter() {
            let Some(region) = Country::new(metadata.id()) else { continue };
            for kind in [metadata.descriptors().fixed_line(), metadata.descriptors().mobile()] {
                let Some(national) = kind.and_then(|kind| kind.example()) else { continue };
                let text = format!("+{}{national}", metadata.country_code());
                let number = Number::parse(&text, None).unwrap_or_else(|e| panic!("{region} {text}: {e}"));
                assert_eq!(number.as_e164(), text, "{region}");
                assert!(!zones_of(&number).is_empty(), "{region} {text} has no zone");
                // Territories share the mobile numbers of their main country.
                let shared =
                    DATABASE.region(&metadata.country_code()).is_some_and(|regions| regions.len() > 1);
                if !shared || metadata.is_main_country_for_code() || metadata.country_code() == 1 {
                    assert_eq!(number.country(), region, "{text}");
                }
                tried += 1;
            }
        }
        assert!(tried > 400, "{tried}");
    }

    #[test]
    fn premium_examples_are_refused() {
        let mut tried = 0;
        for metadata in DATABASE.iter() {
            if Country::new(metadata.id()).is_none() {
                continue;
            }
            let kinds = metadata.descriptors();
            for kind in [kinds.premium_rate(), kinds.shared_cost(), kinds.personal_number()] {
                let Some(national) = kind.and_then(|kind| kind.example()) else { continue };
                let text = format!("+{}{national}", metadata.country_code());
                let got = Number::parse(&text, None);
                assert!(matches!(got, Err(NumberError::Premium { .. })), "{} {text}: {got:?}", metadata.id());
                tried += 1;
            }
        }
        assert!(tried > 100, "{tried}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// What the fast way accepts is valid for the library, and what it refuses is not, apart
        /// from service codes, exchanges that cannot be (which the library lets pass in the
        /// Dominican Republic), costly numbers and 600.
        #[test]
        fn the_fast_way_agrees(area in 200u32..1000, exchange in 0u32..1000, line in 0u32..10_000) {
            let text = format!("+1{area}{exchange:03}{line:04}");
            let service = area % 100 == 11 || exchange % 100 == 11;
            match Number::parse(&text, None) {
                Ok(number) => {
                    prop_assert!(valid(&text));
                    prop_assert_eq!(number.as_e164(), &text);
                }
                // Two exchanges of Antigua are pagers.
                Err(NumberError::Premium { .. } | NumberError::NotAPerson { .. }) => {}
                Err(_) => prop_assert!(service || exchange < 200 || area == 600 || !valid(&text), "{}", text),
            }
        }

        /// Other countries: accepted means valid, and at home and abroad is the same number.
        #[test]
        fn the_slow_way_agrees(code in prop::sample::select(vec!["44", "49", "33", "39", "61", "91", "55", "81"]), national in "[1-9][0-9]{6,10}") {
            let text = format!("+{code}{national}");
            if let Ok(number) = Number::parse(&text, None) {
                let library = phonenumber::parse(None, number.as_e164()).unwrap();
                prop_assert!(phonenumber::is_valid(&library));
            }
        }
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn american() -> impl Strategy<Value = String> {
        (
            prop::sample::select(vec!["212", "415", "602", "808", "907", "416", "208"]),
            200u32..1000,
            0u32..10_000,
        )
            .prop_filter("service codes", |(_, exchange, _)| exchange % 100 != 11)
            .prop_map(|(area, exchange, line)| format!("{area}{exchange}{line:04}"))
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", region in "[A-Z]{2}") {
            let _ = parse(&text, &region);
        }

        #[test]
        fn digits_and_signs_do_not_make_it_panic(text in "[+0-9() .x-]{0,30}", region in prop::sample::select(vec!["US", "GB", "DE", "IT", "AU", "MX", "ZZ"])) {
            if let Ok(number) = parse(&text, region) {
                prop_assert_eq!(Number::from_e164(number.as_e164()), Ok(number));
                prop_assert_eq!(Number::parse(number.as_e164(), None), Ok(number));
                prop_assert_ne!(number.country(), Country::UNKNOWN);
            }
        }

        #[test]
        fn separators_do_not_matter(digits in american(), marks in prop::collection::vec("[ .()/-]{0,2}", 11), one in any::<bool>()) {
            let plain = format!("+1{digits}");
            let digits = if one { format!("1{digits}") } else { digits };
            let written: String = digits.chars().zip(&marks).map(|(c, mark)| format!("{mark}{c}")).collect();
            let number = parse(&written, "US").unwrap();
            prop_assert_eq!(number.as_e164(), plain);
        }

        #[test]
        fn no_message_repeats_the_number(digits in "[0-9]{7,18}") {
            if let Err(error) = parse(&digits, "US") {
                prop_assert!(!error.to_string().contains(&digits));
            }
        }

        #[test]
        fn stored_texts_of_another_form_are_refused(text in "\\PC{0,20}") {
            let well_formed = text.strip_prefix('+').is_some_and(|digits| {
                (5..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
            });
            prop_assert_eq!(Number::from_e164(&text).is_ok(), well_formed);
        }
    }
}

#[test]
fn places() {
    let zones = |text: &str| -> Vec<&'static str> {
        zones_of(&Number::from_e164(text).unwrap()).iter().filter_map(Zone::name).collect()
    };
    for (text, want) in [
        ("+12125550123", &["America/New_York"][..]),
        ("+16025550123", &["America/Phoenix"]),
        ("+19285550123", &["America/Phoenix", "America/Denver"]),
        ("+12085550123", &["America/Boise", "America/Los_Angeles"]),
        ("+18505550123", &["America/New_York", "America/Chicago"]),
        ("+18085550123", &["Pacific/Honolulu"]),
        ("+17875550123", &["America/Puerto_Rico"]),
        ("+18005550123", &[]),
        ("+442079460123", &["Europe/London"]),
        ("+493023125123", &["Europe/Berlin"]),
        ("+34600000000", &["Europe/Madrid", "Atlantic/Canary"]),
        ("+34928123456", &["Atlantic/Canary"]),
        ("+74951234567", &["Europe/Moscow"]),
        ("+999123456", &[]),
    ] {
        assert_eq!(zones(text), want, "{text}");
    }
    let state = |text: &str| us_state(&Number::from_e164(text).unwrap()).map(|state| state.to_string());
    assert_eq!(state("+16065550123").as_deref(), Some("KY"));
    assert_eq!(state("+12025550123").as_deref(), Some("DC"));
    assert_eq!(state("+14165550123"), None);
    assert_eq!(state("+18005550123"), None);
    assert_eq!(state("+442079460123"), None);
}

#[test]
fn the_contacts_own_zone_beats_the_number() {
    let number = Number::from_e164("+12125550123").unwrap();
    let phoenix = Zone::by_name("America/Phoenix").unwrap();
    assert_eq!(
        locate(&number, Some(phoenix)),
        Located { zones: phoenix.into(), source: ZoneSource::Contact }
    );
    assert_eq!(locate(&number, None).source, ZoneSource::Number);
    let toll_free = Number::from_e164("+18005550123").unwrap();
    assert_eq!(locate(&toll_free, None), Located { zones: ZoneSet::EMPTY, source: ZoneSource::Unknown });
}

/// The stored bytes, which stay readable for ever.
#[test]
fn stored_forms() {
    use crate::codec::{decode, encode};
    let number = Number::from_e164("+12125550123").unwrap();
    assert_eq!(encode(&number), b"\x01\x0c+12125550123");
    assert_eq!(decode::<Number>(&encode(&number)), Ok(number));
    assert!(decode::<Number>(&encode(&"212-555-0123")).is_err());
    assert_eq!(encode(&Country::DE), b"\x01\x02DE");
    assert_eq!(decode::<Country>(&encode(&Country::DE)), Ok(Country::DE));
    assert!(decode::<Country>(&encode(&"DEU")).is_err());
    assert_eq!(encode(&us_state(&number)), b"\x01\x01NY");
    // Abidjan is zone 0. A zone of a newer build is kept; a set of seven is damaged.
    let set: ZoneSet = Zone::from_number(0).into();
    assert_eq!(encode(&set), [1, 1, 0]);
    let unheard = ZoneSet::one(Zone::from_number(60_000));
    assert_eq!(decode::<ZoneSet>(&encode(&unheard)), Ok(unheard));
    assert_eq!(unheard.as_slice()[0].name(), None);
    assert!(decode::<ZoneSet>(&[1, 7, 0, 1, 2, 3, 4, 5, 6]).is_err());
    let located = locate(&number, None);
    assert_eq!(decode::<Located>(&encode(&located)), Ok(located));
}
