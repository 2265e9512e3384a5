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
        ("+52 1 55 1234 5678", "US", "+525512345678"),
        ("0011 44 20 7946 0123", "AU", "+442079460123"),
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
