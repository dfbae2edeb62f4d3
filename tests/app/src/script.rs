//! `script WORD…`: does what each word says, one after the other: for release commands and health checks.

use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::{fail, say};

/// `print=TEXT`, `lines=NUMBER` (that many numbered ones), `env=NAME` (its value), `append=PATH` (a line),
/// `sleep=MILLISECONDS`, `exit=CODE`.
pub fn run(words: impl Iterator<Item = String>) -> ExitCode {
    for word in words {
        let (verb, rest) = word.split_once('=').unwrap_or((&word, ""));
        match (verb, rest.parse::<u64>()) {
            ("print", _) => say(rest),
            ("lines", Ok(count)) => (1..=count).for_each(|number| say(&format!("line {number}"))),
            ("env", _) => say(&format!("{rest}={}", std::env::var(rest).unwrap_or_default())),
            ("append", _) => {
                if let Err(error) = append(rest) {
                    return fail(&format!("{rest}: {error}"));
                }
            }
            ("sleep", Ok(milliseconds)) => thread::sleep(Duration::from_millis(milliseconds)),
            ("exit", Ok(code)) => return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
            _ => return fail(&format!("`{word}` is no word of a script")),
        }
    }
    ExitCode::SUCCESS
}

fn append(path: &str) -> std::io::Result<()> {
    File::options().create(true).append(true).open(path)?.write_all(b"ran\n")
}
