//! Values that are written in the file or come from elsewhere: the environment, a secret provider, the
//! server's own secrets.

use super::environment::Environment;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::mistake::Mistake;
use super::secrets::{self, FetchedSecrets, SecretOrigin, SecretProviders, SecretRef};
use super::source::Site;
use crate::names::is_env_name;
use crate::secret::Secret;

/// What stands in the place of what may be a secret.
pub const MASK: &str = "********";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// Written in the file.
    Value(Secret),
    /// This variable of the environment of whoever runs haloy.
    Env(String),
    /// A secret of one of the file's secret providers.
    Secret(SecretRef),
    /// One of the server's own secrets, by name.
    ServerSecret(String),
}

/// A value that is not looked up yet.
#[derive(Debug, Clone)]
pub struct SourcedValue {
    pub source: ValueSource,
    /// Where the value, or the name of its source, is written.
    pub site: Site,
    /// The key there, as a path.
    pub key: String,
    /// What is written there may be a secret that was pasted in the wrong place.
    hidden: bool,
}

/// A value by itself, or an object with `value` or `from`; of an earlier generation with `type` and `value`.
pub fn read(field: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<SourcedValue> {
    if !field.is_object() {
        return read_written(field, findings);
    }
    if let Some(kind) = field.get("type") {
        return read_typed(field, &kind, providers, findings);
    }
    if field.named("value").is_none() && field.named("from").is_none() {
        findings.missing(field, "value", "write `value: …`, or `from: {env: NAME}` to take it from your environment");
        return None;
    }
    read_keys(field, providers, findings)?
}

/// `value`, `from` or `secret_name` of an object: none when none of them is there, and nothing at all after a mistake.
pub fn read_keys(object: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<Option<SourcedValue>> {
    let written: Vec<Field<'_>> = ["value", "from", "secret_name"].iter().filter_map(|key| object.named(key)).collect();
    let [field] = written.as_slice() else {
        let [first, second, ..] = written.as_slice() else { return Some(None) };
        let key = |field: &Field<'_>| field.path.rsplit('.').next().unwrap_or_default().to_owned();
        findings.mistake(first, format!("`{}` and `{}` exclude each other", key(first), key(second))).hint("keep one of them");
        return None;
    };
    let read = match field.path.rsplit('.').next() {
        Some("value") => read_written(field, findings),
        Some("from") => read_from(object, field, providers, findings),
        _ => read_secret(field, providers, findings),
    };
    read.map(Some)
}

/// The variable of the environment that a field names.
pub fn read_variable(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<SourcedValue> {
    let name = findings.text(field)?;
    if !is_env_name(name) {
        findings.mistake(field, "this is not the name of an environment variable");
        return None;
    }
    Some(SourcedValue::new(ValueSource::Env(name.to_owned()), field, findings))
}

/// A string, or the text of a number or boolean as it is written: `1.10` stays `1.10`.
pub fn read_written(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<SourcedValue> {
    let written = findings.written(field).filter(|_| field.is_bare());
    let Some(text) = field.text().or(written) else {
        let is_empty = field.is_empty();
        let mistake = findings.wrong_kind(field, "a string");
        if is_empty {
            mistake.hint("an empty value is written `\"\"`");
        }
        return None;
    };
    if text.contains('\0') {
        findings.mistake(field, "a value cannot contain a NUL character");
        return None;
    }
    Some(SourcedValue::new(ValueSource::Value(Secret::new(text)), field, findings))
}

fn read_from(object: &Field<'_>, from: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<SourcedValue> {
    const HINT: &str = "write `from: {env: NAME}` or `from: {secret: provider:source.key}`";
    if from.is_empty() {
        findings.missing(object, "from", HINT);
        return None;
    }
    if !from.is_object() {
        findings.wrong_kind(from, "an object").hint(HINT);
        return None;
    }
    match (from.get("env"), from.get("secret")) {
        (Some(env), Some(_)) => {
            findings.mistake(&env, "`env` and `secret` exclude each other").hint("keep one of them");
            None
        }
        (Some(env), None) => read_variable(&env, findings),
        (None, Some(secret)) => read_secret(&secret, providers, findings),
        (None, None) => {
            findings.missing(from, "env", "write `env: NAME` or `secret: provider:source.key`");
            None
        }
    }
}

fn read_secret(field: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<SourcedValue> {
    let source = match secrets::read_reference(field, providers, findings)? {
        SecretOrigin::Provider(reference) => ValueSource::Secret(reference),
        SecretOrigin::Server(name) => {
            findings.warning(field, "the server keeps no secrets of its own in this release: a deploy that needs one is refused").hint(
                "take it from a secret provider, `from: {secret: provider:source.key}`, or from your environment, `from: {env: NAME}`",
            );
            ValueSource::ServerSecret(name)
        }
    };
    Some(SourcedValue::new(source, field, findings))
}

/// `{type: plain, value: …}` of an earlier generation; `value` is a name with the types `env` and `secret`.
fn read_typed(object: &Field<'_>, kind: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<SourcedValue> {
    type Reader = fn(&Field<'_>, &SecretProviders, &mut Findings<'_>) -> Option<SourcedValue>;
    let plain: Reader = |field, _, findings| read_written(field, findings);
    let env: Reader = |field, _, findings| read_variable(field, findings);
    let read = findings.choice(kind, &[("plain", plain), ("env", env), ("secret", read_secret)])?;
    if object.named("from").is_some() {
        findings.mistake(kind, "`type` and `from` exclude each other").hint("leave `type` out");
        return None;
    }
    let Some(value) = object.get("value") else {
        findings.missing(object, "value", "write `value: …`");
        return None;
    };
    read(&value, providers, findings)
}

impl SourcedValue {
    fn new(source: ValueSource, field: &Field<'_>, findings: &Findings<'_>) -> Self {
        Self { source, site: findings.site(field), key: findings.document_path(&field.path), hidden: findings.is_hidden(field) }
    }

    /// What a secret provider must be asked for.
    pub fn secret_reference(&self) -> Option<&SecretRef> {
        if let ValueSource::Secret(reference) = &self.source { Some(reference) } else { None }
    }

    /// A name that is written for this value, as it may be shown: what is pasted in its place may be a secret.
    pub fn shown<'v>(&self, name: &'v str) -> &'v str {
        if self.hidden { MASK } else { name }
    }

    fn look_up(&self, environment: &Environment, secrets: &FetchedSecrets) -> Result<Option<Secret>, ConfigError> {
        match &self.source {
            ValueSource::Value(value) => Ok(Some(value.clone())),
            ValueSource::Env(name) => environment.get(name),
            ValueSource::Secret(reference) => Ok(secrets.get(reference).cloned()),
            ValueSource::ServerSecret(_) => Ok(None),
        }
    }

    /// Why there is no value.
    fn missing(&self) -> Mistake {
        let (message, hint) = match &self.source {
            ValueSource::Env(name) if !self.hidden => (
                format!("the environment variable `{name}` is empty or not set"),
                "export it, or write it into a `.env` file beside this one",
            ),
            ValueSource::Env(_) | ValueSource::Value(_) => (
                "the environment variable named here is empty or not set".to_owned(),
                "export it, or write it into a `.env` file beside this one",
            ),
            ValueSource::Secret(reference) => {
                (format!("the secret `{reference}` was not found"), "check the reference against what the secret provider holds")
            }
            ValueSource::ServerSecret(_) => (
                "the server keeps no secrets of its own yet".to_owned(),
                "take it from a secret provider, `from: {secret: provider:source.key}`, or from your environment, `from: {env: NAME}`",
            ),
        };
        let mut mistake = Mistake::new(self.site.clone(), Some(self.key.clone()), message);
        mistake.hint(hint);
        mistake
    }
}

/// The values in their order; all that are missing are named at once.
pub fn resolve<'v>(
    values: impl IntoIterator<Item = &'v SourcedValue>,
    environment: &Environment,
    secrets: &FetchedSecrets,
) -> Result<Vec<Secret>, ConfigError> {
    let mut mistakes = Vec::new();
    let mut found = Vec::new();
    for value in values {
        match value.look_up(environment, secrets)? {
            Some(secret) => found.push(secret),
            None => mistakes.push(value.missing()),
        }
    }
    if mistakes.is_empty() { Ok(found) } else { Err(ConfigError::invalid(mistakes)) }
}

/// One value.
pub fn resolve_one(value: &SourcedValue, environment: &Environment, secrets: &FetchedSecrets) -> Result<Secret, ConfigError> {
    let found = value.look_up(environment, secrets)?;
    found.ok_or_else(|| ConfigError::invalid(vec![value.missing()]))
}
