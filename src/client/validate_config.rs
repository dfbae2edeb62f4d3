//! `validate-config`: all mistakes of a configuration at once, without any server.

use std::process::ExitCode;

use serde::Serialize;

use crate::config::{self, Config, ConfigError, Environment, Mistake, Target};
use crate::error::Report as _;
use crate::paths;
use crate::term::{self, Terminal};
use crate::wire::{AppSpec, EnvSource};

use super::Outcome;
use super::subject::{self, Globals};

/// Check a configuration without deploying it
#[derive(clap::Args)]
#[command(args = super::hidden(&["server"]))]
pub struct ValidateConfig {
    /// Configuration file or its directory
    #[arg(value_name = "CONFIG")]
    file: Option<String>,
    /// Print one JSON value: what was understood, or all mistakes
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Valid<'a> {
    ok: bool,
    path: String,
    warnings: &'a [Mistake],
    targets: Vec<ValidTarget<'a>>,
}

#[derive(Serialize)]
struct ValidTarget<'a> {
    name: Option<&'a str>,
    server: Option<&'a str>,
    spec: &'a AppSpec,
    /// Environment variables that a deploy needs and that are not set here.
    missing_env: Vec<String>,
}

impl ValidateConfig {
    pub fn run(self, globals: &Globals) -> Outcome {
        let path = subject::chosen_path(globals, self.file.as_deref())?;
        let config = match config::find(path.as_deref()).and_then(|path| config::load(&path)) {
            Ok(config) => config,
            Err(error) if self.json => {
                term::json(
                    &serde_json::json!({ "ok": false, "error": error.to_string(), "hint": error.hint(), "mistakes": error.mistakes() }),
                );
                return Ok(ExitCode::from(error.exit_code()));
            }
            Err(error) => return Err(error.into()),
        };
        let environment = Environment::new(subject::folder(&config.path), &paths::client_config(), None);
        let valid = summary(&config, &environment)?;
        if self.json {
            term::json(&valid);
        } else {
            show(&valid, globals);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn summary<'a>(config: &'a Config, environment: &Environment) -> Result<Valid<'a>, ConfigError> {
    let target = |target: &'a Target| {
        Ok(ValidTarget {
            name: target.name.as_deref(),
            server: target.server.as_deref(),
            spec: &target.spec,
            missing_env: missing(&target.spec, environment)?,
        })
    };
    Ok(Valid {
        ok: true,
        path: config.path.display().to_string(),
        warnings: &config.warnings,
        targets: config.targets.iter().map(target).collect::<Result<_, ConfigError>>()?,
    })
}

fn missing(spec: &AppSpec, environment: &Environment) -> Result<Vec<String>, ConfigError> {
    let needed = spec.env.iter().filter_map(|variable| match &variable.source {
        EnvSource::Env(name) => Some(name),
        EnvSource::Value | EnvSource::Secret(_) | EnvSource::ServerSecret(_) => None,
    });
    let mut missing = Vec::new();
    for name in needed {
        if environment.get(name)?.is_none() {
            missing.push(name.clone());
        }
    }
    Ok(missing)
}

fn show(valid: &Valid<'_>, globals: &Globals) {
    term::data(&format!("ok: {}\n", valid.path));
    for target in &valid.targets {
        let spec = target.spec;
        let domains: Vec<&str> = spec.domains.iter().map(|domain| domain.domain.as_str()).collect();
        let domains = if domains.is_empty() { "none (a worker)".to_owned() } else { domains.join(", ") };
        let server = target.server.unwrap_or("not named");
        let facts = [
            ("app", spec.name.to_string()),
            ("image", spec.image.to_string()),
            ("server", server.to_owned()),
            ("domains", domains),
            ("replicas", spec.replicas.to_string()),
        ];
        facts.iter().for_each(|(name, value)| term::data(&format!("  {name:<10}{value}\n")));
        for name in &target.missing_env {
            term::words(&globals.terminal.yellow(&format!("warning: `{name}` is not set here, a deploy needs it")));
        }
    }
    let colour = Terminal::detect().colour;
    valid.warnings.iter().for_each(|warning| term::words(&warning.render(colour)));
}
