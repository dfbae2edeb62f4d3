//! The handle on one engine: which API version to speak, and a deadline for every call.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, BollardRequest, ClientVersion};

use super::error::DockerError;
use super::host::Host;
use super::listed::Memory;
use super::types::Engine;

/// The API of Docker 20.10, the oldest release that we work with.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// A sign of life is quick, or there is none.
pub(super) const PING: Duration = Duration::from_secs(10);
/// Lists and inspections: a busy engine holds them up while it starts containers.
pub(super) const LOOK: Duration = Duration::from_secs(30);
/// Creating, starting, removing: waits for disks and for the runtime.
pub(super) const CHANGE: Duration = Duration::from_secs(120);

/// A Docker Engine, and the containers on it that carry our instance's label. Cheap to clone; holds no
/// connection, so it outlives every restart of the engine.
#[derive(Debug, Clone)]
pub struct Docker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    host: Host,
    instance: String,
    /// What we and the engine both speak; unknown before the first call and after a refusal.
    api: Mutex<Option<ClientVersion>>,
    memory: Mutex<Memory>,
}

impl Docker {
    /// A handle on the engine at `host` (the value of `DOCKER_HOST`: `unix://`, plain `tcp://`; the
    /// system's default socket when absent). `instance` scopes everything: containers of other
    /// instances on the same engine are invisible. Does no I/O.
    pub fn new(host: Option<&str>, instance: &str) -> Result<Self, DockerError> {
        let inner = Inner { host: Host::parse(host)?, instance: instance.to_owned(), api: Mutex::default(), memory: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks the engine who it is and agrees with it on an API version, from 20.10's to the newest
    /// that both know.
    pub async fn engine(&self) -> Result<Engine, DockerError> {
        let host = self.host();
        let failed = |error| match DockerError::from_client(host, "tell its version to", "us", PING, error) {
            // One that hangs is as good as gone.
            DockerError::TimedOut { .. } => {
                DockerError::Unreachable { host: host.to_string(), source: io::Error::new(ErrorKind::TimedOut, "it does not answer") }
            }
            other => other,
        };
        // The question itself is asked without a version: every release answers it.
        let client = host.client(PING, API_DEFAULT_VERSION).map_err(failed)?;
        let reply = tokio::time::timeout(PING, client.version()).await.unwrap_or(Err(ClientError::RequestTimeoutError)).map_err(failed)?;
        let api = agree(&reply)?;
        self.set_api(Some(api));
        Ok(Engine {
            version: reply.version.unwrap_or_default(),
            api_version: api.to_string(),
            os: reply.os.unwrap_or_default(),
            architecture: reply.arch.unwrap_or_default(),
        })
    }

    pub(super) fn host(&self) -> &Host {
        &self.inner.host
    }

    pub(super) fn instance(&self) -> &str {
        &self.inner.instance
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call with one answer, within `deadline`. When the engine was replaced by a release that
    /// refuses our API version, agrees on another and asks again.
    pub(super) async fn call<T, Reply>(
        &self,
        action: &'static str,
        subject: &str,
        deadline: Duration,
        request: impl Fn(bollard::Docker) -> Reply,
    ) -> Result<T, DockerError>
    where
        Reply: Future<Output = Result<T, ClientError>>,
    {
        let attempt = async || {
            let client = self.client(deadline).await?;
            let reply = tokio::time::timeout(deadline, request(client)).await.unwrap_or(Err(ClientError::RequestTimeoutError));
            reply.map_err(|error| DockerError::from_client(self.host(), action, subject, deadline, error))
        };
        match attempt().await {
            Err(error) if error.refuses_version() => {
                self.set_api(None);
                attempt().await
            }
            answer => answer,
        }
    }

    /// A client for a call whose answer is a stream. Agrees on the version anew, because a refusal
    /// could not be mended once the stream is handed out. `timeout` runs until the answer begins.
    pub(super) async fn streaming_client(&self, timeout: Duration) -> Result<bollard::Docker, DockerError> {
        self.engine().await?;
        self.client(timeout).await
    }

    async fn client(&self, timeout: Duration) -> Result<bollard::Docker, DockerError> {
        let known = *self.inner.api.lock().unwrap_or_else(PoisonError::into_inner);
        let api = match known {
            Some(api) => api,
            None => {
                self.engine().await?;
                self.inner.api.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(OLDEST)
            }
        };
        let client = self.host().client(timeout, &api);
        let client = client.map_err(|error| DockerError::from_client(self.host(), "connect to", "the engine", timeout, error))?;
        Ok(client.with_request_modifier(move |request| versioned(request, api)))
    }

    fn set_api(&self, api: Option<ClientVersion>) {
        *self.inner.api.lock().unwrap_or_else(PoisonError::into_inner) = api;
    }
}

/// The newest API version that both sides speak.
fn agree(reply: &SystemVersion) -> Result<ClientVersion, DockerError> {
    let (newest, oldest) = (reply.api_version.as_deref().unwrap_or_default(), reply.min_api_version.as_deref().unwrap_or_default());
    let ours = *API_DEFAULT_VERSION;
    let theirs = parse_version(newest).map(|newest| if newest < ours { newest } else { ours });
    match theirs {
        Some(api) if api >= OLDEST && parse_version(oldest).is_none_or(|oldest| api >= oldest) => Ok(api),
        _ => Err(DockerError::Version {
            version: reply.version.clone().unwrap_or_default(),
            oldest: oldest.to_owned(),
            newest: newest.to_owned(),
            needs: format!("{OLDEST} to {ours}"),
        }),
    }
}

fn parse_version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

/// Puts the version into the path. The client library keeps the version it negotiated to itself (its
/// requests are unversioned), and an unversioned request gets whatever dialect the engine likes best.
fn versioned(mut request: BollardRequest, api: ClientVersion) -> BollardRequest {
    let prefix = format!("/v{api}");
    let mut parts = request.uri().clone().into_parts();
    let path = parts.path_and_query.as_ref().map_or("/", |path| path.as_str());
    if path.starts_with(&format!("{prefix}/")) {
        return request;
    }
    parts.path_and_query = format!("{prefix}{path}").parse().ok();
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(newest: &str, oldest: &str) -> SystemVersion {
        SystemVersion { api_version: Some(newest.to_owned()), min_api_version: Some(oldest.to_owned()), ..Default::default() }
    }

    #[test]
    fn both_sides_speak_the_newest_common_version() {
        let agreed = |newest, oldest| agree(&reply(newest, oldest)).map(|api| api.to_string()).ok();
        assert_eq!(agreed("1.41", "1.12").as_deref(), Some("1.41"));
        assert_eq!(agreed("1.52", "1.44").as_deref(), Some("1.52"));
        assert_eq!(agreed("1.99", "1.44"), Some(API_DEFAULT_VERSION.to_string()));
        assert_eq!(agreed("1.40", "1.12"), None, "older than 20.10");
        assert_eq!(agreed("2.10", "2.0"), None, "it does not speak ours any more");
        assert_eq!(agreed("", ""), None);
    }

    #[test]
    fn requests_carry_the_version() {
        let api = ClientVersion { major_version: 1, minor_version: 41 };
        let path = |uri: &str| {
            let request = http::Request::get(uri).body(bollard::body_full(Default::default())).unwrap();
            versioned(request, api).uri().to_string()
        };
        assert_eq!(path("unix://2f76/containers/json?all=true"), "unix://2f76/v1.41/containers/json?all=true");
        assert_eq!(path("http://127.0.0.1:2375/v1.41/_ping"), "http://127.0.0.1:2375/v1.41/_ping");
    }

    /// An engine that was upgraded under our feet: API 1.44 for whoever asks, 400 for every other version.
    #[cfg(unix)]
    async fn answer_as_1_44(listener: tokio::net::UnixListener) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let (status, body) = match String::from_utf8_lossy(&head).split(' ').nth(1) {
                Some("/version") => ("200 OK", r#"{"Version":"25.0.0","ApiVersion":"1.44","MinAPIVersion":"1.43"}"#),
                Some("/v1.44/images/app/json") => ("200 OK", r#"{"Id":"sha256:aa"}"#),
                _ => ("400 Bad Request", r#"{"message":"client version 1.41 is too old. Minimum supported API version is 1.43"}"#),
            };
            let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_call_survives_an_upgrade_of_the_engine() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let docker = Docker::new(Some(&format!("unix://{}", socket.display())), "test").unwrap();
        assert!(docker.image("app").await.unwrap_err().is_unreachable());

        let engine = tokio::spawn(answer_as_1_44(tokio::net::UnixListener::bind(&socket).unwrap()));
        docker.set_api(Some(OLDEST));
        assert_eq!(docker.image("app").await.unwrap().unwrap().id, "sha256:aa");
        assert_eq!(docker.engine().await.unwrap().api_version, "1.44");
        engine.abort();
    }
}
