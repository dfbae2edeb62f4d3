//! Secrets that other programs keep: each source of `secret_providers` is read once, all at the same time.
//!
//! ```text
//! source       what is run for a source, and how its output is read
//! program      running it: no shell, bounded, with a time limit
//! document     JSON and dotenv whose texts are wiped, and values by their paths
//! onepassword bitwarden lastpass enpass cloud vault sops    the formats of these tools
//! last_words   what a program said on stderr before it failed
//! tool         the tools' names, where they are found, how one signs in
//! ```
//!
//! A value is a [`Secret`](crate::secret::Secret) from the pipe on. None of this ever passes a secret as an
//! argument, writes one to disk or quotes a program's stdout, not even where it cannot be understood.
//! Programs ask for no input through us: one that must ask opens the terminal itself.

mod bitwarden;
mod cloud;
mod document;
mod dotenv;
mod enpass;
mod error;
mod last_words;
mod lastpass;
mod onepassword;
mod program;
mod sops;
mod source;
#[cfg(all(test, unix))]
mod tests;
mod tool;
mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use crate::config::secrets::{FetchedSecrets, SecretProviders, SecretRef, SourceId};
use crate::secret::Secret;
use crate::term::{Spinner, Terminal};

use document::Contents;
pub use error::SecretError;
use error::{Failure, Problem};
use program::Programs;
use tool::Tool;

/// So many programs run at the same time.
const PARALLEL: usize = 8;
/// After so long people are told what is being waited for.
const SILENCE: Duration = Duration::from_secs(1);

/// The secrets that `references` name. Programs run in `folder`, the directory of the configuration file, with
/// `variables` beside those of this process. Everything that is wrong is in the error, not the first of it.
/// Dropping the future ends the programs.
pub async fn fetch(
    providers: &SecretProviders,
    references: &BTreeSet<SecretRef>,
    folder: &Path,
    variables: Vec<(&str, &Secret)>,
    terminal: Terminal,
) -> Result<FetchedSecrets, SecretError> {
    Fetch { programs: Programs::of_this_process(variables), providers, folder, terminal }.all(references).await
}

struct Fetch<'a> {
    programs: Programs<'a>,
    providers: &'a SecretProviders,
    folder: &'a Path,
    terminal: Terminal,
}

impl Fetch<'_> {
    async fn all(&self, references: &BTreeSet<SecretRef>) -> Result<FetchedSecrets, SecretError> {
        let mut wanted: BTreeMap<SourceId, Vec<&SecretRef>> = BTreeMap::new();
        for reference in references {
            wanted.entry((reference.provider, reference.source.clone())).or_default().push(reference);
        }
        let contents = self.read_all(wanted.keys()).await;
        let mut found = Vec::new();
        let mut failures = Vec::new();
        for (id, contents) in contents {
            match contents {
                Ok(contents) => {
                    for reference in &wanted[id] {
                        match contents.get(reference.key.as_deref()) {
                            Ok(secret) => found.push(((*reference).clone(), secret)),
                            Err(problem) => failures.push(Failure::new(id, problem)),
                        }
                    }
                }
                Err(problem) => failures.push(Failure::new(id, problem)),
            }
        }
        if failures.is_empty() { Ok(FetchedSecrets::new(found)) } else { Err(SecretError::new(failures)) }
    }

    /// Reads every source, in the order in which their programs end.
    async fn read_all<'s>(&self, sources: impl Iterator<Item = &'s SourceId>) -> BTreeMap<&'s SourceId, Result<Contents, Problem>> {
        let sources: Vec<&SourceId> = sources.collect();
        let mut waiting: Vec<&'static Tool> = sources.iter().map(|(provider, _)| Tool::of(*provider)).collect();
        let mut reads = stream::iter(sources).map(|id| async move { (id, self.read(id).await) }).buffer_unordered(PARALLEL);
        let mut silence = pin!(tokio::time::sleep(SILENCE));
        let mut hint: Option<Spinner> = None;
        let mut contents = BTreeMap::new();
        loop {
            tokio::select! {
                read = reads.next() => {
                    let Some((id, read)) = read else { return contents };
                    contents.insert(id, read);
                    remove_one(&mut waiting, Tool::of(id.0));
                    if let Some(hint) = &hint {
                        hint.wait_for(&waiting_words(&waiting));
                    }
                }
                () = &mut silence, if self.terminal.progress && hint.is_none() => {
                    hint = Some(Spinner::still(&waiting_words(&waiting)));
                }
            }
        }
    }

    async fn read(&self, id: &SourceId) -> Result<Contents, Problem> {
        let source = self.providers.source(id).ok_or(Problem::Undefined)?;
        let output = self.programs.run(&source::invocation(id.0, source)?, self.folder).await?;
        source::contents(id.0, source, &output)
    }
}

fn remove_one(waiting: &mut Vec<&'static Tool>, tool: &'static Tool) {
    if let Some(place) = waiting.iter().position(|other| other.title == tool.title) {
        waiting.remove(place);
    }
}

/// Names tools alone: vaults and items are nobody's business who looks over a shoulder.
fn waiting_words(waiting: &[&'static Tool]) -> String {
    let titles: BTreeSet<&str> = waiting.iter().map(|tool| tool.title).collect();
    format!("waiting for {}…", titles.into_iter().collect::<Vec<_>>().join(", "))
}
