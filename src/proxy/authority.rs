//! Which host a request is for (RFC 9110 §7.2, RFC 9112 §3.2, RFC 9113 §8.3.1).

use std::net::Ipv6Addr;

use http::{HeaderValue, Request, Version, header};

use super::fault::Fault;

/// Longer names do not exist (RFC 1035 §2.3.4), and `[` IPv6 `]` and a port are shorter.
const LONGEST: usize = 253 + 6;

/// The host and port that a request names, as it wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// `host[:port]`
    pub whole: &'a str,
    /// Without a trailing dot; any letter case.
    pub host: &'a str,
    pub port: Option<&'a str>,
}

impl<'a> Authority<'a> {
    /// `Ok(None)` for an HTTP/1.0 request that names none.
    pub(super) fn of<B>(request: &'a Request<B>) -> Result<Option<Self>, Fault> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let header = hosts.next().map(HeaderValue::as_bytes);
        if hosts.next().is_some() {
            return Err(Fault::Malformed("The request has more than one Host."));
        }
        let target = request.uri().authority().map(|authority| authority.as_str());
        match (target, header) {
            (Some(target), Some(header)) if !target.as_bytes().eq_ignore_ascii_case(header) => {
                Err(Fault::Malformed("The request's target and its Host differ."))
            }
            // Also one that names its host in the target owes a Host (RFC 9112 §3.2); HTTP/2 has none.
            (Some(_), None) if request.version() == Version::HTTP_11 => Err(MISSING),
            (Some(target), _) => Self::parse(target).map(Some),
            (None, Some(header)) => std::str::from_utf8(header).map_err(|_| INVALID).and_then(Self::parse).map(Some),
            (None, None) if request.version() == Version::HTTP_10 => Ok(None),
            (None, None) => Err(MISSING),
        }
    }

    fn parse(whole: &'a str) -> Result<Self, Fault> {
        if whole.is_empty() || whole.len() > LONGEST {
            return Err(INVALID);
        }
        let (host, port) = match whole.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']').ok_or(INVALID)?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(INVALID)?) };
                let _: Ipv6Addr = address.parse().map_err(|_| INVALID)?;
                (&whole[..address.len() + 2], port)
            }
            None => {
                let (host, port) = whole.split_once(':').map_or((whole, None), |(host, port)| (host, Some(port)));
                let of_a_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
                if !host.bytes().all(of_a_name) {
                    return Err(INVALID);
                }
                (host, port)
            }
        };
        let port = port.filter(|port| !port.is_empty());
        let valid = !host.is_empty() && port.is_none_or(|port| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()));
        if !valid {
            return Err(INVALID);
        }
        Ok(Self { whole, host: host.strip_suffix('.').unwrap_or(host), port })
    }
}

const MISSING: Fault = Fault::Malformed("The request has no Host.");
const INVALID: Fault = Fault::Malformed("The request's Host is not a host name.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let parts = |whole| Authority::parse(whole).map(|a| (a.host, a.port));
        assert_eq!(parts("Shop.example"), Ok(("Shop.example", None)));
        assert_eq!(parts("shop.example.:8080"), Ok(("shop.example", Some("8080"))));
        assert_eq!(parts("[::1]:80"), Ok(("[::1]", Some("80"))));
        assert_eq!(parts("a:"), Ok(("a", None)));
        assert_eq!(parts("[2001:DB8::192.0.2.1]"), Ok(("[2001:DB8::192.0.2.1]", None)));
        for bad in [
            "",
            ":80",
            "[]",
            "[]:80",
            "[a]",
            "[1.2.3.4]",
            "[::1%eth0]",
            "a[b",
            "a]",
            "a[::1]",
            "a b",
            "u@a",
            "a:b",
            "a:1:2",
            "a/b",
            "[::1",
            "[::1]x",
            "a:123456",
            "ä",
            &"x".repeat(300),
        ] {
            assert!(Authority::parse(bad).is_err(), "{bad}");
        }
    }
}
