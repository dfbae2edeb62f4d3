//! Logins to registries that the server pulls with: verified before they are kept, and never shown again.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::logins;
use super::Context;
use super::body::JsonBody;
use super::refusal::Refusal;
use crate::config;
use crate::docker::DockerError;
use crate::names::{is_http_host, is_plain};
use crate::wire::{Code, RegistryLogin, StoredLogin};

/// The logins to registries that the server keeps, without passwords
#[utoipa::path(get, path = "/v1/registries", operation_id = "list_registries", responses((status = 200, body = Vec<StoredLogin>)))]
pub async fn list(State(context): State<Context>) -> Result<Json<Vec<StoredLogin>>, Refusal> {
    Ok(Json(context.api.store.logins().await?))
}

/// Keep a login to a registry
///
/// The server's engine tries it first; one that the registry does not accept is not kept.
#[utoipa::path(post, path = "/v1/registries", operation_id = "login_to_registry", request_body = RegistryLogin, responses((status = 204)))]
pub async fn login(State(context): State<Context>, JsonBody(mut login): JsonBody<RegistryLogin>) -> Result<StatusCode, Refusal> {
    login.server = config::registry_host(&login.server);
    if !is_http_host(&login.server) {
        return Err(Refusal::invalid(format!("`{}` is not a registry's host", login.server)).hint("write it like `ghcr.io`"));
    }
    if !is_plain(login.username.expose()) || login.password.expose().is_empty() {
        return Err(Refusal::invalid("a login has a user name and a password"));
    }
    context.api.docker.check_login(&logins::of_wire(login.clone())).await.map_err(|error| refused(&error))?;
    let identity = context.api.identity.clone();
    let (server, username) = (login.server.clone(), login.username.expose().to_owned());
    let sealed = tokio::task::spawn_blocking(move || logins::seal(&identity, &login)).await??;
    tracing::info!(registry = server, "keeping a login");
    context.api.store.save_login(server, username, sealed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forget the login to a registry
#[utoipa::path(delete, path = "/v1/registries/{server}", operation_id = "logout_of_registry", params(("server" = String, Path)), responses((status = 204)))]
pub async fn logout(State(context): State<Context>, Path(server): Path<String>) -> Result<StatusCode, Refusal> {
    let server = config::registry_host(&server);
    if context.api.store.remove_login(server.clone()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let refusal = Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("the server keeps no login for `{server}`"));
    Err(refusal.hint("`haloy server registry list` shows those that it keeps"))
}

/// What the registry said is no failure of the engine.
fn refused(error: &DockerError) -> Refusal {
    let refusal = Refusal::from_docker(error);
    if !matches!(error, DockerError::Login { .. }) {
        return refusal;
    }
    let hint = refusal.problem.hint.clone();
    let refusal = Refusal::new(StatusCode::CONFLICT, Code::Conflict, error.to_string());
    match hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}
