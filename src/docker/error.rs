//! What can go wrong with the engine, and which of it is worth another try.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use bollard::errors::Error as ClientError;

use super::host::Host;
use crate::error::{FAILED, MISUSE, Report};

#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    #[error("the Docker host `{value}` cannot be used: {rule}")]
    Host { value: String, rule: &'static str },
    /// Nobody answers, or the connection broke before the answer was complete.
    #[error("the Docker Engine at {host} cannot be reached")]
    Unreachable { host: String, source: io::Error },
    #[error("Docker Engine {version} speaks API {oldest} to {newest}; haloy needs one from {needs}")]
    Version { version: String, oldest: String, newest: String, needs: String },
    #[error("the Docker Engine did not {action} {subject} within {} s", after.as_secs())]
    TimedOut { action: &'static str, subject: String, after: Duration },
    /// The engine does not know the thing itself or something that it needs (its image, its network).
    #[error("cannot {action} {subject}: {message}")]
    NotFound { action: &'static str, subject: String, message: String },
    #[error("the container name `{name}` is taken by a container that is not this app's")]
    NameTaken { name: String },
    #[error("`{name}` is not a name that Docker accepts")]
    Name { name: String },
    #[error("cannot pull image {image}: {message}")]
    Pull { image: String, failure: PullFailure, message: String },
    #[error("the registry `{server}` does not accept the login: {message}")]
    Login { server: String, failure: PullFailure, message: String },
    /// The engine understood and refused.
    #[error("cannot {action} {subject}: {message}")]
    Api { action: &'static str, subject: String, status: u16, message: String },
    /// The engine answered something else than its API says.
    #[error("cannot {action} {subject}: the engine's answer makes no sense")]
    Answer { action: &'static str, subject: String, source: Box<dyn Error + Send + Sync> },
}

/// Why an image could not be pulled, read from the engine's words: it has no codes for this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullFailure {
    /// The registry knows the repository but not the tag or digest, or knows neither.
    NotFound,
    /// No or wrong credentials, or a repository that does not exist: registries do not tell which.
    Unauthorized,
    RateLimited,
    /// The registry cannot be reached or does not answer.
    Network,
    /// The registry's certificate is not one that the engine trusts, or it speaks no TLS.
    Tls,
    /// The server's disk is full.
    NoSpace,
    /// The image is for another processor or system.
    Platform,
    Other,
}

impl DockerError {
    /// The engine is down, or we may not talk to it: nothing is wrong with what was asked.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Asking again with the same words cannot help: no such image, an invalid mount, an entrypoint
    /// that is not there.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Host { .. } | Self::Version { .. } | Self::NameTaken { .. } | Self::Name { .. } => true,
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Answer { .. } => false,
            Self::Login { .. } => true,
            Self::NotFound { message, .. } => message.to_ascii_lowercase().contains("no such image"),
            Self::Pull { failure, .. } => match failure {
                PullFailure::NotFound | PullFailure::Unauthorized | PullFailure::Platform | PullFailure::Tls => true,
                PullFailure::RateLimited | PullFailure::Network | PullFailure::NoSpace | PullFailure::Other => false,
            },
            Self::Api { status, message, .. } => *status == 400 || is_broken_request(message),
        }
    }

    /// A pull failed because of who asked.
    pub fn is_refused_login(&self) -> bool {
        matches!(self, Self::Pull { failure: PullFailure::Unauthorized, .. })
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { status: 409, .. })
    }

    /// The engine works, and could not do this one thing.
    pub(super) fn is_about_one(&self) -> bool {
        matches!(self, Self::Api { .. } | Self::TimedOut { .. } | Self::Answer { .. })
    }

    /// The engine no longer speaks the API version that we chose: it was replaced by another release.
    pub(super) fn refuses_version(&self) -> bool {
        matches!(self, Self::Api { status: 400, message, .. } if message.contains("client version"))
    }

    /// What the client library reported about an attempt of ours.
    pub(super) fn from_client(host: &Host, action: &'static str, subject: &str, after: Duration, error: ClientError) -> Self {
        let subject = subject.to_owned();
        match error {
            ClientError::DockerResponseServerError { status_code: 404, message } => Self::NotFound { action, subject, message },
            ClientError::DockerResponseServerError { status_code, message } => Self::Api { action, subject, status: status_code, message },
            ClientError::DockerStreamError { error } => Self::Api { action, subject, status: 500, message: error },
            ClientError::RequestTimeoutError => Self::TimedOut { action, subject, after },
            ClientError::SocketNotFoundError(_) => {
                Self::Unreachable { host: host.to_string(), source: io::Error::new(ErrorKind::NotFound, "there is no such socket") }
            }
            ClientError::HyperLegacyError { .. } | ClientError::HyperResponseError { .. } | ClientError::IOError { .. } => {
                Self::Unreachable { host: host.to_string(), source: root_io_error(&error) }
            }
            other => Self::Answer { action, subject, source: Box::new(other) },
        }
    }

    /// What the client library reported about a pull.
    pub(super) fn from_pull(host: &Host, image: &str, after: Duration, error: ClientError) -> Self {
        match Self::from_client(host, "pull image", image, after, error) {
            Self::Api { message, .. } | Self::NotFound { message, .. } => {
                Self::Pull { image: image.to_owned(), failure: PullFailure::read(&message), message }
            }
            other => other,
        }
    }
}

impl PullFailure {
    /// Sorts by the words of the engine, of containerd and of the registries that they quote.
    pub(super) fn read(message: &str) -> Self {
        const WORDS: &[(PullFailure, &[&str])] = &[
            (PullFailure::NoSpace, &["no space left on device", "disk quota exceeded"]),
            (PullFailure::RateLimited, &["toomanyrequests", "too many requests", "rate limit"]),
            (PullFailure::Platform, &["no matching manifest for", "no match for platform", "cannot be used on this platform"]),
            (PullFailure::NotFound, &["manifest unknown", "name unknown", "not found"]),
            (
                PullFailure::Unauthorized,
                // On loopback the engine tries again without TLS where TLS ended in a refusal, and tells of that.
                &[
                    "unauthorized",
                    "denied",
                    "no basic auth credentials",
                    "authentication required",
                    "forbidden",
                    "client sent an http request to an https server",
                ],
            ),
            (PullFailure::Tls, &["x509", "tls:", "certificate", "http response to https client"]),
            (
                PullFailure::Network,
                &[
                    "dial tcp",
                    "no such host",
                    "i/o timeout",
                    "timeout exceeded",
                    "deadline exceeded",
                    "connection re",
                    "tls handshake timeout",
                    "eof",
                    "unreachable",
                    "server misbehaving",
                    "bad gateway",
                    "service unavailable",
                ],
            ),
        ];
        let message = message.to_ascii_lowercase();
        let said = |words: &[&str]| words.iter().any(|word| message.contains(word));
        WORDS.iter().find(|(_, words)| said(words)).map_or(Self::Other, |(failure, _)| *failure)
    }
}

/// The mounts are wrong, or the runtime could not execute the image's command: the engine answers 500
/// to most of these, as it does to its own troubles.
fn is_broken_request(message: &str) -> bool {
    const MOUNTS: &[&str] = &["invalid volume specification", "invalid mount config", "duplicate mount point"];
    const RUNTIME: &[&str] = &["OCI runtime", "failed to create task", "failed to create shim", "error mounting"];
    const BROKEN: &[&str] =
        &["executable file not found", "no such file or directory", "exec format error", "permission denied", "not a directory"];
    let said = |words: &[&str]| words.iter().any(|word| message.contains(word));
    said(MOUNTS) || (said(RUNTIME) && said(BROKEN))
}

/// The operating system's error at the bottom of the chain; when there is none, a connection that ended early.
fn root_io_error(error: &ClientError) -> io::Error {
    // The client library shows this one transparently: it is not in the chain of sources.
    let mut cause: Option<&(dyn Error + 'static)> = if let ClientError::IOError { err } = error { Some(err) } else { Some(error) };
    let mut last = String::new();
    while let Some(present) = cause {
        if let Some(code) = present.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(code);
        }
        last = present.to_string();
        cause = present.source();
    }
    io::Error::new(ErrorKind::ConnectionAborted, last)
}

impl Report for DockerError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Host { .. } => "set DOCKER_HOST to `unix:///path/to/docker.sock` or `tcp://host:port`, or unset it",
            Self::Unreachable { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                "add the user to the docker group and log in again: `sudo usermod -aG docker $USER`"
            }
            Self::Unreachable { host, .. } if host.starts_with("tcp:") => "is the address in DOCKER_HOST right? try `docker info`",
            Self::Unreachable { .. } if cfg!(target_os = "linux") => "is the Docker Engine running? try `systemctl start docker`",
            Self::Unreachable { .. } => "is Docker running? start Docker Desktop, then try `docker info`",
            Self::Version { .. } => "install a Docker Engine from 20.10 on: https://docs.docker.com/engine/install/",
            Self::TimedOut { .. } => "the engine is busy or stuck: see `journalctl -u docker`",
            Self::NameTaken { name } => return Some(format!("remove it with `docker rm -f {name}`, or rename it")),
            Self::Pull { failure, image, .. } => return failure.hint(image),
            Self::Login { failure, server, .. } => return Some(login_hint(*failure, server)),
            Self::Api { message, .. } => return refusal_hint(message).map(str::to_owned),
            Self::NotFound { message, .. } if message.to_ascii_lowercase().contains("no such image") => "see `docker image ls`",
            Self::Name { .. } | Self::NotFound { .. } | Self::Answer { .. } => return None,
        };
        Some(hint.to_owned())
    }

    fn exit_code(&self) -> u8 {
        if matches!(self, Self::Host { .. }) { MISUSE } else { FAILED }
    }
}

fn login_hint(failure: PullFailure, server: &str) -> String {
    match failure {
        PullFailure::Tls => {
            format!("let the engine trust the registry: put its CA into `/etc/docker/certs.d/{server}/ca.crt` on the server")
        }
        PullFailure::Network => format!("can the server reach `{server}`? try `curl https://{server}/v2/` there"),
        _ => format!("check user name and password; `{server}` may want an access token in place of the password"),
    }
}

fn refusal_hint(message: &str) -> Option<&'static str> {
    let said = |word: &str| message.contains(word);
    if said("exec format error") {
        return Some("the image is built for another processor: build it with `docker build --platform`");
    }
    let missing = said("executable file not found") || (said("exec:") && said("no such file or directory"));
    if missing {
        return Some("the image does not contain its command: check ENTRYPOINT and CMD in the Dockerfile");
    }
    said("no space left on device").then_some("make room on the server: `docker system df`, then `docker image prune`")
}

impl PullFailure {
    fn hint(self, image: &str) -> Option<String> {
        match self {
            Self::NotFound => Some(format!("check name and tag of `{image}`: `docker manifest inspect {image}`")),
            Self::Unauthorized => Some(format!(
                "check the name of `{image}`; if it is private, write `registry:` with `username` and `password` below `image:` in haloy.yaml, or run \
                 `haloy server registry login`"
            )),
            Self::RateLimited => Some(
                "the registry limits anonymous pulls: run `haloy server registry login docker.io --username USER --password-stdin`, or set \
                 `pull_policy: if_missing`"
                    .to_owned(),
            ),
            Self::Network => Some(format!("try it on the server: `docker pull {image}`")),
            Self::Tls => Some(
                "the server's engine does not trust the registry: put its CA into `/etc/docker/certs.d/REGISTRY/ca.crt` on the server".to_owned(),
            ),
            Self::NoSpace => Some("make room on the server: `haloy prune`, or see `docker system df` there".to_owned()),
            Self::Platform => Some("build the image for the server's processor: `docker build --platform`".to_owned()),
            Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(error: ClientError) -> DockerError {
        let host = Host::parse(Some("tcp://127.0.0.1:1")).unwrap();
        DockerError::from_client(&host, "start container", "web", Duration::from_secs(5), error)
    }

    fn refused(status_code: u16, message: &str) -> DockerError {
        classify(ClientError::DockerResponseServerError { status_code, message: message.to_owned() })
    }

    #[test]
    fn what_the_engine_refuses_for_good() {
        let permanent = |status, message| refused(status, message).is_permanent();
        assert!(permanent(404, "No such image: app:1"));
        assert!(permanent(400, "invalid environment variable: =x"));
        assert!(permanent(500, "invalid volume specification: 'x:relative': invalid mount path: 'relative' mount path must be absolute"));
        assert!(permanent(
            500,
            "failed to create task: OCI runtime create failed: exec: \"/nope\": stat /nope: no such file or directory: unknown"
        ));
        assert!(!permanent(404, "No such container: web"));
        assert!(!permanent(409, "Conflict. The container name is already in use"));
        assert!(!permanent(500, "driver failed programming external connectivity"));
        assert!(!permanent(500, "open /var/lib/docker/x: no such file or directory"));
    }

    #[test]
    fn pulls_fail_for_reasons() {
        let read = PullFailure::read;
        assert_eq!(read("manifest for postgres:99 not found: manifest unknown: manifest unknown"), PullFailure::NotFound);
        assert_eq!(read("failed to resolve reference \"ghcr.io/a/b:1\": ghcr.io/a/b:1: not found"), PullFailure::NotFound);
        assert_eq!(
            read(
                "pull access denied for me/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
            ),
            PullFailure::Unauthorized
        );
        assert_eq!(read("Head \"https://ghcr.io/v2/a/manifests/1\": unauthorized"), PullFailure::Unauthorized);
        assert_eq!(
            read("toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating"),
            PullFailure::RateLimited
        );
        assert_eq!(
            read("Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host"),
            PullFailure::Network
        );
        assert_eq!(
            read(
                "Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"
            ),
            PullFailure::Network
        );
        assert_eq!(read("failed to register layer: write /usr/lib/x: no space left on device"), PullFailure::NoSpace);
        assert_eq!(read("no matching manifest for linux/arm64/v8 in the manifest list entries"), PullFailure::Platform);
        assert_eq!(read("Get \"https://r.example/v2/\": x509: certificate signed by unknown authority"), PullFailure::Tls);
        assert_eq!(read("http: server gave HTTP response to HTTPS client"), PullFailure::Tls);
        assert_eq!(read("net/http: TLS handshake timeout"), PullFailure::Network);
        assert_eq!(
            read("error parsing HTTP 400 response body: \"Client sent an HTTP request to an HTTPS server.\""),
            PullFailure::Unauthorized
        );
        assert_eq!(read("something new"), PullFailure::Other);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_engine_that_is_away_is_unreachable_and_says_what_to_do() {
        let down = classify(ClientError::IOError { err: io::Error::from_raw_os_error(111) });
        assert!(down.is_unreachable() && !down.is_permanent());
        assert_eq!(
            crate::error::render(&down),
            "error: the Docker Engine at tcp://127.0.0.1:1 cannot be reached\n  caused by: Connection refused (os error 111)\n\n\
             hint: is the address in DOCKER_HOST right? try `docker info`\n"
        );
        let forbidden = classify(ClientError::IOError { err: io::Error::from_raw_os_error(13) });
        assert!(forbidden.hint().is_some_and(|hint| hint.contains("usermod -aG docker")));
        let cut = classify(ClientError::IOError { err: io::Error::other("connection closed before message completed") });
        assert!(cut.is_unreachable());
    }

    #[test]
    fn a_refused_version_is_told_apart() {
        assert!(refused(400, "client version 1.53 is too new. Maximum supported API version is 1.41").refuses_version());
        assert!(refused(400, "client version 1.41 is too old. Minimum supported API version is 1.44").refuses_version());
        assert!(!refused(400, "invalid reference format").refuses_version());
    }
}
