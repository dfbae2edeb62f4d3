//! A container as the list alone tells it, for when its inspection fails.
//!
//! Engines have containers that they can list and not inspect: a removal that got stuck, a storage
//! layer that is gone, a lock that is held for ever. One of them must not hide all others, nor count
//! as gone: a container that serves would lose its visitors. So the list's own words are used, and
//! with them what the last inspection that worked had found.

use std::collections::{HashMap, HashSet};
use std::mem::discriminant;

use bollard::models::ContainerSummary;

use super::containers::{addresses, owner, phase};
use super::error::DockerError;
use super::types::{Container, ContainerId, HealthCheck, HealthCheckStatus};

/// What earlier looks found out.
#[derive(Debug, Default)]
pub(super) struct Memory {
    inspected: HashMap<ContainerId, Container>,
    /// Those whose last inspection failed.
    mute: HashSet<ContainerId>,
}

impl Memory {
    pub fn is_mute(&self, id: &ContainerId) -> bool {
        self.mute.contains(id)
    }

    /// Takes note of an inspection that worked.
    pub fn inspected(&mut self, container: &Container) {
        self.mute.remove(&container.id);
        self.inspected.insert(container.id.clone(), container.clone());
    }

    /// What can be said of a container without inspecting it; warns the first time.
    pub fn without_inspection(&mut self, id: ContainerId, summary: ContainerSummary, failure: &DockerError) -> Option<Container> {
        if self.mute.insert(id.clone()) {
            tracing::warn!(container = id.short(), reason = %crate::error::chain(failure), "using what the list says of a container");
        }
        let before = self.inspected.get(&id);
        listed(id, summary, before)
    }

    /// Forgets whoever is not in the list.
    pub fn keep(&mut self, list: &[ContainerSummary]) {
        let present: HashSet<&str> = list.iter().filter_map(|summary| summary.id.as_deref()).collect();
        self.inspected.retain(|id, _| present.contains(id.0.as_str()));
        self.mute.retain(|id| present.contains(id.0.as_str()));
    }
}

fn listed(id: ContainerId, summary: ContainerSummary, before: Option<&Container>) -> Option<Container> {
    let name = summary.names.unwrap_or_default().pop().unwrap_or_default().trim_start_matches('/').to_owned();
    let owner = owner(&name, &summary.labels.unwrap_or_default())?;
    let status = summary.status.unwrap_or_default();
    let phase = phase(&summary.state.map(|state| state.to_string()).unwrap_or_default(), exit_code(&status), false);
    let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    // A restart that nobody saw is possible; the health monitors go on probing in any case.
    let same_life = before.filter(|before| discriminant(&before.phase) == discriminant(&phase));
    Some(Container {
        id,
        name,
        owner,
        health: health(&status),
        addresses: addresses(networks, &phase),
        restarts: before.map_or(0, |before| before.restarts),
        started_at: same_life.and_then(|before| before.started_at),
        pid: same_life.and_then(|before| before.pid),
        phase,
    })
}

/// The number in `Exited (137) 3 seconds ago`.
fn exit_code(status: &str) -> i64 {
    let number = status.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    number.and_then(|(number, _)| number.parse().ok()).unwrap_or_default()
}

/// As in `Up 3 seconds (healthy)`.
fn health(status: &str) -> Option<HealthCheck> {
    const WORDS: &[(&str, HealthCheckStatus)] = &[
        ("(health: starting)", HealthCheckStatus::Starting),
        ("(healthy)", HealthCheckStatus::Healthy),
        ("(unhealthy)", HealthCheckStatus::Unhealthy),
    ];
    let (_, status) = WORDS.iter().find(|(word, _)| status.ends_with(word))?;
    Some(HealthCheck { status: *status, output: None })
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, Ordering};

    use serde_json::{Value, json};

    use super::*;
    use crate::docker::fake::{FakeEngine, INSTANCE};
    use crate::docker::{ContainerPhase, labels};

    fn of_shop() -> Value {
        json!({ labels::ROLE: labels::ROLE_APP, labels::APP: "shop", labels::DEPLOYMENT: "20261121093000", labels::SLOT: "1",
            labels::INSTANCE: INSTANCE })
    }

    fn in_list(id: &str, state: &str, status: &str) -> Value {
        json!({ "Id": id, "Names": [format!("/shop-{id}")], "State": state, "Status": status, "Labels": of_shop(),
            "NetworkSettings": { "Networks": { "haloy-public": { "IPAddress": "172.18.0.2" } } } })
    }

    fn inspected(id: &str, status: &str) -> Value {
        json!({ "Id": id, "Name": format!("/shop-{id}"), "RestartCount": 2, "Config": { "Labels": of_shop() },
            "State": { "Status": status, "Pid": 4711, "StartedAt": "2026-11-21T09:30:01Z" },
            "NetworkSettings": { "Networks": { "haloy-public": { "IPAddress": "172.18.0.2" } } } })
    }

    /// An engine with these containers in its list, that answers inspections as `inspect` says.
    fn engine(list: Vec<Value>, inspect: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> FakeEngine {
        FakeEngine::start(move |question| {
            if question.starts_with("GET /containers/json") {
                return (200, Value::from(list.clone()).to_string());
            }
            let id = question.trim_start_matches("GET /containers/").trim_end_matches("/json");
            let (status, body) = inspect(id);
            (status, body.to_string())
        })
    }

    fn gone() -> (u16, Value) {
        (404, json!({ "message": "No such container: x" }))
    }

    fn broken() -> (u16, Value) {
        (500, json!({ "message": "RWLayer of container is unexpectedly nil" }))
    }

    #[tokio::test]
    async fn whoever_leaves_is_left_out() {
        let list = vec![
            in_list("stays", "running", "Up"),
            in_list("leaves", "removing", "Removal In Progress"),
            in_list("left", "running", "Up"),
            in_list("late", "running", "Up"),
        ];
        let engine = engine(list, |id| match id {
            "stays" => (200, inspected(id, "running")),
            // Its removal began between the list and the inspection.
            "late" => (200, inspected(id, "removing")),
            _ => gone(),
        });
        let found = engine.docker.containers().await.unwrap();
        assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["shop-stays"]);
        assert!(engine.asked("/leaves/").is_empty());
    }

    #[tokio::test]
    async fn one_that_cannot_be_inspected_hides_nobody() {
        let list = vec![
            in_list("exited", "exited", "Exited (137) 3 seconds ago"),
            in_list("fine", "running", "Up 3 seconds"),
            in_list("stuck", "dead", "Dead"),
            in_list("up", "running", "Up 3 seconds (healthy)"),
        ];
        let engine = engine(list, |id| if id == "fine" { (200, inspected(id, "running")) } else { broken() });
        let found = engine.docker.containers().await.unwrap();
        let phases: Vec<_> = found.iter().map(|c| (c.name.as_str(), c.phase.clone())).collect();
        let exited = ContainerPhase::Exited { exit_code: 137, out_of_memory: false };
        let stuck = ContainerPhase::Other("dead".to_owned());
        let running = ContainerPhase::Running;
        assert_eq!(phases, [("shop-exited", exited), ("shop-fine", running.clone()), ("shop-stuck", stuck), ("shop-up", running)]);
        let up = &found[3];
        assert_eq!(up.health, Some(HealthCheck { status: HealthCheckStatus::Healthy, output: None }));
        assert_eq!((up.addresses["haloy-public"].to_string().as_str(), up.owner.slot), ("172.18.0.2", 1));
    }

    #[tokio::test]
    async fn what_was_known_before_stays_known() {
        let status = Arc::new(AtomicU16::new(200));
        let now = Arc::clone(&status);
        let list = vec![in_list("a", "running", "Up 3 seconds")];
        let engine = engine(list, move |id| if now.load(Ordering::SeqCst) == 200 { (200, inspected(id, "running")) } else { broken() });
        let before = engine.docker.containers().await.unwrap();
        assert_eq!((before[0].restarts, before[0].pid), (2, Some(4711)));
        status.store(500, Ordering::SeqCst);
        assert_eq!(engine.docker.containers().await.unwrap(), before, "the health monitors take another start for another life");
    }
}
