//! The example file and the tables of the documentation, made of the keys themselves.

use super::read::{Base, Key, variable};
use super::{Config, parse};
use std::fmt::Write as _;

/// Settings in which every key is asked for.
const EVERYTHING: &str = r#"
[http]
public_url = "https://calls.example.com"
[carriers.twilio]
type = "twilio"
account_sid = "AC00000000000000000000000000000000"
auth_token = "-"
[agents.elevenlabs]
type = "elevenlabs"
api_key = "-"
"#;

/// What each table is for.
const TABLES: [(&str, &str); 12] = [
    ("node", "The node itself."),
    ("store", "Where the data is kept."),
    ("cluster", "The node's place among others that share its store."),
    ("grpc", "The interface of applications and of the command line."),
    ("http", "What carriers reach: callbacks, documents, media sockets."),
    ("metrics", "Metrics, liveness and readiness, for monitoring."),
    ("keys", "The key that seals personal data."),
    ("carriers.<name>", "Carrier accounts, any number, each under the name that plans use."),
    ("agents.<name>", "Voice agent providers, any number, each under the name that plans use."),
    ("limits", "Bounds of this node."),
    ("clock", "Time itself, for trials."),
    ("log", "Logs. Phone numbers show at most their last four digits."),
];

impl Config {
    /// Every key that may be given, in the order of the file.
    pub fn keys() -> Vec<Key> {
        parse(EVERYTHING, Base::default(), Vec::new()).map(|(_, keys)| keys).unwrap_or_default()
    }
}

fn table_of(key: &Key) -> (&str, &str) {
    key.path.rsplit_once('.').unwrap_or(("", &key.path))
}

/// Names as they stand in the example.
fn example_name(table: &str) -> String {
    table.replace("carriers.<name>", "carriers.twilio").replace("agents.<name>", "agents.elevenlabs")
}

/// A file with every key, each at its default and commented out.
pub fn example() -> String {
    let mut text = String::from(
        "# Configuration of a Tandem node. Every key is here, at its default where it has one; take the # away\n\
         # to change it. A variable wins over the file: grpc.listen is TANDEM_GRPC__LISTEN. Relative paths are\n\
         # reckoned from this file. Check it with: tandem config check --config tandem.toml\n",
    );
    let keys = Config::keys();
    for (table, about) in TABLES {
        let optional_table = table.contains('<');
        let mark = if optional_table { "# " } else { "" };
        let _ = write!(text, "\n# {about}\n{mark}[{}]\n", example_name(table));
        for key in keys.iter().filter(|key| table_of(key).0 == table) {
            let (_, name) = table_of(key);
            let bounds = match (&key.default, key.required) {
                (_, true) => format!(" Required: {}.", key.expected),
                _ => format!(" ({})", key.expected),
            };
            for line in wrapped(&format!("{}{bounds}", key.about), 100) {
                let _ = writeln!(text, "# {line}");
            }
            let _ = writeln!(text, "# {name} = {}", key.default.as_ref().unwrap_or(&key.example));
        }
    }
    text
}

/// The tables of keys for the documentation, as Markdown.
pub fn documentation() -> String {
    let keys = Config::keys();
    let mut text = String::new();
    for (table, about) in TABLES {
        let _ = write!(
            text,
            "### `[{table}]`\n\n{about}\n\n| Key | Value | Default | |\n| --- | --- | --- | --- |\n"
        );
        for key in keys.iter().filter(|key| table_of(key).0 == table) {
            let default = match (&key.default, key.required) {
                (Some(default), _) => format!("`{default}`"),
                (None, true) => "required".to_owned(),
                (None, false) => "none".to_owned(),
            };
            let _ = writeln!(text, "| `{}` | {} | {default} | {} |", key.path, key.expected, key.about);
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "Each key has a variable: `{}` for `grpc.listen`, `{}` for `carriers.twilio.auth_token`.",
        variable("grpc.listen"),
        variable("carriers.twilio.auth_token"),
    );
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().filter(|line| line.is_empty() || line.len() + 1 + word.len() <= width);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
