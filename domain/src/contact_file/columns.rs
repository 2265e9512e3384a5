//! The first line: which column is what.

use super::{COLUMN_NAME_BYTES_MAX, COLUMNS_MAX};

/// What a column holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Column {
    Phone,
    Name,
    FirstName,
    LastName,
    Email,
    Zone,
    Priority,
    Language,
    /// Anything else: a variable of this name for the agent.
    Variable(String),
    /// A column without a name, which must stay empty.
    Unnamed,
}

/// The columns of a contact file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// What each column holds, and its name as written.
    pub(super) columns: Vec<(Column, String)>,
}

/// Why the first line of a file is not a header that can be used. Columns are counted from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("the first line is empty: it must name the columns, one of them phone")]
    Empty,
    #[error("column {column} of the first line is not UTF-8 text: save the file as CSV UTF-8")]
    NotText { column: usize },
    #[error("the first line holds a phone number: put a line with the names of the columns above it")]
    NoHeader,
    #[error("no column named phone: name the column with the numbers phone, phone_number or to")]
    NoPhoneColumn,
    #[error("columns {first} and {second} both hold phone numbers: rename one of them")]
    TwoPhoneColumns { first: usize, second: usize },
    #[error("columns {first} and {second} have the same name or meaning: rename one of them")]
    DuplicateColumn { first: usize, second: usize },
    #[error("more than {COLUMNS_MAX} columns")]
    TooManyColumns,
    #[error("the name of column {column} is longer than {COLUMN_NAME_BYTES_MAX} bytes")]
    NameTooLong { column: usize },
    #[error("the name of column {column} has no letter or digit, or begins with system__, which is reserved")]
    UnusableName { column: usize },
}

impl HeaderError {
    /// A stable code.
    pub fn reason(&self) -> &'static str {
        match self {
            HeaderError::Empty => "empty",
            HeaderError::NotText { .. } => "not_text",
            HeaderError::NoHeader => "no_header",
            HeaderError::NoPhoneColumn => "no_phone_column",
            HeaderError::TwoPhoneColumns { .. } => "two_phone_columns",
            HeaderError::DuplicateColumn { .. } => "duplicate_column",
            HeaderError::TooManyColumns => "too_many_columns",
            HeaderError::NameTooLong { .. } => "name_too_long",
            HeaderError::UnusableName { .. } => "unusable_name",
        }
    }
}

/// Names that can mean nothing but the number to call.
const PHONE: [&str; 9] = [
    "phone",
    "phone_number",
    "phonenumber",
    "to",
    "to_number",
    "to_phone",
    "e164",
    "msisdn",
    "contact_number",
];
/// Names that mean the number to call when none of the above is there.
const PHONE_ELSE: [&str; 10] = [
    "mobile",
    "mobile_phone",
    "mobile_number",
    "cell",
    "cell_phone",
    "cell_number",
    "telephone",
    "tel",
    "number",
    "phone_1",
];

/// Prefix of the variables that the voice agent itself provides.
const RESERVED_PREFIX: &str = "system__";

impl Header {
    /// Reads the fields of the first record.
    pub fn parse<'a>(record: impl IntoIterator<Item = &'a [u8]>) -> Result<Header, HeaderError> {
        let mut names = Vec::new();
        for (field, column) in record.into_iter().zip(1..) {
            if column > COLUMNS_MAX {
                return Err(HeaderError::TooManyColumns);
            }
            let text = std::str::from_utf8(field).map_err(|_| HeaderError::NotText { column })?;
            // Spreadsheets put a byte order mark before the first name.
            let text = text.trim_start_matches('\u{feff}').trim();
            if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
                return Err(HeaderError::NotText { column });
            }
            if looks_like_a_number(text) {
                return Err(HeaderError::NoHeader);
            }
            if text.len() > COLUMN_NAME_BYTES_MAX {
                return Err(HeaderError::NameTooLong { column });
            }
            names.push(text.to_owned());
        }
        if names.iter().all(String::is_empty) {
            return Err(HeaderError::Empty);
        }
        let keys: Vec<String> = names.iter().map(|name| key(name)).collect();
        let phone = phone_column(&keys)?;
        let mut columns = Vec::with_capacity(names.len());
        for (at, (name, key)) in names.into_iter().zip(keys).enumerate() {
            let column = if at == phone { Column::Phone } else { meaning(&name, key, at + 1)? };
            columns.push((column, name));
        }
        refuse_duplicates(&columns)?;
        Ok(Header { columns })
    }

    /// How many fields each record must have.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The names under which the other columns reach the agent.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|(column, _)| match column {
            Column::Variable(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// A name in lower case, with one underscore for each run of other characters than letters and
/// digits.
fn key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() {
            key.extend(c.to_lowercase());
        } else if c == '_' || !key.ends_with('_') {
            key.push('_');
        }
    }
    key.trim_end_matches('_').trim_start_matches(|c| c == '_' && !name.starts_with('_')).to_owned()
}

fn looks_like_a_number(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() >= 7 && !text.chars().any(char::is_alphabetic)
}

fn phone_column(keys: &[String]) -> Result<usize, HeaderError> {
    for known in [&PHONE[..], &PHONE_ELSE[..]] {
        let mut found = (0..keys.len()).filter(|at| known.contains(&keys[*at].as_str()));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                return Err(HeaderError::TwoPhoneColumns { first: first + 1, second: second + 1 });
            }
            (Some(only), None) => return Ok(only),
            (None, _) => {}
        }
    }
    Err(HeaderError::NoPhoneColumn)
}

fn meaning(name: &str, key: String, column: usize) -> Result<Column, HeaderError> {
    Ok(match key.as_str() {
        _ if name.is_empty() => Column::Unnamed,
        "name" | "full_name" | "fullname" | "contact_name" => Column::Name,
        "first_name" | "firstname" | "first" | "given_name" => Column::FirstName,
        "last_name" | "lastname" | "last" | "surname" | "family_name" => Column::LastName,
        "email" | "e_mail" | "email_address" | "mail" => Column::Email,
        "timezone" | "time_zone" | "tz" | "zone" | "iana_timezone" => Column::Zone,
        "priority" | "prio" => Column::Priority,
        "language" | "lang" | "locale" => Column::Language,
        key if key.starts_with(RESERVED_PREFIX) || !key.contains(char::is_alphanumeric) => {
            return Err(HeaderError::UnusableName { column });
        }
        _ => Column::Variable(key),
    })
}

fn refuse_duplicates(columns: &[(Column, String)]) -> Result<(), HeaderError> {
    for (at, (column, _)) in columns.iter().enumerate() {
        if *column == Column::Unnamed {
            continue;
        }
        if let Some(first) = columns[..at].iter().position(|(before, _)| before == column) {
            return Err(HeaderError::DuplicateColumn { first: first + 1, second: at + 1 });
        }
    }
    Ok(())
}
