//! Which targets of a configuration a command is about: flags, else the only one, else a question.

use std::path::Path;

use crate::config::{Target, nearest};
use crate::term::{self, Terminal};

use super::error::ClientError;

/// The flags of every command about apps that a configuration describes.
#[derive(clap::Args, Default)]
pub struct Selection {
    /// These targets of the configuration, by their names or their apps' names
    #[arg(short, long, visible_alias = "target", value_name = "NAME,…", value_delimiter = ',', conflicts_with = "all")]
    targets: Vec<String>,
    /// All targets of the configuration; protected ones only where nothing is changed
    #[arg(short, long)]
    all: bool,
    /// Protected targets too with --all, and with what removes their containers
    #[arg(long)]
    pub include_protected: bool,
}

/// What a command does to its apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It shows them: no target needs to be protected from that.
    Look,
    Change,
}

impl Selection {
    /// Whether any target was asked for.
    pub fn is_given(&self) -> bool {
        self.all || !self.targets.is_empty()
    }

    /// The chosen ones of `targets` (never empty), in their order. `path` is the file that has them.
    pub fn choose(&self, targets: Vec<Target>, path: &Path, purpose: Purpose, terminal: Terminal) -> Result<Vec<Target>, ClientError> {
        if !self.targets.is_empty() {
            return named(targets, &self.targets, path);
        }
        if self.all {
            return self.unprotected(targets, path, purpose);
        }
        if targets.len() == 1 {
            return Ok(targets);
        }
        if !terminal.interactive {
            let targets = targets.iter().map(|target| label(target).to_owned()).collect();
            return Err(ClientError::SeveralTargets { path: path.to_owned(), targets });
        }
        self.ask(targets, path, purpose)
    }

    fn unprotected(&self, mut targets: Vec<Target>, path: &Path, purpose: Purpose) -> Result<Vec<Target>, ClientError> {
        if self.include_protected || purpose == Purpose::Look {
            return Ok(targets);
        }
        let left_out: Vec<String> =
            targets.extract_if(.., |target| target.spec.protected).map(|target| label(&target).to_owned()).collect();
        if targets.is_empty() {
            return Err(ClientError::AllProtected { path: path.to_owned() });
        }
        if !left_out.is_empty() {
            let names = quoted(&left_out);
            term::words(&format!("protected and left out: {names} (`--include-protected` takes them, too)"));
        }
        Ok(targets)
    }

    fn ask(&self, targets: Vec<Target>, path: &Path, purpose: Purpose) -> Result<Vec<Target>, ClientError> {
        let width = targets.iter().map(|target| label(target).chars().count()).max().unwrap_or_default();
        term::words(&format!("`{}` has {} targets:", path.display(), targets.len()));
        for (index, target) in targets.iter().enumerate() {
            let protected = if target.spec.protected { "  protected" } else { "" };
            let server = target.server.as_deref().unwrap_or_default();
            term::words(format!("{:>3}  {:<width$}  {server}{protected}", index + 1, label(target)).trim_end());
        }
        let answer = term::ask("Which ones? Numbers or names, or `all`:").unwrap_or_default();
        let words: Vec<&str> = answer.split([',', ' ']).filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Err(ClientError::NoTargetChosen);
        }
        if words == ["all"] && !targets.iter().any(|target| label(target) == "all") {
            return self.unprotected(targets, path, purpose);
        }
        let name = |word: &str| match word.parse::<usize>() {
            Ok(number) if !targets.iter().any(|target| is_called(target, word)) => {
                number.checked_sub(1).and_then(|index| targets.get(index)).map_or(word, label).to_owned()
            }
            _ => word.to_owned(),
        };
        let names: Vec<String> = words.into_iter().map(name).collect();
        named(targets, &names, path)
    }
}

/// The targets of these names; a name that is no target's may be the name of their app.
fn named(targets: Vec<Target>, names: &[String], path: &Path) -> Result<Vec<Target>, ClientError> {
    let names: Vec<&str> = names.iter().map(|name| name.trim()).collect();
    let is_key = |name: &str| targets.iter().any(|target| target.name.as_deref() == Some(name));
    let means =
        |name: &str, target: &Target| if is_key(name) { target.name.as_deref() == Some(name) } else { target.spec.name.as_str() == name };
    let unknown: Vec<&str> = names.iter().copied().filter(|name| !targets.iter().any(|target| means(name, target))).collect();
    if let Some(first) = unknown.first() {
        let known: Vec<String> = targets.iter().map(|target| label(target).to_owned()).collect();
        let meant = nearest(first, known.iter().map(String::as_str)).map(str::to_owned);
        let unknown = unknown.iter().map(|name| (*name).to_owned()).collect();
        return Err(ClientError::UnknownTargets { path: path.to_owned(), unknown, known, meant });
    }
    let chosen: Vec<bool> = targets.iter().map(|target| names.iter().any(|name| means(name, target))).collect();
    Ok(targets.into_iter().zip(chosen).filter_map(|(target, chosen)| chosen.then_some(target)).collect())
}

/// Whether a word is the target's name or that of its app.
pub fn is_called(target: &Target, word: &str) -> bool {
    target.name.as_deref() == Some(word) || target.spec.name.as_str() == word
}

/// What people call a target: its name, else that of its app.
pub fn label(target: &Target) -> &str {
    target.name.as_deref().unwrap_or(target.spec.name.as_str())
}

/// `` `a`, `b` ``
pub fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
