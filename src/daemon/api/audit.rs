//! The audit log: every request that changes something, who sent it, from where, and what came of it.

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::registry;
use super::super::store::NewAuditEntry;
use super::parameters::Parameters;
use super::refusal::Refusal;
use super::sender::Sender;
use super::{Caller, Context};
use crate::error::chain;
use crate::names::AppName;
use crate::wire::{AuditEntry, JobId};

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 10_000;

/// The job that a change began; on its answer.
#[derive(Debug, Clone, Copy)]
pub struct Begun(pub JobId);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only what is about this app.
    #[param(value_type = Option<String>)]
    app: Option<AppName>,
    /// At most so many; 100 when absent, never more than 10000.
    limit: Option<u32>,
}

/// The requests that changed something, or were not allowed to, newest first
#[utoipa::path(get, path = "/v1/audit", operation_id = "list_audit", params(AuditQuery), responses((status = 200, body = Vec<AuditEntry>)))]
pub async fn list(State(context): State<Context>, Parameters(query): Parameters<AuditQuery>) -> Result<Json<Vec<AuditEntry>>, Refusal> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(MOST);
    Ok(Json(context.api.store.audited(query.app, limit).await?))
}

/// Notes what a request to a changing route came to. Whoever brings no valid token is in nobody's log: it could be filled
/// by anybody.
pub async fn note(
    State(context): State<Context>,
    Extension(sender): Extension<Sender>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    // In a task of its own: nobody keeps a change out of the log by leaving before it is answered.
    Ok(tokio::spawn(run_and_note(context, sender, request, next)).await?)
}

async fn run_and_note(context: Context, sender: Sender, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    if method != Method::GET
        && let Some(caller) = response.extensions().get::<Caller>().cloned()
    {
        let app = path.strip_prefix("/v1/apps/").and_then(|rest| rest.split('/').next()?.parse().ok());
        let new = entry(caller, sender, format!("{method} {path}"), app, &response);
        write(&context, new).await;
    }
    response
}

/// The same for the registry, where a push ends with a manifest; guesses at its logins are counted here, too.
pub async fn note_registry(
    State(context): State<Context>,
    Extension(sender): Extension<Sender>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if is_change(request.method(), request.uri().path()) {
        return Ok(tokio::spawn(run_and_note_registry(context, sender, request, next)).await?);
    }
    Ok(run_and_note_registry(context, sender, request, next).await)
}

fn is_change(method: &Method, path: &str) -> bool {
    *method == Method::DELETE || *method == Method::PUT && path.contains("/manifests/")
}

async fn run_and_note_registry(context: Context, sender: Sender, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let login = registry::login(request.headers());
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED
        && let (Some(_), Some(address)) = (&login, sender.0)
        && let Err(denied) = context.api.limits.guess(address)
    {
        return denied.into_response();
    }
    if is_change(&method, &path) {
        let caller = match sender.0 {
            None => Some(Caller::LOCAL),
            Some(_) => login.and_then(|token| context.api.tokens.caller(&token).ok()),
        };
        if let Some(caller) = caller {
            let new = entry(caller, sender, format!("{method} {path}"), None, &response);
            write(&context, new).await;
        }
    }
    response
}

fn entry(caller: Caller, sender: Sender, request: String, app: Option<AppName>, response: &Response) -> NewAuditEntry {
    let refusal = response.extensions().get::<Refusal>();
    NewAuditEntry {
        token: caller.token,
        token_id: caller.id,
        address: sender.0.map(|address| address.to_string()),
        request,
        app,
        // A refusal gets its words and its status on the way out.
        status: refusal.map_or(response.status().as_u16(), |refusal| refusal.problem.status),
        reason: refusal.map(|refusal| refusal.problem.title.clone()),
        job: response.extensions().get::<Begun>().map(|begun| begun.0),
    }
}

async fn write(context: &Context, new: NewAuditEntry) {
    if let Err(error) = context.api.store.audit(new).await {
        tracing::error!(error = chain(&error), "a request is missing in the audit log");
    }
}
