//! A server as the user names it: a host, perhaps with a port, never a scheme.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// How a server is written.
pub const EXAMPLE: &str = "write the host alone, like `haloy.example.com` or `localhost:9999`";

/// Why a text names no server; does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAServer(&'static str);

/// `haloy.example.com`, `localhost:9999`, `203.0.113.7`, `[::1]:9999`: host in lower case, A-labels
/// (RFC 5890), IPv6 in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerName {
    host: String,
    port: Option<u16>,
}

impl ServerName {
    /// Accepts a scheme before and a slash behind, which people paste; see [`has_scheme`].
    pub fn parse(written: &str) -> Result<Self, NotAServer> {
        let refuse = |reason| Err(NotAServer(reason));
        let text = without_scheme(written).trim_end_matches('/');
        if text.contains(['/', '?', '#', '@']) {
            return refuse("a server is a host alone, without a path or a user");
        }
        let (host, port) = match split_port(text) {
            Some((host, port)) => match port.parse() {
                Ok(port) if port > 0 => (host, Some(port)),
                _ => return refuse("a port is a number from 1 to 65535"),
            },
            None => (text, None),
        };
        match normal_host(host) {
            Some(host) => Ok(Self { host, port }),
            None => refuse("it is not a host name or an address"),
        }
    }

    /// The host as URLs want it: IPv6 addresses in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// This machine, where the API is spoken to without TLS.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Whether a scheme was written, which haloy chooses itself: worth a warning.
pub fn has_scheme(written: &str) -> bool {
    without_scheme(written).len() != written.len()
}

fn without_scheme(written: &str) -> &str {
    let scheme = |name: &str| written.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).map(|_| &written[name.len()..]);
    scheme("https://").or_else(|| scheme("http://")).unwrap_or(written)
}

/// Host and port, if there is a port: an IPv6 address without brackets has none.
fn split_port(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('[') {
        return text.rsplit_once("]:").map(|(host, port)| (&text[..=host.len()], port));
    }
    text.split_once(':').filter(|_| text.parse::<Ipv6Addr>().is_err())
}

fn normal_host(host: &str) -> Option<String> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let ascii = idna::domain_to_ascii_strict(host.trim_end_matches('.')).ok()?;
    let labels = ascii.split('.').all(|label| (1..=63).contains(&label.len()));
    (labels && ascii.len() <= 253).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_kept_in_one_form() {
        for (written, kept, loopback) in [
            ("haloy.example.com", "haloy.example.com", false),
            ("https://Haloy.Example.com/", "haloy.example.com", false),
            ("HTTP://localhost:9999", "localhost:9999", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1:9999", "127.0.0.1:9999", true),
            ("[::1]", "[::1]", true),
            ("::1", "[::1]", true),
            ("[::1]:9999", "[::1]:9999", true),
            ("203.0.113.7:443", "203.0.113.7:443", false),
            ("box", "box", false),
            ("bücher.example", "xn--bcher-kva.example", false),
        ] {
            let server = ServerName::parse(written).expect(written);
            assert_eq!((server.to_string().as_str(), server.is_loopback()), (kept, loopback), "{written}");
        }
        assert!(has_scheme("https://a.b") && !has_scheme("a.b"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for written in ["", "https://", "a b", "a.b/path", "user@a.b", "a.b:0", "a.b:70000", "a.b:", "[::1", "ftp://a.b", "a..b", "ä://"] {
            assert!(ServerName::parse(written).is_err(), "{written}");
        }
    }
}
