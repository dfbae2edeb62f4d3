//! Building on the engine: a context goes in, lines come out, and at the end the id of an image.
//!
//! The engine's classic builder: BuildKit wants a session of its own with whoever asks, which is what the
//! `docker` program on a user's machine is for.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bollard::models::BuildInfo;
use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::connection::Docker;
use super::error::DockerError;
use super::types::BuildSpec;
use crate::names::Digest;

/// For the whole context to arrive: a large one over a slow line is no failure.
const PATIENCE: Duration = Duration::from_secs(3600);

impl Docker {
    /// Builds an image of `context`, a tar archive; `say` gets what the build prints. Dropping the future ends
    /// the build. The error holds the builder's own words.
    pub async fn build(
        &self,
        spec: &BuildSpec,
        context: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
        mut say: impl FnMut(String) + Send,
    ) -> Result<Digest, DockerError> {
        let client = self.streaming_client(PATIENCE).await?;
        let failed = |error| DockerError::from_client(self.host(), "build image", &spec.tag, PATIENCE, error);
        let mut stream = std::pin::pin!(client.build_image(options(spec), None, Some(bollard::body_try_stream(context))));
        let (mut lines, mut image) = (Lines::default(), None);
        while let Some(info) = stream.next().await {
            let info = info.map_err(failed)?;
            image = built(&info).or(image);
            lines.take(info).into_iter().for_each(&mut say);
        }
        lines.rest().into_iter().for_each(say);
        image.ok_or_else(|| DockerError::Answer {
            action: "build image",
            subject: spec.tag.clone(),
            source: "the engine named no image at the end".into(),
        })
    }
}

fn options(spec: &BuildSpec) -> bollard::query_parameters::BuildImageOptions {
    let args: HashMap<&str, &str> = spec.args.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let mut options = BuildImageOptionsBuilder::new().dockerfile(&spec.dockerfile).t(&spec.tag).rm(true).forcerm(true).buildargs(&args);
    if let Some(platform) = &spec.platform {
        options = options.platform(platform);
    }
    if let Some(target) = &spec.target {
        options = options.target(target);
    }
    options.build()
}

/// The image that a status is about; the last one is the result.
fn built(info: &BuildInfo) -> Option<Digest> {
    info.aux.as_ref()?.id.as_ref()?.parse().ok()
}

/// The engine sends pieces of text that end where they like.
#[derive(Default)]
struct Lines {
    open: String,
}

impl Lines {
    fn take(&mut self, info: BuildInfo) -> Vec<String> {
        // What a base image's pull reports of its layers would be thousands of lines.
        let status = info.status.filter(|_| info.id.is_none()).map(|status| status + "\n");
        self.open.push_str(&info.stream.or(status).unwrap_or_default());
        let Some(end) = self.open.rfind('\n') else { return Vec::new() };
        let rest = self.open.split_off(end + 1);
        let whole = std::mem::replace(&mut self.open, rest);
        whole.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn rest(self) -> Option<String> {
        (!self.open.is_empty()).then_some(self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(json: &str) -> BuildInfo {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn pieces_become_lines_and_layers_are_not_told() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(info(r#"{"stream":"Step 1/2 : FROM "}"#)), [""; 0]);
        assert_eq!(lines.take(info(r#"{"stream":"scratch\n"}"#)), ["Step 1/2 : FROM scratch"]);
        assert_eq!(lines.take(info(r#"{"status":"Downloading","id":"aa","progressDetail":{}}"#)), [""; 0]);
        assert_eq!(lines.take(info(r#"{"status":"Pulling from library/alpine"}"#)), ["Pulling from library/alpine"]);
        assert_eq!(lines.take(info(r#"{"stream":"\nno end"}"#)), [""; 0]);
        assert_eq!(lines.rest().as_deref(), Some("no end"));
    }

    #[test]
    fn the_image_is_named_beside_the_text() {
        let id = format!("sha256:{}", "a".repeat(64));
        assert_eq!(built(&info(&format!(r#"{{"aux":{{"ID":"{id}"}}}}"#))), Some(id.parse().unwrap()));
        assert_eq!(built(&info(r#"{"stream":"x"}"#)), None);
    }
}
