//! Images that are on the engine.

use std::path::PathBuf;

use bollard::models::{HealthConfig, ImageInspect};
use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};

use super::connection::{CHANGE, Docker, LOOK};
use super::error::DockerError;
use super::types::{Image, Removal};

impl Docker {
    /// The image of this reference or id; none when the engine does not have it.
    pub async fn image(&self, image: &str) -> Result<Option<Image>, DockerError> {
        let found = self.call("inspect image", image, LOOK, |client| async move { client.inspect_image(image).await }).await;
        match found {
            Ok(details) => Ok(Some(describe(details))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives an image one more name, `repository:tag`; one that had it before loses it.
    pub async fn tag(&self, image: &str, name: &str) -> Result<(), DockerError> {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        self.call("tag image", image, LOOK, |client| {
            let options = options.clone();
            async move { client.tag_image(image, Some(options)).await }
        })
        .await
    }

    /// Takes a name (`repository:tag` or `repository@sha256:…`) away; with its last one an image goes. Never the
    /// image of a container.
    pub async fn remove_reference(&self, name: &str) -> Result<Removal, DockerError> {
        let removed = self
            .call("remove image", name, CHANGE, |client| async move { client.remove_image(name, None::<RemoveImageOptions>, None).await });
        match removed.await {
            Ok(_) => Ok(Removal::Removed),
            Err(error) if error.is_not_found() => Ok(Removal::NotThere),
            Err(error) if error.is_conflict() => Ok(Removal::InUse),
            Err(error) => Err(error),
        }
    }

    /// The directory in which the engine keeps images, as the engine sees it.
    pub async fn root_dir(&self) -> Result<Option<PathBuf>, DockerError> {
        let info = self.call("describe itself to", "us", LOOK, |client| async move { client.info().await }).await?;
        Ok(info.docker_root_dir.map(PathBuf::from))
    }
}

fn describe(details: ImageInspect) -> Image {
    let config = details.config.unwrap_or_default();
    let mut exposed_ports: Vec<u16> = config.exposed_ports.unwrap_or_default().iter().filter_map(|port| tcp_port(port)).collect();
    exposed_ports.sort_unstable();
    exposed_ports.dedup();
    let digests = details.repo_digests.unwrap_or_default();
    Image {
        id: details.id.unwrap_or_default(),
        exposed_ports,
        has_healthcheck: config.healthcheck.is_some_and(|check| is_real(&check)),
        pulled: !digests.is_empty(),
        size_bytes: details.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        tags: details.repo_tags.unwrap_or_default(),
        digests,
    }
}

/// The number in `8080/tcp` or `8080`.
fn tcp_port(exposed: &str) -> Option<u16> {
    match exposed.split_once('/') {
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
        None => exposed.parse().ok(),
    }
}

/// `HEALTHCHECK NONE` switches an inherited check off.
fn is_real(check: &HealthConfig) -> bool {
    check.test.as_ref().and_then(|test| test.first()).is_some_and(|first| first != "NONE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(config: &str) -> Image {
        describe(serde_json::from_str(&format!(r#"{{"Id":"sha256:aa","Size":1234,"Config":{config}}}"#)).unwrap())
    }

    #[test]
    fn what_an_image_says_of_itself() {
        let full =
            image(r#"{"ExposedPorts":{"8080/tcp":{},"53/udp":{},"80/tcp":{}},"Healthcheck":{"Test":["CMD-SHELL","true"]},"Volumes":null}"#);
        assert_eq!((full.id.as_str(), full.size_bytes, full.pulled), ("sha256:aa", 1234, false));
        assert_eq!((full.exposed_ports, full.has_healthcheck), (vec![80, 8080], true));
        assert!(!image(r#"{"Healthcheck":{"Test":["NONE"]}}"#).has_healthcheck);
        let bare = image("null");
        assert!(bare.exposed_ports.is_empty() && !bare.has_healthcheck);
    }

    #[test]
    fn an_image_of_a_registry_has_a_digest_there() {
        let pulled =
            |digests: &str| describe(serde_json::from_str(&format!(r#"{{"Id":"sha256:aa","RepoDigests":{digests}}}"#)).unwrap()).pulled;
        assert!(pulled(r#"["postgres@sha256:4aea012537edfad80f98d870a36e6b90b4c09b27be7f4b4759d72db863baeebb"]"#));
        assert!(!pulled("[]") && !pulled("null"));
    }
}
