//! Secrets of an earlier deployment, looked up anew from where its snapshot says that they came from.
//!
//! A rollback must work when a vault does not, or where the variables of CI are not at hand: what cannot be looked up
//! keeps the value that it had, and is named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::secrets::{FetchedSecrets, SecretOrigin, SecretProviders, SecretRef};
use crate::config::{self, Config, Environment};
use crate::error::chain;
use crate::names::AppName;
use crate::paths;
use crate::wire::{AppSpec, EnvSource, EnvValue};

use super::error::ClientError;
use super::secrets;
use super::subject::{self, Globals};

/// Where values are looked up: beside the configuration that describes the app, else in this process alone.
pub struct Origins {
    config: Option<Config>,
}

/// What was found, and what keeps its value.
#[derive(Default)]
pub struct Renewed {
    pub values: Vec<EnvValue>,
    /// Variables whose values stay as they were.
    pub kept: Vec<String>,
    /// Why secret providers could not be asked.
    pub trouble: Option<String>,
}

impl Origins {
    /// The configuration that the command's words lead to. One that is not there or not valid is none.
    pub fn find(globals: &Globals, word: Option<&str>) -> Self {
        let word = word.filter(|word| subject::names_a_file(word)).map(PathBuf::from);
        let path = config::find(word.as_deref().or(globals.config.as_deref())).ok();
        Self { config: path.and_then(|path| config::load(&path).ok()) }
    }

    /// Looks up what the snapshot's environment names.
    pub async fn renew(&self, spec: &AppSpec, globals: &Globals) -> Result<Renewed, ClientError> {
        let (environment, folder) = self.environment(&spec.name);
        let references: Vec<(&str, SecretRef)> =
            spec.env.iter().filter_map(|v| Some((v.name.as_str(), self.reference(&v.source)?))).collect();
        let wanted: BTreeSet<SecretRef> = references.iter().map(|(_, reference)| reference.clone()).collect();
        let mut renewed = Renewed::default();
        let secrets = match &self.config {
            Some(config) if !wanted.is_empty() => {
                let variables = environment.file_variables()?;
                secrets::fetch(&config.secret_providers, &wanted, &folder, variables, globals.terminal).await.unwrap_or_else(|error| {
                    renewed.trouble = Some(chain(&error));
                    FetchedSecrets::default()
                })
            }
            _ => FetchedSecrets::default(),
        };
        for variable in &spec.env {
            let value = match &variable.source {
                EnvSource::Value | EnvSource::ServerSecret(_) => continue,
                EnvSource::Env(name) => environment.get(name)?,
                EnvSource::Secret(_) => {
                    let reference = references.iter().find(|(name, _)| *name == variable.name);
                    reference.and_then(|(_, reference)| secrets.get(reference)).cloned()
                }
            };
            match value {
                Some(value) => renewed.values.push(EnvValue { name: variable.name.clone(), value }),
                None => renewed.kept.push(variable.name.clone()),
            }
        }
        Ok(renewed)
    }

    fn environment(&self, app: &AppName) -> (Environment, PathBuf) {
        match &self.config {
            Some(config) => {
                let target = config.targets.iter().find(|target| target.spec.name == *app);
                (subject::environment(&config.path, target), subject::folder(&config.path).to_owned())
            }
            None => (Environment::new(Path::new("."), &paths::client_config(), None), PathBuf::from(".")),
        }
    }

    fn reference(&self, source: &EnvSource) -> Option<SecretRef> {
        let none = SecretProviders::default();
        let EnvSource::Secret(text) = source else { return None };
        let providers = self.config.as_ref().map_or(&none, |config| &config.secret_providers);
        match providers.resolve(text).ok()? {
            SecretOrigin::Provider(reference) => Some(reference),
            SecretOrigin::Server(_) => None,
        }
    }
}
