//! Imports: files cut anywhere, bad lines, files that are none, and files without end.

use super::campaigns::{create, created, filled, shown, start};
use super::world::{Client, World, eventually, metadata, reason};
use bytes::Bytes;
use tandem_proto::v1;
use tonic::{Code, Status};
use v1::import_contacts_request::Content;

fn messages(
    header: v1::ImportContactsHeader,
    pieces: impl IntoIterator<Item = Bytes>,
) -> Vec<v1::ImportContactsRequest> {
    let pieces = pieces.into_iter().map(Content::Csv);
    let contents = std::iter::once(Content::Header(header)).chain(pieces);
    contents.map(|content| v1::ImportContactsRequest { content: Some(content) }).collect()
}

fn header(campaign_id: &str) -> v1::ImportContactsHeader {
    v1::ImportContactsHeader {
        campaign_id: campaign_id.into(),
        default_region: "US".into(),
        ..<_>::default()
    }
}

async fn import(
    client: &Client,
    header: v1::ImportContactsHeader,
    file: &[u8],
    cut: usize,
) -> Result<v1::ImportContactsResponse, Status> {
    let pieces: Vec<Bytes> = file.chunks(cut).map(Bytes::copy_from_slice).collect();
    let request = tokio_stream::iter(messages(header, pieces));
    client.campaigns().import_contacts(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn good_lines_are_imported_and_bad_ones_listed_with_their_line_and_column() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let file = "\u{feff}Phone Number,First Name,Timezone,Priority,Plan\r\n\
        (202) 555-0143,Ada,,9,gold\r\n\
        911,Bob,,,\r\n\
        2025550144,\"Eve, \"\"the\"\" first\",EST,,\r\n\
        \r\n\
        ,,,,\r\n\
        2025550145,Flo,America/Denver,1,\r\n\
        +1 202 555 0143,Ada again,,,\r\n\
        2025550146,Gus\r\n\
        2025550147,Hal,,12,";
    for cut in [1, 7, 100_000] {
        let campaign = created(&client, create("Spring")).await;
        let told = import(&client, header(&campaign), file.as_bytes(), cut).await.expect("imported");
        assert_eq!((told.read, told.added, told.duplicates, told.invalid), (7, 2, 1, 4), "cut {cut}");
        let issues: Vec<_> =
            told.issues.iter().map(|i| (i.line, i.column.as_str(), i.reason.as_str())).collect();
        let expected = [
            (3, "Phone Number", "number"),
            (4, "Timezone", "zone"),
            (9, "", "field_count"),
            (10, "Priority", "priority"),
        ];
        assert_eq!(issues, expected);
        assert!(!told.issues_truncated && told.stopped.is_none());
        // Nothing of the line itself is repeated.
        assert!(told.issues.iter().all(|i| !i.description.contains("555") && !i.description.contains("Eve")));
        let list = v1::ListContactsRequest { campaign_id: campaign, ..<_>::default() };
        let contacts = client.campaigns().list_contacts(list).await.expect("listed").into_inner().contacts;
        let lines: Vec<_> = contacts.iter().map(|c| (c.line, c.priority())).collect();
        assert_eq!(lines, [(2, v1::Priority::High), (7, v1::Priority::Low)]);
        assert_eq!(contacts[1].whereabouts.as_ref().expect("known").time_zones, ["America/Denver"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_broke_off_is_repeated_without_a_trace() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let mut file = String::from("phone,name\n");
    for n in 0..700 {
        file += &format!("+1212555{n:04},Person {n}\n");
    }
    let keyed = v1::ImportContactsHeader { idempotency_key: "file 1".into(), ..header(&campaign) };
    // The first time the client goes away in the middle of it.
    let part = &file.as_bytes()[..file.len() * 2 / 3];
    let (send, receive) = tokio::sync::mpsc::channel(64);
    let mut campaigns = client.campaigns();
    let broken = tokio::spawn(async move {
        campaigns.import_contacts(tokio_stream::wrappers::ReceiverStream::new(receive)).await.map(drop)
    });
    for message in messages(keyed.clone(), part.chunks(999).map(Bytes::copy_from_slice)) {
        send.send(message).await.expect("sent");
    }
    eventually("a part has been added", async || {
        shown(&client, &campaign).await.progress.is_some_and(|p| p.contacts >= 250)
    })
    .await;
    broken.abort();
    drop(send);

    let told = import(&client, keyed.clone(), file.as_bytes(), 1_000).await.expect("imported");
    assert_eq!((told.read, told.added, told.duplicates, told.invalid), (700, 700, 0, 0));
    let again = import(&client, keyed.clone(), file.as_bytes(), 33).await.expect("replayed");
    assert_eq!((again.added, again.duplicates, again.replayed), (700, 0, true));
    assert_eq!(shown(&client, &campaign).await.progress.expect("progress").contacts, 700);
    // The same key for another file is noticed.
    let other = import(&client, keyed, b"phone\n+12025550143\n", 100).await.expect_err("another file");
    assert_eq!(reason(&other), "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_list_is_refused_with_the_reason() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let cases: [(&[u8], &str, &str); 8] = [
        (b"", "INVALID_FILE", "empty"),
        (b"PK\x03\x04\x14\x00\x06\x00", "INVALID_FILE", "not_text"),
        (b"%PDF-1.7 ...", "INVALID_FILE", "not_text"),
        (b"\xff\xfep\0h\0o\0n\0e\0", "INVALID_FILE", "not_text"),
        (b"name,email\nAda,a@b.c\n", "INVALID_FILE", "no_phone_column"),
        (b"+12025550143,Ada\n", "NO_HEADER", "no_header"),
        (b"phone,phone_number\n1,2\n", "INVALID_FILE", "two_phone_columns"),
        (b"phone,\"name\n+12025550143,Ada\n", "INVALID_FILE", "open_quote"),
    ];
    for (file, expected, code) in cases {
        let mut pieces = vec![Bytes::copy_from_slice(file)];
        if file.is_empty() {
            // A piece without a byte is no end of the file either.
            pieces.push(Bytes::new());
        }
        let request = tokio_stream::iter(messages(header(&campaign), pieces));
        let refused = client.campaigns().import_contacts(request).await.expect_err("no list");
        let found = (refused.code(), reason(&refused), metadata(&refused, "code"));
        assert_eq!(found, (Code::InvalidArgument, expected.to_owned(), Some(code.to_owned())), "{refused:?}");
    }
    assert_eq!(shown(&client, &campaign).await.progress.expect("progress").contacts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_text_is_refused_at_once_without_waiting_for_the_rest() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    let noise: Vec<u8> = (0u32..4_096).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let program = b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec();
    for file in [png, noise, program] {
        // The stream stays open: the rest of the file may never come.
        let (send, receive) = tokio::sync::mpsc::channel(4);
        for message in messages(header(&campaign), [Bytes::from(file)]) {
            send.send(message).await.expect("sent");
        }
        let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
        let refused = client.campaigns().import_contacts(stream).await.expect_err("no text");
        let found = (refused.code(), reason(&refused), metadata(&refused, "code"));
        assert_eq!(found, (Code::InvalidArgument, "INVALID_FILE".into(), Some("not_text".into())));
        assert!(metadata(&refused, "line").is_some(), "{refused:?}");
        drop(send);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_and_columns_have_bounds_that_are_told_with_the_line() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let names: Vec<String> = (0..64).map(|n| format!("c{n}")).collect();
    let wide = format!("phone,{}\n+12025550143\n", names.join(","));
    let refused = import(&client, header(&campaign), wide.as_bytes(), 1_000).await.expect_err("too wide");
    let found = (reason(&refused), metadata(&refused, "code"), metadata(&refused, "line"));
    assert_eq!(found, ("INVALID_FILE".into(), Some("too_many_columns".into()), Some("1".into())));

    let one_less = format!("phone,{}\n+12025550143{}\n", names[1..].join(","), ",".repeat(63));
    let told = import(&client, header(&campaign), one_less.as_bytes(), 1_000).await.expect("imported");
    assert_eq!(told.added, 1);

    let long = format!("phone,note\n+12025550144,a\n+12025550145,{}\n+12025550146,b\n", "x".repeat(70_000));
    let told = import(&client, header(&campaign), long.as_bytes(), 1_000).await.expect("a part");
    let stopped = told.stopped.expect("where it stopped");
    assert_eq!((stopped.line, stopped.reason.as_str(), told.added), (3, "record_too_long", 1));
    // Of a line that may be so long, a field may still be too long.
    let field = format!("phone,note\n+12025550147,{}\n+12025550148,b\n", "x".repeat(5_000));
    let told = import(&client, header(&campaign), field.as_bytes(), 1_000).await.expect("imported");
    let issues: Vec<_> = told.issues.iter().map(|i| (i.line, i.reason.as_str())).collect();
    assert_eq!((issues, told.added), (vec![(2, "too_long")], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_keeps_what_stood_before() {
    const MIB: u64 = 1024 * 1024;
    let world = World::start().await;
    let (_, client) = world.company().await;
    let client = world.other_door(&client, |options| options.import_bytes_max = MIB).await;
    let campaign = created(&client, create("Spring")).await;
    let mut file = String::from("phone,note\n+12025550143,a\n");
    while (file.len() as u64) < MIB {
        file += &format!("+12025550143,{}\n", "x".repeat(4_000));
    }
    let last = file.lines().count() as u64;
    file += "+12025550144,b\n";
    let told = import(&client, header(&campaign), file.as_bytes(), 100_000).await.expect("a part");
    let stopped = told.stopped.expect("where it stopped");
    assert_eq!((stopped.reason.as_str(), told.added), ("too_large", 1));
    assert!(stopped.line > 1 && stopped.line <= last, "{stopped:?}");
    assert!(stopped.description.contains("1 MiB"), "{stopped:?}");

    use v1::import_do_not_call_request::Content as Entry;
    let entries =
        [Entry::Header(v1::ImportDoNotCallHeader::default()), Entry::Csv("phone\n+12025550143\n".into())]
            .into_iter()
            .chain((0..2).map(|_| Entry::Csv(vec![b'\n'; 600_000].into())))
            .map(|content| v1::ImportDoNotCallRequest { content: Some(content) });
    let told = client.customers().import_do_not_call(tokio_stream::iter(entries.collect::<Vec<_>>())).await;
    let told = told.expect("a part").into_inner();
    assert_eq!((told.entered, told.stopped.expect("where").reason.as_str()), (1, "too_large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_off_keeps_what_stood_before() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let file = b"phone,name\n+12025550143,Ada\n+12025550144,\"Bob\n+12025550145,Eve\n";
    let told = import(&client, header(&campaign), file, 1_000).await.expect("told");
    let stopped = told.stopped.expect("where it stopped");
    assert_eq!((stopped.line, stopped.reason.as_str()), (3, "open_quote"));
    assert_eq!((told.read, told.added), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_out_of_place_are_refused() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let csv = || Content::Csv(Bytes::from_static(b"phone\n+12025550143\n"));
    let contacts = || Content::Contacts(v1::NewContacts::default());
    let many = v1::NewContacts { contacts: vec![v1::NewContact::default(); 1_001] };
    let head = || Content::Header(header(&campaign));
    let nowhere = Content::Header(header("00000000-0000-7000-8000-000000000000"));
    let region = v1::ImportContactsHeader { default_region: "Germany".into(), ..header(&campaign) };
    let cases: Vec<(Vec<Option<Content>>, Code)> = vec![
        (vec![], Code::InvalidArgument),
        (vec![Some(csv())], Code::InvalidArgument),
        (vec![None], Code::InvalidArgument),
        (vec![Some(head()), Some(head())], Code::InvalidArgument),
        (vec![Some(head()), None], Code::InvalidArgument),
        (vec![Some(head()), Some(csv()), Some(contacts())], Code::InvalidArgument),
        (vec![Some(head()), Some(contacts()), Some(csv())], Code::InvalidArgument),
        (vec![Some(head()), Some(Content::Contacts(many))], Code::InvalidArgument),
        (vec![Some(head()), Some(Content::Csv(vec![b'x'; 1_048_577].into()))], Code::InvalidArgument),
        (vec![Some(Content::Header(region))], Code::InvalidArgument),
        (vec![Some(nowhere), Some(csv())], Code::NotFound),
    ];
    for (contents, expected) in cases {
        let request =
            tokio_stream::iter(contents.into_iter().map(|content| v1::ImportContactsRequest { content }));
        let refused = client.campaigns().import_contacts(request).await.expect_err("refused");
        assert_eq!(refused.code(), expected, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_as_messages_are_read_by_the_rules_of_files() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let told = filled(&client, &campaign, &["+12025550143", "911", "", "+12025550144"]).await;
    assert_eq!((told.read, told.added, told.invalid), (4, 2, 2));
    assert_eq!(told.issues.iter().map(|i| i.line).collect::<Vec<_>>(), [2, 3]);
    // While it runs more may come; once it has ended, nobody.
    start(&client, &campaign).await;
    filled(&client, &campaign, &["+12025550145"]).await;
    eventually("it ends", async || shown(&client, &campaign).await.phase() == v1::CampaignPhase::Completed)
        .await;
    let request =
        tokio_stream::iter(messages(header(&campaign), [Bytes::from_static(b"phone\n+12025550146\n")]));
    let refused = client.campaigns().import_contacts(request).await.expect_err("it has ended");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "ILLEGAL_TRANSITION"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_bad_lines_all_are_counted_and_the_first_listed() {
    let world = World::start().await;
    let (_, client) = world.company().await;
    let campaign = created(&client, create("Spring")).await;
    let mut file = String::from("phone\n");
    for n in 0..3_000 {
        file += if n % 2 == 0 { "nonsense\n" } else { "12\n" };
    }
    file += "+12025550143\n";
    let told = import(&client, header(&campaign), file.as_bytes(), 4_096).await.expect("imported");
    assert_eq!((told.invalid, told.added), (3_000, 1));
    assert_eq!((told.issues.len(), told.issues_truncated), (1_000, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_do_not_call_list_leaves_nobody_awake() {
    use v1::import_do_not_call_request::Content as Entry;
    const NUMBERS: u32 = 6_000;
    let world = World::start().await;
    let (_, client) = world.company().await;
    let before = world.handle().entities();
    let mut file = String::from("phone\n");
    for n in 0..NUMBERS {
        file += &format!("+1212{:07}\n", 2_000_000 + n);
    }
    let head = Entry::Header(v1::ImportDoNotCallHeader::default());
    let pieces = file.as_bytes().chunks(10_000).map(|piece| Entry::Csv(Bytes::copy_from_slice(piece)));
    let contents: Vec<_> = std::iter::once(head).chain(pieces).collect();
    let messages = contents.into_iter().map(|c| v1::ImportDoNotCallRequest { content: Some(c) });
    let (handle, done) =
        (world.handle().clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let most = tokio::spawn({
        let done = done.clone();
        async move {
            let mut most = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(handle.entities());
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            most
        }
    });
    let told = client.customers().import_do_not_call(tokio_stream::iter(messages)).await;
    assert_eq!(told.expect("entered").into_inner().entered, u64::from(NUMBERS));
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let most = most.await.expect("counted");
    assert!(most < NUMBERS as usize, "{most} of {NUMBERS} awake at once");
    eventually("they have gone", async || {
        world.handle().relieve();
        world.handle().entities() <= before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_do_not_call_list_is_entered_and_holds() {
    use v1::import_do_not_call_request::Content as Entry;
    let world = World::start().await;
    let (_, client) = world.company().await;
    let head = || {
        Entry::Header(v1::ImportDoNotCallHeader {
            default_region: "US".into(),
            idempotency_key: "list".into(),
        })
    };
    let send = async |contents: Vec<Entry>| {
        let messages = contents.into_iter().map(|c| v1::ImportDoNotCallRequest { content: Some(c) });
        client.customers().import_do_not_call(tokio_stream::iter(messages)).await
    };
    // Other columns may hold what they like.
    let file =
        Bytes::from_static(b"added;Phone;email\n2026;202-555-0143;not an address\n;;\n;911;\n;2025550144;x");
    let told = send(vec![head(), Entry::Csv(file.clone())]).await.expect("entered").into_inner();
    assert_eq!((told.read, told.entered, told.invalid, told.replayed), (3, 2, 1, false));
    assert_eq!((told.issues[0].line, told.issues[0].column.as_str()), (4, "Phone"));
    let again = send(vec![head(), Entry::Csv(file)]).await.expect("replayed").into_inner();
    assert_eq!((again.entered, again.replayed), (2, true));
    let numbers = v1::PhoneNumbers { numbers: vec!["2025550145".into(), "x".into()] };
    let told = send(vec![head(), Entry::Numbers(numbers)]).await.expect("entered").into_inner();
    assert_eq!((told.entered, told.invalid), (1, 1));
    for wrong in [
        vec![],
        vec![Entry::Csv(Bytes::new())],
        vec![head(), head()],
        vec![head(), Entry::Csv("x\n1".into())],
    ] {
        assert_eq!(send(wrong).await.expect_err("refused").code(), Code::InvalidArgument);
    }

    for phone in ["+12025550143", "+12025550144", "+12025550145"] {
        let plan = Some(super::world::external());
        let place = v1::PlaceCallRequest { to: phone.into(), plan, ..<_>::default() };
        let call_id = client.calls().place_call(place).await.expect("placed").into_inner().call_id;
        let step = v1::CarrierStep::Begin.into();
        let from = super::world::CALLER.into();
        let begin = v1::ReportCallRequest { call_id, step, from, ..<_>::default() };
        assert_eq!(reason(&client.calls().report_call(begin).await.expect_err("listed")), "DO_NOT_CALL");
    }
}
