use super::*;
use proptest::prelude::*;

fn stream() -> Stream {
    Stream {
        url: "wss://voice.example.com/media".into(),
        name: Some("c1".into()),
        status_callback: Some("https://voice.example.com/stream?a=1&b=2".into()),
        parameters: vec![("attempt".into(), "01H".into()), ("token".into(), "a<\"&'>b".into())],
    }
}

#[test]
fn a_connected_call_goes_on_afterwards() {
    let document = Document::connect(
        stream(),
        [Verb::Redirect { url: "https://voice.example.com/next?a=1&b=2".into() }],
    );
    let xml = document.to_xml().unwrap();
    assert_eq!(
        xml,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Connect>\
         <Stream url=\"wss://voice.example.com/media\" name=\"c1\" \
         statusCallback=\"https://voice.example.com/stream?a=1&amp;b=2\">\
         <Parameter name=\"attempt\" value=\"01H\"/>\
         <Parameter name=\"token\" value=\"a&lt;&quot;&amp;&apos;&gt;b\"/></Stream></Connect>\
         <Redirect>https://voice.example.com/next?a=1&amp;b=2</Redirect></Response>"
    );
    assert_eq!(parse(&xml).unwrap(), document);
}

#[test]
fn text_cannot_break_out() {
    let xml =
        Document::say_and_hangup("</Say><Dial>+15005550010</Dial>\0", "en\"/><Hangup x=\"").to_xml().unwrap();
    let read = parse(&xml).unwrap();
    assert_eq!(
        read.0,
        vec![
            Verb::Say {
                text: "</Say><Dial>+15005550010</Dial>".into(),
                language: Some("en\"/><Hangup x=\"".into()),
                voice: None
            },
            Verb::Hangup
        ]
    );
}

#[test]
fn limits_are_kept() {
    let long = Document::say_and_hangup("x".repeat(INLINE_CHARS_MAX), "en");
    assert!(matches!(long.to_inline(), Err(WriteError::TooLong { chars }) if chars > INLINE_CHARS_MAX));
    assert!(long.to_xml().is_ok());
    let mut wide = stream();
    wide.parameters.push(("n".into(), "v".repeat(499)));
    assert_eq!(Document::connect(wide, []).to_xml(), Err(WriteError::ParameterTooLong { chars: 500 }));
    let mut query = stream();
    query.url.push_str("?a=1");
    assert_eq!(Document::connect(query, []).to_inline(), Err(WriteError::StreamUrl));
}

#[test]
fn usual_variations_are_read() {
    let read = parse(
        "<Response>\n <!-- c --> <Pause/><Say><![CDATA[a < b]]></Say>\
         <Reject reason=\"busy\" other=\"1\"/><Reject/></Response>",
    )
    .unwrap();
    assert_eq!(
        read.0,
        vec![
            Verb::Pause { length_s: 1 },
            Verb::Say { text: "a < b".into(), language: None, voice: None },
            Verb::Reject(Reject::Busy),
            Verb::Reject(Reject::Rejected),
        ]
    );
}

#[test]
fn what_is_not_a_document_is_refused() {
    assert_eq!(parse("<Html/>"), Err(ParseError::Root));
    assert_eq!(parse("<Response><Dial/></Response>"), Err(ParseError::Unsupported("Dial".into())));
    assert!(matches!(parse(""), Err(ParseError::Xml(_))));
    assert!(matches!(parse("<Response><Say></Response>"), Err(ParseError::Xml(_))));
    assert!(matches!(
        parse("<!DOCTYPE a [<!ENTITY b \"c\">]><Response><Say>&b;</Say></Response>"),
        Err(ParseError::Xml(_))
    ));
    assert!(matches!(parse("<Response><Connect/></Response>"), Err(ParseError::Missing { .. })));
    assert!(matches!(
        parse("<Response><Connect><Stream/></Connect></Response>"),
        Err(ParseError::Missing { .. })
    ));
    assert!(matches!(parse("<Response><Play> </Play></Response>"), Err(ParseError::Missing { .. })));
    assert!(matches!(parse("<Response><Pause length=\"x\"/></Response>"), Err(ParseError::Invalid { .. })));
    assert_eq!(parse(&"x".repeat(parse::BYTES_MAX + 1)), Err(ParseError::TooLarge));
    let deep = format!("<Response>{}{}</Response>", "<Say>".repeat(900), "</Say>".repeat(900));
    assert!(parse(&deep).is_ok(), "depth is bounded by the number of nodes");
    let many = format!("<Response>{}</Response>", "<Hangup/>".repeat(2_000));
    assert!(matches!(parse(&many), Err(ParseError::Xml(_))));
}

#[test]
fn parameters_are_not_shown() {
    assert!(!format!("{:?}", stream()).contains("01H"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(text in "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\u{fffe}\u{ffff}]{0,60}", value in "[ -~\\t\\n]{0,60}") {
        let mut stream = stream();
        stream.parameters = vec![("v".into(), value)];
        let document = Document::connect(stream, [Verb::Say { text, language: None, voice: Some("v".into()) }]);
        prop_assert_eq!(parse(&document.to_xml().unwrap()).unwrap(), document);
    }

    #[test]
    fn garbage_never_panics(xml in ".{0,200}") {
        let _ = parse(&xml);
        let _ = parse(&format!("<Response>{xml}</Response>"));
    }
}
