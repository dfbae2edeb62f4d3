//! Images that are on the engine.

use bollard::models::{HealthConfig, ImageInspect};

use super::connection::{Docker, LOOK};
use super::error::DockerError;
use super::types::Image;

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
}

fn describe(details: ImageInspect) -> Image {
    let config = details.config.unwrap_or_default();
    let mut exposed_ports: Vec<u16> = config.exposed_ports.unwrap_or_default().iter().filter_map(|port| tcp_port(port)).collect();
    exposed_ports.sort_unstable();
    exposed_ports.dedup();
    Image {
        id: details.id.unwrap_or_default(),
        exposed_ports,
        has_healthcheck: config.healthcheck.is_some_and(|check| is_real(&check)),
        pulled: details.repo_digests.is_some_and(|digests| !digests.is_empty()),
        size_bytes: details.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
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
        let expected =
            Image { id: "sha256:aa".into(), exposed_ports: vec![80, 8080], has_healthcheck: true, pulled: false, size_bytes: 1234 };
        assert_eq!(full, expected);
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
