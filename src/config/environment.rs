//! The environment of whoever runs haloy: the process's variables, then `.env` files.
//!
//! The process's own environment is never changed.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::client::TOKEN_VARIABLE;
use super::error::ConfigError;
use crate::secret::Secret;
use crate::{env, files};

/// Looks variables up: the process's win over files, and the files of the target over those for all. A variable
/// that is set to nothing counts as not set: that is how CI systems pass a secret they do not have.
///
/// The files are read when a variable is looked for that the process does not have: a mistake in one
/// of them is in nobody's way who needs no value of it.
#[derive(Clone)]
pub struct Environment {
    candidates: Vec<PathBuf>,
    files: OnceCell<BTreeMap<String, Secret>>,
}

impl Environment {
    /// With `.env.{target}` and then `.env` of the current directory and of the directory of the
    /// configuration file, and last `.env` of the client's own configuration directory, as far as they exist.
    pub fn new(config_dir: &Path, client_config: &Path, target: Option<&str>) -> Self {
        let own = target.map(|target| format!(".env.{target}"));
        let near = own.iter().map(String::as_str).chain([".env"]);
        let mut candidates: Vec<PathBuf> = near.flat_map(|name| [PathBuf::from(name), config_dir.join(name)]).collect();
        candidates.push(client_config.join(".env"));
        Self { candidates, files: OnceCell::new() }
    }

    /// The process's variables alone.
    pub fn of_process() -> Self {
        Self { candidates: Vec::new(), files: OnceCell::new() }
    }

    pub fn get(&self, key: &str) -> Result<Option<Secret>, ConfigError> {
        if let Some(value) = env::read(key) {
            return Ok(Some(Secret::new(value)));
        }
        Ok(self.files()?.get(key).filter(|value| !value.expose().is_empty()).cloned())
    }

    /// What the files hold and the process lacks, for programs that are run on behalf of the user. Without the
    /// tokens that `haloy server add` keeps: those are for haloy alone.
    pub fn file_variables(&self) -> Result<Vec<(&str, &Secret)>, ConfigError> {
        let lacks = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
        let variables = self.files()?.iter().map(|(name, value)| (name.as_str(), value));
        Ok(variables.filter(|(name, _)| lacks(name) && !name.starts_with(TOKEN_VARIABLE)).collect())
    }

    fn files(&self) -> Result<&BTreeMap<String, Secret>, ConfigError> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let mut variables = BTreeMap::new();
        for file in &self.candidates {
            for (name, value) in read(file)? {
                variables.entry(name).or_insert(value);
            }
        }
        Ok(self.files.get_or_init(|| variables))
    }
}

/// Names alone.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.files.get().into_iter().flat_map(BTreeMap::keys)).finish()
    }
}

/// The variables of one file; none when it does not exist. The last of a repeated name counts, as in a shell.
pub fn read(path: &Path) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let Some(text) = files::read_optional(path)? else { return Ok(BTreeMap::new()) };
    parse(&text).map_err(|line| ConfigError::EnvironmentLine { path: path.to_owned(), line })
}

/// The variables of a text, or the number of the line that is none.
fn parse(text: &str) -> Result<BTreeMap<String, Secret>, usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines_read = Cell::new(0);
    let mut variables = BTreeMap::new();
    for variable in dotenvy::from_read_iter(Lines { rest: text.as_bytes(), read: &lines_read }) {
        match variable {
            Ok((name, value)) => {
                variables.insert(name, Secret::new(value));
            }
            // Values may span lines; the mistake is where the value begins.
            Err(dotenvy::Error::LineParse(value, _)) => {
                let newlines = value.trim_end_matches('\n').matches('\n').count();
                return Err(lines_read.get().saturating_sub(newlines).max(1));
            }
            Err(_) => return Err(lines_read.get().max(1)),
        }
    }
    Ok(variables)
}

/// Hands out one line at a time, so that the count says how far the parser is.
struct Lines<'a> {
    rest: &'a [u8],
    read: &'a Cell<usize>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |newline| newline + 1);
        let length = line.min(buffer.len());
        let (now, rest) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.rest = rest;
        if now.ends_with(b"\n") || (rest.is_empty() && length > 0) {
            self.read.set(self.read.get() + 1);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<(String, String)>, usize> {
        parse(text).map(|variables| variables.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
    }

    #[test]
    fn reads_what_people_write() {
        let text = "\u{feff}# comment\nA=1\nexport B='two words'\nC=\"multi\nline\" # x\n\nA=3\r\nD=\n";
        let expected = [("A", "3"), ("B", "two words"), ("C", "multi\nline"), ("D", "")];
        assert_eq!(shown(text), Ok(expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        assert_eq!(shown("A=1\n\n# c\nno value here\nB=2\n"), Err(4));
        assert_eq!(shown("A=1\nB='never closed\nC=2\n"), Err(2));
        assert_eq!(shown("A='x\ny'\nB=hunter two\n"), Err(3));
    }

    #[test]
    fn the_process_wins_then_the_directory_of_the_file_then_the_clients() {
        let project = tempfile::tempdir().expect("temporary directory");
        let client = tempfile::tempdir().expect("temporary directory");
        std::fs::write(project.path().join(".env"), "PATH=/nowhere\nHALOY_TEST_A=project\nHALOY_TEST_EMPTY=\n").expect("write");
        std::fs::write(client.path().join(".env"), "HALOY_TEST_A=client\nHALOY_TEST_B=client\n").expect("write");
        let environment = Environment::new(project.path(), client.path(), None);
        let get = |key: &str| environment.get(key).expect("both files are fine").map(|value| value.expose().to_owned());
        assert_eq!(get("PATH"), std::env::var("PATH").ok());
        assert_eq!(get("HALOY_TEST_A").as_deref(), Some("project"));
        assert_eq!(get("HALOY_TEST_B").as_deref(), Some("client"));
        assert_eq!(get("HALOY_TEST_EMPTY"), None);
        assert!(!format!("{environment:?}").contains("client"), "values are never shown");
    }

    #[test]
    fn programs_are_given_what_the_process_lacks() {
        let project = tempfile::tempdir().expect("temporary directory");
        let client = tempfile::tempdir().expect("temporary directory");
        std::fs::write(project.path().join(".env"), "PATH=/nowhere\nHALOY_TEST_A=project\nHALOY_TEST_EMPTY=\n").expect("write");
        std::fs::write(client.path().join(".env"), "HALOY_API_TOKEN_LOCALHOST=hunter2\nHALOY_TEST_B=client\n").expect("write");
        let environment = Environment::new(project.path(), client.path(), None);
        let variables = environment.file_variables().expect("both files are fine");
        let shown: Vec<_> = variables.into_iter().map(|(name, value)| (name, value.expose())).collect();
        assert_eq!(shown, [("HALOY_TEST_A", "project"), ("HALOY_TEST_B", "client"), ("HALOY_TEST_EMPTY", "")]);
    }

    #[test]
    fn the_files_of_a_target_win_over_those_for_all() {
        let project = tempfile::tempdir().expect("temporary directory");
        let client = tempfile::tempdir().expect("temporary directory");
        let write = |path: PathBuf, text: &str| std::fs::write(path, text).expect("write");
        write(project.path().join(".env.east"), "PATH=/nowhere\nHALOY_TEST_A=east\n");
        write(project.path().join(".env.west"), "HALOY_TEST_B=west\n");
        write(project.path().join(".env"), "HALOY_TEST_A=all\nHALOY_TEST_B=all\nHALOY_TEST_C=all\n");
        write(client.path().join(".env"), "HALOY_TEST_C=client\nHALOY_TEST_D=client\n");
        let environment = Environment::new(project.path(), client.path(), Some("east"));
        let get = |key: &str| environment.get(key).expect("the files are fine").map(|value| value.expose().to_owned());
        assert_eq!(get("PATH"), std::env::var("PATH").ok(), "the process wins");
        let found = ["A", "B", "C", "D", "E"].map(|letter| get(&format!("HALOY_TEST_{letter}")));
        assert_eq!(found, [Some("east"), Some("all"), Some("all"), Some("client"), None].map(|value| value.map(str::to_owned)));
    }

    #[test]
    fn an_unreadable_line_is_an_error_without_its_text_when_a_value_is_needed() {
        let project = tempfile::tempdir().expect("temporary directory");
        std::fs::write(project.path().join(".env"), "A=1\nTOKEN=hunter2 hunter3\n").expect("write");
        let environment = Environment::new(project.path(), Path::new("/nonexistent"), None);
        assert!(environment.get("PATH").expect("the process has it").is_some());
        let error = environment.get("HALOY_TEST_A").expect_err("line 2 has two words");
        let text = crate::error::render(&error);
        assert!(text.contains(".env`, line 2"), "{text}");
        assert!(!text.contains("hunter"), "{text}");
    }
}
