//! An engine for tests: a Unix socket and a function from requests to answers.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::connection::Docker;

/// The instance that the containers of a test belong to.
pub(super) const INSTANCE: &str = "main";

type Answers = dyn Fn(&str) -> (u16, String) + Send + Sync;

pub(super) struct FakeEngine {
    pub docker: Docker,
    asked: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl FakeEngine {
    /// Speaks API 1.41. `answers` gets the method and the path without its version, such as
    /// `GET /containers/json?all=true`, and says status and body.
    pub fn start(answers: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let docker = Docker::new(Some(&format!("unix://{}", socket.display())), INSTANCE).unwrap();
        let (listener, asked) = (UnixListener::bind(&socket).unwrap(), Arc::default());
        let (answers, heard): (Arc<Answers>, _) = (Arc::new(answers), Arc::clone(&asked));
        // Ends with the test's runtime.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&answers), Arc::clone(&heard)));
            }
        });
        Self { docker, asked, _folder: folder }
    }

    /// Every question so far that contains `text`.
    pub fn asked(&self, text: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.contains(text)).cloned().collect()
    }
}

async fn answer(mut stream: UnixStream, answers: Arc<Answers>, heard: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let question = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").replacen("/v1.41", "", 1);
    let (status, body) = match question.as_str() {
        "GET /version" => (200, r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#.to_owned()),
        _ => answers(&question),
    };
    heard.lock().unwrap().push(question);
    let reply = format!("HTTP/1.1 {status} OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    // Whoever asked may have lost patience.
    let _ = stream.write_all(reply.as_bytes()).await;
}
