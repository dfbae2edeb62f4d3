//! One target: every key read as its type.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use super::build::{ArgValue, Build, BuildsOn};
use super::env::{self, EnvEntry};
use super::environment::Environment;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::image::{self, Image};
use super::keys::target::{DEPLOY_TIMEOUT, DRAIN_TIMEOUT, MIN_READY, PORT, REPLICAS, STOP_TIMEOUT};
use super::object::Object;
use super::secrets::{FetchedSecrets, SecretProviders, SecretRef};
use super::server::{self, ServerName};
use super::value::{self, SourcedValue};
use super::{container, contradictions, dead_keys, domains, health_check, hsts, network, volumes};
use crate::names::{AppName, is_email, is_env_name};
use crate::secret::Secret;
use crate::wire::{AppSpec, EnvValue, Naming, RegistryLogin, Strategy, Tls};

/// One app on one server, valid; values from the environment and from secret providers are not looked up yet.
#[derive(Debug, Clone)]
pub struct Target {
    /// None for the one target of a file that names none.
    pub name: Option<String>,
    pub spec: AppSpec,
    /// In the order of `spec.env`.
    pub env: Vec<EnvEntry>,
    /// How the image of the spec comes to be.
    pub image: Image,
    /// Host as [`ServerName`] writes it.
    pub server: Option<String>,
    pub api_token: Option<SourcedValue>,
    /// Shell commands to run before the deploy, where haloy runs.
    pub pre_deploy: Vec<String>,
    pub post_deploy: Vec<String>,
}

impl Target {
    /// What secret providers must be asked for to deploy an image that is there.
    pub fn secret_references(&self) -> BTreeSet<SecretRef> {
        let values = self.env.iter().map(|entry| &entry.value).chain(&self.api_token);
        values.filter_map(SourcedValue::secret_reference).cloned().collect()
    }

    /// What secret providers must be asked for to build the image. An argument that is a variable may have others in it.
    pub fn build_secret_references(&self) -> BTreeSet<SecretRef> {
        let args = || self.image.build.iter().flat_map(|build| &build.args);
        let written = args().filter_map(|arg| if let ArgValue::Sourced(value) = &arg.value { Some(value) } else { None });
        let has_variables = args().any(|arg| matches!(arg.value, ArgValue::Variable));
        let variables = self.env.iter().filter(|_| has_variables).map(|entry| &entry.value);
        written.chain(variables).filter_map(SourcedValue::secret_reference).cloned().collect()
    }

    /// Whether the image is built, and there.
    pub fn is_built_on(&self, place: BuildsOn) -> bool {
        self.image.build.as_ref().is_some_and(|build| build.on == place)
    }

    /// What secret providers must be asked for to log in to the image's registry.
    pub fn registry_secret_references(&self) -> BTreeSet<SecretRef> {
        let values = self.image.registry.iter().flat_map(|registry| [&registry.username, &registry.password]);
        values.filter_map(SourcedValue::secret_reference).cloned().collect()
    }

    /// The values of `spec.env`, in its order, with those of each other put in. All that are missing are
    /// named at once. `secrets` holds what [`Self::secret_references`] named.
    pub fn resolve_env(&self, environment: &Environment, secrets: &FetchedSecrets) -> Result<Vec<EnvValue>, ConfigError> {
        env::resolve(&self.env, environment, secrets)
    }

    /// The token of the file, when it has one.
    pub fn resolve_token(&self, environment: &Environment, secrets: &FetchedSecrets) -> Result<Option<Secret>, ConfigError> {
        self.api_token.as_ref().map(|token| value::resolve_one(token, environment, secrets)).transpose()
    }

    /// The build arguments in their order. `secrets` holds what [`Self::build_secret_references`] named.
    pub fn resolve_build_args(&self, environment: &Environment, secrets: &FetchedSecrets) -> Result<Vec<(String, Secret)>, ConfigError> {
        let Some(Build { args, .. }) = &self.image.build else { return Ok(Vec::new()) };
        let written = args.iter().filter_map(|arg| if let ArgValue::Sourced(value) = &arg.value { Some(value) } else { None });
        let mut written = value::resolve(written, environment, secrets)?.into_iter();
        let of_env = args.iter().any(|arg| matches!(arg.value, ArgValue::Variable));
        let env = if of_env { self.resolve_env(environment, secrets)? } else { Vec::new() };
        let value = |arg: &super::build::BuildArg| match arg.value {
            ArgValue::Sourced(_) => written.next(),
            ArgValue::Variable => env.iter().find(|variable| variable.name == arg.name).map(|variable| variable.value.clone()),
        };
        let values: Vec<Option<Secret>> = args.iter().map(value).collect();
        Ok(args.iter().zip(values).filter_map(|(arg, value)| Some((arg.name.clone(), value?))).collect())
    }

    /// The login of the image's registry, when the file has one. `secrets` holds what
    /// [`Self::registry_secret_references`] named.
    pub fn resolve_registry(&self, environment: &Environment, secrets: &FetchedSecrets) -> Result<Option<RegistryLogin>, ConfigError> {
        let Some(registry) = &self.image.registry else { return Ok(None) };
        let mut values = value::resolve([&registry.username, &registry.password], environment, secrets)?.into_iter();
        let login = values.next().zip(values.next());
        Ok(login.map(|(username, password)| RegistryLogin { server: registry.server.clone(), username, password }))
    }
}

/// Reads the keys of one target after inheritance.
pub fn read(root: &Field<'_>, name: Option<String>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<Target> {
    let mut target = Object::new(root, findings);
    let env = target.all("env", |field, findings| env::read(field, providers, findings));
    let server = target.read("server", read_server);
    let pre_deploy = target.all("pre_deploy", read_commands);
    let post_deploy = target.all("post_deploy", read_commands);
    let api_token = target.read("api_token", |field, findings| read_token(field, providers, findings));
    check_inheritance(&mut target);
    let app = read_name(root, findings);
    let image = image::read(root, app.as_ref(), providers, findings);
    let spec = read_spec(root, app, image.as_ref(), &env, findings);
    let (mut image, spec) = (image?.image, spec?);
    if let Some(build) = &mut image.build {
        build.add_variables(&env);
    }
    dead_keys::warn(root, &spec, findings);
    Some(Target { name, spec, env, image, server, api_token, pre_deploy, post_deploy })
}

/// Keys that did their work when the target took what it does not say from elsewhere.
fn check_inheritance(target: &mut Object<'_, '_, '_>) {
    target.choice("preset", &[("database", ()), ("service", ())]);
    target.boolean("env_merge");
}

fn read_name(root: &Field<'_>, findings: &mut Findings<'_>) -> Option<AppName> {
    match root.get("name") {
        Some(field) => findings.parse(&field),
        None => {
            findings.missing(root, "name", "add `name: my-app`");
            None
        }
    }
}

fn read_spec(
    root: &Field<'_>,
    name: Option<AppName>,
    image: Option<&image::Read>,
    env: &[EnvEntry],
    findings: &mut Findings<'_>,
) -> Option<AppSpec> {
    let mut target = Object::new(root, findings);
    let domains = target.all("domains", domains::read);
    let acme_email = target.read("acme_email", read_email);
    let tls = target.choice("tls", &[("auto", Tls::Auto), ("off", Tls::Off)]).unwrap_or_default();
    let hsts = target.read("hsts", hsts::read);
    let replicas = target.number("replicas", REPLICAS).and_then(|n| u16::try_from(n).ok()).unwrap_or(1);
    let port = target.number("port", PORT).and_then(|n| u16::try_from(n).ok()).and_then(NonZeroU16::new);
    let health_check_path = target.read("health_check_path", health_check::read_path);
    let path = health_check_path.as_deref();
    let health_check = target.read("health_check", |field, findings| health_check::read(field, path, findings));
    let volumes = target.all("volumes", volumes::read);
    let network = target.read("network", network::read);
    let release_command = target.words("release_command");
    let strategies = [("rolling", Strategy::Rolling), ("replace", Strategy::Replace)];
    let deployment_strategy = target.choice("deployment_strategy", &strategies).unwrap_or_default();
    let namings = [("dynamic", Naming::Dynamic), ("static", Naming::Static)];
    let naming_strategy = target.choice("naming_strategy", &namings).unwrap_or_default();
    let protected = target.boolean("protected").unwrap_or_default();
    let min_ready_seconds = target.seconds("min_ready_seconds", MIN_READY).unwrap_or_default();
    let deploy_timeout = target.seconds("deploy_timeout", DEPLOY_TIMEOUT).unwrap_or_else(AppSpec::default_deploy_timeout);
    let drain_timeout = target.seconds("drain_timeout", DRAIN_TIMEOUT).unwrap_or_else(AppSpec::default_drain_timeout);
    let stop_timeout = target.seconds("stop_timeout", STOP_TIMEOUT).unwrap_or_else(AppSpec::default_stop_timeout);
    let container = container::read(root, findings);
    let image = image?;
    let spec = AppSpec {
        name: name?,
        image: image.reference.clone(),
        pull_policy: image.pull_policy,
        pin: None,
        history: image.history.clone(),
        domains,
        acme_email,
        tls,
        hsts,
        replicas,
        port,
        health_check_path,
        health_check,
        env: env.iter().map(EnvEntry::variable).collect(),
        volumes,
        network,
        container,
        release_command,
        naming_strategy,
        protected,
        deployment_strategy,
        min_ready_seconds,
        deploy_timeout,
        drain_timeout,
        stop_timeout,
    };
    contradictions::check(root, &spec, findings);
    Some(spec)
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

/// `api_token`: a string names an environment variable; an object holds `value` or `from`.
fn read_token(field: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<SourcedValue> {
    if field.is_object() {
        return value::read(field, providers, findings);
    }
    let name = findings.text(field)?;
    if !is_env_name(name) {
        findings
            .mistake(field, "`api_token` must name an environment variable")
            .hint("write the variable's name; a token in the file is written `api_token: {value: …}`");
        return None;
    }
    value::read_variable(field, findings)
}

pub(super) fn read_email(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let email = findings.word(field)?;
    if !is_email(email) {
        let message = format!("{} is not an e-mail address", findings.quoted(field, email));
        findings.mistake(field, message).hint("write it like `you@example.com`");
        return None;
    }
    Some(email.to_owned())
}

pub fn read_commands(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    if let Some(command) = field.text() {
        // Where a mark is missing, the text has swallowed what follows it.
        let shown = if findings.is_hidden(field) || command.contains('\n') { "COMMAND" } else { command };
        findings.wrong_kind(field, "a list").hint(format!("write `- {shown}` on a line of its own below `{}:`", field.path));
        return Vec::new();
    }
    let items = findings.list(field);
    items.iter().filter_map(|item| findings.text(item).map(str::to_owned)).collect()
}
