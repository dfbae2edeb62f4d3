//! Everything that changes an app: written down, nudged, answered with its job.

use std::future::Future;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use super::super::store::{NewDeployment, StoreError};
use super::body::JsonBody;
use super::parameters::{Segment, performer};
use super::refusal::Refusal;
use super::{Context, admission};
use crate::crypto;
use crate::names::AppName;
use crate::wire::{Accepted, DeployRequest, EnvValue, RegistryLogin, RollbackRequest, StopRequest};

type Answer = Result<(StatusCode, Json<Accepted>), Refusal>;

/// Deploy an app
///
/// The name in the path is the name in the spec. Environment values are sealed before they are
/// stored and never come back.
#[utoipa::path(post, path = "/v1/apps/{app}/deploy", params(("app" = AppName, Path), ("x-haloy-performer" = Option<String>, Header, description = "Who asks, as a person would say it.")), request_body = DeployRequest, responses((status = 202, body = Accepted)))]
pub async fn deploy(
    State(context): State<Context>,
    Segment(app): Segment<AppName>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<DeployRequest>,
) -> Answer {
    admission::check(&app, &request)?;
    let DeployRequest { spec, env, performer: named, git_commit, login, image_of: _ } = request;
    let identity = context.api.identity.clone();
    let sealed = tokio::task::spawn_blocking(move || {
        let login = login.map(|login| seal_login(&identity, &login)).transpose()?;
        seal(&identity, &env).map(|env| (env, login))
    });
    let (env, login) = sealed.await??;
    let new = NewDeployment { spec, env, performer: named.or_else(|| performer(&headers)), git_commit, login };
    let store = context.api.store.clone();
    accept(&context, app, async move { store.accept_deploy(new).await }).await
}

/// Go back to an earlier deployment
///
/// To the one in the body, else to the complete one before the current.
#[utoipa::path(post, path = "/v1/apps/{app}/rollback", params(("app" = AppName, Path), ("x-haloy-performer" = Option<String>, Header, description = "Who asks, as a person would say it.")), request_body = Option<RollbackRequest>, responses((status = 202, body = Accepted)))]
pub async fn rollback(
    State(context): State<Context>,
    Segment(app): Segment<AppName>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<RollbackRequest>,
) -> Answer {
    let (store, name) = (context.api.store.clone(), app.clone());
    accept(&context, app, async move { store.accept_rollback(name, request.deployment, performer(&headers)).await }).await
}

/// Replace every container of an app by a new one of the same deployment
#[utoipa::path(post, path = "/v1/apps/{app}/restart", params(("app" = AppName, Path), ("x-haloy-performer" = Option<String>, Header, description = "Who asks, as a person would say it.")), responses((status = 202, body = Accepted)))]
pub async fn restart(State(context): State<Context>, Segment(app): Segment<AppName>, headers: HeaderMap) -> Answer {
    let (store, name) = (context.api.store.clone(), app.clone());
    accept(&context, app, async move { store.accept_restart(name, performer(&headers)).await }).await
}

/// Stop an app
#[utoipa::path(post, path = "/v1/apps/{app}/stop", params(("app" = AppName, Path)), request_body = Option<StopRequest>, responses((status = 202, body = Accepted)))]
pub async fn stop(State(context): State<Context>, Segment(app): Segment<AppName>, JsonBody(request): JsonBody<StopRequest>) -> Answer {
    let (store, name) = (context.api.store.clone(), app.clone());
    accept(&context, app, async move { store.accept_stop(name, request).await }).await
}

/// Start a stopped app
#[utoipa::path(post, path = "/v1/apps/{app}/start", params(("app" = AppName, Path)), responses((status = 202, body = Accepted)))]
pub async fn start(State(context): State<Context>, Segment(app): Segment<AppName>) -> Answer {
    let (store, name) = (context.api.store.clone(), app.clone());
    accept(&context, app, async move { store.accept_start(name).await }).await
}

/// Writes a change down and nudges the loop. Both happen even when the client leaves meanwhile:
/// otherwise a change could be stored and lie there until the loop's next tick.
async fn accept<F>(context: &Context, app: AppName, change: F) -> Answer
where
    F: Future<Output = Result<Accepted, StoreError>> + Send + 'static,
{
    let nudge = context.api.nudge.clone();
    let accepted = tokio::spawn(async move {
        let accepted = change.await?;
        nudge.notify_one();
        tracing::info!(%app, job = accepted.job, deployment = accepted.deployment.map(tracing::field::display), "Accepted a change");
        Ok::<_, StoreError>(accepted)
    });
    Ok((StatusCode::ACCEPTED, Json(accepted.await??)))
}

/// `[[name, value], …]` as JSON, sealed.
fn seal(identity: &crypto::Identity, env: &[EnvValue]) -> Result<Vec<u8>, crypto::CryptoError> {
    let pairs: Vec<(&str, &str)> = env.iter().map(|e| (e.name.as_str(), e.value.expose())).collect();
    let plain = Zeroizing::new(serde_json::to_vec(&pairs).expect("invariant: texts serialise"));
    identity.seal(&plain)
}

/// The login as JSON, sealed.
pub fn seal_login(identity: &crypto::Identity, login: &RegistryLogin) -> Result<Vec<u8>, crypto::CryptoError> {
    identity.seal(&Zeroizing::new(serde_json::to_vec(login).expect("invariant: our own types serialise")))
}
