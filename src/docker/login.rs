//! Logging in to a registry by way of the engine: the one call that the client library does not have.
//!
//! The engine asks the registry; what it says is what its pulls would meet.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::connection::Docker;
use super::error::{DockerError, PullFailure};
use super::host::Host;
use super::types::Login;

/// A registry that does not answer within this time does not answer.
const PATIENCE: Duration = Duration::from_secs(45);
const MAX_ANSWER: usize = 64 * 1024;

impl Docker {
    /// Whether the registry accepts the login; the error says why not.
    pub async fn check_login(&self, login: &Login) -> Result<(), DockerError> {
        let api = self.engine().await?.api_version;
        let answer = timeout(PATIENCE, ask(self.host(), &api, login)).await;
        let unreachable = |source| DockerError::Unreachable { host: self.host().to_string(), source };
        let late = |_| DockerError::TimedOut { action: "log in to", subject: login.server.clone(), after: PATIENCE };
        let (status, body) = answer.map_err(late)?.map_err(unreachable)?;
        if status.is_success() {
            return Ok(());
        }
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = said["message"].as_str().map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned);
        let failure = if status == http::StatusCode::UNAUTHORIZED { PullFailure::Unauthorized } else { PullFailure::read(&message) };
        Err(DockerError::Login { server: login.server.clone(), failure, message })
    }
}

async fn ask(host: &Host, api: &str, login: &Login) -> io::Result<(http::StatusCode, Bytes)> {
    match host {
        #[cfg(unix)]
        Host::Unix(path) => speak(tokio::net::UnixStream::connect(path).await?, api, login).await,
        Host::Tcp(address) => speak(tokio::net::TcpStream::connect(address).await?, api, login).await,
        #[cfg(windows)]
        Host::Pipe(path) => speak(tokio::net::windows::named_pipe::ClientOptions::new().open(path)?, api, login).await,
        #[cfg(windows)]
        Host::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        #[cfg(not(windows))]
        Host::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    api: &str,
    login: &Login,
) -> io::Result<(http::StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with the answer.
    tokio::spawn(connection);
    let body = serde_json::json!({
        "username": login.username.expose(), "password": login.password.expose(), "serveraddress": login.address(),
    });
    let body = Zeroizing::new(body.to_string());
    let request = http::Request::post(format!("/v{api}/auth"))
        .header(http::header::HOST, "docker")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(io::Error::other)?;
    Ok((status, body.to_bytes()))
}

#[cfg(all(test, unix))]
mod tests {
    use crate::docker::fake::FakeEngine;
    use crate::docker::{DockerError, Login};
    use crate::error::{Report as _, chain};
    use crate::secret::Secret;

    async fn said(status: u16, body: &'static str) -> Result<(), DockerError> {
        let engine = FakeEngine::start(move |_| (status, body.to_owned()));
        let login = Login { server: "ghcr.io".to_owned(), username: Secret::new("ada"), password: Secret::new("hunter2") };
        engine.docker.check_login(&login).await
    }

    #[tokio::test]
    async fn the_engines_verdict_is_told_without_the_password() {
        assert!(said(200, r#"{"Status":"Login Succeeded"}"#).await.is_ok());
        for (status, body, words, hint) in [
            (
                401,
                r#"{"message":"Get \"https://ghcr.io/v2/\": unauthorized: bad credentials"}"#,
                "bad credentials",
                "user name and password",
            ),
            (500, r#"{"message":"Get \"https://ghcr.io/v2/\": x509: certificate signed by unknown authority"}"#, "x509", "certs.d/ghcr.io"),
            (
                500,
                r#"{"message":"Get \"https://ghcr.io/v2/\": dial tcp: lookup ghcr.io: no such host"}"#,
                "no such host",
                "reach `ghcr.io`",
            ),
        ] {
            let error = said(status, body).await.unwrap_err();
            assert!(chain(&error).contains(words) && error.hint().is_some_and(|said| said.contains(hint)), "{error:?}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
