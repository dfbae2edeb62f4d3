//! `validate-config`: all mistakes of a configuration at once, without any server.

mod resolved;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde::Serialize;

use crate::config::secrets::FetchedSecrets;
use crate::config::{self, ArgValue, Config, ConfigError, Environment, Mistake, SourcedValue, Target, ValueSource, yaml_text};
use crate::error::Report as _;
use crate::term::{self, Terminal};
use crate::wire::AppSpec;

use super::Outcome;
use super::error::ClientError;
use super::secrets;
use super::subject::{self, Globals};
use super::targets::Selection;

/// Check a configuration without deploying it
#[derive(clap::Args)]
#[command(args = super::hidden(&["server"]), after_help = "\
Examples:
  haloy validate-config
  haloy validate-config services/api/haloy.yaml --json
  haloy validate-config --show-resolved-config --mask-secrets
  haloy validate-config --targets production

Exit codes: 0 valid, with warnings perhaps; 2 not valid")]
pub struct ValidateConfig {
    /// Configuration file or its directory
    #[arg(value_name = "CONFIG")]
    file: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Print what would be deployed, every value looked up and SECRETS IN THE OPEN
    #[arg(long)]
    show_resolved_config: bool,
    /// With --show-resolved-config: print where a value comes from in its place, and look nothing up
    #[arg(long, requires = "show_resolved_config")]
    mask_secrets: bool,
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
    spec: AppSpec,
    /// The image is built by `haloy deploy`.
    is_built: bool,
    /// Environment variables that a deploy needs and that are not set here.
    missing_env: Vec<&'a str>,
    /// The values that name them, in the same order.
    #[serde(skip)]
    missing: Vec<&'a SourcedValue>,
    /// What would be deployed, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<serde_json::Value>,
}

impl ValidateConfig {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let path = subject::chosen_path(globals, self.file.as_deref())?;
        let mut config = match config::find(path.as_deref()).and_then(|path| config::load(&path)) {
            Ok(config) => config,
            Err(error) if self.json => {
                term::json(
                    &serde_json::json!({ "ok": false, "error": error.to_string(), "hint": error.hint(), "mistakes": error.mistakes() }),
                );
                return Ok(ExitCode::from(error.exit_code()));
            }
            Err(error) => return Err(error.into()),
        };
        config.targets = self.selection.named_or_all(config.targets, &config.path)?;
        let warnings = [config.warnings.clone(), config.missing_files()].concat();
        let targets: Vec<ValidTarget<'_>> =
            config.targets.iter().map(|target| summary(target, &config)).collect::<Result<_, ConfigError>>()?;
        let mut valid = Valid { ok: true, path: config.path.display().to_string(), warnings: &warnings, targets };
        if self.show_resolved_config {
            self.resolve(&config, &mut valid, globals).await?;
        }
        if self.json {
            term::json(&valid);
        } else if self.show_resolved_config {
            show_resolved(&valid);
            warn(&valid, globals);
        } else {
            show(&valid);
            warn(&valid, globals);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn resolve(&self, config: &Config, valid: &mut Valid<'_>, globals: &Globals) -> Result<(), ClientError> {
        if self.mask_secrets {
            for (target, shown) in config.targets.iter().zip(&mut valid.targets) {
                shown.resolved = Some(resolved::masked(target));
            }
            return Ok(());
        }
        let references: BTreeSet<_> = config.targets.iter().flat_map(resolved::references).collect();
        let secrets = if references.is_empty() {
            FetchedSecrets::default()
        } else {
            let (folder, environment) = (subject::folder(&config.path), subject::environment(&config.path, None));
            secrets::fetch(&config.secret_providers, &references, folder, environment.file_variables()?, globals.terminal).await?
        };
        for (target, shown) in config.targets.iter().zip(&mut valid.targets) {
            shown.resolved = Some(resolved::open(target, &subject::environment(&config.path, Some(target)), &secrets)?);
        }
        let warning = "warning: secrets are shown in the open: keep this out of logs, or hide them with `--mask-secrets`";
        term::words(&globals.terminal.yellow(warning));
        Ok(())
    }
}

fn summary<'a>(target: &'a Target, config: &Config) -> Result<ValidTarget<'a>, ConfigError> {
    let (missing_env, missing) = missing(target, &subject::environment(&config.path, Some(target)))?.into_iter().unzip();
    Ok(ValidTarget {
        name: target.name.as_deref(),
        server: target.server.as_deref(),
        spec: resolved::spec(target),
        is_built: target.image.build.is_some(),
        missing_env,
        missing,
        resolved: None,
    })
}

/// Variables that a deploy of the target looks up and does not find here, each once with the first value that is
/// taken from it.
fn missing<'a>(target: &'a Target, environment: &Environment) -> Result<Vec<(&'a str, &'a SourcedValue)>, ConfigError> {
    let args = target.image.build.iter().flat_map(|build| &build.args);
    let args = args.filter_map(|arg| if let ArgValue::Sourced(value) = &arg.value { Some(value) } else { None });
    let login = target.image.registry.iter().flat_map(|login| [&login.username, &login.password]);
    let values = target.env.iter().map(|entry| &entry.value).chain(&target.api_token).chain(args).chain(login);
    let mut missing: Vec<(&str, &SourcedValue)> = Vec::new();
    for value in values {
        let ValueSource::Env(name) = &value.source else { continue };
        let shown = value.shown(name);
        if !missing.iter().any(|(known, _)| *known == shown) && environment.get(name)?.is_none() {
            missing.push((shown, value));
        }
    }
    Ok(missing)
}

fn show(valid: &Valid<'_>) {
    term::data(&format!("ok: {}\n", valid.path));
    for target in &valid.targets {
        let spec = &target.spec;
        let domains: Vec<&str> = spec.domains.iter().map(|domain| domain.domain.as_str()).collect();
        let domains = if domains.is_empty() { "none (a worker)".to_owned() } else { domains.join(", ") };
        let built = if target.is_built { " (to be built)" } else { "" };
        let facts = [
            ("target", target.name.unwrap_or_default().to_owned()),
            ("app", spec.name.to_string()),
            ("image", format!("{}{built}", spec.image)),
            ("server", target.server.unwrap_or("not named").to_owned()),
            ("domains", domains),
            ("replicas", spec.replicas.to_string()),
        ];
        if target.name.is_some() {
            term::data("\n");
        }
        facts.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| term::data(&format!("  {name:<10}{value}\n")));
    }
}

/// One YAML document for each target.
fn show_resolved(valid: &Valid<'_>) {
    for (index, target) in valid.targets.iter().enumerate() {
        let border = if index > 0 { "---\n" } else { "" };
        let title = target.name.map(|name| format!("# target {name}\n")).unwrap_or_default();
        let body = target.resolved.as_ref().map(yaml_text::document).unwrap_or_default();
        term::data(&format!("{border}{title}{body}"));
    }
}

/// What needs a variable: targets that have a name, and the first value that is taken from it.
struct Needed<'a> {
    targets: Vec<&'a str>,
    value: &'a SourcedValue,
}

/// By variable.
fn needed<'a>(valid: &'a Valid<'_>) -> BTreeMap<&'a str, Needed<'a>> {
    let mut needed: BTreeMap<&str, Needed<'_>> = BTreeMap::new();
    for target in &valid.targets {
        for (name, value) in target.missing_env.iter().zip(&target.missing) {
            needed.entry(name).or_insert_with(|| Needed { targets: Vec::new(), value }).targets.extend(target.name);
        }
    }
    needed
}

fn warn(valid: &Valid<'_>, globals: &Globals) {
    for (name, Needed { targets, value }) in needed(valid) {
        let of = if targets.is_empty() { String::new() } else { format!(" of {}", targets.join(", ")) };
        let place = format!("{}, `{}`", value.site, value.key);
        term::words(&globals.terminal.yellow(&format!("warning: `{name}` is not set here, a deploy{of} needs it ({place})")));
    }
    let colour = Terminal::detect().colour;
    valid.warnings.iter().for_each(|warning| term::words(&warning.render(colour)));
}
