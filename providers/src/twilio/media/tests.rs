use super::*;
use proptest::prelude::*;

fn origin() -> Origin<'static> {
    Origin { stream_sid: "MZ1", account_sid: "AC1", call_sid: "CA1" }
}

fn start() -> Start {
    Start {
        stream_sid: "MZ1".into(),
        account_sid: "AC1".into(),
        call_sid: "CA1".into(),
        parameters: vec![("call".into(), "01H".into()), ("note".into(), "a \"b\" \\ \n c".into())],
        format: Format::mulaw_8000(),
    }
}

#[test]
fn frames_of_the_carrier_are_read() {
    let read = |text| Frame::parse(text).unwrap().unwrap();
    assert_eq!(read(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#), Frame::Connected);
    let text = r#"{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"streamSid":"MZ1","accountSid":"AC1",
        "callSid":"CA1","tracks":["inbound"],"customParameters":{"call":"01H"},
        "mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}"#;
    let Frame::Start(start) = read(text) else { panic!("not a start") };
    assert_eq!((start.parameter("call"), start.parameter("other")), (Some("01H"), None));
    assert_eq!((&*start.call_sid, start.format), ("CA1", Format::mulaw_8000()));
    assert_eq!(
        read(
            r#"{"event":"media","sequenceNumber":"2","streamSid":"MZ1","media":{"track":"inbound","chunk":"1","timestamp":"5","payload":"f39/"}}"#
        ),
        Frame::Media(Media { chunk: 1, timestamp_ms: 5, payload: "f39/".into() })
    );
    assert_eq!(
        read(r#"{"event":"dtmf","streamSid":"MZ1","dtmf":{"track":"inbound_track","digit":"*"}}"#),
        Frame::Dtmf { digit: '*' }
    );
    assert_eq!(read(r#"{"event":"mark","mark":{"name":"turn-3"}}"#), Frame::Mark { name: "turn-3".into() });
    assert_eq!(read(r#"{"event":"stop","stop":{"accountSid":"AC1","callSid":"CA1"}}"#), Frame::Stop);
}

#[test]
fn audio_is_not_copied() {
    let text = r#"{"event":"media","media":{"chunk":7,"payload":"f39/"}}"#;
    let Some(Frame::Media(media)) = Frame::parse(text).unwrap() else { panic!("not media") };
    assert!(matches!(media.payload, Cow::Borrowed(_)));
    assert_eq!(media.chunk, 7);
    let escaped = r#"{"event":"media","media":{"payload":"f39\/"}}"#;
    let Some(Frame::Media(media)) = Frame::parse(escaped).unwrap() else { panic!("not media") };
    assert_eq!(media.payload, "f39/");
    assert!(!format!("{media:?}").contains("f39"));
}

#[test]
fn unknown_events_are_ignored() {
    assert_eq!(Frame::parse(r#"{"event":"video","video":{"x":[1,2]}}"#), Ok(None));
    assert_eq!(Frame::parse(r#"{"event":"clear","streamSid":"MZ1"}"#), Ok(None));
    assert_eq!(Order::parse(r#"{"event":"start","streamSid":"MZ1"}"#), Ok(None));
}

#[test]
fn garbage_is_named() {
    let error = |text| Frame::parse(text).unwrap_err();
    assert!(matches!(error(""), FrameError::Malformed { .. }));
    assert!(matches!(error("[]"), FrameError::Malformed { .. }));
    assert!(matches!(error(r#"{"event":7}"#), FrameError::Malformed { .. }));
    assert!(matches!(error(r#"{"streamSid":"MZ1"}"#), FrameError::Malformed { .. }));
    assert_eq!(error(r#"{"event":"media"}"#), FrameError::Missing("media"));
    assert_eq!(error(r#"{"event":"media","media":{}}"#), FrameError::Missing("payload"));
    assert_eq!(error(r#"{"event":"mark"}"#), FrameError::Missing("mark.name"));
    assert_eq!(error(r#"{"event":"start"}"#), FrameError::Missing("start"));
    for payload in ["f39", "f39*", "f3=/", "====", "f39\\\"", "f39/\\u0000aaa"] {
        let text = format!(r#"{{"event":"media","media":{{"payload":"{payload}"}}}}"#);
        assert_eq!(Frame::parse(&text).unwrap_err(), FrameError::Invalid("payload"), "{payload}");
    }
    for digit in ["", "12", "x", "é"] {
        let text = format!(r#"{{"event":"dtmf","dtmf":{{"digit":"{digit}"}}}}"#);
        assert_eq!(Frame::parse(&text).unwrap_err(), FrameError::Invalid("dtmf.digit"));
    }
    let large = format!(r#"{{"event":"media","media":{{"payload":"{}"}}}}"#, "A".repeat(FRAME_BYTES_MAX));
    assert!(matches!(Frame::parse(&large), Err(FrameError::TooLarge { .. })));
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(Frame::parse(&format!(r#"{{"event":"x","x":{nested}}}"#)), Ok(None));
    let start = format!(r#"{{"event":"start","start":{{"customParameters":{{"p":{nested}}}}}}}"#);
    assert!(matches!(Frame::parse(&start), Err(FrameError::Malformed { .. })));
    let many: Vec<String> = (0..=PARAMETERS_MAX).map(|i| format!(r#""p{i}":"v""#)).collect();
    let start = format!(r#"{{"event":"start","start":{{"customParameters":{{{}}}}}}}"#, many.join(","));
    assert!(matches!(Frame::parse(&start), Err(FrameError::Malformed { .. })));
}

#[test]
fn frames_are_written_as_they_are_read() {
    let frames = [
        Frame::Connected,
        Frame::Start(start()),
        Frame::Media(Media { chunk: 3, timestamp_ms: 60, payload: "f39/".into() }),
        Frame::Dtmf { digit: '#' },
        Frame::Mark { name: "a\"b\u{1}".into() },
        Frame::Stop,
    ];
    let mut out = "earlier content".to_owned();
    for frame in frames {
        frame.write(&mut out, &origin(), 2);
        assert_eq!(Frame::parse(&out), Ok(Some(frame)), "{out}");
        let _: serde_json::Value = serde_json::from_str(&out).unwrap();
    }
}

#[test]
fn orders_are_written_exactly() {
    let mut out = String::from("x");
    write_media(&mut out, "MZ1", "f39/");
    assert_eq!(out, r#"{"event":"media","streamSid":"MZ1","media":{"payload":"f39/"}}"#);
    write_mark(&mut out, "MZ1", "turn-3");
    assert_eq!(out, r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"turn-3"}}"#);
    write_clear(&mut out, "MZ1");
    assert_eq!(out, r#"{"event":"clear","streamSid":"MZ1"}"#);
    assert_eq!(Order::parse(&out), Ok(Some(Order::Clear { stream_sid: "MZ1".into() })));
    assert_eq!(Order::parse(r#"{"event":"clear"}"#), Err(FrameError::Missing("streamSid")));
}

#[test]
fn base64_is_told_from_other_text() {
    for good in ["", "AAAA", "AA==", "AAA=", "+/+/"] {
        assert!(is_base64(good), "{good}");
    }
    for bad in ["A", "A===", "AA=A", "AAA\n", "A A=", "====", "AAAA="] {
        assert!(!is_base64(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_breaks_out(text in ".{0,200}", payload in ".{0,64}", name in ".{0,64}") {
        let _ = Frame::parse(&text);
        let _ = Order::parse(&text);
        let mut out = String::new();
        for order in [
            Order::Media { stream_sid: text.clone().into(), payload: payload.into() },
            Order::Mark { stream_sid: text.clone().into(), name: name.into() },
        ] {
            order.write(&mut out);
            match Order::parse(&out) {
                Ok(read) => prop_assert_eq!(read, Some(order)),
                Err(error) => prop_assert_eq!(error, FrameError::Invalid("payload")),
            }
        }
    }
}
