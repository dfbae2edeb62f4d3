//! Our containers: the list with everything the planner wants to know; starting, stopping and removing them.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, ContainerSummary, ContainerSummaryStateEnum as SummaryState,
    EndpointSettings, Health, HealthStatusEnum,
};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::connection::{CHANGE, Docker, LOOK};
use super::error::DockerError;
use super::labels;
use super::types::{Container, ContainerId, ContainerPhase, HealthCheck, HealthCheckStatus, Owner};

/// Inspections that run at once.
const INSPECTIONS: usize = 8;
/// For a container whose last inspection failed: one that hangs would hold up every look at all others.
const IMPATIENT: Duration = Duration::from_secs(1);
/// What the engine may take beyond a container's stop timeout: it kills, waits and tidies up.
const STOP_MARGIN: Duration = Duration::from_secs(30);
/// The engine's own, for containers that were created without one.
const ENGINES_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The network mode without a network of its own; the engine reserves the name.
pub(super) const HOST_NETWORK: &str = "host";
/// The time of a container that was never started, as the engine writes it.
pub(super) const NEVER: &str = "0001-01-01T00:00:00Z";

impl Docker {
    /// All containers of this instance, in every state but one: whose removal is under way is left out,
    /// as is one that vanishes between list and inspection. One that cannot be inspected is as the list
    /// says; one whose labels cannot be read is skipped with a warning.
    pub async fn containers(&self) -> Result<Vec<Container>, DockerError> {
        let ours = vec![format!("{}={}", labels::INSTANCE, self.instance()), format!("{}={}", labels::ROLE, labels::ROLE_APP)];
        let options = ListContainersOptionsBuilder::new().all(true).filters(&HashMap::from([("label", ours)])).build();
        let list = self
            .call("list", "containers", LOOK, |client| {
                let options = options.clone();
                async move { client.list_containers(Some(options)).await }
            })
            .await?;
        self.memory().keep(&list);
        let mut containers: Vec<Container> = stream::iter(list)
            .map(|summary| self.look_at(summary))
            .buffer_unordered(INSPECTIONS)
            .try_filter_map(async |container| Ok(container))
            .try_collect()
            .await?;
        containers.sort_by(|a, b| a.owner.cmp(&b.owner).then_with(|| a.id.cmp(&b.id)));
        Ok(containers)
    }

    async fn look_at(&self, summary: ContainerSummary) -> Result<Option<Container>, DockerError> {
        let Some(id) = summary.id.clone().map(ContainerId) else { return Ok(None) };
        if summary.state == Some(SummaryState::REMOVING) {
            return Ok(None);
        }
        let patience = if self.memory().is_mute(&id) { IMPATIENT } else { LOOK };
        match self.inspect(&id.0, patience).await {
            Ok(details) => {
                let container = describe(details);
                if let Some(container) = &container {
                    self.memory().inspected(container);
                }
                Ok(container)
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) if error.is_about_one() => Ok(self.memory().without_inspection(id, summary, &error)),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn inspect(&self, name_or_id: &str, deadline: Duration) -> Result<ContainerInspectResponse, DockerError> {
        self.call("inspect container", name_or_id, deadline, |client| async move { client.inspect_container(name_or_id, None).await }).await
    }

    /// Starts the container; one that runs is left alone.
    pub async fn start(&self, id: &ContainerId) -> Result<(), DockerError> {
        self.call("start container", id.short(), CHANGE, |client| async move { client.start_container(&id.0, None).await }).await
    }

    /// Asks the container to stop and kills it after the timeout with which it was created. Stopped or
    /// gone is success.
    pub async fn stop(&self, id: &ContainerId) -> Result<(), DockerError> {
        let deadline = self.stop_timeout(id).await?.saturating_add(STOP_MARGIN);
        let stopped =
            self.call("stop container", id.short(), deadline, |client| async move { client.stop_container(&id.0, None).await }).await;
        match stopped {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer,
        }
    }

    /// How long the engine waits between asking and killing, when nobody tells it.
    async fn stop_timeout(&self, id: &ContainerId) -> Result<Duration, DockerError> {
        let own = match self.inspect(&id.0, LOOK).await {
            Ok(details) => details.config.and_then(|config| config.stop_timeout),
            // Stopping it will tell whether it is gone; one that cannot be inspected can be stopped.
            Err(error) if error.is_not_found() => None,
            Err(error) if error.is_about_one() => return Ok(CHANGE),
            Err(error) => return Err(error),
        };
        Ok(own.and_then(|seconds| u64::try_from(seconds).ok()).map_or(ENGINES_STOP_TIMEOUT, Duration::from_secs))
    }

    /// Removes the container, running or not, with its anonymous volumes. Gone, or being removed by
    /// somebody else, is success.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), DockerError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self
            .call("remove container", id.short(), CHANGE, |client| {
                let options = options.clone();
                async move { client.remove_container(&id.0, Some(options)).await }
            })
            .await;
        match removed {
            Err(error) if error.is_not_found() => Ok(()),
            Err(DockerError::Api { status: 409, message, .. }) if message.contains("in progress") => Ok(()),
            answer => answer,
        }
    }
}

/// Our view of the engine's description; none when its removal has begun, or, with a warning, when its
/// labels cannot be read.
fn describe(details: ContainerInspectResponse) -> Option<Container> {
    let id = details.id?;
    let state = details.state.unwrap_or_default();
    if state.status == Some(Status::REMOVING) {
        return None;
    }
    let name = details.name.unwrap_or_default().trim_start_matches('/').to_owned();
    let owner = owner(&name, &details.config.and_then(|config| config.labels).unwrap_or_default())?;
    let status = state.status.map(|status| status.to_string()).unwrap_or_default();
    let phase = phase(&status, state.exit_code.unwrap_or_default(), state.oom_killed.unwrap_or_default());
    let networks = details.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    Some(Container {
        id: ContainerId(id),
        name,
        owner,
        addresses: addresses(networks, &phase),
        phase,
        restarts: details.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
        started_at: state.started_at.as_deref().filter(|at| *at != NEVER).and_then(|at| at.parse::<Timestamp>().ok()),
        pid: state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0),
        health: state.health.and_then(health),
    })
}

/// None, with a warning, when the labels cannot be read.
pub(super) fn owner(container: &str, labels: &HashMap<String, String>) -> Option<Owner> {
    let unreadable = |error: &labels::UnreadableLabels| {
        tracing::warn!(container, reason = %crate::error::chain(error), "skipping a container that claims to be ours");
    };
    labels::owner(labels).inspect_err(unreadable).ok()
}

/// From the engine's word for it.
pub(super) fn phase(status: &str, exit_code: i64, out_of_memory: bool) -> ContainerPhase {
    match status {
        "created" => ContainerPhase::Created,
        "running" => ContainerPhase::Running,
        "restarting" => ContainerPhase::Restarting { exit_code, out_of_memory },
        "exited" => ContainerPhase::Exited { exit_code, out_of_memory },
        "paused" => ContainerPhase::Paused,
        other => ContainerPhase::Other(other.to_owned()),
    }
}

fn health(health: Health) -> Option<HealthCheck> {
    let status = match health.status? {
        HealthStatusEnum::STARTING => HealthCheckStatus::Starting,
        HealthStatusEnum::HEALTHY => HealthCheckStatus::Healthy,
        HealthStatusEnum::UNHEALTHY => HealthCheckStatus::Unhealthy,
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => return None,
    };
    let last = health.log.unwrap_or_default().pop().and_then(|probe| probe.output);
    let output = last.map(|output| output.trim().to_owned()).filter(|output| !output.is_empty());
    Some(HealthCheck { status, output })
}

/// IPv4 where there is one, else IPv6; the host's network, which gives no addresses, is reached over
/// loopback. Networks without an address (`none`, or a stopped container's) are left out.
pub(super) fn addresses(networks: HashMap<String, EndpointSettings>, phase: &ContainerPhase) -> BTreeMap<String, IpAddr> {
    let address = |text: Option<String>| text.and_then(|text| text.parse::<IpAddr>().ok());
    let runs = matches!(phase, ContainerPhase::Running | ContainerPhase::Paused);
    let addressed = networks.into_iter().filter_map(|(network, endpoint)| {
        let ip = if network == HOST_NETWORK {
            runs.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
        } else {
            address(endpoint.ip_address).or_else(|| address(endpoint.global_ipv6_address))
        };
        Some((network, ip?))
    });
    addressed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Docker 20.10 says about a container, shortened.
    fn inspected(state: &str) -> ContainerInspectResponse {
        let text = format!(
            r#"{{"Id":"0f3c","Name":"/shop-20261121093000-1","RestartCount":3,"State":{state},
            "Config":{{"Labels":{{"dev.haloy.role":"app","dev.haloy.appName":"shop","dev.haloy.deployment-id":"20261121093000",
            "dev.haloy.slot":"1","dev.haloy.instance":"main"}}}},
            "NetworkSettings":{{"Networks":{{"haloy-public":{{"IPAddress":"172.18.0.2","GlobalIPv6Address":""}},
            "six":{{"IPAddress":"","GlobalIPv6Address":"fd00::2"}},"host":{{"IPAddress":""}}}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_running_container() {
        let container = describe(inspected(
            r#"{"Status":"running","Running":true,"OOMKilled":false,"Pid":4711,"ExitCode":0,"StartedAt":"2026-11-21T09:30:01.5Z",
            "FinishedAt":"0001-01-01T00:00:00Z","Health":{"Status":"unhealthy","FailingStreak":3,
            "Log":[{"ExitCode":1,"Output":"old"},{"ExitCode":1,"Output":"connection refused\n"}]}}"#,
        ))
        .unwrap();
        assert_eq!(container.name, "shop-20261121093000-1");
        assert_eq!((container.owner.app.as_str(), container.owner.slot), ("shop", 1));
        assert_eq!((container.phase, container.restarts, container.pid), (ContainerPhase::Running, 3, Some(4711)));
        assert_eq!(container.started_at, Some("2026-11-21T09:30:01.5Z".parse().unwrap()));
        let output = Some("connection refused".to_owned());
        assert_eq!(container.health, Some(HealthCheck { status: HealthCheckStatus::Unhealthy, output }));
        let addresses: Vec<String> = container.addresses.iter().map(|(network, ip)| format!("{network} {ip}")).collect();
        assert_eq!(addresses, ["haloy-public 172.18.0.2", "host 127.0.0.1", "six fd00::2"]);
    }

    #[test]
    fn other_phases() {
        let phase = |state: &str| describe(inspected(state)).map(|container| (container.phase, container.started_at, container.pid));
        let created = r#"{"Status":"created","Pid":0,"ExitCode":0,"StartedAt":"0001-01-01T00:00:00Z"}"#;
        assert_eq!(phase(created), Some((ContainerPhase::Created, None, None)));
        let exited = r#"{"Status":"exited","OOMKilled":true,"Pid":0,"ExitCode":137}"#;
        assert_eq!(phase(exited), Some((ContainerPhase::Exited { exit_code: 137, out_of_memory: true }, None, None)));
        let restarting = r#"{"Status":"restarting","Running":true,"Restarting":true,"ExitCode":2}"#;
        assert_eq!(phase(restarting), Some((ContainerPhase::Restarting { exit_code: 2, out_of_memory: false }, None, None)));
        let paused = r#"{"Status":"paused","Running":true,"Paused":true,"Pid":4711,"ExitCode":0}"#;
        assert_eq!(phase(paused), Some((ContainerPhase::Paused, None, Some(4711))));
        assert_eq!(phase(r#"{"Status":"dead"}"#), Some((ContainerPhase::Other("dead".to_owned()), None, None)));
    }

    #[test]
    fn the_hosts_network_has_an_address_while_the_container_runs() {
        let host = |state: &str| describe(inspected(state)).unwrap().addresses.get(HOST_NETWORK).map(IpAddr::to_string);
        assert_eq!(host(r#"{"Status":"running"}"#).as_deref(), Some("127.0.0.1"));
        assert_eq!(host(r#"{"Status":"exited"}"#), None);
    }

    #[test]
    fn a_container_with_unreadable_labels_is_skipped() {
        let mut details = inspected(r#"{"Status":"running"}"#);
        details.config = None;
        assert_eq!(describe(details), None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_container_stops_by_its_own_timeout() {
        use crate::docker::fake::FakeEngine;

        let engine = FakeEngine::start(|question| match question {
            "GET /containers/patient/json" => (200, r#"{"Config":{"StopTimeout":600}}"#.to_owned()),
            "GET /containers/broken/json" => (500, r#"{"message":"RWLayer is unexpectedly nil"}"#.to_owned()),
            _ if question.starts_with("POST") && !question.contains("gone") => (204, String::new()),
            _ => (404, r#"{"message":"No such container"}"#.to_owned()),
        });
        let id = |id: &str| ContainerId(id.to_owned());
        assert_eq!(engine.docker.stop_timeout(&id("patient")).await.unwrap(), Duration::from_secs(600));
        for name in ["patient", "broken", "gone"] {
            engine.docker.stop(&id(name)).await.unwrap();
        }
        let asked = engine.asked("POST");
        let asked: Vec<_> = asked.iter().map(|asked| asked.trim_start_matches("POST /containers/").trim_end_matches('?')).collect();
        assert_eq!(asked, ["patient/stop", "broken/stop", "gone/stop"]);
    }
}
