//! The network that apps and their neighbours share.

use std::collections::HashMap;

use bollard::models::{Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::connection::{CHANGE, Docker, LOOK};
use super::containers::HOST_NETWORK;
use super::error::DockerError;
use super::{labels, volumes};

impl Docker {
    /// Makes sure that exactly one network of this name exists; creates a labelled bridge when there is
    /// none. The engine's own modes (`host`, `none`, `bridge`, `container:…`) are there already.
    ///
    /// Engines before API 1.44 create a second network of the same name without a word, and every later
    /// use of the name fails as ambiguous. So whoever created looks again, and all who raced remove the
    /// same surplus: of those labelled ours, everything but the oldest.
    pub async fn ensure_network(&self, name: &str) -> Result<(), DockerError> {
        if !is_user_defined(name) {
            return Ok(());
        }
        let mut present = self.networks(volumes::checked(name)?).await?;
        if present.is_empty() {
            match self.create_network(name).await {
                Err(error) if !error.is_conflict() => return Err(error),
                Ok(()) | Err(_) => present = self.networks(name).await?,
            }
        }
        for id in surplus(present) {
            self.remove_surplus(&id).await?;
        }
        Ok(())
    }

    /// All networks of exactly this name; the engine's filter alone would match parts of names too.
    async fn networks(&self, name: &str) -> Result<Vec<Network>, DockerError> {
        let options = ListNetworksOptionsBuilder::new().filters(&HashMap::from([("name", vec![name])])).build();
        let mut networks = self
            .call("list networks named", name, LOOK, |client| {
                let options = options.clone();
                async move { client.list_networks(Some(options)).await }
            })
            .await?;
        networks.retain(|network| network.name.as_deref() == Some(name));
        Ok(networks)
    }

    async fn create_network(&self, name: &str) -> Result<(), DockerError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels::of_role(labels::ROLE_NETWORK, self.instance())),
            ..Default::default()
        };
        let created = self.call("create network", name, CHANGE, |client| {
            let request = request.clone();
            async move { client.create_network(request).await }
        });
        created.await.map(|_| ())
    }

    async fn remove_surplus(&self, id: &str) -> Result<(), DockerError> {
        let removed = self.call("remove duplicate network", id, CHANGE, |client| async move { client.remove_network(id).await });
        match removed.await {
            Err(error) if error.is_not_found() => Ok(()),
            // Somebody attached to it in the meantime; the next call tries again.
            Err(DockerError::Api { message, .. }) => {
                tracing::warn!(network = %id, %message, "a duplicate network cannot be removed");
                Ok(())
            }
            answer => answer,
        }
    }
}

/// Whether it is a network that somebody made, not one of the engine's own modes.
pub(super) fn is_user_defined(name: &str) -> bool {
    !matches!(name, HOST_NETWORK | "none" | "bridge" | "default") && !name.starts_with("container:")
}

/// The ids of the networks to remove: those labelled ours, but never the last and never the oldest.
fn surplus(mut networks: Vec<Network>) -> Vec<String> {
    // Times compare as text: the engine writes them in one format and zone, and the id breaks ties.
    networks.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    let labelled = |network: &Network| {
        network.labels.as_ref().and_then(|labels| labels.get(labels::ROLE)).is_some_and(|role| role == labels::ROLE_NETWORK)
    };
    networks.into_iter().skip(1).filter(labelled).filter_map(|network| network.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_duplicates_the_oldest_stays() {
        let network = |id: &str, created: &str, ours: bool| Network {
            id: Some(id.to_owned()),
            created: Some(created.to_owned()),
            labels: ours.then(|| labels::of_role(labels::ROLE_NETWORK, "main")),
            ..Default::default()
        };
        assert!(surplus(vec![network("a", "2026-11-21T09:00:00.1Z", true)]).is_empty());
        let raced = vec![network("c", "2026-11-21T09:00:00.3Z", true), network("a", "2026-11-21T09:00:00.1Z", true)];
        assert_eq!(surplus(raced), ["c"]);
        let foreign = vec![network("a", "2026-11-21T09:00:00.1Z", true), network("f", "2026-11-21T09:00:00.2Z", false)];
        assert!(surplus(foreign).is_empty());
    }
}
