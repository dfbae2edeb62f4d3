//! `completion`: the script that teaches a shell our commands and flags.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::term;

/// Print the completion script of a shell
#[derive(clap::Args)]
#[command(args = super::hidden(&["config", "server"]), after_help = "\
Examples:
  source <(haloy completion bash)
  haloy completion fish > ~/.config/fish/completions/haloy.fish")]
pub struct Completion {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    /// Prints the script for `command`, the client's own command tree.
    pub fn run(self, mut command: clap::Command) -> ExitCode {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        term::data(&String::from_utf8_lossy(&script));
        ExitCode::SUCCESS
    }
}
