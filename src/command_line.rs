//! Reading a program's arguments. Every program is named as it was typed, in its help, its version
//! and its usage errors.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Command, Parser};

use crate::error::MISUSE;
use crate::term;

/// The program's command tree under the name by which it was called (`haloyd`, `haloy daemon`).
pub fn command<T: Parser>(program: &str) -> Command {
    let name = program.to_owned();
    T::command().name(name.clone()).bin_name(name.clone()).display_name(name).no_binary_name(true).version(env!("CARGO_PKG_VERSION"))
}

/// Reads `args` (without the program's name). `Err` when there is nothing to run: help or version
/// was asked for, or the arguments make no sense; what there is to say is printed already.
pub fn parse<T: Parser>(program: &str, args: Vec<OsString>) -> Result<T, ExitCode> {
    let mut command = command::<T>(program);
    let parsed = command.try_get_matches_from_mut(args).and_then(|matches| T::from_arg_matches(&matches));
    parsed.map_err(|error| explain(&error.format(&mut command)))
}

/// Help and version are data; a misuse is words.
fn explain(error: &clap::Error) -> ExitCode {
    let text = error.render();
    if error.use_stderr() {
        term::words(&if term::Terminal::detect().colour { text.ansi().to_string() } else { text.to_string() });
        return ExitCode::from(MISUSE);
    }
    term::data(&if term::Terminal::detect().for_data().colour { text.ansi().to_string() } else { text.to_string() });
    ExitCode::SUCCESS
}
