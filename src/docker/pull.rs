//! Pulling an image: the engine's stream of statuses becomes a few lines for people, and its end a verdict.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::connection::Docker;
use super::error::{DockerError, PullFailure};
use super::types::{Login, PullProgress};
use crate::names::ImageRef;

/// How long a pull may be silent. Not how long it may take: a large image over a slow line is no failure.
const SILENCE: Duration = Duration::from_secs(300);
/// Between two lines about the layers' progress.
const PACE: Duration = Duration::from_secs(1);

impl Docker {
    /// Pulls the image, with a login when one is given, reporting about once a second. An error inside the stream is an error here,
    /// sorted by [`PullFailure`]. Dropping the future cancels the pull.
    pub async fn pull(
        &self,
        image: &ImageRef,
        login: Option<&Login>,
        mut on_progress: impl FnMut(PullProgress) + Send,
    ) -> Result<(), DockerError> {
        let name = image.as_str();
        let (repository, tag) = locator(image);
        let options = CreateImageOptionsBuilder::new().from_image(repository).tag(tag).build();
        let client = self.streaming_client(SILENCE).await?;
        let mut stream = std::pin::pin!(client.create_image(Some(options), None, login.map(credentials)));
        let mut layers = Layers::default();
        loop {
            let Ok(next) = tokio::time::timeout(SILENCE, stream.next()).await else {
                let message = format!("no progress for {} s", SILENCE.as_secs());
                return Err(DockerError::Pull { image: name.to_owned(), failure: PullFailure::Network, message });
            };
            match next {
                None => return Ok(()),
                Some(Ok(info)) => {
                    if let Some(message) = layers.note(info, Instant::now()) {
                        on_progress(PullProgress { image: image.clone(), message });
                    }
                }
                Some(Err(error)) => return Err(DockerError::from_pull(self.host(), name, SILENCE, error)),
            }
        }
    }
}

/// For a header that the client library makes; it is in no log of ours.
pub(super) fn credentials(login: &Login) -> DockerCredentials {
    DockerCredentials {
        username: Some(login.username.expose().to_owned()),
        password: Some(login.password.expose().to_owned()),
        serveraddress: Some(login.address().to_owned()),
        ..Default::default()
    }
}

/// The engine wants name and tag (or digest) apart; without a tag it would pull every tag there is.
fn locator(image: &ImageRef) -> (&str, &str) {
    match image.as_str().split_once('@') {
        Some((_, digest)) => (image.repository(), digest),
        None => (image.repository(), image.tag().unwrap_or("latest")),
    }
}

/// What is known of each layer, by its short id.
#[derive(Default)]
struct Layers {
    layers: BTreeMap<String, Layer>,
    said_at: Option<Instant>,
}

#[derive(Default)]
struct Layer {
    /// Bytes to download; known once the download runs.
    total: i64,
    loaded: i64,
    done: bool,
}

impl Layers {
    /// Takes in one status and returns what is worth a line: what concerns the whole image at once,
    /// what concerns layers summed up and at most once per [`PACE`].
    fn note(&mut self, info: CreateImageInfo, now: Instant) -> Option<String> {
        let status = info.status.filter(|status| !status.is_empty())?;
        let Some(id) = info.id.filter(|_| !status.starts_with("Pulling from")) else { return Some(status) };
        let layer = self.layers.entry(id).or_default();
        let progress = info.progress_detail.unwrap_or_default();
        match status.as_str() {
            "Downloading" => {
                layer.total = progress.total.unwrap_or(layer.total);
                layer.loaded = progress.current.unwrap_or(layer.loaded);
            }
            "Download complete" | "Extracting" => layer.loaded = layer.total,
            "Pull complete" | "Already exists" => {
                layer.loaded = layer.total;
                layer.done = true;
            }
            _ => {}
        }
        if self.said_at.is_some_and(|said_at| now.duration_since(said_at) < PACE) {
            return None;
        }
        self.said_at = Some(now);
        Some(self.summary())
    }

    fn summary(&self) -> String {
        let done = self.layers.values().filter(|layer| layer.done).count();
        let megabytes = |bytes: fn(&Layer) -> i64| self.layers.values().map(bytes).sum::<i64>() as f64 / 1e6;
        let (loaded, total) = (megabytes(|layer| layer.loaded), megabytes(|layer| layer.total));
        format!("{done} of {} layers, {loaded:.1} of {total:.1} MB", self.layers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_tag_go_apart() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = format!("localhost:5000/shop:1@{digest}");
        for (image, repository, tag) in [
            ("postgres", "postgres", "latest"),
            ("ghcr.io/you/app:1.2", "ghcr.io/you/app", "1.2"),
            ("localhost:5000/shop", "localhost:5000/shop", "latest"),
            (&pinned, "localhost:5000/shop", &digest),
        ] {
            assert_eq!(locator(&image.parse().unwrap()), (repository, tag), "{image}");
        }
    }

    #[test]
    fn many_statuses_become_few_lines() {
        let start = Instant::now();
        let mut layers = Layers::default();
        let mut note = |millis: u64, line: &str| layers.note(serde_json::from_str(line).unwrap(), start + Duration::from_millis(millis));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(note(0, r#"{"status":"Pulling from library/redis","id":"7"}"#), some("Pulling from library/redis"));
        assert_eq!(note(0, r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aa"}"#), some("0 of 1 layers, 0.0 of 0.0 MB"));
        assert_eq!(note(10, r#"{"status":"Already exists","progressDetail":{},"id":"bb"}"#), None);
        let downloading = r#"{"status":"Downloading","progressDetail":{"current":500000,"total":2000000},"progress":"[=> ]","id":"aa"}"#;
        assert_eq!(note(500, downloading), None);
        assert_eq!(note(1000, downloading), some("1 of 2 layers, 0.5 of 2.0 MB"));
        assert_eq!(note(2000, r#"{"status":"Pull complete","progressDetail":{},"id":"aa"}"#), some("2 of 2 layers, 2.0 of 2.0 MB"));
        assert_eq!(note(2000, r#"{"status":"Digest: sha256:0"}"#), some("Digest: sha256:0"));
    }
}
