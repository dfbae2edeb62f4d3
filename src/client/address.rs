//! Where a server's API is: which transport, which port.
//!
//! Loopback hosts are spoken to in plain HTTP on port 9999, all others in HTTPS on port 443; an
//! absolute path or `unix:/path` is the API's Unix socket.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::config::ConfigError;
use crate::config::server::ServerName;

/// The daemon's API port on its own machine.
const LOOPBACK_PORT: u16 = 9999;
const HTTPS_PORT: u16 = 443;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(ServerName),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        let path = text.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path)).unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Self::Unix(path.into()));
        }
        let refused = |source| ConfigError::ServerName { written: text.to_owned(), source };
        ServerName::parse(text).map(Self::Tcp).map_err(refused)
    }
}

impl Address {
    pub fn uses_tls(&self) -> bool {
        matches!(self, Self::Tcp(name) if !name.is_loopback())
    }

    /// The port to connect to; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(name) => name.port().or(Some(if name.is_loopback() { LOOPBACK_PORT } else { HTTPS_PORT })),
            Self::Unix(_) => None,
        }
    }

    /// Where a connection goes, with the port that nobody wrote.
    pub fn place(&self) -> String {
        match (self, self.port()) {
            (Self::Tcp(name), Some(port)) => format!("{}:{port}", name.host()),
            _ => self.to_string(),
        }
    }

    /// The value of the `Host` header (RFC 9110 section 7.2).
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp(name) => name.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// The normal form, under which a server's token is stored.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) => name.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_decides_transport_and_port() {
        for (text, normal, port, tls) in [
            ("haloy.example.com", "haloy.example.com", Some(443), true),
            ("https://Haloy.Example.com/", "haloy.example.com", Some(443), true),
            ("haloy.example.com:8443", "haloy.example.com:8443", Some(8443), true),
            ("203.0.113.7", "203.0.113.7", Some(443), true),
            ("localhost", "localhost", Some(9999), false),
            ("http://localhost:8080", "localhost:8080", Some(8080), false),
            ("127.0.0.1:8000", "127.0.0.1:8000", Some(8000), false),
            ("[::1]", "[::1]", Some(9999), false),
            ("/run/haloy/api.sock", "unix:/run/haloy/api.sock", None, false),
            ("unix:/run/haloy/api.sock", "unix:/run/haloy/api.sock", None, false),
            ("unix:///run/haloy/api.sock", "unix:/run/haloy/api.sock", None, false),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.to_string().as_str(), address.port(), address.uses_tls()), (normal, port, tls), "{text}");
        }
        for bad in ["", "https://", "host/path", "unix:relative"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
