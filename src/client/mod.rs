//! The client: reads a configuration, asks a server for a change, and stays until the verdict.
//!
//! A file for each command, a folder where it is a larger one, its flags beside what it does. Below them,
//! from the user to the wire: `project` and `targets` (which file, which of its targets), `secrets/` (what
//! other programs keep), `subject` (which app, which server, which token), `several`, `fleet` and
//! `deployment` (many at a time), `image/` (what is built and brought to servers), `hooks` (commands of this machine), `change` and `watch` (a job from its
//! acceptance to its verdict), `interruption` (Ctrl-C, for all that may take long), `output`, `progress` and
//! `failure` (what people see of it), `api`, `sse` and `connection`.
//!
//! It never repeats a request that changes something, never decides anything by its own clock, and
//! never speaks to another machine without TLS. Data goes to stdout, words go to stderr.

mod address;
mod api;
mod attach;
mod audit;
mod build;
mod cert;
mod change;
mod completion;
mod config;
mod connection;
mod deploy;
mod deployment;
mod duration;
mod error;
mod exit_status;
mod failure;
mod fleet;
mod hooks;
mod image;
mod init;
mod interruption;
mod keyring;
mod logs;
mod origin;
mod output;
mod patience;
mod pinned;
mod power;
mod progress;
mod project;
mod prune;
mod renewal;
mod rollback;
mod rollback_targets;
mod secrets;
mod server;
mod several;
mod sse;
mod status;
mod subject;
mod targets;
mod validate_config;
mod version;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, Parser, Subcommand, value_parser};

use crate::command_line;
use crate::error::{Report as _, chain, report, report_json};
use crate::term::Terminal;

use error::ClientError;
use subject::Globals;

/// What a command comes to, when nothing went wrong on the way.
type Outcome = Result<ExitCode, ClientError>;

/// Deploys containerised apps to your own servers without a failed request
#[derive(Parser)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    /// Configuration file, or the directory that holds haloy.yaml [default: the current directory]
    #[arg(short, long, global = true, value_name = "PATH", display_order = LAST)]
    config: Option<PathBuf>,
    /// Server to talk to; wins over the configuration's
    #[arg(short, long, global = true, value_name = "SERVER", display_order = LAST)]
    server: Option<String>,
    #[command(subcommand)]
    command: Command,
}

/// Behind the flags that are a command's own.
const LAST: usize = 900;

const EXAMPLES: &str = "\
Examples:
  haloy server add haloy.example.com TOKEN   Make a server known, once
  haloy init                                 Write a haloy.yaml for what is here
  haloy deploy                               Deploy the app that ./haloy.yaml describes
  haloy status                               See what runs
  haloy rollback                             Go back to the version before

Exit codes: 0 done, 1 it failed, 2 misuse (flags, configuration), 130 interrupted";

#[derive(Subcommand)]
enum Command {
    Deploy(deploy::Deploy),
    Build(build::Build),
    Status(status::Status),
    Logs(logs::Logs),
    Rollback(rollback::Rollback),
    RollbackTargets(rollback_targets::RollbackTargets),
    Prune(prune::Prune),
    Audit(audit::Audit),
    Stop(power::Stop),
    Start(power::Start),
    Restart(power::Restart),
    Attach(attach::Attach),
    Init(init::Init),
    ValidateConfig(validate_config::ValidateConfig),
    Config(config::Config),
    Server(server::Server),
    Cert(cert::Cert),
    Completion(completion::Completion),
    Version(version::Version),
    /// The daemon of a server, see `haloy daemon --help`
    Daemon(Elsewhere),
    /// Sets up and administers this machine as a server, see `haloy admin --help`
    Admin(Elsewhere),
}

impl Command {
    /// stdout is for a program: an error is told there, too.
    fn wants_json(&self) -> bool {
        match self {
            Self::Deploy(deploy) => deploy.following.json,
            Self::Build(build) => build.json,
            Self::Status(status) => status.json,
            Self::Logs(logs) => logs.json,
            Self::Rollback(rollback) => rollback.following.json,
            Self::RollbackTargets(targets) => targets.json,
            Self::Prune(prune) => prune.json,
            Self::Audit(audit) => audit.json,
            Self::Stop(stop) => stop.following.json,
            Self::Start(start) => start.following.json,
            Self::Restart(restart) => restart.following.json,
            Self::Attach(attach) => attach.json,
            Self::Init(init) => init.json,
            Self::ValidateConfig(validate) => validate.json,
            Self::Config(config) => config.wants_json(),
            Self::Server(server) => server.wants_json(),
            Self::Cert(cert) => cert.wants_json(),
            Self::Version(version) => version.json,
            Self::Completion(_) | Self::Daemon(_) | Self::Admin(_) => false,
        }
    }
}

/// `--config` and `--server` for a command that needs neither: taken, and not shown in its help.
fn hidden(names: &[&'static str]) -> Vec<Arg> {
    let arg = |name: &&'static str| Arg::new(*name).long(*name).short(name.chars().next()).hide(true).global(true);
    let typed = |arg: Arg| if arg.get_id() == "config" { arg.value_parser(value_parser!(PathBuf)) } else { arg };
    names.iter().map(arg).map(typed).collect()
}

/// The same two, shown again below a command that hides them.
fn shown() -> Vec<Arg> {
    let arg = |arg: Arg| {
        let (name, help) = match arg.get_id().as_str() {
            "config" => ("PATH", "Configuration file, or the directory that holds haloy.yaml [default: the current directory]"),
            _ => ("SERVER", "Server to talk to; wins over the configuration's"),
        };
        arg.hide(false).value_name(name).help(help).display_order(LAST)
    };
    hidden(&["config", "server"]).into_iter().map(arg).collect()
}

/// The arguments of another program of this binary; `persona` has chosen it when its word came first.
#[derive(clap::Args)]
#[command(disable_help_flag = true, args = hidden(&["config", "server"]))]
struct Elsewhere {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    args: Vec<OsString>,
}

/// Runs the client: parses, carries out, reports.
pub fn main(program: &str, args: Vec<OsString>) -> ExitCode {
    let Cli { config, server, command } = match command_line::parse(program, args) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let globals = Globals { program: program.to_owned(), config, server, terminal: Terminal::detect() };
    let json = command.wants_json();
    run(command, &globals).unwrap_or_else(|error| {
        if json && !error.follows_data() {
            report_json(&error, &chain(&error));
        }
        report(&error);
        ExitCode::from(error.exit_code())
    })
}

fn run(command: Command, globals: &Globals) -> Outcome {
    match command {
        Command::Deploy(deploy) => block_on(deploy.run(globals)),
        Command::Build(build) => block_on(build.run(globals)),
        Command::Status(status) => block_on(status.run(globals)),
        Command::Logs(logs) => block_on(logs.run(globals)),
        Command::Rollback(rollback) => block_on(rollback.run(globals)),
        Command::RollbackTargets(targets) => block_on(targets.run(globals)),
        Command::Prune(prune) => block_on(prune.run(globals)),
        Command::Audit(audit) => block_on(audit.run(globals)),
        Command::Stop(stop) => block_on(stop.run(globals)),
        Command::Start(start) => block_on(start.run(globals)),
        Command::Restart(restart) => block_on(restart.run(globals)),
        Command::Attach(attach) => block_on(attach.run(globals)),
        Command::Init(init) => init.run(globals),
        Command::ValidateConfig(validate) => block_on(validate.run(globals)),
        Command::Config(config) => config.run(globals),
        Command::Server(server) => block_on(server.run(globals)),
        Command::Cert(cert) => block_on(cert.run(globals)),
        Command::Completion(completion) => Ok(completion.run(command_line::command::<Cli>(&globals.program))),
        Command::Version(version) => block_on(version.run(globals)),
        Command::Daemon(_) => Err(misplaced("daemon", globals)),
        Command::Admin(_) => Err(misplaced("admin", globals)),
    }
}

fn misplaced(word: &'static str, globals: &Globals) -> ClientError {
    ClientError::Misplaced { word, program: globals.program.clone() }
}

/// One thread is plenty for one request at a time, and starts in no time.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ClientError::Runtime)?;
    let outcome = runtime.block_on(command);
    // A name that is still being looked up delays nobody's exit.
    runtime.shutdown_background();
    outcome
}
