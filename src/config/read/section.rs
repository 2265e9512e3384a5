//! Asking for settings, key by key.

use super::environment::{FILE_SUFFIX, PREFIX, variable};
use super::problem::{Place, Problems};
use super::suggest::nearest;
use super::tree::{Node, Raw, Tree};
use super::value::{Base, Value, quoted};
use crate::config::Secret;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Longest secret that is read from a file, in bytes.
const SECRET_BYTES_MAX: u64 = 16 << 10;
/// Longest name of an entry such as a carrier, in characters.
const NAME_CHARS_MAX: usize = 32;

/// A key that may be given, for the example file and the documentation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// Such as `grpc.listen`, with `<name>` for a name that is chosen freely.
    pub path: String,
    /// What it takes, in words.
    pub expected: String,
    /// As written in a file; absent where nothing stands unless it is given.
    pub default: Option<String>,
    /// What it may look like, as written in a file.
    pub example: String,
    pub required: bool,
    pub about: &'static str,
}

/// Reads one tree of settings, and gathers what is wrong with it.
pub struct Reader<'t> {
    tree: &'t Tree,
    base: Base,
    problems: Problems,
    keys: Vec<Key>,
    /// Every path that was asked for, as it stands in the tree.
    known: Vec<String>,
}

impl<'t> Reader<'t> {
    pub fn new(tree: &'t Tree, base: Base) -> Self {
        Reader { tree, base, problems: Problems::default(), keys: Vec::new(), known: Vec::new() }
    }

    /// The keys that stand above all tables.
    pub fn root(&mut self) -> Section<'_, 't> {
        let table = Some(&self.tree.root);
        Section { reader: self, table, path: String::new(), documented: String::new() }
    }

    /// The table of this name, which may be absent.
    pub fn section(&mut self, name: &str) -> Section<'_, 't> {
        self.known.push(name.to_owned());
        let table = self.table(name);
        Section { reader: self, table, path: name.to_owned(), documented: name.to_owned() }
    }

    /// The names of a table's entries, such as those of the carriers. Unusable names are refused.
    pub fn entries(&mut self, name: &str) -> Vec<String> {
        self.known.push(name.to_owned());
        let Some(table) = self.table(name) else { return Vec::new() };
        let mut names: Vec<String> = Vec::new();
        for (entry, node) in table {
            let path = format!("{name}.{entry}");
            let well_formed = entry.len() <= NAME_CHARS_MAX
                && entry.starts_with(|c: char| c.is_ascii_lowercase())
                && entry
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
            let twin = names.iter().find(|other| variable(other) == variable(entry));
            let problem = if !well_formed {
                Some(format!(
                    "a name has 1 to {NAME_CHARS_MAX} of a-z, 0-9, - and _, and begins with a letter"
                ))
            } else {
                twin.map(|twin| format!("this name and {twin} have the same variable in the environment"))
            };
            match problem {
                Some(message) => {
                    self.problems.push(&path, node.place.clone(), message);
                    self.known.push(format!("{path}.*"));
                }
                None => names.push(entry.clone()),
            }
        }
        names
    }

    /// One entry of a table, as told by [`Reader::entries`].
    pub fn entry(&mut self, table: &str, name: &str) -> Section<'_, 't> {
        let mut section = self.section(&format!("{table}.{name}"));
        section.documented = format!("{table}.<name>");
        section
    }

    /// Refuses the value of a key. `path` is one that was asked for.
    pub fn refuse(&mut self, path: &str, message: impl Into<String>) {
        let place = self.node(path).map_or(Place::Absent, |node| node.place.clone());
        self.problems.push(path, place, message);
    }

    /// Whether a key is given, be it in the file or in the environment.
    pub fn is_given(&self, path: &str) -> bool {
        self.node(path).is_some()
    }

    /// Ends the reading: refuses whatever was not asked for, and gives the keys that were.
    ///
    /// # Errors
    /// Everything that was found to be wrong.
    pub fn finish(mut self, variables: &[String]) -> Result<Vec<Key>, Problems> {
        self.refuse_unknown(&self.tree.root, "");
        for name in variables {
            self.refuse_single_underscore(name);
        }
        self.problems.sort();
        if self.problems.is_empty() { Ok(self.keys) } else { Err(self.problems) }
    }

    fn refuse_unknown(&mut self, table: &'t BTreeMap<String, Node>, parent: &str) {
        for (key, node) in table {
            let path = join(parent, key);
            if self.known.iter().any(|known| *known == format!("{path}.*")) {
                continue;
            }
            if !self.known.contains(&path) && !self.is_table_of_known(&path) {
                let message = self.unknown(&path, parent, key);
                self.problems.push(path, node.place.clone(), message);
            } else if let Raw::Table(inner) = &node.raw {
                self.refuse_unknown(inner, &path);
            }
        }
    }

    fn is_table_of_known(&self, path: &str) -> bool {
        self.known.iter().any(|known| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    }

    fn unknown(&self, path: &str, parent: &str, key: &str) -> String {
        let siblings = self.known.iter().filter_map(|known| {
            let name =
                if parent.is_empty() { known } else { known.strip_prefix(parent)?.strip_prefix('.')? };
            Some(name.split('.').next().unwrap_or(name))
        });
        if let Some(meant) = nearest(key, siblings) {
            return format!("unknown key; did you mean {}?", join(parent, meant));
        }
        let name = path.rsplit('.').next().unwrap_or(path);
        let elsewhere = self.known.iter().find(|known| known.rsplit('.').next() == Some(name));
        match elsewhere {
            Some(there) => format!("unknown key; did you mean {there}?"),
            None => "unknown key".to_owned(),
        }
    }

    /// A variable that is a setting's but for an underscore would otherwise be silently ignored.
    fn refuse_single_underscore(&mut self, name: &str) {
        if !name.starts_with(PREFIX) || name[PREFIX.len()..].contains("__") {
            return;
        }
        let meant = self.known.iter().filter(|path| path.contains('.')).map(|path| (variable(path), path));
        let meant = meant.into_iter().find(|(variable, _)| variable.replace("__", "_") == *name);
        if let Some((variable, path)) = meant {
            let message = format!("this variable is not read; did you mean {variable}?");
            self.problems.push(path.clone(), Place::Variable(name.to_owned()), message);
        }
    }

    fn node(&self, path: &str) -> Option<&'t Node> {
        let mut table = &self.tree.root;
        let mut parts = path.split('.').peekable();
        loop {
            let node = table.get(parts.next()?)?;
            if parts.peek().is_none() {
                return Some(node);
            }
            let Raw::Table(inner) = &node.raw else { return None };
            table = inner;
        }
    }

    fn table(&mut self, path: &str) -> Option<&'t BTreeMap<String, Node>> {
        let node = self.node(path)?;
        if let Raw::Table(table) = &node.raw {
            return Some(table);
        }
        let message = format!("expected a table: [{path}], not {}", node.raw.type_name());
        self.problems.push(path, node.place.clone(), message);
        None
    }
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// One table of settings.
pub struct Section<'r, 't> {
    reader: &'r mut Reader<'t>,
    table: Option<&'t BTreeMap<String, Node>>,
    path: String,
    documented: String,
}

impl<'t> Section<'_, 't> {
    /// A setting with a default.
    pub fn or<T: Value>(&mut self, key: &str, default: T, about: &'static str) -> T {
        let written = default.written();
        self.declare(key, T::EXPECTED.to_owned(), Some(written.clone()), &written, false, about);
        self.read(key).unwrap_or(default)
    }

    /// A number within bounds.
    pub fn number<N>(&mut self, key: &str, default: N, within: RangeInclusive<N>, about: &'static str) -> N
    where
        N: Value + PartialOrd + Display + Copy,
    {
        let expected = format!("{} to {}", within.start(), within.end());
        let written = default.written();
        self.declare(key, expected.clone(), Some(written.clone()), &written, false, about);
        match self.read(key) {
            Some(n) if !within.contains(&n) => {
                self.refuse(key, format!("must be {expected}, not {n}"));
                default
            }
            Some(n) => n,
            None => default,
        }
    }

    /// One of several words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &str,
        words: &[(&str, T)],
        default: Option<&str>,
        about: &'static str,
    ) -> Option<T> {
        let list = words.iter().map(|(word, _)| quoted(word)).collect::<Vec<_>>().join(" or ");
        let example = quoted(default.or(words.first().map(|(word, _)| *word)).unwrap_or(""));
        self.declare(key, list.clone(), default.map(quoted), &example, default.is_none(), about);
        let find = |word: &str| words.iter().find(|(known, _)| *known == word).map(|(_, value)| *value);
        let Some(word) = self.read::<String>(key) else {
            if default.is_none() && !self.is_given(key) {
                self.refuse(key, format!("is required: {list}"));
            }
            return default.and_then(find);
        };
        if find(&word).is_none() {
            let meant = nearest(&word, words.iter().map(|(word, _)| *word));
            let hint = meant.map(|word| format!("; did you mean {}?", quoted(word))).unwrap_or_default();
            self.refuse(key, format!("expected {list}, not {}{hint}", shown(&word)));
        }
        find(&word).or(default.and_then(find))
    }

    /// A setting that may be absent. `example` is written as in a file.
    pub fn optional<T: Value>(&mut self, key: &str, example: &str, about: &'static str) -> Option<T> {
        self.declare(key, T::EXPECTED.to_owned(), None, example, false, about);
        self.read(key)
    }

    /// A setting that must be there; `None` where it is not, which is a problem then.
    pub fn required<T: Value>(&mut self, key: &str, example: &str, about: &'static str) -> Option<T> {
        self.declare(key, T::EXPECTED.to_owned(), None, example, true, about);
        if !self.is_given(key) {
            self.refuse(key, format!("is required: {}", T::EXPECTED));
        }
        self.read(key)
    }

    /// A secret, given as `key` or as the file named by `key_file`.
    pub fn secret(&mut self, key: &'static str, required: bool, about: &'static str) -> Option<Secret> {
        let key_file = format!("{key}{FILE_SUFFIX}");
        let example = quoted("...");
        self.declare(key, "text, secret".to_owned(), None, &example, required, about);
        let path_example = quoted(&format!("/run/secrets/{key}"));
        let about_file = "A file that holds it, instead: the better way.";
        self.declare(&key_file, PathBuf::EXPECTED.to_owned(), None, &path_example, false, about_file);
        let inline = self.read_quietly(key);
        let file: Option<PathBuf> = self.read(&key_file);
        let secret = match (inline, file) {
            (Some(_), Some(_)) => {
                self.refuse(&key_file, format!("give either {key} or {key_file}, not both"));
                return None;
            }
            (Some(text), None) => Secret::new(text.trim()),
            (None, Some(path)) => match secret_from(&path) {
                Ok(secret) => secret,
                Err(message) => {
                    self.refuse(&key_file, message);
                    return None;
                }
            },
            (None, None) => {
                if required && !self.is_given(key) && !self.is_given(&key_file) {
                    self.refuse(key, format!("is required: give {key} or {key_file}"));
                }
                return None;
            }
        };
        let printable = secret.expose().bytes().all(|b| (0x20..0x7f).contains(&b));
        if secret.expose().is_empty() || !printable {
            let given = if self.is_given(key) { key } else { key_file.as_str() };
            self.refuse(given, "the secret is empty, or holds other than printable ASCII characters");
            return None;
        }
        Some(secret)
    }

    /// Refuses the value of a key of this table.
    pub fn refuse(&mut self, key: &str, message: impl Into<String>) {
        let place =
            self.table.and_then(|table| table.get(key)).map_or(Place::Absent, |node| node.place.clone());
        self.reader.problems.push(join(&self.path, key), place, message);
    }

    /// Whether a key is given at all.
    pub fn is_given(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    fn declare(
        &mut self,
        key: &str,
        expected: String,
        default: Option<String>,
        example: &str,
        required: bool,
        about: &'static str,
    ) {
        self.reader.known.push(join(&self.path, key));
        let path = join(&self.documented, key);
        let example = example.to_owned();
        if !self.reader.keys.iter().any(|known| known.path == path) {
            self.reader.keys.push(Key { path, expected, default, example, required, about });
        }
    }

    /// The value of a key, if there is a good one.
    fn read<T: Value>(&mut self, key: &str) -> Option<T> {
        let node = self.table?.get(key)?;
        match T::read(node, &self.reader.base) {
            Ok(value) => Some(value),
            Err(why) => {
                let found = match &node.raw {
                    Raw::Text(text) | Raw::Word(text) => shown(text),
                    Raw::Integer(digits, 10) => shown_plain(digits),
                    other => other.type_name().to_owned(),
                };
                self.refuse(key, why.unwrap_or_else(|| format!("expected {}, not {found}", T::EXPECTED)));
                None
            }
        }
    }

    /// As [`Section::read`], for what no message may repeat.
    fn read_quietly(&mut self, key: &str) -> Option<String> {
        let node = self.table?.get(key)?;
        let read = String::read(node, &self.reader.base);
        if read.is_err() {
            self.refuse(key, format!("expected text, not {}", node.raw.type_name()));
        }
        read.ok()
    }
}

/// A value as it may stand in a message: quoted, and not too long.
fn shown(text: &str) -> String {
    format!("{:?}", shown_plain(text))
}

fn shown_plain(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn secret_from(path: &Path) -> Result<Secret, String> {
    let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > SECRET_BYTES_MAX {
        return Err(format!("{} is not a file of at most {SECRET_BYTES_MAX} bytes", path.display()));
    }
    let text = std::fs::read_to_string(path).map(zeroize::Zeroizing::new).map_err(unreadable)?;
    Ok(Secret::new(text.trim()))
}
