//! The environment, laid over the file.
//!
//! `grpc.listen` is `TANDEM_GRPC__LISTEN`: the prefix, then the path in capitals, two underscores
//! for each dot and one for a dash. A variable wins over the file. Variables without two underscores
//! are no settings: the command line has some, and container platforms make others up.

use super::problem::Place;
use super::tree::{Node, Raw, Tree};
use std::collections::BTreeMap;

pub const PREFIX: &str = "TANDEM_";

/// The variable for a key.
pub fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.split('.').map(segment).collect::<Vec<_>>().join("__"))
}

fn segment(name: &str) -> String {
    name.replace('-', "_").to_ascii_uppercase()
}

/// The suffix of keys that name a file with the value.
pub(super) const FILE_SUFFIX: &str = "_file";

impl Tree {
    /// Lays variables over the file. Those that are no settings are left aside.
    pub fn overlay(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else { continue };
            let path: Vec<&str> = path.split("__").collect();
            set(&mut self.root, &path, &name, value);
        }
    }
}

fn set(table: &mut BTreeMap<String, Node>, path: &[&str], variable: &str, value: String) {
    let Some((first, rest)) = path.split_first() else { return };
    // An entry of the file that has this name in the environment, else a new one.
    let key = table.keys().find(|key| segment(key) == *first).cloned();
    let key = key.unwrap_or_else(|| first.to_ascii_lowercase());
    let place = Place::Variable(variable.to_owned());
    if rest.is_empty() {
        // A secret given here stands instead of the file's, in whichever way that gives it.
        let sibling = match key.strip_suffix(FILE_SUFFIX) {
            Some(inline) => inline.to_owned(),
            None => format!("{key}{FILE_SUFFIX}"),
        };
        if table.get(&sibling).is_some_and(|node| matches!(node.place, Place::Line(_))) {
            table.remove(&sibling);
        }
        table.insert(key, Node { place, raw: Raw::Word(value) });
        return;
    }
    let node = table.entry(key).or_insert_with(|| Node { place, raw: Raw::Table(BTreeMap::new()) });
    // Where the file has a value instead of a table, the file is what has to be mended.
    if let Raw::Table(inner) = &mut node.raw {
        set(inner, rest, variable, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaid(text: &str, variables: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::parse(text).unwrap();
        tree.overlay(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        tree
    }

    fn word<'a>(tree: &'a Tree, path: &[&str]) -> Option<&'a str> {
        let mut table = &tree.root;
        for key in &path[..path.len() - 1] {
            let Raw::Table(inner) = &table.get(*key)?.raw else { return None };
            table = inner;
        }
        match &table.get(path[path.len() - 1])?.raw {
            Raw::Word(word) | Raw::Text(word) => Some(word),
            _ => None,
        }
    }

    #[test]
    fn paths_have_variables() {
        assert_eq!(variable("grpc.listen"), "TANDEM_GRPC__LISTEN");
        assert_eq!(variable("carriers.twilio-eu.auth_token"), "TANDEM_CARRIERS__TWILIO_EU__AUTH_TOKEN");
    }

    #[test]
    fn a_variable_wins_over_the_file() {
        let tree =
            overlaid("[grpc]\nlisten = \"a\"\n", &[("TANDEM_GRPC__LISTEN", "b"), ("TANDEM_HTTP__DEV", "c")]);
        assert_eq!(word(&tree, &["grpc", "listen"]), Some("b"));
        assert_eq!(word(&tree, &["http", "dev"]), Some("c"));
    }

    #[test]
    fn entries_of_the_file_are_found_by_their_variable() {
        let tree = overlaid("[carriers.twilio-eu]\n", &[("TANDEM_CARRIERS__TWILIO_EU__TYPE", "x")]);
        assert_eq!(word(&tree, &["carriers", "twilio-eu", "type"]), Some("x"));
    }

    #[test]
    fn a_secret_of_the_environment_stands_instead_of_the_file_of_the_file() {
        let tree = overlaid("[grpc]\nadmin_token_file = \"/x\"\n", &[("TANDEM_GRPC__ADMIN_TOKEN", "t")]);
        assert_eq!(word(&tree, &["grpc", "admin_token_file"]), None);
        assert_eq!(word(&tree, &["grpc", "admin_token"]), Some("t"));
        let tree = overlaid("[grpc]\nadmin_token = \"x\"\n", &[("TANDEM_GRPC__ADMIN_TOKEN_FILE", "/t")]);
        assert_eq!(word(&tree, &["grpc", "admin_token"]), None);
    }

    #[test]
    fn other_variables_are_left_aside() {
        let tree =
            overlaid("", &[("TANDEM_PORT", "tcp://10.0.0.1:80"), ("TANDEM_SERVER", "x"), ("HOME__X", "y")]);
        assert!(tree.root.is_empty());
    }

    #[test]
    fn odd_names_do_no_harm() {
        let odd = ["TANDEM___", "TANDEM_A____B", "TANDEM_GRPC__", "TANDEM___GRPC", "TANDEM_GRPC__LISTEN__X"];
        let tree = overlaid("[grpc]\nlisten = \"a\"\n", &odd.map(|name| (name, "v")));
        assert_eq!(word(&tree, &["grpc", "listen"]), Some("a"));
    }
}
