//! `haloy.yaml` as a whole: its targets, and what it says once for all of them.

use super::document::Document;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::mistake::Mistake;
use super::secrets::SecretProviders;
use super::target::{self, Target};
use super::targets;

/// A valid file.
#[derive(Debug)]
pub struct App {
    /// In the order of the file; never empty.
    pub targets: Vec<Target>,
    pub secret_providers: SecretProviders,
    pub global_pre_deploy: Vec<String>,
    pub global_post_deploy: Vec<String>,
    pub warnings: Vec<Mistake>,
}

/// Reads every key as its type and notes every mistake.
pub fn read(document: &Document) -> Result<App, ConfigError> {
    let mut findings = Findings::new(document);
    let values = targets::values(document);
    let root = Field::root(&values);
    let secret_providers = root.get("secret_providers").map(|field| SecretProviders::read(&field, &mut findings)).unwrap_or_default();
    let global_pre_deploy = root.get("global_pre_deploy").map(|field| target::read_commands(&field, &mut findings)).unwrap_or_default();
    let global_post_deploy = root.get("global_post_deploy").map(|field| target::read_commands(&field, &mut findings)).unwrap_or_default();
    let merged = targets::inherit(document);
    let read = |merged: &targets::Merged| target::read(&Field::root(&merged.values), merged.name.clone(), &secret_providers, &mut findings);
    let targets: Vec<Option<Target>> = merged.iter().map(read).collect();
    let warnings = findings.finish()?;
    let targets = targets.into_iter().map(|target| target.expect("invariant: a target is missing only after a mistake")).collect();
    Ok(App { targets, secret_providers, global_pre_deploy, global_post_deploy, warnings })
}
