//! Files that people write → valid types.
//!
//! The way of `haloy.yaml`, each step in the file of its name:
//!
//! ```text
//! source    the text, at most 1 MiB, and where things are in it
//! yaml json toml → tree      values with the place of every key and value
//! document  keys in one spelling after the table `keys`, secrets masked
//! targets   inheritance: layers (figment providers) laid over one another, each value with its origin;
//!           generations moves what earlier releases wrote elsewhere
//! target    every key read as its type: AppSpec and what only the client needs
//! app       the file as a whole
//! value secrets environment interpolation → what is looked up only when it is needed
//! ```
//!
//! Beside that way: `settings` (every value and its origin, for people), `schema` and `reference` (the table
//! of keys for editors and for people).
//!
//! Nothing here looks at the network or the server. Mistakes are collected, never returned one at a
//! time, and each points at its place. What may be a secret is masked before anything can show it:
//! no error, warning or log line made here holds a value of `env` or `api_token`.
//!
//! `client` and `daemon` read the files of the client and of the server in the same way.

mod acme;
mod app;
mod build;
mod build_files;
pub mod client;
mod command_words;
mod container;
mod contradictions;
pub mod daemon;
mod dead_keys;
mod document;
mod domains;
mod env;
mod environment;
mod error;
mod exercise;
mod field;
mod findings;
mod generations;
mod health_check;
mod hsts;
mod image;
mod interpolation;
mod json;
mod keys;
mod layer;
mod mask;
mod mistake;
mod network;
mod object;
pub mod reference;
mod schema;
pub mod secrets;
pub mod server;
pub mod settings;
mod size;
mod source;
mod spelling;
mod target;
mod targets;
#[cfg(test)]
pub mod tests;
pub mod tokens;
mod toml;
mod tree;
mod value;
mod volumes;
mod yaml;
pub mod yaml_text;

use std::path::{Path, PathBuf};

pub use build::{ArgValue, Build, BuildPath, BuildsOn, Push};
pub use build_files::is_remote_context;
pub use environment::Environment;
pub use error::ConfigError;
pub use exercise::exercise;
pub use image::{registry_address, registry_host, registry_of};
pub use mistake::Mistake;
pub use schema::{ADDRESS as SCHEMA_ADDRESS, schema};
pub use source::find;
pub use spelling::nearest;
pub use target::Target;
pub use value::{MASK, SourcedValue, ValueSource};

use app::App;
use document::Document;
use secrets::SecretProviders;

/// A valid configuration file.
#[derive(Debug, Clone)]
pub struct Config {
    pub path: PathBuf,
    /// In the order of the file; never empty.
    pub targets: Vec<Target>,
    pub secret_providers: SecretProviders,
    /// Shell commands to run once before and after the deploys, where haloy runs.
    pub global_pre_deploy: Vec<String>,
    pub global_post_deploy: Vec<String>,
    /// They do not keep the file from being used.
    pub warnings: Vec<Mistake>,
}

/// Reads `haloy.yaml` (or `.json`, `.toml`) and checks everything that needs no environment.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let document = Document::read(path, &keys::APP)?;
    let App { targets, secret_providers, global_pre_deploy, global_post_deploy, warnings } = app::read(&document)?;
    Ok(Config { path: path.to_owned(), targets, secret_providers, global_pre_deploy, global_post_deploy, warnings })
}

impl Config {
    /// Looks beside the file for what images are built from; warnings about what is not there.
    pub fn missing_files(&self) -> Vec<Mistake> {
        build_files::check(&self.path, &self.targets)
    }
}
