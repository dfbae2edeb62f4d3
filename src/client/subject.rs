//! What a command is about: which apps, each on which server, with which token.
//!
//! The apps come from a configuration file or are named outright; the server from `--server`, else the
//! file, else the only one that was added; the token from the file, else from `haloy server add`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::client::{self, FoundToken, Servers};
use crate::config::{self, ConfigError, Target};
use crate::names::AppName;
use crate::paths;
use crate::term::Terminal;

use super::address::Address;
use super::api::{Api, Credential, Origin};
use super::error::ClientError;
use super::keyring;
use super::output::Output;
use super::project::{Chosen, Project};
use super::targets::{self, Purpose, Selection};

pub use super::project::{chosen_path, environment, folder};

/// What was typed before or beside the command's own arguments.
pub struct Globals {
    /// The program as typed.
    pub program: String,
    pub config: Option<PathBuf>,
    pub server: Option<String>,
    pub terminal: Terminal,
}

/// An app on a server.
pub struct Subject {
    pub app: AppName,
    pub api: Api,
    pub output: Output,
    /// The configuration protects it. The server knows better.
    pub protected: bool,
    /// What the configuration that led here calls the target.
    target: Option<String>,
    /// The command line's words that lead to the same app again.
    words: String,
    flags: String,
    program: String,
}

/// Whether a word names a configuration; an app's name otherwise. A directory of the app's name that
/// holds no configuration does not count.
pub fn names_a_file(word: &str) -> bool {
    let path = Path::new(word);
    let extension = path.extension().and_then(|extension| extension.to_str());
    word.contains(['/', '\\'])
        || extension.is_some_and(|extension| ["yaml", "yml", "json", "toml"].contains(&extension))
        || config::find(Some(path)).is_ok()
}

impl Subject {
    /// The apps that the command's own word (a configuration or an app's name) or `--config` leads to,
    /// and of them those that were selected. Never empty.
    pub async fn find(globals: &Globals, word: Option<&str>, selection: &Selection, purpose: Purpose) -> Result<Vec<Self>, ClientError> {
        Ok(Self::find_with_project(globals, word, selection, purpose).await?.0)
    }

    /// The same, with the configuration that led to them.
    pub async fn find_with_project(
        globals: &Globals,
        word: Option<&str>,
        selection: &Selection,
        purpose: Purpose,
    ) -> Result<(Vec<Self>, Option<Project>), ClientError> {
        let mut project = match word.filter(|word| !names_a_file(word)) {
            None => Project::read(globals, word, selection, purpose)?,
            Some(name) => match Project::nearby(globals, name, selection, purpose)? {
                Some(project) => project,
                None => return Ok((vec![Self::named(name.parse()?, globals)?], None)),
            },
        };
        project.fetch_token_secrets(globals).await?;
        let subjects = project.targets.iter().map(|chosen| Self::of(&project, chosen, globals)).collect::<Result<_, _>>()?;
        Ok((subjects, Some(project)))
    }

    /// The one app that a command is about that can be about one alone.
    pub async fn find_one(globals: &Globals, word: Option<&str>, selection: &Selection) -> Result<Self, ClientError> {
        let mut subjects = Self::find(globals, word, selection, Purpose::Look).await?;
        match (subjects.pop(), subjects.is_empty()) {
            (Some(subject), true) => Ok(subject),
            _ => Err(ClientError::NotOneApp),
        }
    }

    /// A chosen target of a project whose token can be looked up.
    pub fn of(project: &Project, chosen: &Chosen, globals: &Globals) -> Result<Self, ClientError> {
        let target = &chosen.target;
        let words = project.word.as_ref().map(|word| format!(" {word}")).unwrap_or_default();
        let mut known = Self::known(target.spec.name.clone(), api(globals, Some((project, chosen)))?, globals);
        if project.has_others {
            known.flags = format!(" -t {}{}", targets::label(target), known.flags);
        }
        if project.targets.len() > 1 {
            let first = std::ptr::eq(chosen, &project.targets[0]);
            known.output = Output::beside_others(targets::label(target).to_owned(), project.width(), first, globals.terminal);
        }
        Ok(Self { words, protected: target.spec.protected, target: Some(targets::label(target).to_owned()), ..known })
    }

    /// An app that no configuration here describes.
    fn named(app: AppName, globals: &Globals) -> Result<Self, ClientError> {
        let words = format!(" {app}");
        Ok(Self { words, ..Self::known(app, api(globals, None)?, globals) })
    }

    /// An app that the server named.
    pub fn known(app: AppName, api: Api, globals: &Globals) -> Self {
        Self {
            app,
            api,
            output: Output::alone(globals.terminal),
            protected: false,
            target: None,
            words: String::new(),
            flags: flags(globals),
            program: globals.program.clone(),
        }
    }

    /// The target of `project` that this is.
    pub fn chosen<'p>(&self, project: &'p Project) -> Option<&'p Chosen> {
        let label = self.target.as_deref()?;
        project.targets.iter().find(|chosen| targets::label(&chosen.target) == label)
    }

    /// A command line about the same app: `haloy logs my-app.yaml --server localhost`.
    pub fn command(&self, verb: &str, argument: &str) -> String {
        let space = if argument.is_empty() { "" } else { " " };
        format!("{} {verb}{}{space}{argument}{}", self.program, self.words, self.flags)
    }
}

/// The flags that lead to the same server and configuration again.
fn flags(globals: &Globals) -> String {
    let config = globals.config.as_ref().map(|path| format!(" --config {}", path.display()));
    let server = globals.server.as_ref().map(|server| format!(" --server {server}"));
    config.unwrap_or_default() + &server.unwrap_or_default()
}

/// The server alone, for commands about no particular app. A configuration is used when there is one;
/// one that cannot be used matters only to those who did not name a server.
pub async fn server(globals: &Globals) -> Result<Api, ClientError> {
    let mut project = match Project::whole(globals) {
        Ok(project) => project,
        Err(ClientError::Config(ConfigError::NotFound { .. })) if globals.config.is_none() => return api(globals, None),
        Err(_) if globals.config.is_none() && globals.server.is_some() => return api(globals, None),
        Err(error) => return Err(error),
    };
    let mut hosts: BTreeSet<&str> = BTreeSet::new();
    hosts.extend(project.targets.iter().filter_map(|chosen| chosen.target.server.as_deref()));
    if hosts.len() > 1 && globals.server.is_none() {
        return Err(ClientError::SeveralServers { hosts: hosts.into_iter().map(str::to_owned).collect() });
    }
    project.keep_speaker(globals.server.as_deref());
    project.fetch_token_secrets(globals).await?;
    api(globals, project.targets.first().map(|chosen| (&project, chosen)))
}

/// The server of an app, or of no particular one.
fn api(globals: &Globals, from: Option<(&Project, &Chosen)>) -> Result<Api, ClientError> {
    let folder = paths::client_config();
    let servers = Servers::load(&folder)?;
    let address = address(globals, from.map(|(_, chosen)| &chosen.target), &servers)?;
    let from = from.filter(|(_, chosen)| speaks_for(&chosen.target, &address));
    let credential = match from {
        Some((project, chosen)) => credential(&address, project, chosen, &servers)?,
        None => added_token(&address, &servers)?,
    };
    if credential.is_none() && !matches!(address, Address::Unix(_)) {
        return Err(no_token(&address, from.map(|(project, _)| project), &servers, &folder));
    }
    Ok(Api::new(address, credential))
}

fn address(globals: &Globals, target: Option<&Target>, servers: &Servers) -> Result<Address, ClientError> {
    if let Some(server) = globals.server.as_ref().or(target.and_then(|target| target.server.as_ref())) {
        return Ok(server.parse()?);
    }
    let mut hosts: Vec<String> = servers.list().map(|server| server.name.to_string()).collect();
    match hosts.len() {
        0 => Err(ClientError::NoServer),
        1 => Ok(hosts.remove(0).parse()?),
        _ => Err(ClientError::SeveralServers { hosts }),
    }
}

/// The token for a server: the file's, else the one that was added.
fn credential(address: &Address, project: &Project, chosen: &Chosen, servers: &Servers) -> Result<Option<Credential>, ClientError> {
    let origin = Origin::Configuration(project.path.clone());
    match chosen.target.resolve_token(&chosen.environment, &project.secrets)? {
        Some(token) => Ok(Some(Credential::new(&token, origin))),
        None => added_token(address, servers),
    }
}

/// A token in a file belongs to the server that the file names: another one that `--server` names must
/// never see it. A file that names none leaves it to the user whose token it is.
pub fn speaks_for(target: &Target, address: &Address) -> bool {
    target.server.as_ref().is_none_or(|server| server.parse::<Address>().is_ok_and(|own| own == *address))
}

/// The token that `haloy server add` stored for a server, or that the environment has for it.
fn added_token(address: &Address, servers: &Servers) -> Result<Option<Credential>, ClientError> {
    let Some(server) = entry(address, servers) else { return Ok(None) };
    let (token, silent) = token(&server)?;
    if token.is_none()
        && let Some(reason) = silent
    {
        return Err(ClientError::Keyring { server: server.name.to_string(), reason });
    }
    Ok(token.map(|found| Credential::new(&found.token, Origin::Added(server.token_env))))
}

/// The token of a server that was added, and why its keyring does not give one.
pub fn token(server: &client::Server) -> Result<(Option<FoundToken>, Option<String>), ClientError> {
    let mut silent = None;
    let token = server.token(&paths::client_config(), |name| keyring::token(name).map_err(|reason| silent = Some(reason)).ok())?;
    Ok((token, silent))
}

/// A server as it was added; one that was not, as it would be: in CI a variable is enough.
fn entry(address: &Address, servers: &Servers) -> Option<client::Server> {
    let Address::Tcp(name) = address else { return None };
    let new = || client::Server { token_env: servers.free_variable(name), name: name.clone(), in_keyring: false };
    Some(servers.get(&name.to_string()).cloned().unwrap_or_else(new))
}

fn no_token(address: &Address, project: Option<&Project>, servers: &Servers, folder: &Path) -> ClientError {
    let file = project.map(|project| format!("`api_token` in `{}`", project.path.display()));
    let env_file = folder.join(".env");
    let variable = entry(address, servers).map(|server| server.token_env);
    let variable = variable.map(|name| format!("`{name}` in the environment and in `{}`", env_file.display()));
    ClientError::NoToken { server: address.to_string(), looked: file.into_iter().chain(variable).collect() }
}
