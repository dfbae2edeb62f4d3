//! What every request gets on its way out: an id, and the words of its refusal.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::refusal::Refusal;
use crate::crypto;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the request (by the id that it brought, else by a new one), logs what failed and puts the
/// id on the answer.
pub async fn identify(request: Request, next: Next) -> Response {
    let id = brought_id(request.headers()).unwrap_or_else(|| HeaderValue::from_str(&new_id()).expect("invariant: hexadecimal digits"));
    let text = id.to_str().unwrap_or_default().to_owned();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        match &refusal.internal {
            Some(error) => tracing::error!(request.id = text, %method, path, error, "Request failed"),
            None => tracing::debug!(request.id = text, %method, path, status = refusal.problem.status, "Request refused"),
        }
        // The router's own headers stay: a wrong method is answered with `Allow`.
        let mut problem = refusal.render(&text);
        for (name, value) in response.headers() {
            problem.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        response = problem;
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The id from the proxy in front or from the client, when it is fit for a log line.
fn brought_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    let fit = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    ((1..=64).contains(&id.len()) && id.as_bytes().iter().all(fit)).then(|| id.clone())
}

/// Random for the process, counted within it.
fn new_id() -> String {
    static START: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| crypto::hex(&crypto::random::<4>()));
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{}{:08x}", *START, COUNT.fetch_add(1, Ordering::Relaxed))
}
