//! Requests as forms.

use super::twiml::{Document, WriteError};
use bytes::Bytes;
use form_urlencoded::Serializer;
use tandem_domain::carrier::{DialRequest, Instruction};

/// Seconds a call may ring: the carrier's own bounds.
const RING_S: (u32, u32) = (1, 600);
/// Seconds machine detection may take: the carrier's own bounds.
const DETECTION_S: (u32, u32) = (3, 59);

/// A call to be created. Every progress event is asked for, because whichever of them arrives
/// first settles a dial whose answer was lost.
pub(super) fn create(request: &DialRequest) -> Bytes {
    let mut form = Serializer::new(String::with_capacity(1_024));
    form.append_pair("To", &request.to)
        .append_pair("From", &request.from)
        .append_pair("Url", &request.document_url)
        .append_pair("Method", "POST")
        .append_pair("StatusCallback", &request.status_url)
        .append_pair("StatusCallbackMethod", "POST");
    for event in ["initiated", "ringing", "answered", "completed"] {
        form.append_pair("StatusCallbackEvent", event);
    }
    if let Some(url) = &request.fallback_url {
        form.append_pair("FallbackUrl", url).append_pair("FallbackMethod", "POST");
    }
    form.append_pair("Timeout", &request.ring_timeout_s.clamp(RING_S.0, RING_S.1).to_string())
        .append_pair("TimeLimit", &request.max_duration_s.max(1).to_string());
    if let Some(amd) = &request.amd {
        let mode = if amd.until_message_end { "DetectMessageEnd" } else { "Enable" };
        form.append_pair("MachineDetection", mode)
            .append_pair(
                "MachineDetectionTimeout",
                &amd.timeout_s.clamp(DETECTION_S.0, DETECTION_S.1).to_string(),
            )
            .append_pair("AsyncAmd", "true")
            .append_pair("AsyncAmdStatusCallback", &amd.verdict_url)
            .append_pair("AsyncAmdStatusCallbackMethod", "POST");
    }
    if let Some(recording) = &request.recording {
        form.append_pair("Record", "true")
            .append_pair("RecordingChannels", if recording.dual_channel { "dual" } else { "mono" })
            .append_pair("RecordingStatusCallback", &recording.status_url)
            .append_pair("RecordingStatusCallbackMethod", "POST")
            // One value, its parts separated by spaces: not repeated as StatusCallbackEvent is.
            .append_pair("RecordingStatusCallbackEvent", "in-progress completed absent");
    }
    form.finish().into()
}

/// A call to be changed.
pub(super) fn update(instruction: &Instruction) -> Result<Bytes, WriteError> {
    let document = match instruction {
        // Ends a call in any state, unlike `canceled`, which does nothing to one that has just
        // been answered.
        Instruction::Hangup => return Ok(pair("Status", "completed")),
        Instruction::SayAndHangup { text, language } => Document::say_and_hangup(text, language),
        Instruction::PlayAndHangup { url } => Document::play_and_hangup(url),
    };
    Ok(pair("Twiml", &document.to_inline()?))
}

/// The query for a list of calls between two numbers.
pub(super) fn list(to: &str, from: &str, page_size: u32) -> String {
    Serializer::new(String::new())
        .append_pair("To", to)
        .append_pair("From", from)
        .append_pair("PageSize", &page_size.to_string())
        .finish()
}

fn pair(name: &str, value: &str) -> Bytes {
    Serializer::new(String::new()).append_pair(name, value).finish().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::carrier::{AmdRequest, RecordingRequest};

    fn decoded(body: &[u8]) -> Vec<(String, String)> {
        form_urlencoded::parse(body).into_owned().collect()
    }

    #[test]
    fn a_whole_call() {
        let request = DialRequest {
            to: "+15005550010".into(),
            from: "+15005550006".into(),
            document_url: "https://voice.example.com/doc?a=1&b=2".into(),
            status_url: "https://voice.example.com/status".into(),
            fallback_url: Some("https://voice.example.com/fallback".into()),
            ring_timeout_s: 25,
            max_duration_s: 900,
            amd: Some(AmdRequest {
                verdict_url: "https://voice.example.com/amd".into(),
                until_message_end: true,
                timeout_s: 300,
            }),
            recording: Some(RecordingRequest {
                status_url: "https://voice.example.com/rec".into(),
                dual_channel: true,
            }),
        };
        let body = create(&request);
        assert!(body.starts_with(b"To=%2B15005550010&From=%2B15005550006&Url=https%3A%2F%2F"));
        let expected = [
            ("To", "+15005550010"),
            ("From", "+15005550006"),
            ("Url", "https://voice.example.com/doc?a=1&b=2"),
            ("Method", "POST"),
            ("StatusCallback", "https://voice.example.com/status"),
            ("StatusCallbackMethod", "POST"),
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "ringing"),
            ("StatusCallbackEvent", "answered"),
            ("StatusCallbackEvent", "completed"),
            ("FallbackUrl", "https://voice.example.com/fallback"),
            ("FallbackMethod", "POST"),
            ("Timeout", "25"),
            ("TimeLimit", "900"),
            ("MachineDetection", "DetectMessageEnd"),
            ("MachineDetectionTimeout", "59"),
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", "https://voice.example.com/amd"),
            ("AsyncAmdStatusCallbackMethod", "POST"),
            ("Record", "true"),
            ("RecordingChannels", "dual"),
            ("RecordingStatusCallback", "https://voice.example.com/rec"),
            ("RecordingStatusCallbackMethod", "POST"),
            ("RecordingStatusCallbackEvent", "in-progress completed absent"),
        ];
        let got = decoded(&body);
        let got: Vec<(&str, &str)> = got.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(got, expected);

        let plain =
            DialRequest { amd: None, recording: None, fallback_url: None, ring_timeout_s: 9_999, ..request };
        let got = decoded(&create(&plain));
        assert!(got.contains(&("Timeout".into(), "600".into())));
        for (name, _) in got {
            assert!(!name.contains("Amd") && !name.contains("Machine") && !name.contains("Record"), "{name}");
        }
    }

    #[test]
    fn instructions() {
        assert_eq!(update(&Instruction::Hangup).unwrap(), "Status=completed");
        let say = Instruction::SayAndHangup { text: "a & b".into(), language: "en-GB".into() };
        let [(name, value)] = &decoded(&update(&say).unwrap())[..] else { panic!("one pair") };
        assert_eq!(name, "Twiml");
        assert!(value.contains("<Say language=\"en-GB\">a &amp; b</Say><Hangup/>"), "{value}");
        let long = Instruction::SayAndHangup { text: "x".repeat(5_000), language: String::new() };
        assert!(matches!(update(&long), Err(WriteError::TooLong { .. })));
    }
}
