//! Secrets of an earlier deployment, looked up anew from where its snapshot says that they came from.
//!
//! A rollback must work when a vault does not, or where the variables of CI are not at hand: what cannot be looked up
//! keeps the value that it had, and is named.

use std::collections::BTreeSet;

use crate::config::Environment;
use crate::config::secrets::{FetchedSecrets, SecretOrigin, SecretProviders, SecretRef};
use crate::error::chain;
use crate::wire::{AppSpec, EnvSource, EnvValue};

use super::error::ClientError;
use super::project::Project;
use super::secrets;
use super::subject::{Globals, Subject};

/// Where the values of one app are looked up: where the configuration's own are when it describes the app, else in this
/// process alone.
pub struct Origin<'a> {
    project: Option<&'a Project>,
    environment: Environment,
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

impl<'a> Origin<'a> {
    /// `project` is the one that led to `subject`, if one did.
    pub fn of(subject: &Subject, project: Option<&'a Project>) -> Self {
        let chosen = project.and_then(|project| Some((project, subject.chosen(project)?)));
        match chosen {
            Some((project, chosen)) => Self { project: Some(project), environment: chosen.environment.clone() },
            None => Self { project: None, environment: Environment::of_process() },
        }
    }

    /// Looks up what the snapshot's environment names.
    pub async fn renew(&self, spec: &AppSpec, globals: &Globals) -> Result<Renewed, ClientError> {
        let references: Vec<(&str, SecretRef)> =
            spec.env.iter().filter_map(|v| Some((v.name.as_str(), self.reference(&v.source)?))).collect();
        let wanted: BTreeSet<SecretRef> = references.iter().map(|(_, reference)| reference.clone()).collect();
        let mut renewed = Renewed::default();
        let secrets = match self.project {
            Some(project) if !wanted.is_empty() => {
                let variables = self.environment.file_variables()?;
                let fetched = secrets::fetch(&project.secret_providers, &wanted, project.folder(), variables, globals.terminal).await;
                fetched.unwrap_or_else(|error| {
                    renewed.trouble = Some(chain(&error));
                    FetchedSecrets::default()
                })
            }
            _ => FetchedSecrets::default(),
        };
        for variable in &spec.env {
            let value = match &variable.source {
                EnvSource::Value | EnvSource::ServerSecret(_) => continue,
                EnvSource::Env(name) => self.environment.get(name)?,
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

    fn reference(&self, source: &EnvSource) -> Option<SecretRef> {
        let none = SecretProviders::default();
        let EnvSource::Secret(text) = source else { return None };
        let providers = self.project.map_or(&none, |project| &project.secret_providers);
        match providers.resolve(text).ok()? {
            SecretOrigin::Provider(reference) => Some(reference),
            SecretOrigin::Server(_) => None,
        }
    }
}
