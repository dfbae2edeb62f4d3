//! `audit`: who changed what on a server.

use std::process::ExitCode;

use jiff::Timestamp;

use crate::names::AppName;
use crate::term;
use crate::wire::{AuditEntry, Phase, routes};

use super::Outcome;
use super::duration::ago;
use super::subject::{self, Globals};

/// Show who changed what on a server, newest first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy audit                       The last 100 requests that changed something, or were refused
  haloy audit --app shop --json     All about one app, for programs

It needs a token with the scope `admin`. The server keeps the last 20,000 entries.")]
pub struct Audit {
    /// Only what is about this app
    #[arg(long, value_name = "APP")]
    app: Option<AppName>,
    /// At most so many entries
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print one JSON value, a list of entries
    #[arg(long)]
    pub json: bool,
}

impl Audit {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let api = subject::server(globals).await?;
        let app = self.app.as_ref().map(|app| format!("&app={app}")).unwrap_or_default();
        let entries: Vec<AuditEntry> = api.get(&format!("{}?limit={}{app}", routes::AUDIT, self.limit)).await?;
        if self.json {
            term::json(&entries);
        } else if entries.is_empty() {
            term::words("nothing was changed yet");
        } else {
            let now = Timestamp::now();
            let rows = entries.iter().map(|entry| row(entry, now)).collect();
            term::data(&term::table(&["when", "token", "from", "request", "result"], rows));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(entry: &AuditEntry, now: Timestamp) -> Vec<String> {
    let token = match (&entry.token, &entry.token_id) {
        (Some(name), Some(id)) => format!("{name} ({id})"),
        _ => "the server's own user".to_owned(),
    };
    let result = match (&entry.reason, entry.job, entry.job_phase) {
        (Some(reason), ..) => format!("{}: {reason}", entry.status),
        (None, Some(job), Some(Phase::Done)) => format!("job {job} done"),
        (None, Some(job), Some(Phase::Failed)) => format!("job {job} failed"),
        (None, Some(job), _) => format!("job {job}"),
        (None, None, _) => entry.status.to_string(),
    };
    vec![ago(entry.at, now), token, entry.address.clone().unwrap_or_else(|| "socket".to_owned()), entry.request.clone(), result]
}
