//! A server's address as people write it, and what it means: which transport, which port.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The daemon's API port on its own machine.
const LOOPBACK_PORT: u16 = 9999;
const HTTPS_PORT: u16 = 443;

/// Where a server's API is.
///
/// Loopback hosts speak plain HTTP on port 9999, all others HTTPS on port 443; an absolute path or
/// `unix:/path` is the API's Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp {
        /// Lower case, an IPv6 address without brackets.
        host: String,
        /// `None` when not written: the scheme's own.
        port: Option<u16>,
    },
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a server address: {rule}")]
pub struct InvalidAddress {
    text: String,
    rule: &'static str,
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let refuse = |rule| InvalidAddress { text: text.to_owned(), rule };
        let given = text.trim();
        if let Some(path) = given.strip_prefix("unix:").or(given.starts_with('/').then_some(given)) {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(refuse("a socket's path must be absolute")) };
        }
        let plain = given.starts_with("http://");
        let bare = given.strip_prefix("https://").or(given.strip_prefix("http://")).unwrap_or(given).trim_end_matches('/');
        if bare.contains('/') || bare.contains('@') || bare.contains(char::is_whitespace) {
            return Err(refuse("write the host name alone, like `haloy.example.com`"));
        }
        let (host, port) = split(bare).ok_or_else(|| refuse("the port is a number from 1 to 65535"))?;
        if host.is_empty() {
            return Err(refuse("the host name is missing"));
        }
        let address = Self::Tcp { host: host.to_ascii_lowercase(), port };
        if plain && address.uses_tls() {
            return Err(refuse("only `localhost` is spoken to without TLS, leave `http://` away"));
        }
        Ok(address)
    }
}

/// Host and port of `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
fn split(bare: &str) -> Option<(&str, Option<u16>)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port != 0).map(Some);
    if let Some((host, rest)) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return Some((host, if rest.is_empty() { None } else { port(rest.strip_prefix(':')?)? }));
    }
    match bare.rsplit_once(':') {
        Some((host, text)) if !host.contains(':') => Some((host, port(text)?)),
        _ => Some((bare, None)),
    }
}

impl Address {
    pub fn uses_tls(&self) -> bool {
        matches!(self, Self::Tcp { host, .. } if !is_loopback(host))
    }

    /// The port to connect to; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } => port.unwrap_or(if self.uses_tls() { HTTPS_PORT } else { LOOPBACK_PORT }),
            Self::Unix(_) => 0,
        }
    }

    /// The value of the `Host` header (RFC 9110 section 7.2).
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { .. } => self.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// The server runs on this machine.
    pub fn is_local(&self) -> bool {
        !self.uses_tls()
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The normal form: the key under which a server's token is stored.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => {
                if host.contains(':') {
                    write!(f, "[{host}]")?
                } else {
                    f.write_str(host)?
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, normal: &str, port: u16, tls: bool) {
        let address: Address = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((address.to_string().as_str(), address.port(), address.uses_tls()), (normal, port, tls), "{text}");
    }

    #[test]
    fn the_host_decides_transport_and_port() {
        check("haloy.example.com", "haloy.example.com", 443, true);
        check("https://Haloy.Example.com/", "haloy.example.com", 443, true);
        check("haloy.example.com:8443", "haloy.example.com:8443", 8443, true);
        check("203.0.113.7", "203.0.113.7", 443, true);
        check("2001:db8::1", "[2001:db8::1]", 443, true);
        check("localhost", "localhost", 9999, false);
        check("http://localhost:8080", "localhost:8080", 8080, false);
        check("127.0.0.1:8000", "127.0.0.1:8000", 8000, false);
        check("[::1]", "[::1]", 9999, false);
        check("[::1]:80", "[::1]:80", 80, false);
        check("/run/haloy/api.sock", "unix:/run/haloy/api.sock", 0, false);
        check("unix:/run/haloy/api.sock", "unix:/run/haloy/api.sock", 0, false);
        check("unix:///run/haloy/api.sock", "unix:/run/haloy/api.sock", 0, false);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "https://", "a b", "host/path", "host:0", "host:70000", "host:x", "user@host", "unix:relative", "[::1]x"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
        let error = "http://haloy.example.com".parse::<Address>().expect_err("a token never travels in clear");
        assert!(error.to_string().contains("without TLS"), "{error}");
    }
}
