//! What users see of the real binary, without Docker: every test runs it as a process of its own, in a
//! home of its own, against a server that the test plays.

mod admin;
mod commands;
mod config;
mod daemon;
mod deploy;
mod disk;
mod fleet;
mod hooks;
mod hostile;
mod images;
mod init;
mod keyring;
mod logging;
mod personas;
mod provided;
mod secrets;
mod servers;
mod targets;
mod terminal;
mod validate;
mod watching;

#[path = "../support/fake_api.rs"]
mod fake_api;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/recorder.rs"]
mod recorder;
#[path = "../support/site.rs"]
mod site;
#[path = "../support/terminal.rs"]
mod terminal_support;
