//! How a program of this machine ended, in words.

use std::process::ExitStatus;

/// `exit code 4`, `signal 9`
pub fn in_words(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.code().map_or_else(|| "an unknown status".to_owned(), |code| format!("exit code {code}"))
}
