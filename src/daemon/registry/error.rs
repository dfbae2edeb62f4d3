//! Refusals in the registry's own words: the error codes of the OCI Distribution specification.

use axum::http::header::{HeaderName, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::daemon::store::StoreError;
use crate::error;
use crate::names::Digest;

/// Why the registry could not do what the daemon itself wanted of it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the server broke off while it looked through its registry")]
    Broke(#[from] tokio::task::JoinError),
}

/// An answer that says no.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
    headers: Vec<(HeaderName, String)>,
}

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// What clients from before OCI look for.
pub fn versioned(mut response: Response) -> Response {
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

impl Refused {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new() }
    }

    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn unauthorized(message: &str) -> Self {
        let hint = "the user name does not matter, the password is an API token: `haloy admin api token` on the server makes one";
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", format!("{message}; {hint}")).with(WWW_AUTHENTICATE, "Basic realm=\"haloy\"")
    }

    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", message)
    }

    pub fn name(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", message)
    }

    pub fn digest(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
    }

    pub fn manifest(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message)
    }

    pub fn upload(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
    }

    pub fn unknown_blob(digest: &Digest) -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", format!("there is no blob {digest}"))
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
    }

    /// The specification has no code for a full disk.
    pub fn no_room(message: impl Into<String>) -> Self {
        let message = format!("{}; make room with `haloy prune`", message.into());
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "DENIED", message)
    }

    pub fn is_no_room(&self) -> bool {
        self.status == StatusCode::INSUFFICIENT_STORAGE
    }

    /// The reason is for the log.
    pub fn internal(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = error::chain(error), "the registry could not {what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", format!("the server could not {what}; its log says why"))
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error::Report::hint(&error) {
            _ if matches!(&error, StoreError::File { source, .. } if is_full(source)) => Self::no_room("the server's disk is full"),
            Some(_) if matches!(error, StoreError::Query { .. }) => Self::no_room("the server's disk is full"),
            _ => Self::internal("use its database", &error),
        }
    }
}

pub fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl From<tokio::task::JoinError> for Refused {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::internal("finish the request", &error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "errors": [{ "code": self.code, "message": self.message }] });
        let mut response = versioned((self.status, axum::Json(body)).into_response());
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
