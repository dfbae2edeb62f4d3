//! `init`: a first configuration, written from what lies in a directory.
//!
//! It never changes a file that is there, asks nothing and reaches no server.

mod found;
mod written;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::config::client::Servers;
use crate::config::server::ServerName;
use crate::config::{self, ConfigError};
use crate::error::{MISUSE, Report};
use crate::names::{AppName, Domain};
use crate::{paths, term};

use super::Outcome;
use super::error::ClientError;
use super::subject::Globals;
use found::Found;
use written::{Draft, Format};

/// Write a commented haloy.yaml for what is in a directory
#[derive(clap::Args)]
#[command(args = super::hidden(&["config"]), after_help = "\
Examples:
  haloy init
  haloy init --server haloy.example.com --domain shop.example.com
  haloy init services/api --name api --format toml")]
pub struct Init {
    /// The app's directory [default: the current directory]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The app's name [default: that of the package or of the directory]
    #[arg(long, value_name = "NAME")]
    name: Option<AppName>,
    /// The server to deploy to, as it is given to `haloy server add`
    #[arg(short, long, value_name = "SERVER")]
    server: Option<String>,
    /// The name under which visitors reach the app
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<Domain>,
    /// The port that the app listens on [default: the one that the Dockerfile EXPOSEs]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The file's format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Yaml)]
    format: Format,
    /// Print one JSON value: the file, and what was found
    #[arg(long)]
    pub json: bool,
}

/// Why no configuration was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("`{}` is there already", path.display())]
    Exists { path: PathBuf },
    #[error("`{}` is not a directory", path.display())]
    NoFolder { path: PathBuf },
    #[error("could not write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Report for InitError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { path } => Some(format!("check it with `haloy validate-config {}`", path.display())),
            Self::NoFolder { .. } => Some("name the directory that the app's Dockerfile lies in".to_owned()),
            Self::Write { .. } => None,
        }
    }

    fn exit_code(&self) -> u8 {
        if matches!(self, Self::Write { .. }) { crate::error::FAILED } else { MISUSE }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    file: String,
    name: &'a str,
    /// What the file was made from: `Dockerfile`, `package.json`.
    found: Vec<&'a str>,
    has_dockerfile: bool,
    /// What to do next, in this order.
    next: Vec<String>,
}

impl Init {
    pub fn run(self, globals: &Globals) -> Outcome {
        let folder = self.folder.clone().unwrap_or_default();
        refuse(&folder)?;
        let server = self.server.as_deref().or(globals.server.as_deref()).map(server).transpose()?;
        let found = Found::look(&folder);
        let draft = Draft {
            name: self.name.clone().unwrap_or_else(|| found.name.clone()),
            server,
            domain: self.domain.clone(),
            port: self.port,
            exposed: found.exposed.clone(),
            has_dockerfile: found.has_dockerfile,
        };
        let path = folder.join(self.format.file_name());
        create(&path, &draft.text(self.format)).map_err(|source| failed(&path, source))?;
        let next = next(&folder, &path, found.has_dockerfile, draft.server.as_deref(), globals);
        if self.json {
            let name = draft.name.to_string();
            let sources = found.facts.iter().map(|fact| fact.file).collect();
            term::json(&Written {
                file: path.display().to_string(),
                name: &name,
                found: sources,
                has_dockerfile: found.has_dockerfile,
                next,
            });
        } else {
            show(&found, &path, &next, globals);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn refuse(folder: &Path) -> Result<(), ClientError> {
    if !folder.as_os_str().is_empty() && !folder.is_dir() {
        return Err(InitError::NoFolder { path: folder.to_owned() }.into());
    }
    match config::find(Some(folder)) {
        Ok(path) => Err(InitError::Exists { path }.into()),
        Err(ConfigError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn server(written: &str) -> Result<String, ConfigError> {
    let name = ServerName::parse(written).map_err(|source| ConfigError::ServerName { written: written.to_owned(), source })?;
    Ok(name.to_string())
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn failed(path: &Path, source: io::Error) -> InitError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::AlreadyExists { InitError::Exists { path } } else { InitError::Write { path, source } }
}

/// What to do before the app can be deployed, in this order: a line for people where something is missing, then two commands.
fn next(folder: &Path, file: &Path, has_dockerfile: bool, server: Option<&str>, globals: &Globals) -> Vec<String> {
    let program = &globals.program;
    let place = if folder.as_os_str().is_empty() { String::new() } else { format!(" {}", folder.display()) };
    let known = Servers::load(&paths::client_config()).is_ok_and(|servers| match server {
        Some(server) => servers.get(server).is_some(),
        None => servers.list().next().is_some(),
    });
    let first = match server {
        _ if known => format!("{program} validate-config{place}"),
        Some(server) => format!("{program} server add {server} --token-stdin"),
        None => format!("{program} server add HOST --token-stdin"),
    };
    // No image is ever written by us: which one would be a guess.
    let image = || format!("write a Dockerfile, or `image:` into {}", file.display());
    let image = (!has_dockerfile).then(image);
    image.into_iter().chain([first, format!("{program} deploy{place}")]).collect()
}

fn show(found: &Found, path: &Path, next: &[String], globals: &Globals) {
    for fact in &found.facts {
        term::words(&format!("found {}: {}", fact.file, fact.said));
    }
    term::words(&format!("{} `{}` is written", globals.terminal.green("✓"), path.display()));
    if !found.has_dockerfile {
        let warning = format!("warning: there is no Dockerfile yet: write one that {}", found.wanted);
        term::words(&globals.terminal.yellow(&warning));
    }
    term::words(&format!("\nnext:\n  {}", next.join("\n  ")));
}
