//! Builds on the server's engine, for machines without one: the context goes there, lines come back.

use std::io::{self, Write};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::context::Context;
use super::error::ImageError;
use super::recipe::Recipe;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::config::is_remote_context;
use crate::names::{AppName, Digest};
use crate::wire::{BuildEvent, BuildRequest, EnvValue, routes};

/// Sent at once, in bytes.
const PIECE: usize = 256 * 1024;

/// Refuses what only the builder of this machine could do.
pub fn check(recipe: &Recipe) -> Result<(), ImageError> {
    let image = || recipe.image.to_string();
    if is_remote_context(&recipe.place.context) {
        return Err(ImageError::RemoteContext { image: image(), context: recipe.place.context.clone() });
    }
    let lists = [("cache_from", &recipe.cache_from), ("cache_to", &recipe.cache_to), ("ssh", &recipe.ssh), ("flags", &recipe.flags)];
    let keys: Vec<String> = lists.iter().filter(|(_, list)| !list.is_empty()).map(|(key, _)| format!("`{key}`")).collect();
    if keys.is_empty() { Ok(()) } else { Err(ImageError::RemoteKeys { image: image(), keys: keys.join(", ") }) }
}

/// Builds on the server of `api`; the image's id on its engine. Paths of the recipe are relative to `folder`.
pub async fn build(api: &Api, app: &AppName, recipe: &Recipe, folder: &Path, say: impl Fn(&str)) -> Result<Digest, ClientError> {
    let dockerfile = recipe.place.dockerfile.as_deref().unwrap_or(Path::new("Dockerfile"));
    let context = Context::new(&folder.join(&recipe.place.context), &folder.join(dockerfile))?;
    let args = recipe.args.iter().map(|arg| EnvValue { name: arg.name.clone(), value: arg.value.clone() }).collect();
    let request = BuildRequest {
        app: app.clone(),
        dockerfile: context.dockerfile(),
        platform: recipe.platform.clone(),
        target: recipe.target.clone(),
        args,
    };
    let header = BASE64_STANDARD.encode(serde_json::to_vec(&request).expect("invariant: our own types serialise"));
    let (pipe, pieces) = mpsc::channel(4);
    let writing = tokio::task::spawn_blocking(move || context.write(io::BufWriter::with_capacity(PIECE, Pipe(pipe))));
    let body = stream::unfold(pieces, async |mut pieces| {
        let piece: Bytes = pieces.recv().await?;
        Some((Ok::<_, io::Error>(Frame::data(piece)), pieces))
    });
    let mut events = api.stream(routes::BUILDS, (routes::BUILD, &header), StreamBody::new(body).boxed_unsync()).await?;
    let failed = |reason| ImageError::RemoteBuild { image: recipe.image.to_string(), server: api.server(), reason };
    while let Some(event) = events.next_of::<BuildEvent>().await? {
        match event {
            BuildEvent::Output { line } => say(&line),
            BuildEvent::Built { image } => return Ok(image),
            BuildEvent::Failed { reason } => {
                // Where the context could not be read, that is why.
                if let Ok(Err(error)) = writing.await
                    && !matches!(&error, ImageError::Context { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
                {
                    return Err(error.into());
                }
                return Err(failed(reason).into());
            }
        }
    }
    Err(failed("the server ended it without a word".to_owned()).into())
}

/// Writes into a channel, from a thread that may wait.
struct Pipe(mpsc::Sender<Bytes>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(bytes));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
