//! haloy: one binary, three programs.
//!
//! `main` calls [`run`], which looks at the name it was called by and hands over to the client, the
//! daemon or the admin tool. The library exists so that fuzzers and benches can link the code; it
//! promises no stable interface.
//!
//! Who may import whom (checked by `cargo xtask lint`):
//!
//! ```text
//! lib ──► client   daemon   admin          programs: never import each other
//!           │        │        │
//!           │        ├──► proxy            data plane: root files only
//!           ├────────┼────────┼──► docker  sole owner of bollard: root files only
//!           ├────────┼────────┴──► config  imports wire and root files
//!           └────────┴──► wire             imports root files
//! ```

mod admin;
mod client;
mod command_line;
mod config;
mod crypto;
#[cfg(target_os = "linux")]
mod daemon;
mod docker;
mod env;
mod error;
mod files;
mod https;
mod kernel;
mod log;
mod names;
mod paths;
mod persona;
mod pin;
#[cfg(target_os = "linux")]
mod proxy;
mod secret;
mod term;
mod wire;
mod x509;

use std::ffi::OsString;
use std::process::ExitCode;

use persona::{Invocation, Persona};

/// Runs the program that `args` (with `args[0]`) asks for and returns its exit code.
pub fn run(args: Vec<OsString>) -> ExitCode {
    crypto::install_provider();
    let Invocation { persona, program, args } = persona::choose(args);
    match persona {
        Persona::Client => client::main(&program, args),
        Persona::Daemon => daemon_main(&program, args),
        Persona::Admin => admin::main(&program, args),
    }
}

/// For fuzzers: reads a text as the configuration file `name`, whose ending says the format. Panics when a promise is
/// broken, for whatever text.
pub fn fuzz_config(name: &str, text: &[u8]) {
    if let Ok(text) = std::str::from_utf8(text) {
        config::exercise(name, text);
    }
}

#[cfg(target_os = "linux")]
fn daemon_main(program: &str, args: Vec<OsString>) -> ExitCode {
    daemon::main(program, args)
}

#[cfg(not(target_os = "linux"))]
fn daemon_main(program: &str, _args: Vec<OsString>) -> ExitCode {
    error::report(&error::Unsupported { program: program.to_owned() });
    ExitCode::FAILURE
}
