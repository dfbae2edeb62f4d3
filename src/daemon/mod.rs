//! `haloyd`: the one place where the parts meet.

mod api;
mod overview;
mod reconcile;
mod store;

use std::ffi::OsString;
use std::process::ExitCode;

pub fn main(_program: &str, _args: Vec<OsString>) -> ExitCode {
    ExitCode::SUCCESS
}
