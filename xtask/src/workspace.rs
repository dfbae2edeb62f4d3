//! Where things are in this repository, and how they are built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::failure::{Failure, Outcome};

/// How the product is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies below the root")
}

/// The cargo that called us.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}

/// Builds haloy and returns the binary's path.
pub fn build_haloy(profile: Profile) -> Outcome<PathBuf> {
    let (flags, folder): (&[&str], &str) = match profile {
        Profile::Dev => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    command::run(cargo().args(["build", "--package", "haloy", "--bin", "haloy"]).args(flags))?;
    Ok(target().join(folder).join("haloy"))
}

/// The binary that `--haloy` names, wherever it is run from.
pub fn given_haloy(path: &str) -> Outcome<PathBuf> {
    std::fs::canonicalize(path).map_err(|error| Failure::new(format!("there is no binary `{path}`: {error}")))
}

/// The triple of this machine, like `x86_64-unknown-linux-gnu`.
pub fn host_triple() -> Outcome<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = command::output(Command::new(rustc).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`rustc -vV` does not name its host"))
}
