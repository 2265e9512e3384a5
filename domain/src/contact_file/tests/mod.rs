mod examples;

use super::*;
use crate::agent::Variable;
use crate::phone::{Country, NumberError, Zone, ZoneError};
use proptest::prelude::*;

fn header(line: &str) -> Result<Header, HeaderError> {
    Header::parse(line.split(',').map(str::as_bytes))
}

fn contact(header: &Header, line: &str) -> Result<ContactLine, LineError> {
    header.contact(7, line.split(',').map(str::as_bytes), Some(Country::US))
}

fn reason(head: &str, line: &str) -> (Option<String>, Reason) {
    let error = contact(&header(head).unwrap(), line).unwrap_err();
    assert_eq!(error.line, 7);
    (error.column, error.reason)
}

#[test]
fn a_line_becomes_a_contact() {
    let header =
        header("Phone,First Name,Last Name,E-Mail,Time Zone,Priority,Language,City,Plan Name").unwrap();
    assert_eq!(header.variables().collect::<Vec<_>>(), ["city", "plan_name"]);
    let line = "(212) 555-0123, Ada ,Lovelace,ada@example.com,America/New_York,9,pt_BR,Boston,";
    let contact = contact(&header, line).unwrap();
    assert_eq!(contact.number.as_e164(), "+12125550123");
    assert_eq!(contact.full_name().as_deref(), Some("Ada Lovelace"));
    assert_eq!(contact.email.as_deref(), Some("ada@example.com"));
    assert_eq!(contact.zone, Zone::by_name("America/New_York"));
    assert_eq!((contact.priority, contact.language.as_deref(), contact.line), (Some(9), Some("pt-BR"), 7));
    // An empty field is no variable.
    let variables: Vec<_> = contact.variables.into_iter().collect();
    assert_eq!(variables, [("city".to_owned(), Variable::Text("Boston".to_owned()))]);
}

#[test]
fn only_the_number_is_needed() {
    let header = header("\u{feff}to").unwrap();
    let contact = contact(&header, "+442079460123").unwrap();
    assert_eq!(contact.full_name(), None);
    assert_eq!(contact.number.country(), Country::GB);
}

#[test]
fn the_column_of_the_number() {
    for name in [
        "phone",
        "Phone Number",
        "PHONE_NUMBER",
        "phoneNumber",
        "to",
        " To ",
        "Mobile",
        "cell-phone",
        "Number",
    ] {
        assert!(header(&format!("name,{name}")).is_ok(), "{name}");
    }
    // A plain phone column wins over one that may be another number.
    let both = header("mobile,phone").unwrap();
    assert_eq!(both.variables().collect::<Vec<_>>(), ["mobile"]);
    assert_eq!(header("phone,to"), Err(HeaderError::TwoPhoneColumns { first: 1, second: 2 }));
    assert_eq!(header("name,mobile,cell"), Err(HeaderError::TwoPhoneColumns { first: 2, second: 3 }));
}

#[test]
fn headers_that_are_none() {
    use HeaderError::*;
    for (line, want) in [
        ("", Empty),
        (",,,", Empty),
        ("name,city", NoPhoneColumn),
        ("+12125550123,Ada", NoHeader),
        ("Ada,(212) 555-0123", NoHeader),
        ("phone,name,Name", DuplicateColumn { first: 2, second: 3 }),
        ("phone,tz,time zone", DuplicateColumn { first: 2, second: 3 }),
        ("phone,Plan name,plan-name", DuplicateColumn { first: 2, second: 3 }),
        ("phone,system__caller_id", UnusableName { column: 2 }),
        ("phone,!!!", UnusableName { column: 2 }),
        ("phone,\u{1}x", NotText { column: 2 }),
    ] {
        assert_eq!(header(line), Err(want), "{line}");
    }
    assert_eq!(header(&format!("phone,{}", "x".repeat(65))), Err(NameTooLong { column: 2 }));
    assert_eq!(header(&format!("phone{}", ",x".repeat(64))), Err(TooManyColumns));
    assert_eq!(Header::parse([&b"phone"[..], b"\xff\xfe"]), Err(NotText { column: 2 }));
}

#[test]
fn lines_that_are_not_imported() {
    let column = |name: &str| Some(name.to_owned());
    let head = "phone,Time Zone,email,priority,language,note,";
    let good = |n: usize, field: &str| {
        let mut fields = ["2125550123", "", "", "", "", "", ""].map(str::to_owned);
        fields[n] = field.to_owned();
        fields.join(",")
    };
    assert_eq!(reason(head, &good(0, "555")), (column("phone"), Reason::Number(NumberError::ShortCode)));
    assert_eq!(reason(head, &good(0, "")).1, Reason::Blank);
    assert_eq!(reason(head, ",America/New_York,,,,,"), (column("phone"), Reason::Number(NumberError::Empty)));
    assert_eq!(reason(head, &good(1, "EST")), (column("Time Zone"), Reason::Zone(ZoneError::Abbreviation)));
    assert_eq!(reason(head, &good(1, "Mars/Base")), (column("Time Zone"), Reason::Zone(ZoneError::Unknown)));
    for email in ["ada", "@example.com", "ada@", "a@b@c", "a b@example.com"] {
        assert_eq!(reason(head, &good(2, email)), (column("email"), Reason::Email), "{email}");
    }
    for priority in ["10", "-1", "high", "1.5", "999999999999"] {
        assert_eq!(reason(head, &good(3, priority)), (column("priority"), Reason::Priority), "{priority}");
    }
    for language in ["e", "english language", "en-", "12", "en-toolongsubtag"] {
        assert_eq!(reason(head, &good(4, language)), (column("language"), Reason::Language), "{language}");
    }
    assert_eq!(reason(head, &good(5, "a\u{0}b")), (column("note"), Reason::NotText));
    assert_eq!(reason(head, &good(5, &"x".repeat(4_097))), (column("note"), Reason::TooLong { max: 4_096 }));
    assert_eq!(reason(head, &good(6, "stray")), (column(""), Reason::Unnamed));
    assert_eq!(
        reason("phone,name", &format!("2125550123,{}", "x".repeat(201))).1,
        Reason::TooLong { max: 200 }
    );
    assert_eq!(reason("phone,name", "2125550123"), (None, Reason::FieldCount { found: 1, expected: 2 }));
    assert_eq!(reason("phone,name", "2125550123,a,b"), (None, Reason::FieldCount { found: 3, expected: 2 }));
    assert_eq!(reason("phone,name", ",").1, Reason::Blank);
    assert!(contact(&header("phone,name").unwrap(), "2125550123,a,, ").is_ok());
    let wide = format!("phone{}", (0..8).map(|n| format!(",v{n}")).collect::<String>());
    let heavy = format!("2125550123{}", format!(",{}", "x".repeat(4_000)).repeat(8));
    assert_eq!(reason(&wide, &heavy).1, Reason::VariablesTooLong);
    let latin = header("phone,name").unwrap().contact(7, [&b"2125550123"[..], b"Jos\xe9"], None).unwrap_err();
    assert_eq!((latin.column, latin.reason), (column("name"), Reason::NotText));
}

#[test]
fn nothing_of_a_person_is_shown() {
    let header = header("phone,name,email,plan").unwrap();
    let good = contact(&header, "2125550123,Ada Lovelace,ada@example.com,Gold").unwrap();
    let shown = format!("{good:?}");
    assert!(shown.contains("0123"));
    for secret in ["555", "Ada", "example", "Gold"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    let bad = contact(&header, "2125550123,Ada,ada at example.com,").unwrap_err();
    assert_eq!(bad.to_string(), "line 7, column email: not an e-mail address");
    assert!(!format!("{bad:?}").contains("Ada"));
}

fn scan(bytes: &[u8]) -> Result<u64, FileError> {
    let mut scan = Scan::new(detect_delimiter(bytes));
    scan.feed(bytes)?;
    scan.finish()
}

#[test]
fn files_that_are_no_lists() {
    use NotText::*;
    let kind = |kind| Err(FileError::NotText { line: 1, kind });
    for empty in [&b""[..], b"\n", b"\r\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"] {
        assert_eq!(scan(empty), Err(FileError::Empty));
    }
    assert_eq!(scan(b"PK\x03\x04\x14\x00\x06\x00"), kind(Workbook));
    assert_eq!(scan(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), kind(OldWorkbook));
    assert_eq!(scan(b"%PDF-1.7\n"), kind(Pdf));
    assert_eq!(scan(b"\x1f\x8b\x08\x00"), kind(Compressed));
    assert_eq!(scan(b"\xff\xfep\x00h\x00"), kind(Utf16));
    assert_eq!(scan(b"p\x00h\x00o\x00"), kind(Binary));
    assert_eq!(scan(b"\x7fELF\x02\x01\x01"), kind(Binary));
    assert_eq!(scan(b"phone\n2125550123\n21\x0055"), Err(FileError::NotText { line: 3, kind: Binary }));
}

#[test]
fn quotes_and_lengths() {
    assert_eq!(scan(b"phone"), Ok(1));
    assert_eq!(scan(b"phone\n"), Ok(1));
    assert_eq!(scan(b"phone,name\r\n1,\"a \"\"b\"\"\nc\"\r\n2,d\r\n"), Ok(4));
    // Behind a byte order mark a quote still begins a field.
    assert_eq!(scan(b"\xef\xbb\xbf\"phone\",name\n"), Ok(1));
    assert_eq!(scan(b"\xef\xbb\xbf\"phone"), Err(FileError::OpenQuote { line: 1 }));
    // A quote in the middle of a field is a character like any other.
    assert_eq!(scan(b"phone,name\n1,5\" pipe\n"), Ok(2));
    assert_eq!(scan(b"phone,name\n1,\"open\n2,b\n3,c\n"), Err(FileError::OpenQuote { line: 2 }));
    // It is noticed long before the end of a large file.
    let mut open = Scan::new(b',');
    open.feed(b"phone,name\n1,\"open\n").unwrap();
    let fed = (0..10_000).find(|_| open.feed(b"2125550123,somebody\n").is_err());
    assert!(fed.is_some_and(|lines| lines <= 64));
    let mut long = Scan::new(b',');
    let fed = (0..1_000).find_map(|n| long.feed(&[b'x'; 1_024]).err().map(|error| (n, error)));
    assert_eq!(fed, Some((64, FileError::RecordTooLong { line: 1 })));
    let mut quoted = Scan::new(b',');
    quoted.feed(b"phone\n\"").unwrap();
    let fed = (0..1_000).find_map(|n| quoted.feed(&[b'x'; 1_024]).err().map(|error| (n, error)));
    assert_eq!(fed, Some((63, FileError::OpenQuote { line: 2 })));
}

#[test]
fn delimiters() {
    assert_eq!(detect_delimiter(b"phone,name;x,y\n;;;;"), b',');
    assert_eq!(detect_delimiter(b"phone;name\n1,5;2,5"), b';');
    assert_eq!(detect_delimiter(b"phone\tname"), b'\t');
    assert_eq!(detect_delimiter(b"phone|name"), b'|');
    assert_eq!(detect_delimiter(b"phone"), b',');
    assert_eq!(detect_delimiter(b"\"a;b;c\",phone"), b',');
    assert_eq!(detect_delimiter(b""), b',');
}

fn read(bytes: &[u8], delimiter: u8) -> Vec<csv::ByteRecord> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    reader.byte_records().map(Result::unwrap).collect()
}

proptest! {
    #[test]
    fn pieces_do_not_matter(bytes in prop::collection::vec(prop::sample::select(&b"ab,;\"\"\n\r\x00\xc3"[..]), 0..200), cuts in prop::collection::vec(0usize..200, 0..6)) {
        let whole = { let mut scan = Scan::new(b','); scan.feed(&bytes).and_then(|()| scan.finish()) };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let mut pieces = Scan::new(b',');
        let fed = cuts.windows(2).try_for_each(|pair| pieces.feed(&bytes[pair[0]..pair[1]]));
        prop_assert_eq!(fed.and_then(|()| pieces.finish()), whole);
    }

    /// What a CSV writer writes passes, and an opened quote at its end does not.
    #[test]
    fn written_files_pass(rows in prop::collection::vec(prop::collection::vec("[a-z,;\"\n é]{0,12}", 3), 1..20)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let mut bytes = writer.into_inner().unwrap();
        let mut scan = Scan::new(b',');
        scan.feed(&bytes).unwrap();
        prop_assert!(scan.clone().finish().is_ok());
        prop_assert_eq!(read(&bytes, b',').len(), rows.len());
        let lines = scan.finish().unwrap();
        bytes.extend(b"x,\"open");
        let mut open = Scan::new(b',');
        open.feed(&bytes).unwrap();
        prop_assert_eq!(open.finish(), Err(FileError::OpenQuote { line: lines + 1 }));
    }

    #[test]
    fn no_record_makes_it_panic(head in prop::collection::vec("\\PC{0,12}", 0..6), fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
        let names = head.iter().map(|name| name.as_bytes()).chain([&b"phone"[..]]);
        if let Ok(header) = Header::parse(names) {
            let _ = header.contact(2, fields.iter().map(Vec::as_slice), None);
        }
    }

    /// A contact or a reason: nothing is lost between the two.
    #[test]
    fn good_lines_keep_every_value(values in prop::collection::vec("[a-zA-Z0-9]([a-zA-Z0-9 ]{0,20}[a-zA-Z0-9])?", 1..20)) {
        let names: Vec<String> = (0..values.len()).map(|n| format!("field {n}")).collect();
        let header = Header::parse([&b"phone"[..]].into_iter().chain(names.iter().map(String::as_bytes))).unwrap();
        let fields = [&b"2125550123"[..]].into_iter().chain(values.iter().map(String::as_bytes));
        let contact = header.contact(2, fields, Some(Country::US)).unwrap();
        prop_assert_eq!(contact.variables.len(), values.len());
        for (n, value) in values.iter().enumerate() {
            prop_assert_eq!(contact.variables.get(&format!("field_{n}")), Some(&Variable::Text(value.clone())));
        }
    }
}
