//! Who is called what: container names are given once on an engine, and some apps want one for ever.

use bollard::models::ContainerStateStatusEnum as Status;
use bollard::query_parameters::RenameContainerOptionsBuilder;

use super::connection::{CHANGE, Docker, LOOK};
use super::error::DockerError;
use super::labels;
use super::types::{ContainerId, Owner, Purpose};
use crate::names::AppName;

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

    /// Gives a replica of the app this name. Whichever other replica of the app holds it is called by
    /// its owner from then on. Repeated, it changes nothing.
    pub async fn take_name(&self, id: &ContainerId, name: &str, app: &AppName) -> Result<(), DockerError> {
        match self.holder(name, app).await? {
            Holder::Ours { id: holder, .. } if holder == *id => return Ok(()),
            Holder::Ours { id: holder, owner, .. } => self.rename(&holder, &owner.container_name()).await?,
            Holder::Foreign => return Err(DockerError::NameTaken { name: name.to_owned() }),
            Holder::Nobody => {}
        }
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

    /// An engine on which `db` is held by a container of `app`, until that is renamed.
    fn engine(app: &'static str) -> FakeEngine {
        let held = Arc::new(Mutex::new(true));
        FakeEngine::start(move |question| {
            let mut held = held.lock().unwrap();
            if question.starts_with("POST /containers/old/rename") {
                *held = false;
            }
            match question {
                "GET /containers/db/json" if *held => {
                    let labels = json!({ labels::ROLE: labels::ROLE_APP, labels::APP: app, labels::DEPLOYMENT: "20261121093000",
                        labels::SLOT: "1", labels::INSTANCE: INSTANCE });
                    (200, json!({ "Id": "old", "Config": { "Labels": labels }, "State": { "Status": "exited" } }).to_string())
                }
                _ if question.starts_with("POST") => (204, String::new()),
                _ => (404, json!({ "message": "No such container" }).to_string()),
            }
        })
    }

    #[tokio::test]
    async fn a_name_passes_from_one_replica_to_another() {
        let (app, new) = ("db".parse().unwrap(), ContainerId("new".to_owned()));
        let ours = engine("db");
        ours.docker.check_name("db", &app).await.unwrap();
        ours.docker.take_name(&new, "db", &app).await.unwrap();
        assert_eq!(ours.asked("POST"), ["POST /containers/old/rename?name=db-20261121093000-1", "POST /containers/new/rename?name=db"]);
        // Whoever has the name keeps it.
        let held = engine("db");
        held.docker.take_name(&ContainerId("old".to_owned()), "db", &app).await.unwrap();
        assert!(held.asked("POST").is_empty());

        let theirs = engine("shop");
        assert!(matches!(theirs.docker.check_name("db", &app).await, Err(DockerError::NameTaken { .. })));
        assert!(matches!(theirs.docker.take_name(&new, "db", &app).await, Err(DockerError::NameTaken { .. })));
        assert!(theirs.asked("POST").is_empty());
    }
}
