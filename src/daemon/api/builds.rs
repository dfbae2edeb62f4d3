//! Building an image on the server's engine, for clients without one.
//!
//! The build lives as long as its request: whoever leaves, ends it. Its image is found by its id alone; the deploy that
//! follows gives it a tag that keeps it.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc;

use super::jobs::KEEP_ALIVE;
use super::refusal::Refusal;
use super::{Api, Caller, Context};
use crate::docker::{BuildSpec, DockerError};
use crate::error::{Report as _, chain};
use crate::names::{Digest, is_env_name, is_plain};
use crate::wire::{BuildEvent, BuildRequest, routes};

/// Build an image
///
/// The body is the build context, a tar archive. What is built stands in the header `x-haloy-build`: a `BuildRequest` as
/// JSON, in base64. Server-sent events; the last one is `built` or `failed`.
#[utoipa::path(
    post, path = "/v1/builds", operation_id = "build_image",
    params(("x-haloy-build" = String, Header, description = "A `BuildRequest` as JSON, in base64.")),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses((status = 200, body = BuildEvent, content_type = "text/event-stream"))
)]
pub async fn build(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request: Request,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, axum::Error>>>, Refusal> {
    let wanted = wanted(&headers)?;
    caller.require_app(&wanted.app)?;
    let spec = spec(wanted)?;
    let (say, said) = mpsc::unbounded_channel();
    let work = run(context.api.clone(), spec, request.into_body(), say);
    let said = stream::unfold(said, async |mut said| Some((said.recv().await?, said)));
    // The work says all that there is to say through the channel; it ends when the client leaves.
    let events = stream::select(said, stream::once(work).filter_map(async |()| None));
    let events = events.map(|event: BuildEvent| sse::Event::default().json_data(event)).take_until(context.stop.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn wanted(headers: &HeaderMap) -> Result<BuildRequest, Refusal> {
    let refused = |why: String| Refusal::invalid(format!("the header `{}` is not valid", routes::BUILD)).detail(why);
    let header = headers.get(routes::BUILD).ok_or_else(|| refused("it is missing".to_owned()))?;
    let json = BASE64_STANDARD.decode(header.as_bytes()).map_err(|_| refused("it is not base64".to_owned()))?;
    // Its arguments may be secrets: the place of a mistake is told, not what stands there.
    serde_json::from_slice(&json).map_err(|error| refused(format!("not understood at column {}", error.column())))
}

fn spec(wanted: BuildRequest) -> Result<BuildSpec, Refusal> {
    let BuildRequest { app, dockerfile, platform, target, args } = wanted;
    let refused = |what: &str| Refusal::invalid(format!("`{what}` of the build is not valid"));
    let inside = !dockerfile.is_empty() && !dockerfile.starts_with('/') && dockerfile.split('/').all(|part| part != "..");
    if !inside {
        return Err(refused("dockerfile").detail("it is a path inside the build context"));
    }
    if !target.iter().chain(&platform).all(|word| is_plain(word)) {
        return Err(refused("target"));
    }
    if !args.iter().all(|arg| is_env_name(&arg.name)) {
        return Err(refused("args").detail("a name has letters, digits and `_`"));
    }
    let args = args.into_iter().map(|arg| (arg.name, arg.value)).collect();
    Ok(BuildSpec { tag: routes::built(&app), dockerfile, platform, target, args })
}

async fn run(api: std::sync::Arc<Api>, spec: BuildSpec, context: Body, say: mpsc::UnboundedSender<BuildEvent>) {
    let tell = |event| {
        // Nobody listens any more: the work is about to end, too.
        let _ = say.send(event);
    };
    // One at a time: a small server has no room for more beside the apps.
    let Ok(_turn) = api.builds.acquire().await else { return };
    let context = context.into_data_stream().map(|data| data.map_err(std::io::Error::other));
    let context = context.map(|data: Result<Bytes, _>| data);
    let before = api.docker.image(&spec.tag).await.ok().flatten();
    let built = api.docker.build(&spec, context, |line| tell(BuildEvent::Output { line })).await;
    if let Some(before) = before {
        forget(&api, &before.id, built.as_ref().ok()).await;
    }
    match built {
        Ok(image) => tell(BuildEvent::Built { image }),
        Err(error) => tell(BuildEvent::Failed { reason: reason(&error) }),
    }
}

/// The image of the build before has lost its tag to the new one; when no deployment holds it, it goes.
async fn forget(api: &Api, before: &str, built: Option<&Digest>) {
    if built.is_none_or(|built| built.as_str() == before) {
        return;
    }
    let unnamed = matches!(api.docker.image(before).await, Ok(Some(image)) if image.tags.is_empty() && image.digests.is_empty());
    if unnamed && let Err(error) = api.docker.remove_reference(before).await {
        tracing::warn!(error = chain(&error), "the image of an earlier build stays behind");
    }
}

fn reason(error: &DockerError) -> String {
    match error.hint() {
        Some(hint) => format!("{} ({hint})", chain(error)),
        None => chain(error),
    }
}
