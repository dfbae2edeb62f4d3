//! One target: every key read as its type.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use super::env::{self, EnvEntry, TokenSource};
use super::environment::Environment;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::secrets::{FetchedSecrets, SecretProviders, SecretRef};
use super::server::{self, ServerName};
use super::{domains, image, volumes};
use crate::names::{MAX_REPLICAS, is_network_name};
use crate::secret::Secret;
use crate::wire::{AppSpec, ContainerOptions, EnvValue, Naming, PullPolicy, Strategy, Tls};

const HOUR: u32 = 60 * 60;
const DAY: u32 = 24 * HOUR;

/// One app on one server, valid; values from the environment are not looked up yet.
#[derive(Debug, Clone)]
pub struct Target {
    /// None for the one target of a file that names none.
    pub name: Option<String>,
    pub spec: AppSpec,
    /// In the order of `spec.env`.
    pub env: Vec<EnvEntry>,
    /// Host as [`ServerName`] writes it.
    pub server: Option<String>,
    pub api_token: Option<TokenSource>,
    /// Shell commands to run before the deploy, where haloy runs.
    pub pre_deploy: Vec<String>,
    pub post_deploy: Vec<String>,
}

impl Target {
    /// What secret providers must be asked for.
    pub fn secret_references(&self) -> BTreeSet<SecretRef> {
        BTreeSet::new()
    }

    /// The values of `spec.env`, in its order, with those of each other put in. All that are missing are
    /// named at once. `secrets` holds what [`Self::secret_references`] named.
    pub fn resolve_env(&self, environment: &Environment, _secrets: &FetchedSecrets) -> Result<Vec<EnvValue>, ConfigError> {
        env::resolve(&self.env, environment)
    }

    /// The token of the file, when it has one.
    pub fn resolve_token(&self, environment: &Environment, _secrets: &FetchedSecrets) -> Result<Option<Secret>, ConfigError> {
        self.api_token.as_ref().map(|token| env::resolve_token(token, environment)).transpose()
    }
}

/// Reads the keys of one target after inheritance.
pub fn read(root: &Field<'_>, name: Option<String>, _providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<Target> {
    let env = root.get("env").map(|field| env::read(&field, findings)).unwrap_or_default();
    let server = root.get("server").and_then(|field| read_server(&field, findings));
    let api_token = root.get("api_token").and_then(|field| env::read_token(&field, findings));
    let pre_deploy = root.get("pre_deploy").map(|field| read_commands(&field, findings)).unwrap_or_default();
    let post_deploy = root.get("post_deploy").map(|field| read_commands(&field, findings)).unwrap_or_default();
    let spec = read_spec(root, &env, findings)?;
    Some(Target { name, spec, env, server, api_token, pre_deploy, post_deploy })
}

fn read_spec(root: &Field<'_>, env: &[EnvEntry], findings: &mut Findings<'_>) -> Option<AppSpec> {
    let name = match root.get("name") {
        Some(field) => findings.parse(&field),
        None => {
            findings.missing(root, "name", "add `name: my-app`");
            None
        }
    };
    let image = match root.get("image") {
        Some(field) => image::read(&field, findings),
        None => {
            findings.missing(root, "image", "add `image: ghcr.io/you/app:1.0`");
            None
        }
    };
    let domains = root.get("domains").map(|field| domains::read(&field, findings)).unwrap_or_default();
    let acme_email = root.get("acme_email").and_then(|field| read_email(&field, findings));
    let tls = root.get("tls").and_then(|field| findings.choice(&field, &[("auto", Tls::Auto), ("off", Tls::Off)]));
    let replicas = root.get("replicas").and_then(|field| findings.number(&field, 1..=u32::from(MAX_REPLICAS)));
    let port = root.get("port").and_then(|field| findings.number(&field, 1..=u32::from(u16::MAX)));
    let health_check_path = root.get("health_check_path").and_then(|field| read_path(&field, findings));
    let volumes = root.get("volumes").map(|field| volumes::read(&field, findings)).unwrap_or_default();
    let network = root.get("network").and_then(|field| read_network(&field, !domains.is_empty(), findings));
    let strategies = [("rolling", Strategy::Rolling), ("replace", Strategy::Replace)];
    let deployment_strategy = root.get("deployment_strategy").and_then(|field| findings.choice(&field, &strategies));
    let min_ready_seconds = root.get("min_ready_seconds").and_then(|field| findings.seconds(&field, 0..=HOUR));
    let deploy_timeout = root.get("deploy_timeout").and_then(|field| findings.seconds(&field, 1..=DAY));
    if let (Some(ready), Some(field)) = (min_ready_seconds, root.get("min_ready_seconds")) {
        let timeout = deploy_timeout.unwrap_or_else(AppSpec::default_deploy_timeout);
        if ready >= timeout {
            let message =
                format!("`min_ready_seconds` must be shorter than `deploy_timeout` ({timeout} seconds): no deployment could succeed");
            findings.mistake(&field, message).hint("make `deploy_timeout` longer");
        }
    }
    let drain_timeout = root.get("drain_timeout").and_then(|field| findings.seconds(&field, 0..=DAY));
    let stop_timeout = root.get("stop_timeout").and_then(|field| findings.seconds(&field, 0..=HOUR));
    Some(AppSpec {
        name: name?,
        image: image?,
        pull_policy: PullPolicy::default(),
        domains,
        acme_email,
        tls: tls.unwrap_or_default(),
        replicas: replicas.and_then(|n| u16::try_from(n).ok()).unwrap_or(1),
        port: port.and_then(|n| u16::try_from(n).ok()).and_then(NonZeroU16::new),
        health_check_path,
        health_check: None,
        env: env.iter().map(EnvEntry::variable).collect(),
        volumes,
        network,
        container: ContainerOptions::default(),
        release_command: None,
        naming_strategy: Naming::default(),
        protected: false,
        deployment_strategy: deployment_strategy.unwrap_or_default(),
        min_ready_seconds: min_ready_seconds.unwrap_or_default(),
        deploy_timeout: deploy_timeout.unwrap_or_else(AppSpec::default_deploy_timeout),
        drain_timeout: drain_timeout.unwrap_or_else(AppSpec::default_drain_timeout),
        stop_timeout: stop_timeout.unwrap_or_else(AppSpec::default_stop_timeout),
    })
}

fn read_server(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let written = findings.word(field)?;
    match ServerName::parse(written) {
        Ok(server) => {
            if server::has_scheme(written) {
                findings.warning(field, "`server` is a host alone; haloy chooses the scheme itself").hint(format!("write `{server}`"));
            }
            Some(server.to_string())
        }
        Err(reason) => {
            let message = format!("{} is not a server: {reason}", findings.quoted(field, written));
            findings.mistake(field, message).hint(server::EXAMPLE);
            None
        }
    }
}

fn read_email(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let email = findings.word(field)?;
    let valid = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if !valid || email.contains(char::is_whitespace) {
        let message = format!("{} is not an e-mail address", findings.quoted(field, email));
        findings.mistake(field, message).hint("write it like `you@example.com`");
        return None;
    }
    Some(email.to_owned())
}

fn read_path(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let path = findings.word(field)?;
    if !path.starts_with('/') {
        findings.mistake(field, format!("`{}` must begin with `/`", field.path)).hint("write the path alone, like `/health`");
        return None;
    }
    if path.contains(|c: char| c.is_whitespace() || c.is_control() || !c.is_ascii() || c == '#') {
        findings
            .mistake(field, format!("`{}` must be a path as it stands in a URL", field.path))
            .hint("write other characters as `%20` and the like");
        return None;
    }
    Some(path.to_owned())
}

/// `has_domains`: visitors must be able to reach the app there.
fn read_network(field: &Field<'_>, has_domains: bool, findings: &mut Findings<'_>) -> Option<String> {
    let name = findings.word(field)?;
    match name {
        "bridge" | "default" => {
            let message = format!("Docker's network `{name}` knows no names: apps there cannot find each other");
            let hint = format!("leave `{}` out: the app is then in `{}`, where they can", field.path, AppSpec::DEFAULT_NETWORK);
            findings.mistake(field, message).hint(hint);
            return None;
        }
        "none" if has_domains => {
            let message = "an app without a network cannot be reached under its domains";
            findings.mistake(field, message).hint(format!("leave `{}` out, or `domains`", field.path));
            return None;
        }
        _ => {}
    }
    if !is_network_name(name) {
        let name = findings.quoted(field, name);
        findings.mistake(field, format!("{name} is not the name of a Docker network: it has letters, digits, `_`, `.` and `-`"));
        return None;
    }
    Some(name.to_owned())
}

pub fn read_commands(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    if let Some(command) = field.text() {
        findings.wrong_kind(field, "a list").hint(format!("write `- {command}` on a line of its own below `{}:`", field.path));
        return Vec::new();
    }
    let items = findings.list(field);
    items.iter().filter_map(|item| findings.text(item).map(str::to_owned)).collect()
}
