//! The one place that borrows wire formats from the adapters: signatures, documents, media frames.

use tandem_providers::twilio::twiml;

pub(crate) use tandem_providers::Secret;
pub(crate) use tandem_providers::twilio::media::{Format, Frame, Media, Order, Origin, Start};
pub(crate) use tandem_providers::twilio::signature::{HEADER as SIGNATURE_HEADER, Key as SigningKey};
pub(crate) use twiml::{Stream, Verb};

/// What a call is told to do, and how many verbs of it were passed over because they are not played here.
pub(crate) struct Document {
    pub(crate) verbs: Vec<Verb>,
    pub(crate) passed_over: usize,
}

/// Reads a document. As the real carrier does, a verb that is not known is passed over and the rest is done; so is
/// `<Start>`, whose one-way copies of the audio nobody here listens to. `None`: it cannot be used at all.
pub(crate) fn document(xml: &str) -> Option<Document> {
    match twiml::parse(xml) {
        Ok(document) => Some(Document { verbs: document.0, passed_over: 0 }),
        Err(twiml::ParseError::Unsupported(_)) => piecewise(xml),
        Err(_) => None,
    }
}

fn piecewise(xml: &str) -> Option<Document> {
    let options = roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: 1_000, ..Default::default() };
    let tree = roxmltree::Document::parse_with_options(xml, options).ok()?;
    let mut document = Document { verbs: Vec::new(), passed_over: 0 };
    for verb in tree.root_element().children().filter(roxmltree::Node::is_element) {
        match twiml::parse(&format!("<Response>{}</Response>", &xml[verb.range()])) {
            Ok(one) => document.verbs.extend(one.0),
            Err(twiml::ParseError::Unsupported(_)) => document.passed_over += 1,
            Err(_) => return None,
        }
    }
    Some(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_verbs_are_passed_over_and_the_rest_is_kept() {
        let xml = r#"<?xml version="1.0"?><Response><Start><Stream url="wss://a/b"/></Start><Say>Hi</Say><Gather/><Hangup/></Response>"#;
        let document = document(xml).expect("usable");
        assert_eq!((document.verbs.len(), document.passed_over), (2, 2));
    }

    #[test]
    fn what_is_no_document_is_none() {
        for xml in [
            "",
            "no",
            "<Other/>",
            "<Response><Redirect/></Response>",
            "<Response><Start/><Pause length=\"x\"/></Response>",
        ] {
            assert!(document(xml).is_none(), "{xml}");
        }
    }
}
