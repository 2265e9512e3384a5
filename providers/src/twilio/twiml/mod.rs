//! TwiML: the documents that tell the carrier what a call does. A typed subset, written here and
//! read back by whoever plays the carrier.

mod parse;

pub use parse::{ParseError, parse};

use std::fmt::{self, Write as _};

/// Longest document that may be sent inside a request, in characters.
pub const INLINE_CHARS_MAX: usize = 4_000;
/// Longest name and value of one stream parameter, together, in characters.
pub const PARAMETER_CHARS_MAX: usize = 500;

/// What a call does, verb after verb. After the last one the carrier hangs up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document(pub Vec<Verb>);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Audio both ways over a WebSocket. Whatever follows waits until that socket closes.
    Connect(Stream),
    Say {
        text: String,
        /// BCP 47, such as `de-DE`.
        language: Option<String>,
        voice: Option<String>,
    },
    Play {
        url: String,
    },
    Pause {
        length_s: u32,
    },
    /// Goes on with another document.
    Redirect {
        url: String,
    },
    Hangup,
    /// Turns an incoming call away without answering it.
    Reject(Reject),
}

/// A bidirectional media stream.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// `wss://`, without a query: data travels in `parameters`.
    pub url: String,
    pub name: Option<String>,
    pub status_callback: Option<String>,
    /// Come back in the stream's `start` message.
    pub parameters: Vec<(String, String)>,
}

impl fmt::Debug for Stream {
    // Parameters may hold a token that admits to the media socket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parameters.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Stream")
            .field("url", &self.url)
            .field("name", &self.name)
            .field("parameters", &names)
            .finish()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reject {
    /// A "not in service" message.
    Rejected,
    Busy,
}

/// Why a document cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WriteError {
    #[error("the document has {chars} characters; {INLINE_CHARS_MAX} may be sent inside a request")]
    TooLong { chars: usize },
    #[error("a stream parameter has {chars} characters; {PARAMETER_CHARS_MAX} are allowed")]
    ParameterTooLong { chars: usize },
    #[error("a stream's URL must not carry a query or a fragment")]
    StreamUrl,
}

impl Document {
    pub fn new() -> Self {
        Document::default()
    }

    pub fn then(mut self, verb: Verb) -> Self {
        self.0.push(verb);
        self
    }

    /// Bridges the call to `stream`; `after` is done once the stream has closed.
    pub fn connect(stream: Stream, after: impl IntoIterator<Item = Verb>) -> Self {
        let mut document = Document(vec![Verb::Connect(stream)]);
        document.0.extend(after);
        document
    }

    pub fn say_and_hangup(text: impl Into<String>, language: impl Into<String>) -> Self {
        let language = Some(language.into()).filter(|l: &String| !l.is_empty());
        Document(vec![Verb::Say { text: text.into(), language, voice: None }, Verb::Hangup])
    }

    pub fn play_and_hangup(url: impl Into<String>) -> Self {
        Document(vec![Verb::Play { url: url.into() }, Verb::Hangup])
    }

    pub fn hangup() -> Self {
        Document(vec![Verb::Hangup])
    }

    pub fn reject(reason: Reject) -> Self {
        Document(vec![Verb::Reject(reason)])
    }

    /// The XML text, to answer a document request with (`text/xml`).
    pub fn to_xml(&self) -> Result<String, WriteError> {
        for verb in &self.0 {
            if let Verb::Connect(stream) = verb {
                stream.check()?;
            }
        }
        Ok(self.to_string())
    }

    /// The XML text, to send inside a request.
    pub fn to_inline(&self) -> Result<String, WriteError> {
        let xml = self.to_xml()?;
        let chars = xml.chars().count();
        if chars > INLINE_CHARS_MAX { Err(WriteError::TooLong { chars }) } else { Ok(xml) }
    }
}

impl Stream {
    fn check(&self) -> Result<(), WriteError> {
        if self.url.contains(['?', '#']) {
            return Err(WriteError::StreamUrl);
        }
        for (name, value) in &self.parameters {
            let chars = name.chars().count() + value.chars().count();
            if chars >= PARAMETER_CHARS_MAX {
                return Err(WriteError::ParameterTooLong { chars });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>")?;
        for verb in &self.0 {
            verb.fmt(f)?;
        }
        f.write_str("</Response>")
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verb::Connect(stream) => write!(f, "<Connect>{stream}</Connect>"),
            Verb::Say { text, language, voice } => {
                f.write_str("<Say")?;
                attribute(f, "language", language.as_deref())?;
                attribute(f, "voice", voice.as_deref())?;
                write!(f, ">{}</Say>", Escaped(text))
            }
            Verb::Play { url } => write!(f, "<Play>{}</Play>", Escaped(url)),
            Verb::Pause { length_s } => write!(f, "<Pause length=\"{length_s}\"/>"),
            Verb::Redirect { url } => write!(f, "<Redirect>{}</Redirect>", Escaped(url)),
            Verb::Hangup => f.write_str("<Hangup/>"),
            Verb::Reject(Reject::Rejected) => f.write_str("<Reject/>"),
            Verb::Reject(Reject::Busy) => f.write_str("<Reject reason=\"busy\"/>"),
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<Stream")?;
        attribute(f, "url", Some(&self.url))?;
        attribute(f, "name", self.name.as_deref())?;
        attribute(f, "statusCallback", self.status_callback.as_deref())?;
        f.write_char('>')?;
        for (name, value) in &self.parameters {
            f.write_str("<Parameter")?;
            attribute(f, "name", Some(name))?;
            attribute(f, "value", Some(value))?;
            f.write_str("/>")?;
        }
        f.write_str("</Stream>")
    }
}

fn attribute(f: &mut fmt::Formatter<'_>, name: &str, value: Option<&str>) -> fmt::Result {
    match value {
        Some(value) => write!(f, " {name}=\"{}\"", Escaped(value)),
        None => Ok(()),
    }
}

/// Text as it may stand in an element or an attribute. Characters that XML 1.0 cannot carry at all
/// are left out; white space that a reader would fold is written as a reference.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&apos;")?,
                '\t' | '\n' | '\r' => write!(f, "&#{};", c as u32)?,
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {}
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
