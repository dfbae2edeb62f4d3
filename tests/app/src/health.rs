//! `--healthcheck`: asks the instance that runs in the same container, for the image's HEALTHCHECK.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::say;
use crate::settings::{Mode, Settings};

/// Exit code 0 when `/health` answers 200, else 1. A worker has nothing to ask and is always well.
pub fn ask(settings: &Settings) -> ExitCode {
    if settings.mode == Mode::Worker {
        return ExitCode::SUCCESS;
    }
    match status_line(settings.port) {
        Ok(line) if line.contains(" 200 ") => ExitCode::SUCCESS,
        Ok(line) => unwell(line.trim()),
        Err(error) => unwell(&error.to_string()),
    }
}

fn unwell(reason: &str) -> ExitCode {
    say(&format!("unhealthy: {reason}"));
    ExitCode::FAILURE
}

fn status_line(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(16 * 1024).read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
