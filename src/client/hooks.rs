//! The commands that a configuration runs on this machine before and after a deploy.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::term::{self, Terminal};

use super::error::ClientError;

/// Runs `commands` one after the other in `folder`; the first that fails is the last that runs. What
/// they print goes to stderr, because stdout belongs to our own data.
pub fn run(stage: &'static str, commands: &[String], folder: &Path, terminal: Terminal) -> Result<(), ClientError> {
    for command in commands {
        term::words(&terminal.dim(&format!("{stage}: {command}")));
        let status = shell(command)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::from(io::stderr()))
            .status()
            .map_err(|source| ClientError::HookStart { stage, command: command.clone(), source })?;
        if !status.success() {
            return Err(ClientError::Hook { stage, command: command.clone(), outcome: outcome(status) });
        }
    }
    Ok(())
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.args(["/C", command]);
    shell
}

fn outcome(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.code().map_or_else(|| "an unknown status".to_owned(), |code| format!("exit code {code}"))
}
