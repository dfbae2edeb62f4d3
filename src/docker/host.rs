//! Where the engine listens: `DOCKER_HOST` as Docker's own tools read it.

use std::fmt;
use std::time::Duration;

use bollard::ClientVersion;
use bollard::errors::Error as ClientError;

use super::error::DockerError;

const DEFAULT_UNIX: &str = "/var/run/docker.sock";
const DEFAULT_PIPE: &str = "//./pipe/docker_engine";
/// The port that Docker's tools assume for plain TCP.
const TCP_PORT: u16 = 2375;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Unix(String),
    /// `host:port`, unencrypted.
    Tcp(String),
    /// A named pipe of Windows.
    Pipe(String),
}

impl Host {
    /// The value of `DOCKER_HOST`, or this system's default when it is absent.
    pub(super) fn parse(value: Option<&str>) -> Result<Self, DockerError> {
        let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
            return Ok(if cfg!(windows) { Self::Pipe(DEFAULT_PIPE.to_owned()) } else { Self::Unix(DEFAULT_UNIX.to_owned()) });
        };
        let refuse = |rule| Err(DockerError::Host { value: value.to_owned(), rule });
        match value.split_once("://") {
            Some(("unix", path)) if cfg!(windows) || !path.starts_with('/') => refuse("a Unix socket needs an absolute path"),
            Some(("unix", path)) => Ok(Self::Unix(path.to_owned())),
            Some(("tcp" | "http", address)) => match authority(address.trim_end_matches('/')) {
                Some(authority) => Ok(Self::Tcp(authority)),
                None => refuse("a TCP address is a host and a port"),
            },
            Some(("npipe", path)) if cfg!(windows) => Ok(Self::Pipe(path.to_owned())),
            Some((_, _)) => refuse("its scheme is not supported"),
            None => refuse("it has no scheme"),
        }
    }

    /// A client for this host. No I/O beyond a look whether the socket file exists; the client library
    /// opens a connection per call, so that nothing stale is left when the engine restarts.
    pub(super) fn client(&self, timeout: Duration, version: &ClientVersion) -> Result<bollard::Docker, ClientError> {
        let seconds = timeout.as_secs().max(1);
        match self {
            #[cfg(unix)]
            Self::Unix(path) => bollard::Docker::connect_with_unix(path, seconds, version),
            #[cfg(windows)]
            Self::Pipe(path) => bollard::Docker::connect_with_named_pipe(path, seconds, version),
            Self::Tcp(address) => bollard::Docker::connect_with_http(address, seconds, version),
            #[cfg(windows)]
            Self::Unix(path) => Err(ClientError::SocketNotFoundError(path.clone())),
            #[cfg(not(windows))]
            Self::Pipe(path) => Err(ClientError::SocketNotFoundError(path.clone())),
        }
    }
}

/// `host:port` from an address whose port may be missing.
fn authority(address: &str) -> Option<String> {
    let parsed: http::uri::Authority = address.parse().ok()?;
    // A port that is no number is not an absent one.
    let odd_port = parsed.port_u16().is_none() && parsed.as_str().len() != parsed.host().len();
    if parsed.host().is_empty() || address.contains('@') || odd_port {
        return None;
    }
    Some(format!("{}:{}", parsed.host(), parsed.port_u16().unwrap_or(TCP_PORT)))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Pipe(path) => write!(f, "npipe://{path}"),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn hosts_as_docker_writes_them() {
        let host = |value| Host::parse(value).map(|host| host.to_string()).ok();
        assert_eq!(host(None).as_deref(), Some("unix:///var/run/docker.sock"));
        assert_eq!(host(Some("")).as_deref(), Some("unix:///var/run/docker.sock"));
        assert_eq!(host(Some("unix:///run/user/1000/docker.sock")).as_deref(), Some("unix:///run/user/1000/docker.sock"));
        assert_eq!(host(Some("tcp://127.0.0.1:2376")).as_deref(), Some("tcp://127.0.0.1:2376"));
        assert_eq!(host(Some("tcp://docker/")).as_deref(), Some("tcp://docker:2375"));
        assert_eq!(host(Some("http://[::1]:99")).as_deref(), Some("tcp://[::1]:99"));
        for bad in [
            "docker",
            "ssh://me@there",
            "unix://relative.sock",
            "tcp://",
            "tcp://a b",
            "tcp://me@there:1",
            "tcp://there:port",
            "tcp://there:70000",
            "tcp://there:",
        ] {
            assert_eq!(host(Some(bad)), None, "{bad}");
        }
    }
}
