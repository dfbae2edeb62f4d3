//! Named volumes: labelled with their app, and removed for that app alone.

use std::collections::HashMap;

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;

use super::connection::{CHANGE, Docker, LOOK};
use super::error::DockerError;
use super::labels;
use crate::names::{AppName, is_network_name};

impl Docker {
    /// Makes sure that the volume exists; an existing one is left as it is, whoever made it.
    pub async fn ensure_volume(&self, name: &str, app: &AppName) -> Result<(), DockerError> {
        if self.volume(checked(name)?).await?.is_some() {
            return Ok(());
        }
        let request =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(volume_labels(app, self.instance())), ..Default::default() };
        let created = self.call("create volume", name, CHANGE, |client| {
            let request = request.clone();
            async move { client.create_volume(request).await }
        });
        created.await.map(|_| ())
    }

    /// Removes the volume if this instance made it for this app. One that is missing or somebody
    /// else's is left alone without an error; one that a container still uses is an error.
    pub async fn remove_volume(&self, name: &str, app: &AppName) -> Result<(), DockerError> {
        let Some(volume) = self.volume(checked(name)?).await? else { return Ok(()) };
        if !belongs_to(&volume.labels, app, self.instance()) {
            tracing::info!(volume = %name, %app, "keeping a volume that was not made for this app");
            return Ok(());
        }
        let removed =
            self.call("remove volume", name, CHANGE, |client| async move { client.remove_volume(name, None::<RemoveVolumeOptions>).await });
        match removed.await {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer,
        }
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>, DockerError> {
        let found = self.call("inspect volume", name, LOOK, |client| async move { client.inspect_volume(name).await }).await;
        match found {
            Ok(volume) => Ok(Some(volume)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Names end up in paths of the API: only what Docker accepts as a name gets that far.
pub(super) fn checked(name: &str) -> Result<&str, DockerError> {
    if is_network_name(name) { Ok(name) } else { Err(DockerError::Name { name: name.to_owned() }) }
}

fn volume_labels(app: &AppName, instance: &str) -> HashMap<String, String> {
    let mut labels = labels::of_role(labels::ROLE_VOLUME, instance);
    labels.insert(labels::APP.to_owned(), app.to_string());
    labels
}

fn belongs_to(volume: &HashMap<String, String>, app: &AppName, instance: &str) -> bool {
    labels::is_ours(volume, labels::ROLE_VOLUME, instance) && volume.get(labels::APP).is_some_and(|owner| owner == app.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_belongs_to_one_app_of_one_instance() {
        let app = |name: &str| name.parse::<AppName>().unwrap();
        let labels = volume_labels(&app("shop"), "main");
        assert!(belongs_to(&labels, &app("shop"), "main"));
        assert!(!belongs_to(&labels, &app("blog"), "main"));
        assert!(!belongs_to(&labels, &app("shop"), "other"));
        assert!(!belongs_to(&HashMap::new(), &app("shop"), "main"));
    }

    #[test]
    fn names_that_would_leave_their_path_are_refused() {
        assert!(checked("shop-data_1.x").is_ok());
        for bad in ["", "/srv/data", "..", "a/b", "a?force=1", "-a", "a b"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
