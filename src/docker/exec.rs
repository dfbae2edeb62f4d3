//! Running a program inside a container that runs.

use std::time::Duration;

use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures_util::StreamExt;

use super::connection::{CHANGE, Docker, LOOK};
use super::error::DockerError;
use super::types::ContainerId;

const RUN: &str = "run a program in container";
/// So much of what it prints is of interest.
const SHOWN: usize = 4 * 1024;

impl Docker {
    /// Runs a program to its end as `docker exec` does; answers with its exit code and the beginning of
    /// what it printed. One that takes longer than `limit` is an error and runs on: the engine cannot end it.
    pub async fn exec(&self, id: &ContainerId, words: &[String], limit: Duration) -> Result<(i64, String), DockerError> {
        let config =
            ExecConfig { attach_stdout: Some(true), attach_stderr: Some(true), cmd: Some(words.to_vec()), ..ExecConfig::default() };
        let created = self.call(RUN, id.short(), CHANGE, |client| {
            let config = config.clone();
            async move { client.create_exec(&id.0, config).await }
        });
        let exec = created.await?.id;
        let output = tokio::time::timeout(limit, self.exec_output(id, &exec)).await;
        let output = output.unwrap_or_else(|_| Err(DockerError::TimedOut { action: RUN, subject: id.short().to_owned(), after: limit }))?;
        let exec = exec.as_str();
        let ended = self.call(RUN, id.short(), LOOK, |client| async move { client.inspect_exec(exec).await }).await?;
        Ok((ended.exit_code.unwrap_or(-1), output))
    }

    async fn exec_output(&self, id: &ContainerId, exec: &str) -> Result<String, DockerError> {
        let client = self.streaming_client(LOOK).await?;
        let failed = |error| DockerError::from_client(self.host(), RUN, id.short(), LOOK, error);
        let StartExecResults::Attached { mut output, .. } = client.start_exec(exec, None).await.map_err(failed)? else {
            return Ok(String::new());
        };
        let mut text = Vec::new();
        while let Some(piece) = output.next().await {
            let piece = piece.map_err(failed)?.into_bytes();
            text.extend_from_slice(&piece[..piece.len().min(SHOWN - text.len())]);
        }
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    }
}
