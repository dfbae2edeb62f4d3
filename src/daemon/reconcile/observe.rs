//! Looking: what the engine, the monitors and the proxy say, brought together for one app.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU16;

use super::checks::{self, Pace, Way};
use super::health::{Check, Monitor, Report, Subject};
use super::plan::{Fitness, Intent, Millis, Seen, State, Wanted};
use crate::daemon::clock::Clock;
use crate::daemon::store::{AppIntent, Release};
use jiff::Timestamp;

use crate::docker::{Container, ContainerId, ContainerPhase, End};
use crate::names::{AppName, DeployId};
use crate::proxy::{BackendId, Proxy};
use crate::wire::{AppSpec, JobId, Replica, ReplicaHealth, Strategy};

/// What this process remembers between passes. Losing it costs time, never correctness.
#[derive(Default)]
pub struct Memory {
    /// When each container was first seen out of the table.
    left_at: BTreeMap<ContainerId, Millis>,
    /// When each container was first seen in it.
    entered_at: BTreeMap<ContainerId, Millis>,
    free_since: BTreeMap<DeployId, Millis>,
    started_since: BTreeMap<DeployId, Millis>,
    /// Which start of each container was seen last: another start is another life.
    lives: BTreeMap<ContainerId, Option<Timestamp>>,
    /// How each container's last life ended, kept while it lives again.
    ends: BTreeMap<ContainerId, End>,
    /// In the table because of an earlier life.
    reborn: BTreeSet<ContainerId>,
    job_since: BTreeMap<JobId, Millis>,
}

impl Memory {
    /// Takes notes of a pass: who is out of the table, and which deployments and jobs are new.
    pub fn note(&mut self, containers: &[Container], routed: &BTreeSet<ContainerId>, intents: &[AppIntent], now: Millis) {
        let other_life = |c: &Container| self.lives.get(&c.id).is_some_and(|life| *life != c.started_at);
        let reborn = containers.iter().filter(|c| routed.contains(&c.id) && (self.reborn.contains(&c.id) || other_life(c)));
        self.reborn = reborn.map(|c| c.id.clone()).collect();
        let (inside, outside): (Vec<_>, Vec<_>) = containers.iter().partition(|c| routed.contains(&c.id));
        self.left_at = outside.iter().map(|c| (c.id.clone(), self.left_at.get(&c.id).copied().unwrap_or(now))).collect();
        let entered = |c: &Container| self.entered_at.get(&c.id).copied().filter(|_| !other_life(c)).unwrap_or(now);
        self.entered_at = inside.iter().map(|c| (c.id.clone(), entered(c))).collect();
        self.lives = containers.iter().map(|c| (c.id.clone(), c.started_at)).collect();
        let end = |c: &Container| c.phase.end().or_else(|| self.ends.get(&c.id).copied());
        self.ends = containers.iter().filter_map(|c| Some((c.id.clone(), end(c)?))).collect();

        let rollouts = || intents.iter().filter_map(|i| i.rollout.as_ref());
        let since = |known: &BTreeMap<DeployId, Millis>, r: &Release| (r.id, known.get(&r.id).copied().unwrap_or(now));
        self.free_since = rollouts().filter(|r| is_free(r, containers)).map(|r| since(&self.free_since, r)).collect();
        let started = rollouts().filter(|r| self.started_since.contains_key(&r.id) || is_started(r, containers));
        self.started_since = started.map(|r| since(&self.started_since, r)).collect();
        let jobs = intents.iter().filter_map(|i| i.job);
        self.job_since = jobs.map(|j| (j.id, self.job_since.get(&j.id).copied().unwrap_or(now))).collect();
    }

    /// How the container's last life ended that was seen to end.
    pub fn last_end(&self, id: &ContainerId) -> Option<End> {
        self.ends.get(id).copied()
    }
}

/// Nothing keeps the rollout's containers from being started: it is prepared, and a `replace` has
/// waited for the old version to stop.
fn is_free(rollout: &Release, containers: &[Container]) -> bool {
    let old_runs = |c: &Container| {
        c.owner.app == rollout.spec.name
            && c.owner.deployment != rollout.id
            && matches!(c.phase, ContainerPhase::Running | ContainerPhase::Restarting { .. } | ContainerPhase::Paused)
    };
    let waits = rollout.spec.deployment_strategy == Strategy::Replace && containers.iter().any(old_runs);
    rollout.prepared.is_some() && !waits
}

/// The engine has started each replica of the rollout.
fn is_started(rollout: &Release, containers: &[Container]) -> bool {
    let started = |c: &&Container| c.owner.deployment == rollout.id && c.phase != ContainerPhase::Created;
    containers.iter().filter(started).count() >= usize::from(rollout.spec.replicas)
}

/// The planner's view of what is wanted.
pub fn intent(app: &AppIntent, memory: &Memory, now: Millis) -> Intent {
    let wanted = |release: &Release| Wanted {
        id: release.id,
        replicas: release.spec.replicas,
        replace: release.spec.deployment_strategy == Strategy::Replace,
        prepared: release.prepared.is_some(),
        free_since: memory.free_since.get(&release.id).copied(),
        started_since: memory.started_since.get(&release.id).copied(),
        min_ready: seconds(release.spec.min_ready_seconds),
        deploy_timeout: seconds(release.spec.deploy_timeout),
        drain_timeout: seconds(release.spec.drain_timeout),
    };
    Intent {
        rollout: app.rollout.as_ref().map(wanted),
        serving: app.serving.as_ref().map(wanted),
        run: app.run,
        job: app.job.map(|job| (job.kind, memory.job_since.get(&job.id).copied().unwrap_or(now))),
    }
}

pub fn seconds(seconds: u32) -> Millis {
    Millis::from(seconds) * 1000
}

/// The planner's view of one container.
pub fn seen(container: &Container, app: &AppIntent, monitor: &Monitor, memory: &Memory, proxy: &Proxy) -> Seen {
    Seen {
        id: container.id.clone(),
        deployment: container.owner.deployment,
        slot: container.owner.slot,
        state: state(&container.phase),
        fitness: monitor.report(&container.id).fitness,
        restarts: container.restarts,
        addressed: release_of(app, container).is_none_or(|r| r.spec.domains.is_empty() || address(container, r).is_some()),
        left_at: memory.left_at.get(&container.id).copied(),
        entered_at: memory.entered_at.get(&container.id).copied(),
        reborn: memory.reborn.contains(&container.id),
        in_flight: proxy.in_flight(&backend_id(&container.id)),
    }
}

pub fn state(phase: &ContainerPhase) -> State {
    match phase {
        ContainerPhase::Created => State::Created,
        ContainerPhase::Running => State::Running,
        ContainerPhase::Restarting { .. } => State::Restarting,
        ContainerPhase::Exited { .. } => State::Exited,
        ContainerPhase::Paused => State::Paused,
        ContainerPhase::Other(_) => State::Broken,
    }
}

/// The deployment that a container belongs to, when it is one of those that matter now.
pub fn release_of<'a>(app: &'a AppIntent, container: &Container) -> Option<&'a Release> {
    [&app.rollout, &app.serving].into_iter().flatten().find(|release| release.id == container.owner.deployment)
}

/// Where requests to a container go.
pub fn address(container: &Container, release: &Release) -> Option<SocketAddr> {
    let ip = container.addresses.get(release.spec.network())?;
    let port = release.prepared.as_ref()?.port;
    Some(SocketAddr::new(*ip, port.get()))
}

pub fn backend_id(id: &ContainerId) -> BackendId {
    BackendId(id.0.as_str().into())
}

/// Which containers are to be watched, and how.
pub fn subjects(apps: &[AppIntent], containers: &BTreeMap<AppName, Vec<Container>>) -> Vec<Subject> {
    let running = apps.iter().flat_map(|app| {
        let containers = containers.get(&app.app).map_or(&[][..], Vec::as_slice);
        containers.iter().filter(|c| c.phase == ContainerPhase::Running).filter_map(|c| Some((c, release_of(app, c)?)))
    });
    running
        .filter_map(|(container, release)| {
            let check = check(container, release)?;
            Some(Subject { id: container.id.clone(), started_at: container.started_at, check, pace: Pace::of(&release.spec) })
        })
        .collect()
}

/// None while the container has no address yet, or the engine no verdict.
fn check(container: &Container, release: &Release) -> Option<Check> {
    let spec = &release.spec;
    let at = |port: Option<NonZeroU16>| {
        let mut address = address(container, release)?;
        address.set_port(port.map_or(address.port(), NonZeroU16::get));
        Some(address)
    };
    Some(match checks::way(spec, container.health.is_some()) {
        Way::Engine(words) => Check::Engine { health: container.health.clone()?, command: words.map(<[String]>::to_vec) },
        Way::Http { path, port, host, status } => {
            Check::Http { address: at(port)?, path: path.to_owned(), host: host.map_or_else(|| probe_host(spec), str::to_owned), status }
        }
        Way::Tcp(port) => Check::Tcp { address: at(port)? },
        Way::Runs => Check::Runs,
    })
}

/// Frameworks refuse hosts that they do not know: the app's own domain is the one they do.
fn probe_host(spec: &AppSpec) -> String {
    spec.domains.first().map_or_else(|| "localhost".to_owned(), |d| d.domain.to_string())
}

/// What people are shown of a container.
pub fn replica(container: &Container, app: &AppIntent, report: Report, routed: bool, proxy: &Proxy) -> Replica {
    let health = match (state(&container.phase), report.fitness) {
        (State::Running, Fitness::Passing { .. }) => ReplicaHealth::Healthy,
        (State::Running, Fitness::Failing) => ReplicaHealth::Unhealthy,
        (State::Running | State::Created | State::Restarting, _) => ReplicaHealth::Starting,
        (State::Paused, _) => ReplicaHealth::Unhealthy,
        (State::Exited | State::Broken, _) => ReplicaHealth::Exited,
    };
    let detail = match &container.phase {
        ContainerPhase::Exited { exit_code, out_of_memory } | ContainerPhase::Restarting { exit_code, out_of_memory } => {
            Some(format!("exit code {exit_code}{}", if *out_of_memory { ", out of memory" } else { "" }))
        }
        ContainerPhase::Paused => Some("paused".to_owned()),
        ContainerPhase::Other(state) => Some(state.clone()),
        ContainerPhase::Created | ContainerPhase::Running => report.probe.map(|probe| format!("{}: {}", probe.target, probe.answer)),
    };
    Replica {
        container: container.name.clone(),
        deployment: container.owner.deployment,
        number: container.owner.slot,
        health,
        detail,
        routed,
        requests_in_flight: proxy.in_flight(&backend_id(&container.id)),
        restarts: container.restarts,
        address: release_of(app, container).and_then(|release| address(container, release)).map(|a| a.to_string()),
        started_at: container.started_at,
    }
}

/// Containers by app.
pub fn by_app(containers: Vec<Container>) -> BTreeMap<AppName, Vec<Container>> {
    let mut apps: BTreeMap<AppName, Vec<Container>> = BTreeMap::new();
    for container in containers {
        apps.entry(container.owner.app.clone()).or_default().push(container);
    }
    apps
}

/// How long the loop may sleep.
pub fn sleep(clock: Clock, wake_at: Option<Millis>, tick: std::time::Duration) -> std::time::Duration {
    wake_at.map_or(tick, |at| clock.until(at).min(tick))
}
