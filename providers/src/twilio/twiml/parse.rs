//! Reads the subset of TwiML that this crate writes, and its usual variations. For whoever plays
//! the carrier; what the real one would do with other documents is not its concern.

use super::{Document, Reject, Stream, Verb};
use roxmltree::{Node, ParsingOptions};

/// Longest document that is read, in bytes.
pub const BYTES_MAX: usize = 64 * 1024;
const NODES_MAX: u32 = 1_000;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseError {
    #[error("the document is larger than {BYTES_MAX} bytes")]
    TooLarge,
    #[error("not well-formed XML: {0}")]
    Xml(String),
    #[error("the root element is not <Response>")]
    Root,
    #[error("<{0}> is not supported")]
    Unsupported(String),
    #[error("<{element}> lacks {what}")]
    Missing { element: &'static str, what: &'static str },
    #[error("<{element}> has an unreadable {what}")]
    Invalid { element: &'static str, what: &'static str },
}

/// Reads a document. Names of elements are case-sensitive, unknown attributes are ignored.
pub fn parse(xml: &str) -> Result<Document, ParseError> {
    if xml.len() > BYTES_MAX {
        return Err(ParseError::TooLarge);
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let tree = roxmltree::Document::parse_with_options(xml, options)
        .map_err(|error| ParseError::Xml(error.to_string()))?;
    let root = tree.root_element();
    if root.tag_name().name() != "Response" {
        return Err(ParseError::Root);
    }
    root.children().filter(Node::is_element).map(verb).collect::<Result<_, _>>().map(Document)
}

fn verb(node: Node<'_, '_>) -> Result<Verb, ParseError> {
    match node.tag_name().name() {
        "Connect" => connect(node),
        "Say" => Ok(Verb::Say {
            text: text(node),
            language: node.attribute("language").map(str::to_owned),
            voice: node.attribute("voice").map(str::to_owned),
        }),
        "Play" => Ok(Verb::Play { url: url(node, "Play")? }),
        "Redirect" => Ok(Verb::Redirect { url: url(node, "Redirect")? }),
        "Pause" => match node.attribute("length") {
            None => Ok(Verb::Pause { length_s: 1 }),
            Some(length) => match length.trim().parse() {
                Ok(length_s) => Ok(Verb::Pause { length_s }),
                Err(_) => Err(ParseError::Invalid { element: "Pause", what: "length" }),
            },
        },
        "Hangup" => Ok(Verb::Hangup),
        "Reject" => match node.attribute("reason") {
            None | Some("rejected") => Ok(Verb::Reject(Reject::Rejected)),
            Some("busy") => Ok(Verb::Reject(Reject::Busy)),
            Some(_) => Err(ParseError::Invalid { element: "Reject", what: "reason" }),
        },
        other => Err(ParseError::Unsupported(other.chars().take(64).collect())),
    }
}

fn connect(node: Node<'_, '_>) -> Result<Verb, ParseError> {
    let inner = node
        .children()
        .find(Node::is_element)
        .ok_or(ParseError::Missing { element: "Connect", what: "a <Stream>" })?;
    if inner.tag_name().name() != "Stream" {
        return Err(ParseError::Unsupported(inner.tag_name().name().chars().take(64).collect()));
    }
    let stream_url = inner.attribute("url").ok_or(ParseError::Missing { element: "Stream", what: "url" })?;
    let parameter = |node: Node<'_, '_>| match (node.attribute("name"), node.attribute("value")) {
        (Some(name), Some(value)) => Ok((name.to_owned(), value.to_owned())),
        _ => Err(ParseError::Missing { element: "Parameter", what: "name or value" }),
    };
    let parameters = inner
        .children()
        .filter(|child| child.has_tag_name("Parameter"))
        .map(parameter)
        .collect::<Result<_, _>>()?;
    Ok(Verb::Connect(Stream {
        url: stream_url.trim().to_owned(),
        name: inner.attribute("name").map(str::to_owned),
        status_callback: inner.attribute("statusCallback").map(str::to_owned),
        parameters,
    }))
}

fn url(node: Node<'_, '_>, element: &'static str) -> Result<String, ParseError> {
    let url = text(node).trim().to_owned();
    if url.is_empty() { Err(ParseError::Missing { element, what: "a URL" }) } else { Ok(url) }
}

fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|part| part.text()).collect()
}
