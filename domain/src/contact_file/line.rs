//! One line: one contact, or what is wrong with it.

use super::columns::{Column, Header};
use super::{EMAIL_BYTES_MAX, FIELD_BYTES_MAX, NAME_BYTES_MAX, PRIORITY_MAX, VARIABLES_BYTES_MAX};
use crate::agent::{Variable, Variables};
use crate::phone::{Country, Number, NumberError, Zone, ZoneError};
use std::fmt;

/// One contact of a file.
#[derive(Clone, PartialEq)]
pub struct ContactLine {
    /// Line of the file, from 1 for the header.
    pub line: u64,
    pub number: Number,
    /// The whole name, or `None` where the file has it in parts or not at all.
    pub name: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    /// The contact's own zone, which beats the number's.
    pub zone: Option<Zone>,
    /// 0 to 9; higher is called first.
    pub priority: Option<u8>,
    /// A BCP 47 tag such as `es` or `pt-BR`.
    pub language: Option<String>,
    /// The other columns, for the agent; empty fields are left out.
    pub variables: Variables,
}

impl ContactLine {
    /// The whole name, put together from its parts if need be.
    pub fn full_name(&self) -> Option<String> {
        if let Some(name) = &self.name {
            return Some(name.clone());
        }
        let parts: Vec<&str> =
            [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

impl fmt::Debug for ContactLine {
    /// Shows nothing of the person but the last four digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContactLine")
            .field("line", &self.line)
            .field("number", &self.number)
            .field("zone", &self.zone)
            .field("priority", &self.priority)
            .field("variables", &self.variables.len())
            .finish_non_exhaustive()
    }
}

/// A line that is not imported: where and why. Holds nothing of the line's content.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct LineError {
    /// Line of the file, from 1 for the header.
    pub line: u64,
    /// Name of the column as the file writes it; `None` when the line as a whole is wrong.
    pub column: Option<String>,
    pub reason: Reason,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "line {}, column {column}: {}", self.line, self.reason),
            None => write!(f, "line {}: {}", self.line, self.reason),
        }
    }
}

impl LineError {
    /// A line of nothing but separators, as spreadsheets leave at the end: no contact, no mistake.
    pub fn is_blank(&self) -> bool {
        self.reason == Reason::Blank
    }
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    #[error("the line is blank")]
    Blank,
    #[error("{found} fields where the header has {expected}: a separator or a quote is missing or too many")]
    FieldCount { found: usize, expected: usize },
    #[error("not UTF-8 text: save the file as CSV UTF-8")]
    NotText,
    #[error("longer than {max} bytes")]
    TooLong { max: usize },
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error(transparent)]
    Zone(#[from] ZoneError),
    #[error("not a priority: a whole number from 0 to {PRIORITY_MAX}, the highest first")]
    Priority,
    #[error("not a language tag such as en, es or pt-BR")]
    Language,
    #[error("not an e-mail address")]
    Email,
    #[error("a value in a column without a name")]
    Unnamed,
    #[error("the variables of one contact are longer than {VARIABLES_BYTES_MAX} bytes together")]
    VariablesTooLong,
}

impl Reason {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Blank => "blank",
            Reason::FieldCount { .. } => "field_count",
            Reason::NotText => "not_text",
            Reason::TooLong { .. } => "too_long",
            Reason::Number(_) => "number",
            Reason::Zone(_) => "zone",
            Reason::Priority => "priority",
            Reason::Language => "language",
            Reason::Email => "email",
            Reason::Unnamed => "unnamed",
            Reason::VariablesTooLong => "variables_too_long",
        }
    }
}

impl Header {
    /// Makes a contact of the fields of one record, which begins on `line` of the file. Numbers
    /// without a country code are read as dialed within `default_region`.
    pub fn contact<'a>(
        &self,
        line: u64,
        record: impl IntoIterator<Item = &'a [u8]>,
        default_region: Option<Country>,
    ) -> Result<ContactLine, LineError> {
        let fail = |column: Option<usize>, reason: Reason| {
            let column = column.and_then(|at| self.columns.get(at)).map(|(_, name)| name.clone());
            LineError { line, column, reason }
        };
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut found = 0;
        for field in record {
            // A separator too many at the end is common and harms nobody.
            if found < self.columns.len() {
                let text = text_of(field).map_err(|reason| fail(Some(found), reason))?;
                fields.push(text);
                found += 1;
            } else if !field.trim_ascii().is_empty() {
                found += 1;
            }
        }
        if fields.iter().all(|field| field.is_empty()) && found <= self.columns.len() {
            return Err(fail(None, Reason::Blank));
        }
        if found != self.columns.len() {
            return Err(fail(None, Reason::FieldCount { found, expected: self.columns.len() }));
        }
        let mut draft = Draft::default();
        for (at, ((column, _), text)) in self.columns.iter().zip(fields).enumerate() {
            draft.take(column, text, default_region).map_err(|reason| fail(Some(at), reason))?;
        }
        draft.finish(line).ok_or_else(|| fail(None, Reason::Number(NumberError::Empty)))
    }
}

fn text_of(field: &[u8]) -> Result<&str, Reason> {
    if field.len() > FIELD_BYTES_MAX {
        return Err(Reason::TooLong { max: FIELD_BYTES_MAX });
    }
    let text = std::str::from_utf8(field).map_err(|_| Reason::NotText)?.trim();
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Reason::NotText);
    }
    Ok(text)
}

/// A contact while its fields are read.
#[derive(Default)]
struct Draft {
    number: Option<Number>,
    name: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
    zone: Option<Zone>,
    priority: Option<u8>,
    language: Option<String>,
    variables: Variables,
    variables_bytes: usize,
}

impl Draft {
    fn take(&mut self, column: &Column, text: &str, region: Option<Country>) -> Result<(), Reason> {
        if *column == Column::Phone {
            self.number = Some(Number::parse(text, region)?);
            return Ok(());
        }
        if text.is_empty() {
            return Ok(());
        }
        match column {
            Column::Phone => {}
            Column::Name => self.name = Some(short(text, NAME_BYTES_MAX)?),
            Column::FirstName => self.first_name = Some(short(text, NAME_BYTES_MAX)?),
            Column::LastName => self.last_name = Some(short(text, NAME_BYTES_MAX)?),
            Column::Email => self.email = Some(email(text)?),
            Column::Zone => self.zone = Some(Zone::parse(text)?),
            Column::Priority => {
                let priority = text.parse().ok().filter(|n| *n <= PRIORITY_MAX);
                self.priority = Some(priority.ok_or(Reason::Priority)?);
            }
            Column::Language => self.language = Some(language(text)?),
            Column::Unnamed => return Err(Reason::Unnamed),
            Column::Variable(name) => {
                self.variables_bytes += name.len() + text.len();
                if self.variables_bytes > VARIABLES_BYTES_MAX {
                    return Err(Reason::VariablesTooLong);
                }
                self.variables.insert(name.clone(), Variable::Text(text.to_owned()));
            }
        }
        Ok(())
    }

    fn finish(self, line: u64) -> Option<ContactLine> {
        Some(ContactLine {
            line,
            number: self.number?,
            name: self.name,
            first_name: self.first_name,
            last_name: self.last_name,
            email: self.email,
            zone: self.zone,
            priority: self.priority,
            language: self.language,
            variables: self.variables,
        })
    }
}

fn short(text: &str, max: usize) -> Result<String, Reason> {
    if text.len() > max { Err(Reason::TooLong { max }) } else { Ok(text.to_owned()) }
}

/// Something before and after one `@`, without blanks. Whether it exists only a mail server knows.
fn email(text: &str) -> Result<String, Reason> {
    let text = short(text, EMAIL_BYTES_MAX)?;
    let well_formed = text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(char::is_whitespace)
    });
    if well_formed { Ok(text) } else { Err(Reason::Email) }
}

/// Two or three letters, and subtags of up to eight letters or digits; an underscore is forgiven.
fn language(text: &str) -> Result<String, Reason> {
    const TAG_BYTES_MAX: usize = 35;
    let tag = text.replace('_', "-");
    let mut parts = tag.split('-');
    let primary = parts.next().unwrap_or("");
    let well_formed = tag.len() <= TAG_BYTES_MAX
        && (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if well_formed { Ok(tag) } else { Err(Reason::Language) }
}
