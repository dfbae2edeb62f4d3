//! A target as it would be deployed: what the server is told, and what only the client needs.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::config::secrets::{FetchedSecrets, SecretRef};
use crate::config::{self, ArgValue, Build, BuildPath, BuildsOn, ConfigError, Environment, Push, SourcedValue, Target, ValueSource};
use crate::wire::{AppSpec, EnvSource};

/// Everything that secret providers are asked for.
pub fn references(target: &Target) -> BTreeSet<SecretRef> {
    let mut references = target.secret_references();
    references.extend(target.build_secret_references());
    references.extend(target.registry_secret_references());
    references
}

/// With every value in the open.
pub fn open(target: &Target, environment: &Environment, secrets: &FetchedSecrets) -> Result<Value, ConfigError> {
    let text = |value: &crate::secret::Secret| json!(value.expose());
    let env = target.resolve_env(environment, secrets)?;
    let token = target.resolve_token(environment, secrets)?;
    let args = target.resolve_build_args(environment, secrets)?;
    let login = target.resolve_registry(environment, secrets)?;
    Ok(settings(
        target,
        env.iter().map(|variable| json!({ "name": variable.name, "value": text(&variable.value) })).collect(),
        token.as_ref().map(text),
        args.iter().map(|(name, value)| json!({ "name": name, "value": text(value) })).collect(),
        login.map(|login| json!({ "server": login.server, "username": text(&login.username), "password": text(&login.password) })),
    ))
}

/// With the origin of each value in its place.
pub fn masked(target: &Target) -> Value {
    let arg = |name: &str, value: &ArgValue| match value {
        ArgValue::Sourced(value) => json!({ "name": shown(name, value), "value": origin(value) }),
        ArgValue::Variable => json!({ "name": name, "value": "from `env`" }),
    };
    let args = target.image.build.iter().flat_map(|build| &build.args);
    let login = target.image.registry.as_ref();
    settings(
        target,
        target.env.iter().map(|entry| json!({ "name": shown(&entry.name, &entry.value), "value": origin(&entry.value) })).collect(),
        target.api_token.as_ref().map(origin),
        args.map(|written| arg(&written.name, &written.value)).collect(),
        login.map(|login| json!({ "server": login.server, "username": origin(&login.username), "password": origin(&login.password) })),
    )
}

/// What the server is told, without what may be a secret in the place of a name.
pub fn spec(target: &Target) -> AppSpec {
    let mut spec = target.spec.clone();
    for (variable, entry) in spec.env.iter_mut().zip(&target.env) {
        shown(&entry.name, &entry.value).clone_into(&mut variable.name);
        if let EnvSource::Env(name) | EnvSource::ServerSecret(name) = &mut variable.source {
            *name = entry.value.shown(name).to_owned();
        }
    }
    spec
}

/// A name as it may be shown: one that is written alone is that of the variable its value is taken from, too.
fn shown<'n>(name: &'n str, value: &SourcedValue) -> &'n str {
    if matches!(&value.source, ValueSource::Env(variable) if variable == name) { value.shown(name) } else { name }
}

fn origin(value: &SourcedValue) -> Value {
    match &value.source {
        ValueSource::Value(_) => json!(config::MASK),
        ValueSource::Env(name) => json!(format!("from env {}", value.shown(name))),
        ValueSource::Secret(reference) => json!(format!("from secret {reference}")),
        ValueSource::ServerSecret(name) => json!(format!("from the server's secret {}", value.shown(name))),
    }
}

fn settings(target: &Target, env: Value, token: Option<Value>, args: Value, login: Option<Value>) -> Value {
    let mut settings = match serde_json::to_value(&target.spec).expect("invariant: our own types serialise") {
        Value::Object(settings) => settings,
        _ => Map::new(),
    };
    settings.insert("env".to_owned(), env);
    let image = json!({
        "reference": target.spec.image,
        "pull_policy": settings.remove("pull_policy"),
        "build": target.image.build.as_ref().map(|build| build_settings(build, args)),
        "registry": login,
        "history": settings.remove("history"),
    });
    settings.insert("image".to_owned(), image);
    settings.insert("server".to_owned(), json!(target.server));
    settings.insert("api_token".to_owned(), json!(token));
    settings.insert("pre_deploy".to_owned(), json!(target.pre_deploy));
    settings.insert("post_deploy".to_owned(), json!(target.post_deploy));
    written(Value::Object(settings)).unwrap_or_default()
}

fn build_settings(build: &Build, args: Value) -> Value {
    let path = |path: &Option<BuildPath>| path.as_ref().map(|path| path.path.clone());
    json!({
        "context": build.context(),
        "dockerfile": path(&build.dockerfile),
        "platform": build.platform,
        "args": args,
        "push": match build.push { Push::Server => "server", Push::Registry => "registry" },
        "target": build.target,
        "cache_from": build.cache_from,
        "cache_to": build.cache_to,
        "ssh": build.ssh,
        "flags": build.flags,
        "on": match build.on { BuildsOn::Client => "client", BuildsOn::Server => "server" },
    })
}

/// Without what is not there.
fn written(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(items.into_iter().filter_map(written).collect()),
        Value::Object(members) => {
            let members: Map<String, Value> = members.into_iter().filter_map(|(key, value)| Some((key, written(value)?))).collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
        value => Some(value),
    }
}
