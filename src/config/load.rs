//! From file and environment to a configuration.

use super::Config;
use super::read::{Base, Key, PREFIX, Problems, Reader, Tree, TreeError};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest file of settings, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Read from the working directory where no file is named.
const DEFAULT_FILE: &str = "tandem.toml";

/// Where a configuration comes from, besides the environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    File(PathBuf),
    /// No file: defaults, and the environment.
    Defaults,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => path.display().fmt(f),
            Origin::Defaults => f.write_str("the defaults (no file)"),
        }
    }
}

#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub origin: Origin,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{} is no configuration: {why}", .path.display())]
    NotText { path: PathBuf, why: &'static str },
    #[error("{origin}:\n{problems}")]
    Invalid { origin: Origin, problems: Problems },
}

/// Reads the file, or `tandem.toml` of the working directory if none is named and it is there, and
/// the environment over it.
///
/// # Errors
/// No such file, or everything that is wrong with it.
pub fn load(file: Option<&Path>) -> Result<Loaded, LoadError> {
    // Variables that are not text are none of ours.
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let variables = variables.filter(|(name, _)| name.starts_with(PREFIX));
    let variables = variables.filter_map(|(name, value)| Some((name, value.into_string().ok()?))).collect();
    let default = Path::new(DEFAULT_FILE);
    let path = file.or_else(|| default.exists().then_some(default));
    let Some(path) = path else {
        return load_text("", Origin::Defaults, Base::default(), variables);
    };
    let text = read_text(path)?;
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    load_text(&text, Origin::File(path.to_owned()), Base { directory }, variables)
}

fn load_text(
    text: &str,
    origin: Origin,
    base: Base,
    variables: Vec<(String, String)>,
) -> Result<Loaded, LoadError> {
    match parse(text, base, variables) {
        Ok((config, _)) => Ok(Loaded { config, origin }),
        Err(problems) => Err(LoadError::Invalid { origin, problems }),
    }
}

/// Makes a configuration of the text of a file and of variables of the environment, and tells which
/// keys there are.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    text: &str,
    base: Base,
    variables: Vec<(String, String)>,
) -> Result<(Config, Vec<Key>), Problems> {
    let mut tree = Tree::parse(text).map_err(|TreeError(problems)| problems)?;
    let names: Vec<String> = variables.iter().map(|(name, _)| name.clone()).collect();
    tree.overlay(variables);
    Config::from_reader(Reader::new(&tree, base), &names)
}

/// The text of a file of settings, overwritten in memory when it is dropped.
///
/// # Errors
/// A file that cannot be read, is too large or is no UTF-8 text.
pub fn read_text(path: &Path) -> Result<Zeroizing<String>, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.to_owned(), error };
    let refused = |why| LoadError::NotText { path: path.to_owned(), why };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refused("it is larger than 1 MiB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| refused("it is not UTF-8 text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}
