//! What a proxy must change in the headers it passes on, and nothing else.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// Which the daemon's own API believes the proxy for; no other backend gets it.
pub const INTRODUCTION: HeaderName = HeaderName::from_static("x-haloy-introduction");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What a backend is told about the client; made once per connection and host.
#[derive(Debug, Clone)]
pub(super) struct Forwarded {
    pub address: HeaderValue,
    pub proto: HeaderValue,
    /// `host[:port]` as the client wrote it; it is also the Host that the backend sees.
    pub host: HeaderValue,
    pub port: HeaderValue,
    /// RFC 7239
    pub forwarded: HeaderValue,
}

impl Forwarded {
    /// `host` is a valid authority, or empty.
    pub(super) fn new(address: IpAddr, secure: bool, host: &str, port: &str) -> Self {
        let proto = if secure { "https" } else { "http" };
        let node = match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("\"[{v6}]\""),
        };
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        Self {
            address: value(&address.to_string()),
            proto: HeaderValue::from_static(proto),
            host: value(host),
            port: value(port),
            forwarded: value(&format!("for={node};host=\"{host}\";proto={proto}")),
        }
    }
}

/// What one look over a request's headers found.
#[derive(Debug, Default, Clone, Copy)]
struct Found {
    connection: bool,
    hop_by_hop: bool,
    te: bool,
    upgrade: bool,
    cookies: u8,
    underscore: bool,
}

/// A request's wish for another protocol on the same connection, which is passed on.
pub(super) type Upgrade = HeaderValue;

/// Makes a client's headers those for the backend. Returns the upgrade that they ask for.
pub(super) fn to_backend(headers: &mut HeaderMap, forwarded: &Forwarded, request_id: &HeaderValue) -> Option<Upgrade> {
    let found = look(headers);
    let upgrade = if found.upgrade { wanted_upgrade(headers) } else { None };
    if found.connection {
        remove_connection(headers);
    }
    if found.te && !accepts_trailers(headers) {
        headers.remove(header::TE);
    }
    if found.hop_by_hop {
        remove_hop_by_hop(headers);
    }
    if found.underscore {
        remove_disguised(headers);
    }
    if found.cookies > 1 {
        join_cookies(headers);
    }
    if let Some(upgrade) = &upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade.clone());
    }
    headers.insert(header::HOST, forwarded.host.clone());
    headers.insert(FORWARDED_FOR, forwarded.address.clone());
    headers.insert(FORWARDED_PROTO, forwarded.proto.clone());
    headers.insert(FORWARDED_HOST, forwarded.host.clone());
    headers.insert(FORWARDED_PORT, forwarded.port.clone());
    headers.insert(REAL_IP, forwarded.address.clone());
    headers.insert(header::FORWARDED, forwarded.forwarded.clone());
    headers.insert(REQUEST_ID, request_id.clone());
    upgrade
}

/// Makes a backend's headers those for the client. Returns how long the backend keeps the connection, if it says so.
pub(super) fn to_client(headers: &mut HeaderMap, request_id: &HeaderValue) -> Option<u64> {
    let mut found = Found::default();
    for name in headers.keys() {
        match *name {
            header::CONNECTION => found.connection = true,
            header::TRANSFER_ENCODING | header::UPGRADE | header::TE => found.hop_by_hop = true,
            _ => found.hop_by_hop |= matches!(name.as_str(), "keep-alive" | "proxy-connection"),
        }
    }
    let mut kept_for = None;
    if found.hop_by_hop {
        kept_for = headers.get("keep-alive").and_then(keep_alive_timeout);
        headers.remove(header::TE);
        remove_hop_by_hop(headers);
    }
    if found.connection {
        remove_connection(headers);
    }
    headers.insert(REQUEST_ID, request_id.clone());
    kept_for
}

/// The headers of an agreed upgrade: the two hop-by-hop ones are its meaning and stay.
pub(super) fn to_client_upgraded(headers: &mut HeaderMap, request_id: &HeaderValue) {
    headers.insert(REQUEST_ID, request_id.clone());
}

fn look(headers: &HeaderMap) -> Found {
    let mut found = Found::default();
    for name in headers.keys() {
        match *name {
            header::CONNECTION => found.connection = true,
            header::TE => found.te = true,
            header::UPGRADE => (found.upgrade, found.hop_by_hop) = (true, true),
            header::TRANSFER_ENCODING => found.hop_by_hop = true,
            header::COOKIE => found.cookies = 2,
            _ => match name.as_str() {
                // `Proxy` becomes HTTP_PROXY in CGI programs, which take it for their own setting (CVE-2016-5385).
                "keep-alive" | "proxy" | "proxy-connection" | "http2-settings" => found.hop_by_hop = true,
                other => found.underscore |= other.as_bytes().contains(&b'_'),
            },
        }
    }
    found
}

/// Tokens of a list header (RFC 9110 §5.6.1), over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// The Upgrade that Connection agrees to. Not to cleartext HTTP/2: what follows it could not be looked at.
fn wanted_upgrade(headers: &HeaderMap) -> Option<Upgrade> {
    let agreed = tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let http2 = tokens(headers, &header::UPGRADE).any(|token| token.get(..3).is_some_and(|t| t.eq_ignore_ascii_case("h2c")));
    let mut values = headers.get_all(header::UPGRADE).iter();
    let value = values.next()?;
    (agreed && !http2 && values.next().is_none()).then(|| value.clone())
}

/// RFC 9110 §7.6.1: Connection and the fields that it names are for this connection alone. Those that frame
/// or address the message are not its to name.
fn remove_connection(headers: &mut HeaderMap) {
    const KEPT: [HeaderName; 4] = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TE];
    let named: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
        .filter(|token| !token.eq_ignore_ascii_case("close") && !token.eq_ignore_ascii_case("keep-alive"))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !KEPT.contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::UPGRADE);
    headers.remove("keep-alive");
    headers.remove("proxy");
    headers.remove("proxy-connection");
    headers.remove("http2-settings");
}

/// `TE: trailers` alone is passed on: we pass trailers on.
fn accepts_trailers(headers: &mut HeaderMap) -> bool {
    let accepts = tokens(headers, &header::TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    if accepts {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    accepts
}

/// Gateway interfaces (CGI, WSGI) read `X_Real_IP` as `X-Real-IP`: what we set must not be set that way either.
fn remove_disguised(headers: &mut HeaderMap) {
    let ours = [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, FORWARDED_PORT, REAL_IP, REQUEST_ID];
    let framing = [header::TRANSFER_ENCODING, header::CONTENT_LENGTH];
    let disguised = |name: &HeaderName| {
        let plain = name.as_str().replace('_', "-");
        name.as_str().contains('_') && ours.iter().chain(&framing).any(|known| known.as_str() == plain)
    };
    let named: Vec<HeaderName> = headers.keys().filter(|name| disguised(name)).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

/// HTTP/2 may send cookies one by one; HTTP/1.1 has one line (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if cookies.by_ref().nth(1).is_none() {
        return;
    }
    let joined = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, joined);
    }
}

/// `timeout=5` of a Keep-Alive header, in seconds.
fn keep_alive_timeout(value: &HeaderValue) -> Option<u64> {
    let parameters = value.to_str().ok()?.split(',');
    parameters.filter_map(|parameter| parameter.trim().strip_prefix("timeout=")).find_map(|seconds| seconds.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    fn sent(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = map(pairs);
        let forwarded = Forwarded::new([192, 0, 2, 1].into(), true, "a.example:444", "444");
        to_backend(&mut headers, &forwarded, &HeaderValue::from_static("id"));
        headers
    }

    #[test]
    fn what_the_client_says_about_itself_is_replaced() {
        let headers = sent(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("forwarded", "for=6.6.6.6"),
            ("x_forwarded_for", "6.6.6.6"),
            ("x-real_ip", "6.6.6.6"),
            ("x-request-id", "evil"),
            ("my_header", "stays"),
        ]);
        let all = |name: &str| headers.get_all(name).iter().map(|v| v.to_str().expect("text").to_owned()).collect::<Vec<_>>();
        assert_eq!(all("x-forwarded-for"), ["192.0.2.1"]);
        assert_eq!(all("forwarded"), ["for=192.0.2.1;host=\"a.example:444\";proto=https"]);
        assert_eq!((all("x-forwarded-proto"), all("x-forwarded-port")), (vec!["https".to_owned()], vec!["444".to_owned()]));
        assert_eq!(
            (all("x-real-ip"), all("x-request-id"), all("my_header")),
            (vec!["192.0.2.1".into()], vec!["id".into()], vec!["stays".into()])
        );
        assert!(!headers.values().any(|value| value == "6.6.6.6"));
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        let headers = sent(&[
            ("connection", "close, x-secret, host"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
        ]);
        for gone in ["connection", "x-secret", "keep-alive", "upgrade", "transfer-encoding"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!((headers["te"].as_bytes(), headers["host"].as_bytes()), (&b"trailers"[..], &b"a.example:444"[..]));
    }

    #[test]
    fn only_agreed_upgrades_pass_and_never_to_http2() {
        let upgrade = |pairs| sent(pairs).get("upgrade").cloned();
        assert_eq!(
            upgrade(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]),
            Some(HeaderValue::from_static("websocket"))
        );
        assert_eq!(upgrade(&[("upgrade", "websocket")]), None);
        assert_eq!(upgrade(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAM")]), None);
    }

    #[test]
    fn cookies_are_joined_and_keep_alive_is_read() {
        assert_eq!(sent(&[("cookie", "a=1"), ("cookie", "b=2")]).get("cookie"), Some(&HeaderValue::from_static("a=1; b=2")));
        let mut answer = map(&[("keep-alive", "max=10, timeout=5"), ("connection", "keep-alive"), ("trailer", "x")]);
        assert_eq!(to_client(&mut answer, &HeaderValue::from_static("id")), Some(5));
        assert_eq!(answer, map(&[("trailer", "x"), ("x-request-id", "id")]));
    }
}
