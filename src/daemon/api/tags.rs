//! The versions of an app whose history is in its registry.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::super::logins;
use super::super::tags::{self, TagsError};
use super::Context;
use super::parameters::Segment;
use super::refusal::Refusal;
use crate::error::{Report as _, chain};
use crate::names::AppName;
use crate::wire::{Code, DeploymentState, History, TagCandidate};

/// The tags that an app with its history in the registry can go back to, newest first
#[utoipa::path(get, path = "/v1/apps/{app}/tags", operation_id = "list_tags", params(("app" = AppName, Path)), responses((status = 200, body = Vec<TagCandidate>)))]
pub async fn list(State(context): State<Context>, Segment(app): Segment<AppName>) -> Result<Json<Vec<TagCandidate>>, Refusal> {
    let api = &context.api;
    let deployments = api.store.deployments(app.clone()).await?;
    let none = || {
        let title = format!("the history of app `{app}` is not in its registry");
        Refusal::new(StatusCode::CONFLICT, Code::Conflict, title).hint("`image.history.strategy: registry` in haloy.yaml makes it so")
    };
    let current = deployments.iter().find(|deployment| deployment.current).ok_or_else(none)?;
    let spec = api.store.deployment(app.clone(), current.id).await?.spec;
    let History::Registry { count, pattern } = &spec.history else { return Err(none()) };
    let own = api.store.sealed_login(current.id).await?;
    let login = logins::for_image(&api.store, &api.identity, &spec.image, own).await;
    let login = login.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, chain(&error)))?;
    let found = tags::list(&spec.image, login.as_ref()).await?;
    let complete = deployments.iter().filter(|deployment| deployment.state == DeploymentState::Complete);
    let complete: Vec<_> = complete.filter(|deployment| deployment.image.repository() == spec.image.repository()).collect();
    let candidate = |tag: String| {
        let deployment = complete.iter().find(|deployment| deployment.image.tag() == Some(tag.as_str()));
        TagCandidate { deployment: deployment.map(|deployment| deployment.id), current: spec.image.tag() == Some(tag.as_str()), tag }
    };
    Ok(Json(tags::newest(found, pattern, usize::from(*count)).into_iter().map(candidate).collect()))
}

impl From<TagsError> for Refusal {
    fn from(error: TagsError) -> Self {
        let refusal = Self::new(StatusCode::BAD_GATEWAY, Code::Registry, error.to_string());
        let refusal = match std::error::Error::source(&error) {
            Some(source) => refusal.detail(chain(source)),
            None => refusal,
        };
        match error.hint() {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }
}
