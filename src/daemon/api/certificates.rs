//! Certificates: what is served, brought ones, and renewals that do not wait.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::body::JsonBody;
use super::refusal::Refusal;
use super::{Caller, Context};
use crate::daemon::certs::BringError;
use crate::error::{Report as _, chain};
use crate::names::Domain;
use crate::wire::{Certificate, CertificateDetails, CertificateUpload, Code};

/// The certificates of all domains
///
/// What is served for them, what is wanted, and why an order failed; and those that nobody asked for.
#[utoipa::path(get, path = "/v1/certificates", operation_id = "list_certificates", responses((status = 200, body = Vec<Certificate>)))]
pub async fn list(State(context): State<Context>, Extension(caller): Extension<Caller>) -> Json<Vec<Certificate>> {
    let seen = |certificate: &&Certificate| caller.app.is_none() || certificate.app == caller.app;
    Json(context.api.certificates.list().iter().filter(seen).cloned().collect())
}

/// One certificate with its chain
#[utoipa::path(get, path = "/v1/certificates/{name}", operation_id = "show_certificate", params(("name" = String, Path)), responses((status = 200, body = CertificateDetails)))]
pub async fn show(State(context): State<Context>, Path(name): Path<String>) -> Result<Json<CertificateDetails>, Refusal> {
    let desk = &context.api.certificates;
    let certificate = desk.find(&name).ok_or_else(|| unknown(&name))?;
    let chain = desk.chain(&certificate).await?;
    Ok(Json(CertificateDetails { certificate, chain }))
}

/// Keep a certificate that somebody brings
///
/// In place of what was there, and served at once. It is theirs to renew; near its end that is shown.
#[utoipa::path(put, path = "/v1/certificates/{name}", operation_id = "bring_certificate", params(("name" = String, Path)), request_body = CertificateUpload, responses((status = 204)))]
pub async fn bring(
    State(context): State<Context>,
    Path(name): Path<String>,
    JsonBody(upload): JsonBody<CertificateUpload>,
) -> Result<StatusCode, Refusal> {
    context.api.certificates.bring(&name, upload).await?;
    tracing::info!(name, "a certificate was brought");
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a certificate
///
/// One that an app wants is ordered anew.
#[utoipa::path(delete, path = "/v1/certificates/{name}", operation_id = "remove_certificate", params(("name" = String, Path)), responses((status = 204)))]
pub async fn remove(State(context): State<Context>, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    if context.api.certificates.remove(&name).await? {
        tracing::info!(name, "a certificate was removed");
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(unknown(&name))
}

/// Order a certificate anew, whatever was tried before
#[utoipa::path(post, path = "/v1/certificates/{name}/renew", operation_id = "renew_certificate", params(("name" = Domain, Path)), responses((status = 202)))]
pub async fn renew(State(context): State<Context>, Path(name): Path<String>) -> Result<StatusCode, Refusal> {
    let domain: Domain = name.parse().map_err(|_| unknown(&name))?;
    if context.api.certificates.renew(&domain).await? {
        return Ok(StatusCode::ACCEPTED);
    }
    let refusal =
        Refusal::new(StatusCode::CONFLICT, Code::Conflict, format!("the certificate of `{domain}` is not one that is ordered here"));
    Err(refusal.hint("`haloy cert list` shows whose it is; bring a new one with `haloy cert add`"))
}

fn unknown(name: &str) -> Refusal {
    let refusal = Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no certificate `{name}`"));
    refusal.hint("`haloy cert list` shows those that there are")
}

impl From<BringError> for Refusal {
    fn from(error: BringError) -> Self {
        let refusal = match error {
            BringError::Store(error) => return error.into(),
            ref error if error.is_ours() => Self::internal(StatusCode::INTERNAL_SERVER_ERROR, "could not keep the certificate", error),
            ref error => Self::invalid(chain(error)),
        };
        match error.hint() {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }
}
