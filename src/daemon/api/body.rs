//! Request bodies: bounded in size and time, parsed with the place of the mistake and without
//! repeating what may be a secret.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use crate::wire::Code;

/// The largest body that is read, in bytes.
pub const LIMIT: usize = 1024 * 1024;

/// How much of a refused body is thrown away, in bytes: a client that is still writing would find
/// its connection reset instead of the answer.
const PATIENCE: usize = 8 * LIMIT;

/// How long a body may take to arrive.
#[derive(Debug, Clone, Copy)]
pub struct BodyTimeout(pub Duration);

/// A JSON body. None, or `null`, counts as `{}`.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let bytes = read(request).await?;
        match bytes.trim_ascii() {
            b"" | b"null" => parse(b"{}").map(Self),
            json => parse(json).map(Self),
        }
    }
}

async fn read(request: Request) -> Result<Bytes, Refusal> {
    let limit = patience(&request);
    match tokio::time::timeout(limit, collect(request.into_body())).await {
        Ok(read) => read,
        Err(_) => {
            let title = format!("the request's body did not arrive within {} s", limit.as_secs_f32());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, Code::InvalidRequest, title))
        }
    }
}

/// Throws the body of a refused request away, as far as that is decent.
pub async fn discard(request: Request) {
    let limit = patience(&request);
    // Whatever came of it: the request is refused already.
    let _ = tokio::time::timeout(limit, collect(request.into_body())).await;
}

fn patience(request: &Request) -> Duration {
    request.extensions().get::<BodyTimeout>().map_or(Duration::from_secs(30), |timeout| timeout.0)
}

async fn collect(mut body: Body) -> Result<Bytes, Refusal> {
    let too_large =
        || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, format!("the request's body is larger than {} KiB", LIMIT / 1024));
    if body.size_hint().lower() > PATIENCE as u64 {
        return Err(too_large());
    }
    let (mut kept, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::invalid("the request's body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= LIMIT {
            kept.extend_from_slice(&data);
        } else {
            kept = Vec::new();
        }
        if seen > PATIENCE {
            break;
        }
    }
    if seen > LIMIT { Err(too_large()) } else { Ok(kept.into()) }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let (path, cause) = (error.path().to_string(), error.inner());
        // A text that ends too early is in no field, which the path spells `?`.
        let path = path.trim_end_matches('?').trim_end_matches('.');
        let place = if path.is_empty() { "the request's body".to_owned() } else { format!("`{path}` in the request's body") };
        Refusal::invalid(format!("{place} is not valid")).detail(words(path, cause))
    })?;
    deserializer.end().map_err(|error| Refusal::invalid("the request's body is not valid").detail(error.to_string()))?;
    Ok(value)
}

/// What serde says, which quotes the value that it found. Only what stands in `spec` outside of its
/// environment is certainly no secret; of the rest only the expectation and the place are told.
fn words(path: &str, error: &serde_json::Error) -> String {
    let said = error.to_string();
    let harmless = path.starts_with("spec.") && !path.starts_with("spec.env");
    let quotes = ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field"];
    if harmless || (error.is_syntax() || error.is_eof()) || !quotes.iter().any(|quote| said.starts_with(quote)) {
        return said;
    }
    match said.rsplit_once("expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => format!("not understood at line {} column {}", error.line(), error.column()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DeployRequest, StopRequest};

    fn refused<T: DeserializeOwned>(json: &str) -> (String, String) {
        match parse::<T>(json.as_bytes()) {
            Ok(_) => panic!("{json} must be refused"),
            Err(refusal) => (refusal.problem.title, refusal.problem.detail.unwrap_or_default()),
        }
    }

    #[test]
    fn mistakes_name_the_field() {
        let (title, detail) = refused::<DeployRequest>(r#"{"spec":{"name":"shop","image":"shop:1","replicas":"two"}}"#);
        assert_eq!(title, "`spec.replicas` in the request's body is not valid");
        assert!(detail.contains(r#"string "two", expected u16"#), "{detail}");
        let (title, detail) = refused::<DeployRequest>(r#"{"spec":{"name":"Shop","image":"shop:1","replicas":1}}"#);
        assert_eq!(title, "`spec.name` in the request's body is not valid");
        assert!(detail.contains("only lower-case letters"), "{detail}");
        let (title, detail) = refused::<StopRequest>("{");
        assert_eq!(title, "the request's body is not valid");
        assert!(detail.contains("EOF") && detail.contains("line 1 column 1"), "{detail}");
        assert!(refused::<StopRequest>("{} {}").1.contains("trailing characters"));
    }

    #[test]
    fn values_that_may_be_secret_are_not_repeated() {
        let spec = r#""spec":{"name":"shop","image":"shop:1","replicas":1,"env":[{"name":"A","source":"value"}]}"#;
        for json in [
            format!(r#"{{{spec},"env":[{{"name":"A","value":4242424242}}]}}"#),
            format!(r#"{{{spec},"env":["hunter2"]}}"#),
            format!(r#"{{{spec},"env":"hunter2"}}"#),
            r#""hunter2""#.to_owned(),
            r#"{"spec":{"name":"shop","image":"shop:1","replicas":1,"env":[{"name":"A","source":"hunter2"}]}}"#.to_owned(),
            r#"{"spec":{"name":"shop","image":"shop:1","replicas":1,"env":["hunter2"]}}"#.to_owned(),
        ] {
            let (title, detail) = refused::<DeployRequest>(&json);
            assert!(!format!("{title}{detail}").contains("hunter2") && !detail.contains("4242424242"), "{title}: {detail}");
            assert!(detail.contains("expected"), "{detail}");
        }
    }
}
