//! An app as people see it: what is wanted of it beside what was seen of it.

use super::super::store::{AppIntent, RunState};
use crate::wire::{AppSpec, AppState, AppStatus, Certificate, Job, Replica, ReplicaHealth};

/// The status of an app with intent. `replicas` is what the reconcile loop saw last.
pub fn of(intent: &AppIntent, replicas: Vec<Replica>, job: Option<Job>, certificates: Vec<Certificate>) -> AppStatus {
    let shown = intent.serving.as_ref().or(intent.rollout.as_ref()).map(|release| &release.spec);
    AppStatus {
        name: intent.app.clone(),
        state: state(intent, &replicas),
        deployment: intent.serving.as_ref().map(|release| release.id),
        image: shown.map(|spec| spec.image.clone()),
        // An app whose containers are gone gave its domains up.
        domains: shown.filter(|_| intent.run != RunState::Removed).map(|spec| spec.domains.clone()).unwrap_or_default(),
        replicas_wanted: shown.map_or(0, |spec| spec.replicas),
        replicas,
        job,
        certificates,
    }
}

/// The status of an app whose first job still waits for its turn.
pub fn of_queued(job: Job) -> AppStatus {
    AppStatus {
        name: job.app.clone(),
        state: AppState::Starting,
        deployment: None,
        image: None,
        domains: Vec::new(),
        replicas_wanted: 0,
        replicas: Vec::new(),
        job: Some(job),
        certificates: Vec::new(),
    }
}

fn state(intent: &AppIntent, replicas: &[Replica]) -> AppState {
    if intent.run != RunState::Running {
        return AppState::Stopped;
    }
    let Some(serving) = &intent.serving else {
        return if intent.rollout.is_some() { AppState::Starting } else { AppState::Failed };
    };
    let at_work = replicas.iter().filter(|replica| replica.deployment == serving.id && is_at_work(replica, &serving.spec)).count();
    match at_work {
        0 => AppState::Down,
        n if n < usize::from(serving.spec.replicas) => AppState::Degraded,
        _ => AppState::Running,
    }
}

/// Healthy, and reachable where there is something to route.
fn is_at_work(replica: &Replica, spec: &AppSpec) -> bool {
    replica.health == ReplicaHealth::Healthy && (replica.routed || spec.domains.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::store::Release;
    use super::*;
    use crate::names::DeployId;

    fn release(id: u64, domains: serde_json::Value) -> Release {
        let spec = json!({ "name": "shop", "image": "shop:1", "replicas": 2, "domains": domains });
        Release {
            digest: None,
            id: DeployId::from_number(id),
            spec: serde_json::from_value(spec).expect("spec"),
            image_id: None,
            prepared: None,
            repeats: false,
        }
    }

    fn web(id: u64) -> Option<Release> {
        Some(release(id, json!([{ "domain": "shop.example.com" }])))
    }

    fn intent(serving: Option<Release>, rollout: Option<Release>, run: RunState) -> AppIntent {
        AppIntent { app: "shop".parse().expect("app"), rollout, serving, run, job: None }
    }

    fn replica(deployment: u64, health: ReplicaHealth, routed: bool) -> Replica {
        Replica {
            container: "c1".to_owned(),
            deployment: DeployId::from_number(deployment),
            number: 1,
            health,
            detail: None,
            routed,
            requests_in_flight: 0,
            restarts: 0,
            address: None,
            started_at: None,
        }
    }

    #[test]
    fn states() {
        use ReplicaHealth::{Healthy, Unhealthy};
        let of = |intent: &AppIntent, replicas: &[Replica]| super::of(intent, replicas.to_vec(), None, Vec::new()).state;
        let serving = intent(web(1), None, RunState::Running);
        let (good, sick, unrouted) = (replica(1, Healthy, true), replica(1, Unhealthy, true), replica(1, Healthy, false));
        assert_eq!(of(&serving, &[good.clone(), good.clone()]), AppState::Running);
        assert_eq!(of(&serving, &[good.clone(), sick.clone()]), AppState::Degraded);
        assert_eq!(of(&serving, &[good.clone(), unrouted.clone()]), AppState::Degraded);
        assert_eq!(of(&serving, &[sick, unrouted.clone()]), AppState::Down);
        assert_eq!(of(&serving, &[]), AppState::Down);
        let next = replica(2, Healthy, true);
        assert_eq!(of(&intent(web(1), web(2), RunState::Running), &[good, next.clone(), next]), AppState::Degraded);
        let worker = intent(Some(release(1, json!([]))), None, RunState::Running);
        assert_eq!(of(&worker, &[unrouted.clone(), unrouted]), AppState::Running);
        assert_eq!(of(&intent(None, web(1), RunState::Running), &[]), AppState::Starting);
        assert_eq!(of(&intent(None, None, RunState::Running), &[]), AppState::Failed);
        assert_eq!(of(&intent(web(1), web(2), RunState::Stopped), &[]), AppState::Stopped);
    }

    #[test]
    fn a_removed_app_shows_no_domains() {
        let stopped = super::of(&intent(web(1), None, RunState::Stopped), Vec::new(), None, Vec::new());
        let removed = super::of(&intent(web(1), None, RunState::Removed), Vec::new(), None, Vec::new());
        assert_eq!((stopped.domains.len(), removed.domains.len(), removed.state), (1, 0, AppState::Stopped));
        assert_eq!(stopped.deployment, Some(DeployId::from_number(1)));
    }
}
