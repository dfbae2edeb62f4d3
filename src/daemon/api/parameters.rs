//! Path segments, query strings and headers, parsed into valid values or refused with their name.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use crate::wire::routes;

/// The variable segment of a path.
pub struct Segment<T>(pub T);

impl<T, S> FromRequestParts<S> for Segment<T>
where
    T: FromStr<Err: std::fmt::Display>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let refused = || Refusal::invalid("the address is not valid");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|e| refused().detail(e.body_text()))?;
        text.parse().map(Self).map_err(|error: T::Err| refused().detail(format!("`{text}`: {error}")))
    }
}

/// The query string.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|e| Refusal::invalid("the query is not valid").detail(e.body_text()))
    }
}

/// Who asks, as a person would say it; for the history, not for any decision.
pub fn performer(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(routes::PERFORMER)?.to_str().ok()?.trim();
    (!name.is_empty()).then(|| name.chars().take(200).collect())
}

/// How many of a container's last lines: a number or `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Tail(pub Option<u32>);

impl TryFrom<String> for Tail {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "all" => Ok(Self(None)),
            number => number.parse().map(|n| Self(Some(n))).map_err(|_| "expected a number of lines or `all`"),
        }
    }
}

/// A moment: RFC 3339, or seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Moment(pub Timestamp);

impl TryFrom<String> for Moment {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parsed = match text.parse::<i64>() {
            Ok(seconds) => Timestamp::from_second(seconds),
            Err(_) => text.parse(),
        };
        parsed.map(Self).map_err(|_| "expected a time like `2026-11-21T09:30:00Z` or seconds since 1970")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_and_moments() {
        assert_eq!(Tail::try_from("25".to_owned()), Ok(Tail(Some(25))));
        assert_eq!(Tail::try_from("all".to_owned()), Ok(Tail(None)));
        assert!(Tail::try_from("-1".to_owned()).is_err());
        let moment = Moment::try_from("2026-11-21T09:30:00Z".to_owned()).expect("RFC 3339");
        assert_eq!(Moment::try_from("1795253400".to_owned()), Ok(moment));
        assert!(Moment::try_from("yesterday".to_owned()).is_err());
        assert!(Moment::try_from("9223372036854775807".to_owned()).is_err());
    }
}
