//! Who may: whoever has an API token, and the server's own engine for pulls.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::Registry;
use super::error::Refused;
use crate::crypto;

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Everything,
    Pull,
}

/// By `Authorization`: `Bearer TOKEN`, or `Basic` with the token as password, which is what `docker login` sends.
pub fn of(registry: &Registry, headers: &HeaderMap) -> Result<Access, Refused> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, value)) = header.and_then(|header| header.split_once(' ')) else {
        return Err(Refused::unauthorized("a login is needed"));
    };
    let password = if scheme.eq_ignore_ascii_case("bearer") {
        Zeroizing::new(value.trim().to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") {
        password(value.trim()).ok_or_else(|| Refused::unauthorized("the login is not understood"))?
    } else {
        return Err(Refused::unauthorized("the login is not understood"));
    };
    if crypto::equal(password.as_bytes(), registry.0.engine.expose().as_bytes()) {
        return Ok(Access::Pull);
    }
    if !password.is_empty() && (registry.0.allows)(&password) {
        return Ok(Access::Everything);
    }
    Err(Refused::unauthorized("the login is not valid on this server"))
}

fn password(encoded: &str) -> Option<Zeroizing<String>> {
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Zeroizing::new(password.to_owned()))
}
