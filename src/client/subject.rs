//! What a command is about: which app, on which server, with which token.
//!
//! The app comes from a configuration file or is named outright; the server from `--server`, else the
//! file, else the only one that was added; the token from the file, else from `haloy server add`.

use std::path::{Path, PathBuf};

use crate::config::client::{self, Servers};
use crate::config::secrets::FetchedSecrets;
use crate::config::{self, Config, ConfigError, Environment, Target};
use crate::names::AppName;
use crate::paths;
use crate::term::{self, Terminal};

use super::address::Address;
use super::api::{Api, Credential, Origin};
use super::error::ClientError;

/// What was typed before or beside the command's own arguments.
pub struct Globals {
    /// The program as typed.
    pub program: String,
    pub config: Option<PathBuf>,
    pub server: Option<String>,
    pub terminal: Terminal,
}

/// A configuration file, read.
pub struct Project {
    pub path: PathBuf,
    pub target: Target,
    pub environment: Environment,
}

/// An app on a server.
pub struct Subject {
    pub app: AppName,
    pub api: Api,
    /// The command line's words that lead to the same app again.
    words: String,
    flags: String,
    program: String,
}

impl Project {
    /// Reads the configuration that `--config` or the command's own word names, else the one of the
    /// current directory. Its warnings are printed.
    pub fn read(globals: &Globals, word: Option<&str>) -> Result<Self, ClientError> {
        let given = chosen_path(globals, word)?;
        Self::from_config(config::load(&config::find(given.as_deref())?)?, None)
    }

    /// The file's only target, or the one of the app `wanted`.
    fn from_config(config: Config, wanted: Option<&AppName>) -> Result<Self, ClientError> {
        let Config { path, mut targets, warnings, .. } = config;
        let colour = Terminal::detect().colour;
        warnings.iter().for_each(|warning| term::words(&warning.render(colour)));
        targets.retain(|target| wanted.is_none_or(|name| target.spec.name == *name));
        let target = targets.pop().filter(|_| targets.is_empty());
        let target = target.ok_or_else(|| ClientError::NotOneApp { path: path.clone() })?;
        let environment = Environment::new(folder(&path), &paths::client_config(), target.name.as_deref());
        Ok(Self { path, target, environment })
    }

    /// The directory that the configuration lies in.
    pub fn folder(&self) -> &Path {
        folder(&self.path)
    }
}

pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub fn chosen_path(globals: &Globals, word: Option<&str>) -> Result<Option<PathBuf>, ClientError> {
    match (&globals.config, word) {
        (Some(_), Some(word)) => Err(ClientError::GivenTwice { word: word.to_owned() }),
        (Some(path), None) => Ok(Some(path.clone())),
        (None, word) => Ok(word.map(PathBuf::from)),
    }
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
    /// The app that the command's own word (a configuration or an app's name) or `--config` leads to.
    pub fn find(globals: &Globals, word: Option<&str>) -> Result<Self, ClientError> {
        let Some(name) = word.filter(|word| !names_a_file(word)) else {
            return Self::of(&Project::read(globals, word)?, globals, word);
        };
        let app: AppName = name.parse()?;
        let project = nearby(globals).and_then(|config| Project::from_config(config, Some(&app)).ok());
        Self::new(app, project.as_ref(), globals, word)
    }

    /// The app that a configuration describes; `word` is what led to it, if anything was typed.
    pub fn of(project: &Project, globals: &Globals, word: Option<&str>) -> Result<Self, ClientError> {
        Self::new(project.target.spec.name.clone(), Some(project), globals, word)
    }

    /// An app that the server named.
    pub fn known(app: AppName, api: Api, globals: &Globals) -> Self {
        Self { app, api, words: String::new(), flags: flags(globals), program: globals.program.clone() }
    }

    fn new(app: AppName, project: Option<&Project>, globals: &Globals, word: Option<&str>) -> Result<Self, ClientError> {
        let words = word.map(|word| format!(" {word}")).unwrap_or_default();
        Ok(Self { words, ..Self::known(app, api(globals, project)?, globals) })
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

/// The configuration here, when there is a valid one; for commands that can do without.
fn nearby(globals: &Globals) -> Option<Config> {
    config::find(globals.config.as_deref()).and_then(|path| config::load(&path)).ok()
}

/// The server alone, for commands about no particular app. A configuration is used when there is one;
/// one that cannot be used matters only to those who did not name a server.
pub fn server(globals: &Globals) -> Result<Api, ClientError> {
    let project = match Project::read(globals, None) {
        Ok(project) => Some(project),
        Err(ClientError::Config(ConfigError::NotFound { .. })) if globals.config.is_none() => None,
        Err(_) if globals.config.is_none() && globals.server.is_some() => None,
        Err(error) => return Err(error),
    };
    api(globals, project.as_ref())
}

fn api(globals: &Globals, project: Option<&Project>) -> Result<Api, ClientError> {
    let folder = paths::client_config();
    let servers = Servers::load(&folder)?;
    let address = address(globals, project, &servers)?;
    let project = project.filter(|project| speaks_for(project, &address));
    let credential = credential(&address, project, &servers)?;
    if credential.is_none() && !matches!(address, Address::Unix(_)) {
        return Err(no_token(&address, project, &servers, &folder));
    }
    Ok(Api::new(address, credential))
}

fn address(globals: &Globals, project: Option<&Project>, servers: &Servers) -> Result<Address, ClientError> {
    if let Some(server) = globals.server.as_ref().or(project.and_then(|project| project.target.server.as_ref())) {
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
fn credential(address: &Address, project: Option<&Project>, servers: &Servers) -> Result<Option<Credential>, ClientError> {
    let Some(project) = project else { return added_token(address, servers) };
    let token = project.target.resolve_token(&project.environment, &FetchedSecrets::default())?;
    let origin = Origin::Configuration(project.path.clone());
    match token {
        Some(token) => Ok(Some(Credential { token, origin })),
        None => added_token(address, servers),
    }
}

/// A token in a file belongs to the server that the file names: another one that `--server` names must
/// never see it. A file that names none leaves it to the user whose token it is.
fn speaks_for(project: &Project, address: &Address) -> bool {
    project.target.server.as_ref().is_none_or(|server| server.parse::<Address>().is_ok_and(|own| own == *address))
}

/// The token that `haloy server add` stored for a server, or that the environment has for it.
fn added_token(address: &Address, servers: &Servers) -> Result<Option<Credential>, ClientError> {
    let Some(server) = entry(address, servers) else { return Ok(None) };
    let token = server.token(&paths::client_config())?;
    Ok(token.map(|token| Credential { token, origin: Origin::Added(server.token_env) }))
}

/// A server as it was added; one that was not, as it would be: in CI a variable is enough.
fn entry(address: &Address, servers: &Servers) -> Option<client::Server> {
    let Address::Tcp(name) = address else { return None };
    let new = || client::Server { token_env: servers.free_variable(name), name: name.clone() };
    Some(servers.get(&name.to_string()).cloned().unwrap_or_else(new))
}

fn no_token(address: &Address, project: Option<&Project>, servers: &Servers, folder: &Path) -> ClientError {
    let file = project.map(|project| format!("`api_token` in `{}`", project.path.display()));
    let env_file = folder.join(".env");
    let variable = entry(address, servers).map(|server| server.token_env);
    let variable = variable.map(|name| format!("`{name}` in the environment and in `{}`", env_file.display()));
    ClientError::NoToken { server: address.to_string(), looked: file.into_iter().chain(variable).collect() }
}
