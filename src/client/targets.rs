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
            return take_named(targets, &self.targets, path);
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

    /// The named ones of `targets`, all when none is named: for what changes nothing and asks nobody.
    pub fn named_or_all(&self, targets: Vec<Target>, path: &Path) -> Result<Vec<Target>, ClientError> {
        if self.targets.is_empty() { Ok(targets) } else { take_named(targets, &self.targets, path) }
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
        take_named(targets, &names, path)
    }
}

fn take_named(targets: Vec<Target>, words: &[String], path: &Path) -> Result<Vec<Target>, ClientError> {
    let chosen = named(&targets.iter().map(names).collect::<Vec<_>>(), words, path)?;
    Ok(targets.into_iter().zip(chosen).filter_map(|(target, chosen)| chosen.then_some(target)).collect())
}

/// What a target may be called by.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// None for the one target of a file that names none.
    pub target: Option<&'a str>,
    pub app: &'a str,
}

impl<'a> Names<'a> {
    /// What people call a target: its name, else that of its app.
    fn label(self) -> &'a str {
        self.target.unwrap_or(self.app)
    }
}

fn names(target: &Target) -> Names<'_> {
    Names { target: target.name.as_deref(), app: target.spec.name.as_str() }
}

/// Which of the targets are called by `words`; a word that is no target's name may be that of their app.
pub fn named(targets: &[Names<'_>], words: &[String], path: &Path) -> Result<Vec<bool>, ClientError> {
    let words: Vec<&str> = words.iter().map(|word| word.trim()).collect();
    let is_target = |word: &str| targets.iter().any(|names| names.target == Some(word));
    let means = |word: &str, names: &Names<'_>| if is_target(word) { names.target == Some(word) } else { names.app == word };
    let unknown: Vec<&str> = words.iter().copied().filter(|word| !targets.iter().any(|names| means(word, names))).collect();
    if let Some(first) = unknown.first() {
        let known: Vec<String> = targets.iter().map(|names| names.label().to_owned()).collect();
        let meant = nearest(first, known.iter().map(String::as_str)).map(str::to_owned);
        let unknown = unknown.iter().map(|word| (*word).to_owned()).collect();
        return Err(ClientError::UnknownTargets { path: path.to_owned(), unknown, known, meant });
    }
    Ok(targets.iter().map(|names| words.iter().any(|word| means(word, names))).collect())
}

/// Whether a word is the target's name or that of its app.
pub fn is_called(target: &Target, word: &str) -> bool {
    let names = names(target);
    names.target == Some(word) || names.app == word
}

/// What people call a target: its name, else that of its app.
pub fn label(target: &Target) -> &str {
    names(target).label()
}

/// `` `a`, `b` ``
pub fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
