//! A parsed file: values, and the line of each.

use super::problem::{Place, Problem, Problems};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// A value and where it was given.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub raw: Raw,
}

#[derive(Clone)]
pub enum Raw {
    Text(String),
    /// As written, without its radix prefix, and the radix.
    Integer(String, u32),
    Float(String),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// From the environment, where nothing says what type it has.
    Word(String),
}

// Values may be secrets, so only their type is shown.
impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.type_name())
    }
}

impl Raw {
    pub fn type_name(&self) -> &'static str {
        match self {
            Raw::Text(_) | Raw::Word(_) => "text",
            Raw::Integer(..) => "an integer",
            Raw::Float(_) => "a number",
            Raw::Boolean(_) => "true or false",
            Raw::Date(_) => "a date",
            Raw::List(_) => "a list",
            Raw::Table(_) => "a table",
        }
    }
}

/// The whole of a file.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub(super) root: BTreeMap<String, Node>,
}

/// A text that is not TOML: every place at which it is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TreeError(pub Problems);

impl Tree {
    /// Parses TOML.
    ///
    /// # Errors
    /// All mistakes of the syntax that were found, a key that is given twice among them.
    pub fn parse(text: &str) -> Result<Tree, TreeError> {
        let lines = Lines::of(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Tree { root: table_of(table.into_inner(), &lines) });
        }
        let mut problems = Problems::default();
        for error in errors {
            let place = error.span().map_or(Place::Absent, |span| Place::Line(lines.of_offset(span.start)));
            problems.0.push(Problem { key: String::new(), place, message: error.message().to_owned() });
        }
        problems.sort();
        problems.0.dedup();
        Err(TreeError(problems))
    }
}

fn table_of(table: DeTable<'_>, lines: &Lines) -> BTreeMap<String, Node> {
    table
        .into_iter()
        .map(|(key, value)| {
            // The key's own line: a value may begin further down.
            let line = lines.of_offset(key.span().start);
            let raw = raw_of(value.into_inner(), lines);
            (key.into_inner().into_owned(), Node { place: Place::Line(line), raw })
        })
        .collect()
}

fn raw_of(value: DeValue<'_>, lines: &Lines) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.into_owned()),
        DeValue::Integer(n) => Raw::Integer(n.as_str().to_owned(), n.radix()),
        DeValue::Float(n) => Raw::Float(n.as_str().to_owned()),
        DeValue::Boolean(b) => Raw::Boolean(b),
        DeValue::Datetime(date) => Raw::Date(date.to_string()),
        DeValue::Array(items) => Raw::List(
            items
                .into_iter()
                .map(|item| {
                    let place = Place::Line(lines.of_offset(item.span().start));
                    Node { place, raw: raw_of(item.into_inner(), lines) }
                })
                .collect(),
        ),
        DeValue::Table(table) => Raw::Table(table_of(table, lines)),
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// From 1.
    fn of_offset(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line() {
        let tree = Tree::parse("a = 1\n\n[b]\nc = [\n  \"x\",\n  2.5,\n]\n[b.d]\ne = true\n").unwrap();
        assert_eq!(tree.root["a"].place, Place::Line(1));
        let Raw::Table(b) = &tree.root["b"].raw else { panic!("b is a table") };
        assert_eq!(b["c"].place, Place::Line(4));
        let Raw::List(items) = &b["c"].raw else { panic!("c is a list") };
        assert_eq!((&items[0].place, &items[1].place), (&Place::Line(5), &Place::Line(6)));
        let Raw::Table(d) = &b["d"].raw else { panic!("d is a table") };
        assert_eq!(d["e"].place, Place::Line(9));
    }

    #[test]
    fn all_mistakes_of_the_syntax_are_found() {
        let error = Tree::parse("a = \nb = 1\nc = \"open\nd = 2\nb = 3\n").unwrap_err();
        let lines: Vec<&Place> = error.0.0.iter().map(|problem| &problem.place).collect();
        assert!(lines.contains(&&Place::Line(1)), "{error}");
        assert!(lines.contains(&&Place::Line(3)), "{error}");
        assert!(lines.contains(&&Place::Line(5)), "{error}");
    }

    #[test]
    fn values_are_not_shown() {
        let tree = Tree::parse("token = \"hidden\"").unwrap();
        assert!(!format!("{tree:?}").contains("hidden"));
        let error = Tree::parse("token = \"hidden").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
    }
}
