//! What the server says of itself.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Context;
use crate::wire::routes::API_VERSION;
use crate::wire::{Health, Version};

/// Whether the daemon answers, and whether its Docker Engine does
#[utoipa::path(get, path = "/v1/health", operation_id = "get_health", responses((status = 200, body = Health)))]
pub async fn health(State(context): State<Context>) -> Json<Health> {
    Json(Health { status: "ok".to_owned(), engine: context.api.overview.borrow().engine })
}

/// Versions of the daemon, of the API and of the Docker Engine
#[utoipa::path(get, path = "/v1/version", operation_id = "get_version", responses((status = 200, body = Version)))]
pub async fn version(State(context): State<Context>) -> Json<Version> {
    let overview = context.api.overview.borrow().clone();
    let (docker, platform) = (overview.engine_version.clone(), overview.platform.clone());
    let (http_port, https_port) = (context.api.http_port, context.api.https_port);
    let api_domain = context.api.front.borrow().domain.clone();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(Version { version, api: API_VERSION, docker, platform, http_port, https_port, api_domain })
}

/// Metrics in Prometheus' text format
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (context.api.metrics)())
}
