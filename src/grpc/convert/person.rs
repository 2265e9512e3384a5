//! What is told of a person: checked by the rules of contact files, whichever way it comes in.

use crate::grpc::error::{Violation, reason};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tandem_domain::agent::{Variable, Variables};
use tandem_domain::contact_file::{
    COLUMN_NAME_BYTES_MAX, ContactLine, FIELD_BYTES_MAX, Header, LineError, Reason, VARIABLES_BYTES_MAX,
};
use tandem_domain::dial::Place;
use tandem_domain::phone::{Country, Number};
use tandem_domain::row::{Person, Priority};
use tandem_proto::v1;

/// A person to call, as a request describes them.
pub struct Told<'a> {
    pub phone: &'a str,
    pub region: Option<Country>,
    pub name: &'a str,
    pub email: &'a str,
    pub language: &'a str,
    pub time_zone: &'a str,
    pub variables: &'a BTreeMap<String, v1::Variable>,
}

/// The columns of the file that a message stands for, in the order of its fields.
static HEADER: LazyLock<Option<Header>> = LazyLock::new(|| Header::parse(COLUMNS.map(str::as_bytes)).ok());
const COLUMNS: [&str; 5] = ["phone", "name", "email", "time_zone", "language"];

impl Told<'_> {
    /// Reads it as line `line` of a contact file would be.
    ///
    /// # Errors
    /// The first field that is wrong, under the name that it has in a contact file.
    pub fn read(&self, line: u64) -> Result<ContactLine, LineError> {
        let whole = |reason| LineError { line, column: None, reason };
        let header = HEADER.as_ref().ok_or(whole(Reason::Blank))?;
        let fields = [self.phone, self.name, self.email, self.time_zone, self.language];
        let mut contact = header.contact(line, fields.map(str::as_bytes), self.region)?;
        contact.variables = variables_of(self.variables).map_err(|reason| LineError {
            line,
            column: Some("variables".to_owned()),
            reason,
        })?;
        Ok(contact)
    }
}

/// What is wrong with a line, as the violation of a field of a message.
pub fn violation(error: LineError, phone_field: &'static str) -> Violation {
    let (why, code) = (error.reason.to_string(), error.reason.code());
    match (&error.reason, error.column.as_deref()) {
        (Reason::Number(e), _) => {
            let told = Violation::new(phone_field, why);
            Violation { reason: reason::INVALID_NUMBER, code: e.reason(), ..told }
        }
        // Nothing at all was told.
        (Reason::Blank, _) => Violation::new(phone_field, "required"),
        (_, Some("phone") | None) => Violation { code, ..Violation::new(phone_field, why) },
        (_, Some(column)) => Violation { code, ..Violation::new(column.to_owned(), why) },
    }
}

/// A number to call or to look up.
pub fn number_of(field: &'static str, text: &str, region: Option<Country>) -> Result<Number, Violation> {
    Number::parse(text, region).map_err(|e| Violation {
        reason: reason::INVALID_NUMBER,
        code: e.reason(),
        ..Violation::new(field, e.to_string())
    })
}

/// A country by its two letters; empty means none.
pub fn region_of(field: &'static str, code: &str) -> Result<Option<Country>, Violation> {
    if code.is_empty() {
        return Ok(None);
    }
    let country = Country::new(code);
    country.map(Some).ok_or(Violation::new(field, "two letters of ISO 3166, such as US or DE"))
}

/// Variables for the agent, by the bounds that hold for files.
pub fn variables_of(messages: &BTreeMap<String, v1::Variable>) -> Result<Variables, Reason> {
    let mut bytes = 0;
    let mut variables = Variables::new();
    for (name, variable) in messages {
        if name.is_empty() || name.len() > COLUMN_NAME_BYTES_MAX {
            return Err(Reason::TooLong { max: COLUMN_NAME_BYTES_MAX });
        }
        let value = match &variable.value {
            Some(v1::variable::Value::Text(text)) if text.len() > FIELD_BYTES_MAX => {
                return Err(Reason::TooLong { max: FIELD_BYTES_MAX });
            }
            Some(v1::variable::Value::Text(text)) => Variable::Text(text.clone()),
            Some(v1::variable::Value::Number(number)) => Variable::Number(*number),
            Some(v1::variable::Value::Boolean(boolean)) => Variable::Bool(*boolean),
            None => continue,
        };
        bytes += name.len() + if let Variable::Text(text) = &value { text.len() } else { 8 };
        if bytes > VARIABLES_BYTES_MAX {
            return Err(Reason::VariablesTooLong);
        }
        variables.insert(name.clone(), value);
    }
    Ok(variables)
}

pub fn variables(variables: &Variables) -> BTreeMap<String, v1::Variable> {
    let value = |variable: &Variable| match variable {
        Variable::Text(text) => v1::variable::Value::Text(text.clone()),
        Variable::Number(number) => v1::variable::Value::Number(*number),
        Variable::Bool(boolean) => v1::variable::Value::Boolean(*boolean),
    };
    variables.iter().map(|(name, v)| (name.clone(), v1::Variable { value: Some(value(v)) })).collect()
}

/// What is kept of a line, to be sealed; `None` where there is nothing but the number.
pub fn person_of(line: &ContactLine) -> Option<Person> {
    let person = Person {
        name: line.full_name(),
        email: line.email.clone(),
        language: line.language.clone(),
        variables: line.variables.clone(),
    };
    (person != Person::default()).then_some(person)
}

/// Where the person may be.
pub fn place_of(line: &ContactLine) -> Place {
    Place::of(&line.number, line.zone)
}

/// The lane of a priority of a contact file, which has 0 to 9 with the highest first.
pub fn lane_of(priority: Option<u8>) -> Priority {
    match priority {
        Some(7..) => Priority::High,
        Some(4..=6) | None => Priority::Normal,
        Some(..=3) => Priority::Low,
    }
}

/// The last four digits, as they are kept beside the sealed number.
pub fn last4(number: &Number) -> [u8; 4] {
    let mut last4 = [b'0'; 4];
    for (slot, digit) in last4.iter_mut().rev().zip(number.last4().bytes().rev()) {
        *slot = digit;
    }
    last4
}

pub fn last4_text(last4: [u8; 4]) -> String {
    last4.iter().filter(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<'a>(phone: &'a str, variables: &'a BTreeMap<String, v1::Variable>) -> Told<'a> {
        Told { phone, region: None, name: "", email: "", language: "", time_zone: "", variables }
    }

    fn text(text: &str) -> v1::Variable {
        v1::Variable { value: Some(v1::variable::Value::Text(text.into())) }
    }

    #[test]
    fn a_message_is_read_as_a_line_of_a_file() {
        let variables = BTreeMap::from([("plan".to_owned(), text("gold"))]);
        let message = Told {
            name: " Ada Lovelace ",
            email: "ada@example.com",
            time_zone: "america/new_york",
            language: "pt_BR",
            ..told("(202) 555-0143", &variables)
        };
        let line = Told { region: Some(Country::US), ..message }.read(3).expect("good");
        assert_eq!(line.number.as_e164(), "+12025550143");
        assert_eq!(line.name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(line.language.as_deref(), Some("pt-BR"));
        assert_eq!(line.zone.and_then(|z| z.name()), Some("America/New_York"));
        let person = person_of(&line).expect("a person");
        assert_eq!(person.variables["plan"], Variable::Text("gold".into()));
        assert_eq!(super::variables(&person.variables), variables);
    }

    #[test]
    fn what_is_wrong_is_told_under_the_name_of_the_field() {
        let none = BTreeMap::new();
        let cases = [
            (told("", &none), "to", reason::INVALID_FIELD),
            (told("911", &none), "to", reason::INVALID_NUMBER),
            (Told { email: "nobody", ..told("+12025550143", &none) }, "email", reason::INVALID_FIELD),
            (Told { time_zone: "EST", ..told("+12025550143", &none) }, "time_zone", reason::INVALID_FIELD),
            (Told { name: "x", ..told("", &none) }, "to", reason::INVALID_NUMBER),
        ];
        for (message, field, expected) in cases {
            let found = violation(message.read(1).expect_err("wrong"), "to");
            assert_eq!((found.field.as_ref(), found.reason), (field, expected), "{found}");
        }
    }

    #[test]
    fn variables_are_bounded_together_and_one_by_one() {
        let one = |name: String, value| BTreeMap::from([(name, text(value))]);
        assert!(variables_of(&one("n".repeat(65), "x")).is_err());
        assert!(variables_of(&one(String::new(), "x")).is_err());
        assert!(variables_of(&one("n".into(), &"x".repeat(FIELD_BYTES_MAX + 1))).is_err());
        let many = (0..5).map(|n| (n.to_string(), text(&"x".repeat(FIELD_BYTES_MAX)))).collect();
        assert_eq!(variables_of(&many), Err(Reason::VariablesTooLong));
        let unset = BTreeMap::from([("n".to_owned(), v1::Variable { value: None })]);
        assert_eq!(variables_of(&unset), Ok(Variables::new()));
    }

    #[test]
    fn the_last_four_digits_are_kept_and_shown() {
        let number = Number::parse("+12025550143", None).expect("a number");
        assert_eq!(last4_text(last4(&number)), "0143");
        assert_eq!(last4_text([0; 4]), "");
    }

    #[test]
    fn a_higher_priority_is_served_sooner() {
        let lanes: Vec<Priority> = (0..=9).map(|p| lane_of(Some(p))).collect();
        assert!(lanes.windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!((lanes[0], lane_of(None), lanes[9]), (Priority::Low, Priority::Normal, Priority::High));
    }
}
