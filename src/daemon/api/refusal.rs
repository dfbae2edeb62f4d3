//! Answers that say no: RFC 9457 problem details, made from whatever went wrong.

use std::error::Error as _;

use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::super::store::StoreError;
use crate::crypto::CryptoError;
use crate::docker::DockerError;
use crate::error::{self, Report};
use crate::wire::{Code, Problem};

/// A problem on its way to the client. `requests::identify` turns it into bytes, because only there
/// the request's id is known.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub problem: Box<Problem>,
    /// What only the log may know; the client gets the request's id instead.
    pub internal: Option<String>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: Code, title: impl Into<String>) -> Self {
        let problem =
            Problem { kind: "about:blank".to_owned(), title: title.into(), status: status.as_u16(), detail: None, code, hint: None };
        Self { problem: Box::new(problem), internal: None }
    }

    pub fn invalid(title: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidRequest, title)
    }

    /// The engine is someone else's program: its words are for the client.
    pub fn from_docker(error: &DockerError) -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::DockerUnavailable, error.to_string());
        let refusal = match error.source() {
            Some(source) => refusal.detail(error::chain(source)),
            None => refusal,
        };
        match error.hint() {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.problem.detail = Some(detail.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    /// A failure of ours: `title` for the client, the whole chain for the log.
    pub fn internal(status: StatusCode, title: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { internal: Some(error::chain(error)), ..Self::new(status, Code::Internal, title) }
    }

    /// The finished answer.
    pub fn render(mut self, request: &str) -> Response {
        if self.internal.is_some() {
            self.problem.detail = Some(format!("the server's log has the reason under request {request}"));
        }
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).expect("invariant: our own types serialise");
        let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let refused = |status, code| Self::new(status, code, error.to_string());
        let refusal = match &error {
            StoreError::UnknownApp(_) | StoreError::UnknownJob(_) | StoreError::UnknownDeployment { .. } | StoreError::NoSuchTag { .. } => {
                refused(StatusCode::NOT_FOUND, Code::NotFound)
            }
            StoreError::NothingToRollBackTo(_)
            | StoreError::NoHistory(_)
            | StoreError::ImageNotKept { .. }
            | StoreError::NeverDeployed(_)
            | StoreError::DomainTaken { .. }
            | StoreError::Protected(_) => refused(StatusCode::CONFLICT, Code::Conflict),
            StoreError::Closed => refused(StatusCode::SERVICE_UNAVAILABLE, Code::Internal),
            // Of the failures of a query the store has advice for one: the disk is full.
            StoreError::Query { action, .. } if error.hint().is_some() => {
                let title = format!("could not {action}: the server's disk is full");
                Self::internal(StatusCode::INSUFFICIENT_STORAGE, title, &error)
            }
            StoreError::Open { .. }
            | StoreError::Folder(_)
            | StoreError::Newer { .. }
            | StoreError::WrongIdentity
            | StoreError::Query { .. }
            | StoreError::File { .. }
            | StoreError::Damaged { .. } => Self::internal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), &error),
        };
        match error.hint() {
            Some(hint) => refusal.hint(hint),
            None => refusal,
        }
    }
}

impl From<DockerError> for Refusal {
    fn from(error: DockerError) -> Self {
        Self::from_docker(&error)
    }
}

impl From<CryptoError> for Refusal {
    fn from(error: CryptoError) -> Self {
        Self::internal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), &error)
    }
}

impl From<tokio::task::JoinError> for Refusal {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::internal(StatusCode::INTERNAL_SERVER_ERROR, "the server broke off while it worked on the request", &error)
    }
}

pub async fn unknown_route(uri: Uri) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no `{}` in this API", uri.path()))
        .hint("`/openapi.json` describes every route")
}

pub async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::InvalidRequest, format!("`{}` does not answer {method}", uri.path()))
        .hint("`/openapi.json` describes every route")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_with_its_hint() {
        let refusal = Refusal::from(StoreError::disk_full("accept the deployment"));
        assert_eq!(refusal.problem.status, 507);
        assert_eq!(refusal.problem.title, "could not accept the deployment: the server's disk is full");
        assert!(refusal.problem.hint.is_some_and(|hint| hint.contains("docker system df")));
    }

    #[tokio::test]
    async fn internals_stay_in_the_log_and_the_client_gets_the_request_id() {
        let refusal = Refusal::from(StoreError::Damaged { what: "event", source: "row 7 of /var/lib/haloy/db".into() });
        assert!(refusal.internal.as_ref().is_some_and(|reason| reason.contains("/var/lib/haloy/db")));
        let response = refusal.render("abc123");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.expect("body");
        let problem: Problem = serde_json::from_slice(&body).expect("problem");
        assert_eq!(problem.title, "a stored event is damaged");
        assert_eq!(problem.detail.as_deref(), Some("the server's log has the reason under request abc123"));
        assert!(!String::from_utf8_lossy(&body).contains("/var/lib/haloy"));
    }
}
