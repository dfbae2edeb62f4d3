//! Who is called what: container names are given once on an engine, and some apps want one for ever.

use std::time::{Duration, Instant};

use bollard::models::ContainerStateStatusEnum as Status;
use bollard::query_parameters::RenameContainerOptionsBuilder;

use super::connection::{CHANGE, Docker, LOOK};
use super::error::DockerError;
use super::labels;
use super::types::{ContainerId, Owner, Purpose};
use crate::names::{AppName, DeployId};

/// How long a removal may hold a name.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(50);

/// Who holds a container name that an app wants.
pub(super) enum Holder {
    /// The app itself.
    Ours {
        id: ContainerId,
        owner: Owner,
        purpose: Purpose,
        /// On its way out.
        leaving: bool,
    },
    Foreign,
    Nobody,
}

impl Docker {
    /// Refuses a name that is held by a container that is not this app's.
    pub async fn check_name(&self, name: &str, app: &AppName) -> Result<(), DockerError> {
        match self.holder(name, app).await? {
            Holder::Foreign => Err(DockerError::NameTaken { name: name.to_owned() }),
            Holder::Ours { .. } | Holder::Nobody => Ok(()),
        }
    }

    /// Makes the name free for `taker`. A replica of the deployment `kept` is called by its owner from
    /// then on; every other container of the app is on its way out, and is waited for: an engine that
    /// renames what it removes is left with a ruin. Repeated, it changes nothing.
    pub async fn free_name(&self, name: &str, taker: &Owner, kept: Option<DeployId>) -> Result<(), DockerError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.holder(name, &taker.app).await? {
                Holder::Nobody => return Ok(()),
                Holder::Foreign => return Err(DockerError::NameTaken { name: name.to_owned() }),
                Holder::Ours { owner, purpose: Purpose::Replica, leaving: false, .. } if owner == *taker => return Ok(()),
                Holder::Ours { id, owner, .. } if kept == Some(owner.deployment) || Instant::now() > until => {
                    return self.rename(&id, &owner.container_name()).await;
                }
                Holder::Ours { .. } => tokio::time::sleep(GLANCE).await,
            }
        }
    }

    /// Gives the replica this name, once it is free.
    pub async fn take_name(&self, id: &ContainerId, name: &str, owner: &Owner) -> Result<(), DockerError> {
        self.free_name(name, owner, None).await?;
        self.rename(id, name).await
    }

    pub(super) async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), DockerError> {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        let renamed = self.call("rename container", id.short(), CHANGE, |client| {
            let options = options.clone();
            async move { client.rename_container(&id.0, options).await }
        });
        match renamed.await {
            // It went in the meantime, and its name with it.
            Err(error) if error.is_not_found() => Ok(()),
            // It is called so already.
            Err(DockerError::Api { message, .. }) if message.contains("same name") => Ok(()),
            answer => answer,
        }
    }

    pub(super) async fn holder(&self, name: &str, app: &AppName) -> Result<Holder, DockerError> {
        let details = match self.inspect(name, LOOK).await {
            Ok(details) => details,
            Err(error) if error.is_not_found() => return Ok(Holder::Nobody),
            Err(error) => return Err(error),
        };
        let labels = details.config.and_then(|config| config.labels).unwrap_or_default();
        let leaving = matches!(details.state.and_then(|state| state.status), Some(Status::REMOVING | Status::DEAD));
        let purpose = [Purpose::Replica, Purpose::Release]
            .into_iter()
            .find(|purpose| labels::is_ours(&labels, labels::role(*purpose), self.instance()));
        Ok(match (details.id, labels::owner(&labels), purpose) {
            (Some(id), Ok(owner), Some(purpose)) if owner.app == *app => Holder::Ours { id: ContainerId(id), owner, purpose, leaving },
            _ => Holder::Foreign,
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::docker::fake::{FakeEngine, INSTANCE};

    /// An engine on which `db` is held by a container of `app`, until that is renamed or was looked at twice.
    fn engine(app: &'static str) -> FakeEngine {
        let looks = Arc::new(Mutex::new(0));
        FakeEngine::start(move |question| {
            let mut looks = looks.lock().unwrap();
            match question {
                "GET /containers/db/json" if *looks < 2 => {
                    *looks += 1;
                    let labels = json!({ labels::ROLE: labels::ROLE_APP, labels::APP: app, labels::DEPLOYMENT: "20261121093000",
                        labels::SLOT: "1", labels::INSTANCE: INSTANCE });
                    (200, json!({ "Id": "old", "Config": { "Labels": labels }, "State": { "Status": "exited" } }).to_string())
                }
                _ if question.starts_with("POST") => (204, String::new()),
                _ => (404, json!({ "message": "No such container" }).to_string()),
            }
        })
    }

    fn owner(deployment: &str) -> Owner {
        Owner { app: "db".parse().unwrap(), deployment: deployment.parse().unwrap(), slot: 1 }
    }

    #[tokio::test]
    async fn a_name_passes_from_one_replica_to_another() {
        let (old, new) = (owner("20261121093000"), owner("20261121094000"));
        let kept = engine("db");
        kept.docker.free_name("db", &new, Some(old.deployment)).await.unwrap();
        assert_eq!(kept.asked("POST"), ["POST /containers/old/rename?name=db-20261121093000-1"]);

        let leaves = engine("db");
        leaves.docker.take_name(&ContainerId("new".to_owned()), "db", &new).await.unwrap();
        assert_eq!(leaves.asked("POST"), ["POST /containers/new/rename?name=db"], "whoever leaves is waited for");

        let own = engine("db");
        own.docker.free_name("db", &old, None).await.unwrap();
        assert!(own.asked("POST").is_empty());
    }

    #[tokio::test]
    async fn nobody_elses_container_is_touched() {
        let theirs = engine("shop");
        let db = owner("20261121094000");
        assert!(matches!(theirs.docker.check_name("db", &db.app).await, Err(DockerError::NameTaken { .. })));
        assert!(matches!(theirs.docker.free_name("db", &db, None).await, Err(DockerError::NameTaken { .. })));
        assert!(theirs.asked("POST").is_empty());
    }
}
