//! `status`: all about an app in one glance.

use std::collections::BTreeSet;
use std::process::ExitCode;

use jiff::Timestamp;

use crate::config::{self, ConfigError};
use crate::term::{self, Terminal};
use crate::wire::{AppState, AppStatus, Certificate, CertificateState, DomainSpec, Job, Phase, Replica, ReplicaHealth, routes};

use super::Outcome;
use super::api::Api;
use super::cert;
use super::change::noun;
use super::duration::{ago, span};
use super::several;
use super::subject::{self, Globals, Subject};
use super::targets::{Purpose, Selection};

/// Show an app: its state, deployment, domains, replicas and last job
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy status                        The app of ./haloy.yaml; where there is none, all apps
  haloy status my-app                 An app by its name
  haloy status --server localhost     The same on another server")]
pub struct Status {
    /// Configuration file or its directory, or the app's name
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Print one JSON value: the app, or a list of all apps or targets
    #[arg(long)]
    pub json: bool,
}

impl Status {
    pub async fn run(self, globals: &Globals) -> Outcome {
        if self.app.is_none() && globals.config.is_none() && nothing_here(globals) {
            return self.all(globals).await;
        }
        let subjects = Subject::find(globals, self.app.as_deref(), &self.selection, Purpose::Look).await?;
        let outcome = several::in_order(&subjects, self.json, async |subject| self.one(subject).await).await;
        if outcome.is_ok() {
            let mut servers = BTreeSet::new();
            for subject in subjects.iter().filter(|subject| servers.insert(subject.api.server())) {
                warn_of_engine(&subject.api, globals).await;
            }
        }
        outcome
    }

    async fn one(&self, subject: &Subject) -> Outcome {
        let status: AppStatus = subject.api.get(&routes::app(&subject.app)).await?;
        if self.json {
            subject.output.json(&status);
        } else {
            subject.output.heading(&subject.api.server());
            term::data(&describe(&status, Timestamp::now(), subject.output.terminal.for_data()));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn all(self, globals: &Globals) -> Outcome {
        let api = subject::server(globals).await?;
        let apps: Vec<AppStatus> = api.get(routes::APPS).await?;
        warn_of_engine(&api, globals).await;
        if self.json {
            term::json(&apps);
        } else if apps.is_empty() {
            term::words("no app is deployed there yet");
        } else {
            let rows = apps.iter().map(summary).collect();
            term::data(&term::table(&["app", "state", "healthy", "deployment", "image", "domains"], rows));
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn warn_of_engine(api: &Api, globals: &Globals) {
    if let Some(warning) = api.engine_warning().await {
        term::words(&globals.terminal.yellow(&warning));
    }
}

/// There is no configuration, or none that matters to whoever names a server.
fn nothing_here(globals: &Globals) -> bool {
    match config::find(None) {
        Err(ConfigError::NotFound { .. }) => true,
        found => found.is_err() && globals.server.is_some(),
    }
}

fn summary(status: &AppStatus) -> Vec<String> {
    vec![
        status.name.to_string(),
        state(status.state).to_owned(),
        healthy(status),
        status.deployment.map(|id| id.to_string()).unwrap_or_default(),
        status.image.as_ref().map(ToString::to_string).unwrap_or_default(),
        status.domains.iter().map(|domain| domain.domain.as_str()).collect::<Vec<_>>().join(" "),
    ]
}

fn describe(status: &AppStatus, now: Timestamp, terminal: Terminal) -> String {
    let mut text = format!("{}  {}  {} replicas healthy\n", status.name, coloured(status.state, terminal), healthy(status));
    let mut fact = |name: &str, value: String| text.push_str(&format!("  {name:<12}{value}\n"));
    if let Some(id) = status.deployment {
        fact("deployment", id.to_string());
    }
    if let Some(image) = &status.image {
        fact("image", image.to_string());
    }
    status.domains.iter().for_each(|domain| fact("domain", describe_domain(domain)));
    for certificate in &status.certificates {
        let until = certificate.served.as_ref().and_then(|served| span(now, served.not_after)).map(|span| format!(", ends in {span}"));
        fact("certificate", format!("{} {}{}", certificate.name, coloured_certificate(certificate, terminal), until.unwrap_or_default()));
        cert::troubles(certificate).into_iter().for_each(|line| fact("", line));
    }
    if let Some(job) = &status.job {
        fact("job", describe_job(job, now, terminal));
        if let Some(failure) = &job.failure {
            fact("", terminal.red(&failure.reason));
        }
    }
    if !status.replicas.is_empty() {
        text.push('\n');
        text.push_str(&replicas(status, now));
    }
    text
}

fn describe_domain(domain: &DomainSpec) -> String {
    if domain.aliases.is_empty() {
        return domain.domain.to_string();
    }
    let aliases: Vec<&str> = domain.aliases.iter().map(|alias| alias.as_str()).collect();
    format!("{} (from {})", domain.domain, aliases.join(", "))
}

fn describe_job(job: &Job, now: Timestamp, terminal: Terminal) -> String {
    let phase = match job.phase {
        Phase::Done => terminal.green("done"),
        Phase::Failed => terminal.red("failed"),
        phase => terminal.yellow(phase.as_str()),
    };
    format!("{} {} {phase}, {}", job.id, noun(job.kind), ago(job.finished_at.unwrap_or(job.created_at), now))
}

fn replicas(status: &AppStatus, now: Timestamp) -> String {
    let row = |replica: &Replica| {
        vec![
            replica.number.to_string(),
            replica.container.clone(),
            health(replica),
            if replica.routed { "yes" } else { "no" }.to_owned(),
            replica.requests_in_flight.to_string(),
            replica.restarts.to_string(),
            replica.address.clone().unwrap_or_default(),
            up(replica, now),
        ]
    };
    let headings = ["replica", "container", "health", "routed", "requests", "restarts", "address", "up"];
    term::table(&headings, status.replicas.iter().map(row).collect())
}

/// How long it has been running; nothing for one that is not.
fn up(replica: &Replica, now: Timestamp) -> String {
    let running = replica.health != ReplicaHealth::Exited && !between_restarts(replica);
    replica.started_at.filter(|_| running).and_then(|started| span(started, now)).unwrap_or_default()
}

/// It has exited and is about to be started again: its detail is the end of its last run.
fn between_restarts(replica: &Replica) -> bool {
    let exited = replica.detail.as_deref().is_some_and(|detail| detail.starts_with("exit code"));
    replica.health == ReplicaHealth::Starting && exited
}

fn health(replica: &Replica) -> String {
    let health = match replica.health {
        ReplicaHealth::Starting if between_restarts(replica) => "restarting",
        ReplicaHealth::Starting => "starting",
        ReplicaHealth::Healthy => return "healthy".to_owned(),
        ReplicaHealth::Unhealthy => "unhealthy",
        ReplicaHealth::Exited => "exited",
    };
    match replica.detail.as_deref().and_then(|detail| detail.lines().next()) {
        Some(detail) => format!("{health}: {detail}"),
        None => health.to_owned(),
    }
}

fn healthy(status: &AppStatus) -> String {
    let current = |replica: &&Replica| status.deployment.is_none_or(|id| replica.deployment == id);
    let healthy = status.replicas.iter().filter(current).filter(|replica| replica.health == ReplicaHealth::Healthy).count();
    format!("{healthy}/{}", status.replicas_wanted)
}

fn coloured(state_of_app: AppState, terminal: Terminal) -> String {
    let word = state(state_of_app);
    match state_of_app {
        AppState::Running => terminal.green(word),
        AppState::Degraded | AppState::Starting => terminal.yellow(word),
        AppState::Down | AppState::Failed => terminal.red(word),
        AppState::Stopped => terminal.dim(word),
    }
}

fn coloured_certificate(certificate: &Certificate, terminal: Terminal) -> String {
    let word = cert::state(certificate);
    match certificate.state {
        CertificateState::Valid => terminal.green(word),
        CertificateState::Failed => terminal.red(word),
        CertificateState::Ordering | CertificateState::Expiring | CertificateState::SelfSigned => terminal.yellow(word),
    }
}

fn state(state: AppState) -> &'static str {
    match state {
        AppState::Running => "running",
        AppState::Degraded => "degraded",
        AppState::Down => "down",
        AppState::Stopped => "stopped",
        AppState::Starting => "starting",
        AppState::Failed => "failed",
    }
}
