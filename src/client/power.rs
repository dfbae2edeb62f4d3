//! `stop`, `start` and `restart`: the same app, running or not.

use std::process::ExitCode;

use crate::term;
use crate::wire::{Accepted, JobKind, StopRequest, routes};

use super::Outcome;
use super::change::{self, End, Following};
use super::duration::took;
use super::error::ClientError;
use super::interruption::Interruption;
use super::several;
use super::subject::{Globals, Subject};
use super::targets::{Purpose, Selection};

/// Stop an app
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy stop                        Stop the app of ./haloy.yaml; `haloy start` brings it back
  haloy stop --remove-containers    Remove its containers too
  haloy stop --all                  Stop the apps of all targets")]
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
    selection: Selection,
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
    selection: Selection,
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
    selection: Selection,
    #[command(flatten)]
    pub following: Following,
}

impl Stop {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let subjects = Subject::find(globals, self.app.as_deref(), &self.selection, Purpose::Change).await?;
        self.refuse_to_remove_protected(&subjects)?;
        if self.remove_volumes && !self.yes {
            subjects.iter().try_for_each(|subject| confirm_data_loss(subject, globals))?;
        }
        let request = StopRequest {
            remove_containers: self.remove_containers || self.remove_volumes,
            remove_volumes: self.remove_volumes,
            include_protected: self.selection.include_protected,
        };
        let interruption = Interruption::default();
        let stop = async |subject: &Subject| {
            let path = routes::app_verb(&subject.app, "stop");
            let accepted = change::accepted(subject.api.post(&path, &request), &interruption).await?;
            finish(subject, JobKind::Stop, accepted, &self.following, &interruption).await
        };
        several::in_order(&subjects, self.following.json, stop).await
    }

    /// The server refuses it as well, but by then others may be gone.
    fn refuse_to_remove_protected(&self, subjects: &[Subject]) -> Result<(), ClientError> {
        let removes = (self.remove_containers || self.remove_volumes) && !self.selection.include_protected;
        match subjects.iter().find(|subject| removes && subject.protected) {
            Some(subject) => Err(ClientError::Protected { app: subject.app.clone() }),
            None => Ok(()),
        }
    }
}

impl Start {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let subjects = Subject::find(globals, self.app.as_deref(), &self.selection, Purpose::Change).await?;
        change_all(&subjects, JobKind::Start, &self.following).await
    }
}

impl Restart {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let subjects = Subject::find(globals, self.app.as_deref(), &self.selection, Purpose::Change).await?;
        change_all(&subjects, JobKind::Restart, &self.following).await
    }
}

/// A change that needs no details, of each app.
async fn change_all(subjects: &[Subject], kind: JobKind, following: &Following) -> Outcome {
    let interruption = Interruption::default();
    let change = async |subject: &Subject| {
        let path = routes::app_verb(&subject.app, kind.as_str());
        let accepted = change::accepted(subject.api.post_empty(&path), &interruption).await?;
        finish(subject, kind, accepted, following, &interruption).await
    };
    several::in_order(subjects, following.json, change).await
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

async fn finish(subject: &Subject, kind: JobKind, accepted: Accepted, following: &Following, interruption: &Interruption) -> Outcome {
    let output = &subject.output;
    match change::follow(subject, kind, &accepted, following, interruption).await? {
        End::Left(code) => Ok(code),
        End::Done(time) => {
            let time = time.map(|time| format!(" in {}", took(time))).unwrap_or_default();
            output.words(&format!("{} `{}` is {}{time}", output.terminal.green("✓"), subject.app, change::participle(kind)));
            Ok(ExitCode::SUCCESS)
        }
    }
}
