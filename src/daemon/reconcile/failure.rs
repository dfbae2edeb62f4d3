//! The report on a failed rollout: which container, what it said, what to do about it.

use std::num::NonZeroU16;

use futures_util::StreamExt as _;

use super::checks::{self, Way};
use super::execute::StepError;
use super::observe;
use super::plan::{Cause, launch_timeout};
use crate::daemon::store::Release;
use crate::docker::{Container, ContainerId, ContainerPhase, Docker, End, LogQuery};
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
    last_end: Option<End>,
) -> Failure {
    let Some(container) = container else {
        let hint = Some("see whether the server is overloaded: `docker stats` and `uptime` there".to_owned());
        return Failure { reason: not_started(release), hint, container: None };
    };
    // Who crashes again and again may be alive just now.
    let end = container.phase.end().or(last_end.filter(|_| matches!(cause, Cause::Crashed(_))));
    let report = report(docker, container, probe, end).await;
    Failure { reason: reason(cause, release, container, &report), hint: hint(&report, release, container), container: Some(report) }
}

/// A step that repeating cannot help.
pub fn of_step(error: &StepError) -> Failure {
    let container = match error {
        StepError::Release(failure) => Some(failure.report.clone()),
        _ => None,
    };
    Failure { reason: chain(error), hint: error.hint(), container }
}

async fn report(docker: &Docker, container: &Container, probe: Option<ProbeReport>, end: Option<End>) -> ContainerReport {
    ContainerReport {
        name: container.name.clone(),
        exit_code: end.map(|end| end.exit_code),
        out_of_memory: end.is_some_and(|end| end.out_of_memory),
        restarts: container.restarts,
        listening_ports: Docker::listening(container).iter().map(|listening| listening.port).collect(),
        probe,
        log_tail: log_tail(docker, &container.id).await,
    }
}

/// A missing log makes the report poorer, not wrong.
pub async fn log_tail(docker: &Docker, id: &ContainerId) -> Vec<String> {
    let query = LogQuery { tail: Some(LOG_TAIL), ..LogQuery::default() };
    let lines = docker.logs(id, query).filter_map(|line| async { line.ok().map(|line| line.text) });
    tokio::time::timeout(std::time::Duration::from_secs(5), lines.collect()).await.unwrap_or_default()
}

fn not_started(release: &Release) -> String {
    format!("the engine did not start every replica within {} s", launch_timeout(observe::seconds(release.spec.deploy_timeout)) / 1000)
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
        (Cause::Stuck(_), _) => format!("the container of replica {slot} cannot be stopped or removed"),
        (Cause::TimedOut(_), None) if container.phase == ContainerPhase::Created => not_started(release),
        (Cause::TimedOut(_), None) => format!("replica {slot} did not become healthy within {} s", release.spec.deploy_timeout),
    }
}

/// The next thing to do, by what was seen and by how the app is checked.
fn hint(report: &ContainerReport, release: &Release, container: &Container) -> Option<String> {
    if report.out_of_memory {
        return Some(match release.spec.container.resources.memory {
            Some(_) => "set `resources.memory` in haloy.yaml higher".to_owned(),
            None => "see what the server has left with `free -m`".to_owned(),
        });
    }
    if report.exit_code.is_some() {
        return Some("look at the log lines above, or run the image with `docker run` to see it fail".to_owned());
    }
    let app_port = release.prepared.as_ref().map(|prepared| prepared.port);
    match checks::way(&release.spec, container.health.is_some()) {
        Way::Engine(Some(words)) => Some(format!("run the health check by hand: `docker exec {} {}`", report.name, words.join(" "))),
        Way::Engine(None) => Some(format!("run the image's HEALTHCHECK by hand: `docker inspect {}` shows it", report.name)),
        Way::Runs => None,
        Way::Tcp(port) => hint_for_port(port, app_port, None, container),
        Way::Http { path, port, status, .. } => {
            let setting = if release.spec.health_check.is_some() { "health_check" } else { "health_check_path" };
            let answer = format!("the app must answer `GET {path}` with {}: set `{setting}`", checks::expected(status));
            hint_for_port(port, app_port, Some(answer), container)
        }
    }
}

/// By who listens on the port that was asked: the check's own or the app's. `answer`: what it should have said.
fn hint_for_port(own: Option<NonZeroU16>, app: Option<NonZeroU16>, answer: Option<String>, container: &Container) -> Option<String> {
    let port = own.or(app)?.get();
    let listening = Docker::listening(container);
    let others = || listening.iter().find(|l| !l.loopback_only);
    Some(match (listening.iter().find(|l| l.port == port), answer) {
        (Some(ours), _) if ours.loopback_only => format!("the app listens on 127.0.0.1:{port} alone: let it listen on 0.0.0.0:{port}"),
        (Some(_), Some(answer)) => format!("{answer}, or `deploy_timeout` when it needs longer, in haloy.yaml"),
        (Some(_), None) => "set `deploy_timeout` in haloy.yaml when the app needs longer to start".to_owned(),
        (None, _) => match (others(), own) {
            (Some(other), None) => format!("the app listens on port {}, not {port}: set `port: {}` in haloy.yaml", other.port, other.port),
            (Some(other), Some(_)) => format!("the app listens on port {}, not {port}: set `health_check.port` in haloy.yaml", other.port),
            (None, _) => format!("nothing in the container listens on a port: the app must listen on 0.0.0.0:{port}"),
        },
    })
}
