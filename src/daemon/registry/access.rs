//! Who may: whoever has an API token, and the server's own engine for pulls.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::Registry;
use super::error::Refused;
use super::route::Route;
use crate::crypto;
use crate::names::AppName;
use crate::wire::routes;

/// What a request may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub pushes: bool,
    /// The one app whose repository it may reach.
    pub app: Option<AppName>,
}

impl Access {
    pub const EVERYTHING: Self = Self { pushes: true, app: None };
    pub const PULL: Self = Self { pushes: false, app: None };

    /// Why it may not, if so.
    pub fn check(&self, route: &Route) -> Result<(), Refused> {
        if !self.pushes && !route.only_reads() {
            return Err(Refused::denied("this login may pull, not push"));
        }
        match (&self.app, route.repository()) {
            (Some(app), Some(repository)) if repository.as_str() != routes::repository(app) => {
                Err(Refused::denied("this login is for the repository of one app alone"))
            }
            (Some(_), None) if !route.only_reads() => Err(Refused::denied("this login is for the repository of one app alone")),
            _ => Ok(()),
        }
    }
}

/// By `Authorization`: `Bearer TOKEN`, or `Basic` with the token as password, which is what `docker login` sends.
pub fn of(registry: &Registry, headers: &HeaderMap) -> Result<Access, Refused> {
    if !headers.contains_key(AUTHORIZATION) {
        return Err(Refused::unauthorized("a login is needed"));
    }
    let Some(password) = login(headers) else { return Err(Refused::unauthorized("the login is not understood")) };
    if crypto::equal(password.as_bytes(), registry.0.engine.expose().as_bytes()) {
        return Ok(Access::PULL);
    }
    if !password.is_empty()
        && let Some(access) = (registry.0.allows)(&password)
    {
        return Ok(access);
    }
    Err(Refused::unauthorized("the login is not valid on this server"))
}

/// The token or password that a request brings.
pub fn login(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let value = value.trim();
    match scheme {
        _ if scheme.eq_ignore_ascii_case("bearer") => Some(Zeroizing::new(value.to_owned())),
        _ if scheme.eq_ignore_ascii_case("basic") => password(value),
        _ => None,
    }
}

fn password(encoded: &str) -> Option<Zeroizing<String>> {
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Zeroizing::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;

    #[test]
    fn logins_reach_what_they_are_for() {
        let shop = Access { pushes: true, app: Some("my.shop".parse().expect("a name")) };
        let digest = format!("sha256:{}", "a".repeat(64));
        let may = |access: &Access, method: Method, path: &str| {
            let path = format!("/v2/{path}").replace("DIGEST", &digest);
            access.check(&Route::parse(&method, &path.parse().expect("a path")).expect("a route")).is_ok()
        };
        for (method, path, everything, pull, own) in [
            (Method::GET, "", true, true, true),
            (Method::PUT, "my-shop/manifests/v1", true, false, true),
            (Method::PUT, "other/manifests/v1", true, false, false),
            (Method::GET, "other/manifests/v1", true, true, false),
            (Method::GET, "other/tags/list", true, true, false),
            (Method::POST, "other/blobs/uploads/", true, false, false),
            (Method::POST, "my-shop/blobs/uploads/", true, false, true),
            (Method::DELETE, "my-shop/blobs/DIGEST", true, false, false),
        ] {
            let found = [&Access::EVERYTHING, &Access::PULL, &shop].map(|access| may(access, method.clone(), path));
            assert_eq!(found, [everything, pull, own], "{method} {path}");
        }
    }
}
