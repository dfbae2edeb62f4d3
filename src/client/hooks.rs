//! The commands that a configuration runs on this machine before and after a deploy.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Environment;

use super::error::{ClientError, Effect};
use super::exit_status;
use super::interruption::Interruption;
use super::output::Output;

/// What hooks are told in their environment. Those that do not apply are removed from it: a hook that
/// runs haloy must not hand on what is said about itself.
const VARIABLES: [&str; 10] = [
    "HALOY_STAGE",
    "HALOY_CONFIG",
    "HALOY_PERFORMER",
    "HALOY_GIT_COMMIT",
    "HALOY_TARGETS",
    "HALOY_TARGET",
    "HALOY_APP",
    "HALOY_SERVER",
    "HALOY_VERSION",
    "HALOY_DEPLOYMENT_ID",
];

/// Part of the help of `deploy`.
pub const HELP: &str = "\
Hooks run here, in the configuration's directory. Their environment:
  HALOY_STAGE          pre_deploy, post_deploy, global_pre_deploy, global_post_deploy
  HALOY_APP, HALOY_TARGET, HALOY_SERVER
  HALOY_VERSION        tag of the image, else its digest
  HALOY_DEPLOYMENT_ID  in post_deploy alone: the server gives it
  HALOY_TARGETS        a,b: in the global ones, instead of these
  HALOY_CONFIG, HALOY_PERFORMER, and HALOY_GIT_COMMIT in a git work tree
and what is in .env.{target} and .env files and not in the environment of haloy itself, except the
tokens of `haloy server add`. The global ones have nothing of .env.{target}.";

/// How long a hook may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);
/// How long the output of a hook that has ended is waited for: something that it left running may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What the hooks of one deploy have in common.
pub struct Hooks<'a> {
    /// They run there.
    pub folder: &'a Path,
    pub config: PathBuf,
    pub performer: Option<String>,
    pub git_commit: Option<String>,
    pub interruption: &'a Interruption,
    /// None is run.
    pub skipped: bool,
}

/// What hooks are told that others are not.
pub struct About<'a> {
    /// Of their target; of none for those that run once.
    pub environment: &'a Environment,
    /// Some of [`VARIABLES`], and their values.
    pub variables: Vec<(&'static str, &'a str)>,
}

impl Hooks<'_> {
    /// Runs the `commands` of a key one after the other; the first that fails is the last that runs.
    /// What they print goes to stderr, because stdout belongs to our own data. `about` says which they are for.
    pub async fn run(&self, stage: &'static str, commands: &[String], about: &About<'_>, output: &Output) -> Result<(), ClientError> {
        for command in commands.iter().filter(|_| !self.skipped) {
            if self.interruption.happened() {
                return Err(interrupted(stage, command));
            }
            output.words(&output.terminal.dim(&format!("{stage}: {command}")));
            let status = self.one(stage, command, about, output).await?;
            if !status.success() {
                return Err(ClientError::Hook { stage, command: command.clone(), outcome: exit_status::in_words(status) });
            }
        }
        Ok(())
    }

    async fn one(&self, stage: &'static str, command: &str, about: &About<'_>, output: &Output) -> Result<ExitStatus, ClientError> {
        let failed = |source| ClientError::HookStart { stage, command: command.to_owned(), source };
        let mut shell = shell(command);
        shell.envs(about.environment.file_variables()?.into_iter().map(|(name, value)| (name, value.expose())));
        VARIABLES.iter().for_each(|name| {
            shell.env_remove(name);
        });
        shell.env("HALOY_STAGE", stage).env("HALOY_CONFIG", &self.config).envs(about.variables.iter().copied());
        shell.envs(self.performer.iter().map(|performer| ("HALOY_PERFORMER", performer)));
        shell.envs(self.git_commit.iter().map(|commit| ("HALOY_GIT_COMMIT", commit)));
        shell.current_dir(self.folder).stdin(Stdio::null());
        if output.is_alone() {
            // As it is: what moves on a terminal goes on moving.
            shell.stdout(Stdio::from(std::io::stderr()));
        } else {
            shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = shell.spawn().map_err(failed)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let ended = CancellationToken::new();
        let run = async {
            let wait = async {
                let status = child.wait().await;
                ended.cancel();
                status
            };
            let (status, (), ()) = tokio::join!(wait, show(out, output, &ended), show(err, output, &ended));
            status
        };
        tokio::select! {
            status = run => return status.map_err(failed),
            () = self.interruption.happens() => {}
        }
        end(&mut child).await;
        Err(interrupted(stage, command))
    }
}

fn interrupted(stage: &str, command: &str) -> ClientError {
    let effect = if stage.ends_with("post_deploy") { Effect::Done } else { Effect::None };
    ClientError::Interrupted { during: format!("`{stage}` command `{command}`"), effect }
}

/// Passes on what a hook prints, line by line.
async fn show(pipe: Option<impl AsyncRead + Unpin>, output: &Output, ended: &CancellationToken) {
    let Some(pipe) = pipe else { return };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        let read = reader.read_until(b'\n', &mut line);
        tokio::pin!(read);
        let read = tokio::select! {
            read = &mut read => read,
            () = ended.cancelled() => timeout(LAST_WORDS, read).await.unwrap_or(Ok(0)),
        };
        // A line that has been written over shows what is left of it on a terminal.
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if !text.is_empty() {
            output.words(text.rsplit('\r').next().unwrap_or_default());
        }
        line.clear();
        if !matches!(read, Ok(1..)) {
            return;
        }
    }
}

/// Ends a hook the way Ctrl-C does on a terminal, and by force when that does not help.
#[cfg(unix)]
async fn end(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    // On a terminal Ctrl-C has reached the hook already: it is in our own process group.
    let group = group.filter(|_| !crate::term::reads_from_terminal());
    // Fails only when nothing of it is left.
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    signal(Signal::INT);
    if timeout(GRACE, child.wait()).await.is_err() {
        signal(Signal::KILL);
        let _ = child.kill().await;
    }
    // A shell has what it started in the background ignore the first signal.
    signal(Signal::TERM);
}

#[cfg(not(unix))]
async fn end(child: &mut Child) {
    if timeout(GRACE, child.wait()).await.is_err() {
        // Fails only when it has ended.
        let _ = child.kill().await;
    }
}

#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    if !crate::term::reads_from_terminal() {
        // All that it starts can then be ended with it. On a terminal it must stay where it may ask for a password.
        shell.process_group(0);
    }
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    // As it is written: cmd does not know the escapes that arguments get. It takes the outer quotes off (`/S`).
    shell.raw_arg(format!("/D /S /C \"{command}\""));
    shell
}
