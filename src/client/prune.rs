//! `prune`: removes images that no app and no history of a server needs.

use std::process::ExitCode;
use std::time::Duration;

use crate::term;
use crate::wire::{PruneReport, PruneRequest, Pruned, PrunedKind, routes};

use super::Outcome;
use super::api::Api;
use super::error::ClientError;
use super::image::size;
use super::subject::{self, Globals};

/// Many large images take the engine that long.
const PATIENCE: Duration = Duration::from_secs(600);

/// Remove images that no app and no history needs
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy prune                    Show what would go, and ask
  haloy prune --dry-run          Show it
  haloy prune --keep 1 --yes     Keep only what serves

Images that haloy did not bring to the server are never removed.")]
pub struct Prune {
    /// Keep so many versions of each app, in place of what `history.count` says
    #[arg(long, value_name = "N")]
    keep: Option<u16>,
    /// Show what would go, remove nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print one JSON value: what was removed, or would be
    #[arg(long)]
    pub json: bool,
}

impl Prune {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let api = subject::server(globals).await?;
        if self.yes {
            return self.show(&self.ask(&api, false).await?, true);
        }
        if !self.dry_run && (self.json || !globals.terminal.interactive) {
            return Err(ClientError::PruneUnconfirmed);
        }
        let would = self.ask(&api, true).await?;
        self.show(&would, false)?;
        if self.dry_run || would.items.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        match term::ask(&format!("Remove them from `{}`? [y/N]", api.server())) {
            Some(answer) if answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes") => {
                self.show(&self.ask(&api, false).await?, true)
            }
            _ => Err(ClientError::Declined),
        }
    }

    async fn ask(&self, api: &Api, dry_run: bool) -> Result<PruneReport, ClientError> {
        api.post_patiently(routes::PRUNE, &PruneRequest { keep: self.keep, dry_run }, PATIENCE).await
    }

    fn show(&self, report: &PruneReport, removed: bool) -> Outcome {
        if self.json {
            term::json(report);
            return Ok(ExitCode::SUCCESS);
        }
        if report.items.is_empty() {
            term::words(&format!("nothing to remove, {} are free", size(report.free_bytes)));
            return Ok(ExitCode::SUCCESS);
        }
        term::data(&term::table(&["kind", "app", "name", "size"], report.items.iter().map(row).collect()));
        let verb = if removed { "removed" } else { "would be removed" };
        term::words(&format!("\n{} of {} {verb}, {} are free", things(report.items.len()), size(report.bytes), size(report.free_bytes)));
        Ok(ExitCode::SUCCESS)
    }
}

fn row(item: &Pruned) -> Vec<String> {
    let kind = match item.kind {
        PrunedKind::Image => "image",
        PrunedKind::Manifest => "manifest",
        PrunedKind::Blob => "layer",
        PrunedKind::Upload => "upload",
    };
    let name = item.name.get(..19).filter(|_| item.name.starts_with("sha256:")).unwrap_or(&item.name);
    vec![kind.to_owned(), item.app.as_ref().map(ToString::to_string).unwrap_or_default(), name.to_owned(), size(item.bytes)]
}

fn things(count: usize) -> String {
    if count == 1 { "1 thing".to_owned() } else { format!("{count} things") }
}
