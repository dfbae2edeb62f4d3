//! The report on a failed rollout: which container, what it said, what to do about it.

use std::num::NonZeroU16;

use futures_util::StreamExt as _;

use super::execute::StepError;
use super::plan::Cause;
use crate::daemon::store::Release;
use crate::docker::{Container, ContainerPhase, Docker, LogQuery};
use crate::error::{Report as _, chain};
use crate::wire::{ContainerReport, Failure, ProbeReport};

/// Lines of a container's output that are kept when it is removed.
const LOG_TAIL: u32 = 30;

/// Looks at the container that made a rollout fail before it is taken away.
pub async fn diagnose(
    docker: &Docker,
    cause: &Cause,
    release: &Release,
    container: Option<&Container>,
    probe: Option<ProbeReport>,
) -> Failure {
    let Some(container) = container else {
        let reason = format!("not every replica could be started within {} s", release.spec.deploy_timeout);
        return Failure { reason, hint: None, container: None };
    };
    let report = report(docker, container, probe).await;
    let reason = reason(cause, release, container, &report);
    let port = release.prepared.as_ref().map(|prepared| prepared.port);
    Failure { hint: hint(&report, release, port), reason, container: Some(report) }
}

/// A step that repeating cannot help.
pub fn of_step(error: &StepError) -> Failure {
    Failure { reason: chain(error), hint: error.hint(), container: None }
}

async fn report(docker: &Docker, container: &Container, probe: Option<ProbeReport>) -> ContainerReport {
    let (exit_code, out_of_memory) = match container.phase {
        ContainerPhase::Exited { exit_code, out_of_memory } | ContainerPhase::Restarting { exit_code, out_of_memory } => {
            (Some(exit_code), out_of_memory)
        }
        ContainerPhase::Created | ContainerPhase::Running | ContainerPhase::Paused | ContainerPhase::Other(_) => (None, false),
    };
    ContainerReport {
        name: container.name.clone(),
        exit_code,
        out_of_memory,
        restarts: container.restarts,
        listening_ports: Docker::listening_ports(container),
        probe,
        log_tail: log_tail(docker, container).await,
    }
}

/// A missing log makes the report poorer, not wrong.
async fn log_tail(docker: &Docker, container: &Container) -> Vec<String> {
    let query = LogQuery { tail: Some(LOG_TAIL), ..LogQuery::default() };
    let lines = docker.logs(&container.id, query).filter_map(|line| async { line.ok().map(|line| line.text) });
    tokio::time::timeout(std::time::Duration::from_secs(5), lines.collect()).await.unwrap_or_default()
}

fn reason(cause: &Cause, release: &Release, container: &Container, report: &ContainerReport) -> String {
    let slot = container.owner.slot;
    match (cause, report.exit_code) {
        (Cause::Crashed(_), _) if report.out_of_memory => format!("replica {slot} ran out of memory {} times", report.restarts),
        (Cause::Crashed(_), Some(code)) => format!("replica {slot} crashed {} times, the last time with exit code {code}", report.restarts),
        (Cause::Crashed(_), None) => format!("replica {slot} crashed {} times", report.restarts),
        (Cause::TimedOut(_), Some(code)) => {
            format!("replica {slot} was not running after {} s: it ended with exit code {code}", release.spec.deploy_timeout)
        }
        (Cause::TimedOut(_), None) => format!("replica {slot} did not become healthy within {} s", release.spec.deploy_timeout),
    }
}

fn hint(report: &ContainerReport, release: &Release, port: Option<NonZeroU16>) -> Option<String> {
    let wrong_port = port.filter(|port| !report.listening_ports.is_empty() && !report.listening_ports.contains(&port.get()));
    if report.out_of_memory {
        return Some("give the server more memory, or let the app use less".to_owned());
    }
    if let (Some(port), Some(listening)) = (wrong_port, report.listening_ports.first()) {
        return Some(format!("the app listens on port {listening}, not {port}: set `port: {listening}` in haloy.yaml"));
    }
    if report.exit_code.is_some() {
        return Some("the log lines above are the app's last words".to_owned());
    }
    if report.listening_ports.is_empty() {
        return port.map(|port| format!("nothing in the container listens on a port: the app must listen on 0.0.0.0:{port}"));
    }
    let path = release.spec.health_check_path.as_deref().unwrap_or("/");
    Some(format!("the app must answer `GET {path}` with 2xx or 3xx; set `health_check_path` or `deploy_timeout` in haloy.yaml"))
}
