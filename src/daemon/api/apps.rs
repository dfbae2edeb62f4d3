//! Looking at apps and their histories.

use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::super::store::{AppIntent, StoreError};
use super::parameters::Segment;
use super::refusal::Refusal;
use super::{Api, Caller, Context, status};
use crate::daemon::overview::Watched;
use crate::names::{AppName, DeployId, InvalidName};
use crate::wire::{AppStatus, Deployment, DeploymentDetails, Job, Phase, Replica};

/// How many of the newest jobs are looked through for apps that exist in the queue alone.
const NEWEST_JOBS: u32 = 100;

/// Every app of this server
#[utoipa::path(get, path = "/v1/apps", operation_id = "list_apps", responses((status = 200, body = Vec<AppStatus>)))]
pub async fn list(State(context): State<Context>, Extension(caller): Extension<Caller>) -> Result<Json<Vec<AppStatus>>, Refusal> {
    let api = &context.api;
    let intents = api.store.intents().await?;
    let mut statuses = Vec::new();
    for intent in &intents {
        statuses.push(status_of(api, intent).await?);
    }
    for job in api.store.jobs(None, NEWEST_JOBS).await? {
        if job.phase == Phase::Queued && statuses.iter().all(|status| status.name != job.app) {
            statuses.push(status::of_queued(job));
        }
    }
    statuses.retain(|status| caller.may_see(&status.name));
    statuses.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(statuses))
}

/// One app
#[utoipa::path(get, path = "/v1/apps/{app}", operation_id = "get_app", params(("app" = AppName, Path)), responses((status = 200, body = AppStatus)))]
pub async fn show(State(context): State<Context>, Segment(app): Segment<AppName>) -> Result<Json<AppStatus>, Refusal> {
    let api = &context.api;
    let status = match api.store.intents().await?.iter().find(|intent| intent.app == app) {
        Some(intent) => status_of(api, intent).await?,
        None => status::of_queued(newest_job(api, &app).await?.ok_or(StoreError::UnknownApp(app))?),
    };
    Ok(Json(status))
}

/// The deployments of an app, newest first
///
/// Those that are `complete` and not `current` can be rolled back to.
#[utoipa::path(get, path = "/v1/apps/{app}/deployments", operation_id = "list_deployments", params(("app" = AppName, Path)), responses((status = 200, body = Vec<Deployment>)))]
pub async fn deployments(State(context): State<Context>, Segment(app): Segment<AppName>) -> Result<Json<Vec<Deployment>>, Refusal> {
    Ok(Json(context.api.store.deployments(app).await?))
}

/// A deployment with its snapshot
///
/// The snapshot says where the values of its environment came from, never the values.
#[utoipa::path(get, path = "/v1/apps/{app}/deployments/{deployment}", operation_id = "get_deployment", params(("app" = AppName, Path), ("deployment" = DeployId, Path)), responses((status = 200, body = DeploymentDetails)))]
pub async fn deployment(
    State(context): State<Context>,
    Path((app, deployment)): Path<(String, String)>,
) -> Result<Json<DeploymentDetails>, Refusal> {
    let invalid = |error: InvalidName| Refusal::invalid("the address is not valid").detail(error.to_string());
    let (app, id) = (app.parse().map_err(invalid)?, deployment.parse().map_err(invalid)?);
    Ok(Json(context.api.store.deployment(app, id).await?))
}

/// Refuses names that were never deployed here.
pub async fn require(api: &Api, app: &AppName) -> Result<(), Refusal> {
    let known = api.store.intents().await?.iter().any(|intent| intent.app == *app) || newest_job(api, app).await?.is_some();
    if known { Ok(()) } else { Err(StoreError::UnknownApp(app.clone()).into()) }
}

async fn status_of(api: &Api, intent: &AppIntent) -> Result<AppStatus, StoreError> {
    let job = match intent.job {
        Some(active) => Some(api.store.job(active.id).await?),
        None => newest_job(api, &intent.app).await?,
    };
    Ok(status::of(intent, replicas(api, &intent.app), job, api.certificates.of_app(&intent.app)))
}

async fn newest_job(api: &Api, app: &AppName) -> Result<Option<Job>, StoreError> {
    Ok(api.store.jobs(Some(app.clone()), 1).await?.pop())
}

/// What the loop saw, with the counts of this moment.
fn replicas(api: &Api, app: &AppName) -> Vec<Replica> {
    let watched = api.overview.borrow().replicas.get(app).cloned().unwrap_or_default();
    let count_again = |w: Watched| Replica { requests_in_flight: (api.in_flight)(&w.id), ..w.replica };
    watched.into_iter().map(count_again).collect()
}
