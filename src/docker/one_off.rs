//! Containers that run once: found by their app, and waited for.

use std::collections::HashMap;

use bollard::errors::Error as ClientError;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{ListContainersOptionsBuilder, WaitContainerOptionsBuilder};
use futures_util::StreamExt;
use jiff::Timestamp;

use super::connection::{Docker, LOOK};
use super::containers::{self, NEVER};
use super::error::DockerError;
use super::labels;
use super::types::{ContainerId, OneOff};
use crate::names::AppName;

impl Docker {
    /// The one-off containers of an app, in every state.
    pub async fn one_offs(&self, app: &AppName) -> Result<Vec<OneOff>, DockerError> {
        let label = |name: &str, value: &str| format!("{name}={value}");
        let ours =
            vec![label(labels::INSTANCE, self.instance()), label(labels::ROLE, labels::ROLE_RELEASE), label(labels::APP, app.as_str())];
        let options = ListContainersOptionsBuilder::new().all(true).filters(&HashMap::from([("label", ours)])).build();
        let list = self
            .call("list", "one-off containers", LOOK, |client| {
                let options = options.clone();
                async move { client.list_containers(Some(options)).await }
            })
            .await?;
        let mut found = Vec::new();
        for id in list.into_iter().filter_map(|summary| summary.id) {
            found.extend(self.one_off(&ContainerId(id)).await?);
        }
        Ok(found)
    }

    /// How far one is; none when it is gone.
    pub async fn one_off(&self, id: &ContainerId) -> Result<Option<OneOff>, DockerError> {
        match self.inspect(&id.0, LOOK).await {
            Ok(details) => Ok(describe(details)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the container does not run, however long that takes.
    pub async fn wait(&self, id: &ContainerId) -> Result<(), DockerError> {
        let client = self.streaming_client(LOOK).await?;
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut waiting = std::pin::pin!(client.wait_container(&id.0, Some(options)));
        match waiting.next().await {
            Some(Err(error)) if !matches!(error, ClientError::DockerContainerWaitError { .. }) => {
                Err(DockerError::from_client(self.host(), "wait for container", id.short(), LOOK, error))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn describe(details: ContainerInspectResponse) -> Option<OneOff> {
    let name = details.name.unwrap_or_default();
    let owner = containers::owner(&name, &details.config.and_then(|config| config.labels).unwrap_or_default())?;
    let state = details.state.unwrap_or_default();
    let status = state.status.map(|status| status.to_string()).unwrap_or_default();
    let time = |at: Option<String>| at.filter(|at| at != NEVER).and_then(|at| at.parse::<Timestamp>().ok());
    Some(OneOff {
        id: ContainerId(details.id?),
        deployment: owner.deployment,
        image: details.image.unwrap_or_default(),
        phase: containers::phase(&status, state.exit_code.unwrap_or_default(), state.oom_killed.unwrap_or_default()),
        started_at: time(state.started_at),
        finished_at: time(state.finished_at),
    })
}
