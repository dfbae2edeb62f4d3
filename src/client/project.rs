//! A configuration file and the targets of it that a command is about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::secrets::{FetchedSecrets, SecretProviders, SecretRef};
use crate::config::{self, BuildsOn, Config, Environment, Mistake, SourcedValue, Target};
use crate::paths;
use crate::term::{self, Terminal};

use super::address::Address;
use super::error::ClientError;
use super::secrets;
use super::subject::{self, Globals};
use super::targets::{self, Purpose, Selection};

/// A configuration file, read.
pub struct Project {
    pub path: PathBuf,
    /// In the order of the file; never empty.
    pub targets: Vec<Chosen>,
    /// The same words could have led to other targets of the file.
    pub has_others: bool,
    /// What was typed to lead here, if anything was.
    pub word: Option<String>,
    /// Without any target's own files: for what is done once for all of them.
    pub environment: Environment,
    /// What was fetched so far.
    pub secrets: FetchedSecrets,
    pub secret_providers: SecretProviders,
    pub global_pre_deploy: Vec<String>,
    pub global_post_deploy: Vec<String>,
    warnings: Vec<Mistake>,
}

/// A target that the command is about, and where its values are looked up.
pub struct Chosen {
    pub target: Target,
    pub environment: Environment,
}

impl Project {
    /// Reads the configuration that `--config` or the command's own word names, else the one of the
    /// current directory, and chooses among its targets.
    pub fn read(globals: &Globals, word: Option<&str>, selection: &Selection, purpose: Purpose) -> Result<Self, ClientError> {
        let chosen = Self::choose(load(globals, word)?, globals, selection, purpose)?;
        Ok(Self { word: word.map(str::to_owned), ..chosen })
    }

    /// The same with all targets, for commands that are about none of them.
    pub fn whole(globals: &Globals) -> Result<Self, ClientError> {
        Ok(Self::with_all(load(globals, None)?))
    }

    /// The targets that are called `name` or whose app is, of the configuration here; `None` when there
    /// is no such configuration: an app needs none to be on a server.
    pub fn nearby(globals: &Globals, name: &str, selection: &Selection, purpose: Purpose) -> Result<Option<Self>, ClientError> {
        let found = config::find(globals.config.as_deref()).and_then(|path| config::load(&path)).ok();
        let Some(mut config) = found.filter(|config| config.targets.iter().any(|target| targets::is_called(target, name))) else {
            return if selection.is_given() { Err(ClientError::NothingToChoose { app: name.to_owned() }) } else { Ok(None) };
        };
        let is_app = config.targets.iter().any(|target| target.spec.name.as_str() == name);
        config.targets.retain(|target| if is_app { target.spec.name.as_str() == name } else { targets::is_called(target, name) });
        if let Some(server) = &globals.server
            && !selection.is_given()
        {
            // The app is chosen by its name and its server; the file only knows the token.
            let address: Address = server.parse()?;
            config.targets.retain(|target| subject::speaks_for(target, &address));
            config.targets.truncate(1);
            if config.targets.is_empty() {
                return Ok(None);
            }
        }
        let chosen = Self::choose(config, globals, selection, purpose)?;
        Ok(Some(Self { word: Some(name.to_owned()), ..chosen }))
    }

    fn choose(mut config: Config, globals: &Globals, selection: &Selection, purpose: Purpose) -> Result<Self, ClientError> {
        let has_others = config.targets.len() > 1;
        config.targets = selection.choose(config.targets, &config.path, purpose, globals.terminal)?;
        Ok(Self { has_others, ..Self::with_all(config) })
    }

    fn with_all(config: Config) -> Self {
        let Config { path, targets, secret_providers, global_pre_deploy, global_post_deploy, warnings } = config;
        let targets = targets.into_iter().map(|target| Chosen { environment: environment(&path, Some(&target)), target }).collect();
        let (word, secrets, environment) = (None, FetchedSecrets::default(), environment(&path, None));
        Self {
            path,
            has_others: false,
            word,
            secrets,
            targets,
            environment,
            secret_providers,
            global_pre_deploy,
            global_post_deploy,
            warnings,
        }
    }

    /// Prints the warnings of the file. Those who ask for nothing that it describes have no use for them;
    /// its notes are for `validate-config`.
    pub fn warn(&self) {
        let colour = Terminal::detect().colour;
        self.warnings.iter().filter(|mistake| !mistake.is_note()).for_each(|warning| term::words(&warning.render(colour)));
    }

    /// The directory that the configuration lies in.
    pub fn folder(&self) -> &Path {
        folder(&self.path)
    }

    /// Length of the longest name among the targets, in characters.
    pub fn width(&self) -> usize {
        self.targets.iter().map(|chosen| targets::label(&chosen.target).chars().count()).max().unwrap_or_default()
    }

    /// Keeps the one target that may have a token for `server`: the first when none is named, and perhaps none.
    pub fn keep_speaker(&mut self, server: Option<&str>) {
        if let Some(server) = server {
            let address: Option<Address> = server.parse().ok();
            self.targets.retain(|chosen| address.as_ref().is_some_and(|address| subject::speaks_for(&chosen.target, address)));
        }
        self.targets.truncate(1);
    }

    /// Fetches what the API tokens of the targets need from secret providers.
    pub async fn fetch_token_secrets(&mut self, globals: &Globals) -> Result<(), ClientError> {
        let senders = self.targets.iter().map(|chosen| &chosen.target).filter(|target| sends_token(target, globals));
        let tokens = senders.filter_map(|target| target.api_token.as_ref());
        let references = tokens.filter_map(SourcedValue::secret_reference).cloned().collect();
        self.fetch(references, globals).await
    }

    /// Fetches what a build of the targets needs from secret providers: arguments, the variables that are some, and the
    /// token of a server that builds.
    pub async fn fetch_build_secrets(&mut self, globals: &Globals) -> Result<(), ClientError> {
        let built = self.targets.iter().map(|chosen| &chosen.target).filter(|target| target.image.build.is_some());
        let of_target = |target: &Target| {
            let mut references = target.build_secret_references();
            let token = target.api_token.as_ref().filter(|_| target.is_built_on(BuildsOn::Server) && sends_token(target, globals));
            references.extend(token.and_then(SourcedValue::secret_reference).cloned());
            references
        };
        let references = built.flat_map(of_target).collect();
        self.fetch(references, globals).await
    }

    /// Fetches what a deploy of the targets needs from secret providers, all at once.
    pub async fn fetch_secrets(&mut self, globals: &Globals) -> Result<(), ClientError> {
        let of_target = |chosen: &Chosen| {
            let target = &chosen.target;
            let mut references = target.build_secret_references();
            references.extend(target.registry_secret_references());
            if sends_token(target, globals) {
                references.extend(target.secret_references());
            } else {
                references.extend(target.env.iter().filter_map(|entry| entry.value.secret_reference()).cloned());
            }
            references
        };
        let references = self.targets.iter().flat_map(of_target).collect();
        self.fetch(references, globals).await
    }

    async fn fetch(&mut self, references: BTreeSet<SecretRef>, globals: &Globals) -> Result<(), ClientError> {
        if !references.is_empty() {
            let variables = self.environment.file_variables()?;
            self.secrets = secrets::fetch(&self.secret_providers, &references, self.folder(), variables, globals.terminal).await?;
        }
        Ok(())
    }
}

/// Whether the target's API token is for the server that is spoken to: `--server` may lead away from its own.
fn sends_token(target: &Target, globals: &Globals) -> bool {
    let named = globals.server.as_ref().and_then(|server| server.parse::<Address>().ok());
    named.is_none_or(|address| subject::speaks_for(target, &address))
}

fn load(globals: &Globals, word: Option<&str>) -> Result<Config, ClientError> {
    let given = chosen_path(globals, word)?;
    Ok(config::load(&config::find(given.as_deref())?)?)
}

/// Where the values of a target of the file at `path` are looked up, or those for all targets.
pub fn environment(path: &Path, target: Option<&Target>) -> Environment {
    Environment::new(folder(path), &paths::client_config(), target.and_then(|target| target.name.as_deref()))
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
