//! What this crate stores, held against `tests/golden`: keys, and the values around those of the
//! machines (whose own golden files are the domain's). A line is a name and bytes in hexadecimal.
//! `UPDATE_GOLDEN=1` adds lines for what has none; it never touches a line that is there.
//!
//! How a format changes stands in `docs/formats.md`.

mod keys;
mod values;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// An example of what is stored, with a name for it.
type Named = (String, Vec<u8>);

fn path(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(file)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn lines(file: &str) -> BTreeMap<String, Vec<u8>> {
    let text = std::fs::read_to_string(path(file)).unwrap_or_default();
    let line = |line: &str| {
        let (name, digits) = line.rsplit_once(' ')?;
        Some((name.to_owned(), from_hex(digits)?))
    };
    text.lines().map(|l| line(l).unwrap_or_else(|| panic!("{file}: {l:?} is no line"))).collect()
}

fn add_missing(file: &str, examples: &[Named]) {
    let there = lines(file);
    let mut text = std::fs::read_to_string(path(file)).unwrap_or_default();
    for (name, bytes) in examples.iter().filter(|(name, _)| !there.contains_key(name)) {
        let _ = writeln!(text, "{name} {}", to_hex(bytes));
    }
    let path = path(file);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
    std::fs::write(path, text).expect("written");
}

/// The lines of a file are these examples, all of them and no others.
fn hold(file: &str, examples: &[Named]) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        add_missing(file, examples);
    }
    let mut there = lines(file);
    for (name, bytes) in examples {
        match there.remove(name) {
            Some(golden) => assert_eq!(to_hex(bytes), to_hex(&golden), "{file}: {name} is written otherwise"),
            None => panic!("{file}: UPDATE_GOLDEN=1 adds the missing {name}"),
        }
    }
    assert!(there.is_empty(), "{file}: nothing is stored any more as {:?}", there.keys());
}
