//! Everything that changes an app: written down, nudged, answered with its job.

use std::future::Future;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use zeroize::Zeroizing;

use super::super::logins;
use super::super::store::{NewDeployment, StoreError};
use super::audit::Begun;
use super::body::JsonBody;
use super::parameters::{Segment, performer};
use super::refusal::Refusal;
use super::{Context, admission};
use crate::crypto;
use crate::names::{AppName, DeployId};
use crate::secret::Secret;
use crate::wire::{Accepted, AppSpec, Code, DeployRequest, EnvSource, EnvValue, Pin, RollbackRequest, StopRequest, routes};

type Answer = Result<(StatusCode, Extension<Begun>, Json<Accepted>), Refusal>;

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
    let DeployRequest { spec, env, performer: named, git_commit, login, image_of } = request;
    refuse_own_domain(&context, &spec)?;
    refuse_missing(&context, &spec).await?;
    let identity = context.api.identity.clone();
    let sealed = tokio::task::spawn_blocking(move || {
        let login = login.map(|login| logins::seal(&identity, &login)).transpose()?;
        seal(&identity, &env).map(|env| (env, login))
    });
    let (env, login) = sealed.await??;
    let new = NewDeployment { spec, env, performer: named.or_else(|| performer(&headers)), git_commit, login, image_of };
    let store = context.api.store.clone();
    accept(&context, app, async move { store.accept_deploy(new).await }).await
}

/// Go back to an earlier deployment
///
/// To the one in the body, else to the complete one before the current whose image is kept. Values that were looked up
/// anew take the place of those that the deployment had.
#[utoipa::path(post, path = "/v1/apps/{app}/rollback", params(("app" = AppName, Path), ("x-haloy-performer" = Option<String>, Header, description = "Who asks, as a person would say it.")), request_body = Option<RollbackRequest>, responses((status = 202, body = Accepted)))]
pub async fn rollback(
    State(context): State<Context>,
    Segment(app): Segment<AppName>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<RollbackRequest>,
) -> Answer {
    let RollbackRequest { deployment, env, tag } = request;
    let (store, name, performer) = (context.api.store.clone(), app.clone(), performer(&headers));
    if let Some(tag) = tag {
        let of = store.serving_deployment(app.clone()).await?;
        let env = with_new_values(&context, &app, of, env).await?;
        return accept(&context, app, async move { store.accept_tag(name, tag, of, env, performer).await }).await;
    }
    let to = store.rollback_target(app.clone(), deployment).await?;
    let env = with_new_values(&context, &app, to, env).await?;
    accept(&context, app, async move { store.accept_rollback(name, to, env, performer).await }).await
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

/// The API's own domain is no app's.
fn refuse_own_domain(context: &Context, spec: &AppSpec) -> Result<(), Refusal> {
    let front = context.api.front.borrow();
    let mut names = spec.domains.iter().flat_map(|domain| domain.aliases.iter().chain([&domain.domain]));
    match names.find(|name| front.domain.as_ref() == Some(name)) {
        None => Ok(()),
        Some(name) => {
            let refusal = Refusal::new(StatusCode::CONFLICT, Code::Conflict, format!("`{name}` is the domain of this server's API"));
            Err(refusal.hint("choose another domain for the app, or move the API's with `haloy admin api domain` on the server"))
        }
    }
}

/// What is said to be uploaded must be here.
async fn refuse_missing(context: &Context, spec: &AppSpec) -> Result<(), Refusal> {
    let Some(Pin::Uploaded(digest)) = &spec.pin else { return Ok(()) };
    if context.api.registry.manifest_exists(&routes::repository(&spec.name), digest).await? {
        return Ok(());
    }
    let title = format!("the image of `{}` ({}) was not uploaded to this server", spec.name, digest.short());
    Err(Refusal::new(StatusCode::CONFLICT, Code::Conflict, title).hint("run `haloy deploy` again: it uploads what is missing"))
}

/// The environment of an earlier deployment, with values that were looked up anew, sealed; none where there are none.
async fn with_new_values(context: &Context, app: &AppName, of: DeployId, values: Vec<EnvValue>) -> Result<Option<Vec<u8>>, Refusal> {
    if values.is_empty() {
        return Ok(None);
    }
    let spec = context.api.store.deployment(app.clone(), of).await?.spec;
    let is_looked_up = |name: &str| spec.env.iter().any(|variable| variable.name == name && variable.source != EnvSource::Value);
    if let Some(stranger) = values.iter().find(|value| !is_looked_up(&value.name)) {
        return Err(Refusal::invalid(format!("`{}` is not a variable of deployment {of} that is looked up", stranger.name)));
    }
    let sealed = context.api.store.sealed_env(of).await?;
    let identity = context.api.identity.clone();
    let renewed = tokio::task::spawn_blocking(move || {
        let plain = identity.open(&sealed)?;
        let mut env: Vec<EnvValue> = pairs(&plain).into_iter().map(|(name, value)| EnvValue { name, value }).collect();
        for EnvValue { name, value } in values {
            match env.iter_mut().find(|known| known.name == name) {
                Some(known) => known.value = value,
                None => env.push(EnvValue { name, value }),
            }
        }
        seal(&identity, &env)
    });
    Ok(Some(renewed.await??))
}

/// What [`seal`] wrote. What is damaged is empty: the deployment brings its own error.
fn pairs(plain: &[u8]) -> Vec<(String, Secret)> {
    serde_json::from_slice(plain).unwrap_or_default()
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
    let accepted = accepted.await??;
    Ok((StatusCode::ACCEPTED, Extension(Begun(accepted.job)), Json(accepted)))
}

/// `[[name, value], …]` as JSON, sealed.
fn seal(identity: &crypto::Identity, env: &[EnvValue]) -> Result<Vec<u8>, crypto::CryptoError> {
    let pairs: Vec<(&str, &str)> = env.iter().map(|e| (e.name.as_str(), e.value.expose())).collect();
    let plain = Zeroizing::new(serde_json::to_vec(&pairs).expect("invariant: texts serialise"));
    identity.seal(&plain)
}
