//! Where a request comes from: the peer, or whom our own proxy names as its client. Nobody else is believed: the proxy
//! introduces itself with a secret that is another one after each start.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;

use super::Context;
use crate::crypto;
use crate::proxy::INTRODUCTION;
use crate::secret::Secret;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of the connection; none for the daemon's own socket.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub Option<IpAddr>);

/// Where the request comes from; none for the daemon's own socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender(pub Option<IpAddr>);

/// Finds it out for everybody behind this.
pub async fn find(State(context): State<Context>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().and_then(|peer| peer.0);
    let sender = Sender(forwarded(request.headers(), &context.api.introduction).or(peer));
    request.extensions_mut().insert(sender);
    next.run(request).await
}

fn forwarded(headers: &HeaderMap, secret: &Secret) -> Option<IpAddr> {
    let introduced = headers.get(INTRODUCTION).is_some_and(|given| crypto::equal(given.as_bytes(), secret.expose().as_bytes()));
    let address = headers.get(FORWARDED_FOR).filter(|_| introduced)?;
    address.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_proxy_is_believed() {
        let secret = Secret::new("of this start");
        let of = |introduction: &str, address: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(INTRODUCTION, introduction.parse().expect("a value"));
            headers.insert(FORWARDED_FOR, address.parse().expect("a value"));
            forwarded(&headers, &secret).map(|address| address.to_string())
        };
        assert_eq!(of("of this start", "203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(of("of this start", "2001:db8::1").as_deref(), Some("2001:db8::1"));
        assert_eq!((of("of another", "203.0.113.9"), of("", "203.0.113.9"), of("of this start", "nonsense")), (None, None, None));
    }
}
