//! `stop`, `start` and `restart`: the same app, running or not.

use std::process::ExitCode;

use crate::term;
use crate::wire::{Accepted, JobKind, StopRequest, routes};

use super::Outcome;
use super::change::{self, End, Following};
use super::duration::took;
use super::error::ClientError;
use super::subject::{Globals, Subject};

/// Stop an app
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy stop                        Stop the app of ./haloy.yaml; `haloy start` brings it back
  haloy stop --remove-containers    Remove its containers too")]
pub struct Stop {
    /// Configuration file or its directory, or the app's name
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    /// Remove the containers once they have stopped
    #[arg(long)]
    remove_containers: bool,
    /// Remove the app's named volumes with all their data, and its containers
    #[arg(long)]
    remove_volumes: bool,
    /// Do not ask before data is removed
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub following: Following,
}

/// Start an app that was stopped
#[derive(clap::Args)]
pub struct Start {
    /// Configuration file or its directory, or the app's name
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    #[command(flatten)]
    pub following: Following,
}

/// Replace an app's containers by new ones of the same deployment, without a failed request
#[derive(clap::Args)]
pub struct Restart {
    /// Configuration file or its directory, or the app's name
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    #[command(flatten)]
    pub following: Following,
}

impl Stop {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let subject = Subject::find(globals, self.app.as_deref())?;
        if self.remove_volumes && !self.yes {
            confirm_data_loss(&subject, globals)?;
        }
        let remove_containers = self.remove_containers || self.remove_volumes;
        let request = StopRequest { remove_containers, remove_volumes: self.remove_volumes, ..StopRequest::default() };
        let accepted = subject.api.post(&routes::app_verb(&subject.app, "stop"), &request).await?;
        finish(&subject, JobKind::Stop, accepted, &self.following, globals).await
    }
}

impl Start {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let subject = Subject::find(globals, self.app.as_deref())?;
        let accepted = subject.api.post_empty(&routes::app_verb(&subject.app, "start")).await?;
        finish(&subject, JobKind::Start, accepted, &self.following, globals).await
    }
}

impl Restart {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let subject = Subject::find(globals, self.app.as_deref())?;
        let accepted = subject.api.post_empty(&routes::app_verb(&subject.app, "restart")).await?;
        finish(&subject, JobKind::Restart, accepted, &self.following, globals).await
    }
}

/// Data does not come back: the app's name must be typed, or `--yes` on the command line.
fn confirm_data_loss(subject: &Subject, globals: &Globals) -> Result<(), ClientError> {
    let app = &subject.app;
    if !globals.terminal.interactive {
        return Err(ClientError::Unconfirmed { app: app.clone() });
    }
    let answer = term::ask(&format!("This removes the volumes of `{app}` with all their data. Type the app's name to go on:"));
    if answer.as_deref() == Some(app.as_str()) { Ok(()) } else { Err(ClientError::Declined) }
}

async fn finish(subject: &Subject, kind: JobKind, accepted: Accepted, following: &Following, globals: &Globals) -> Outcome {
    match change::follow(subject, kind, &accepted, following, globals.terminal).await? {
        End::Left(code) => Ok(code),
        End::Done(time) => {
            let time = time.map(|time| format!(" in {}", took(time))).unwrap_or_default();
            term::words(&format!("{} `{}` is {}{time}", globals.terminal.green("✓"), subject.app, change::participle(kind)));
            Ok(ExitCode::SUCCESS)
        }
    }
}
