//! Environment variables of an app, and values that come from the environment of whoever deploys.

use std::collections::BTreeMap;

use super::environment::Environment;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::mistake::Mistake;
use super::source::Site;
use crate::names::is_env_name;
use crate::secret::Secret;
use crate::wire::{EnvSource, EnvValue, EnvVar};

/// Names that haloy sets in every container begin with this.
const RESERVED: &str = "HALOY_";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// Written in the file.
    Value(Secret),
    /// This variable of the environment of whoever runs haloy.
    Env(String),
}

/// One entry of `env`, its value not looked up yet.
#[derive(Debug, Clone)]
pub struct EnvEntry {
    pub name: String,
    pub source: ValueSource,
    /// Where the value or the variable's name is written.
    pub site: Site,
    key: String,
}

/// `api_token`, not looked up yet.
#[derive(Debug, Clone)]
pub struct TokenSource {
    pub source: ValueSource,
    pub site: Site,
    key: String,
}

/// The list `env`.
pub fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<EnvEntry> {
    if field.is_object() {
        findings.wrong_kind(field, "a list").hint("write each variable as `- name: NAME` with `value: …` below it");
        return Vec::new();
    }
    let items = findings.list(field);
    let mut entries: Vec<EnvEntry> = Vec::new();
    let mut seen = BTreeMap::new();
    for item in items {
        if !item.is_object() {
            findings.wrong_kind(&item, "an object").hint("write `- name: NAME` with `value: …` or `from: {env: NAME}` below it");
            continue;
        }
        let name = read_name(&item, findings);
        let source = read_source(&item, findings);
        let (Some((name, field)), Some((source, site, key))) = (name, source) else { continue };
        if let Some(first) = seen.get(&name).cloned() {
            findings.mistake(&field, format!("the variable `{name}` is set twice")).other(first, "first set here");
            continue;
        }
        seen.insert(name.clone(), findings.span(&field));
        entries.push(EnvEntry { name, source, site, key });
    }
    entries
}

fn read_name<'f>(item: &Field<'f>, findings: &mut Findings<'_>) -> Option<(String, Field<'f>)> {
    let Some(field) = item.get("name") else {
        findings.missing(item, "name", "write `name: NAME`");
        return None;
    };
    let name = findings.text(&field)?;
    if !is_env_name(name) {
        findings.mistake(&field, "the variable's name is not valid: it has letters, digits and `_`, and does not begin with a digit");
        return None;
    }
    if name.starts_with(RESERVED) {
        findings.warning(&field, format!("`{name}`: names that begin with `{RESERVED}` belong to haloy, which sets its own over yours"));
    }
    Some((name.to_owned(), field))
}

/// `value` or `from` of an object, with the place of what was read.
fn read_source(object: &Field<'_>, findings: &mut Findings<'_>) -> Option<(ValueSource, Site, String)> {
    match (object.named("value"), object.get("from")) {
        (Some(value), Some(_)) => {
            findings.mistake(&value, "`value` and `from` exclude each other").hint("keep one of them");
            None
        }
        (Some(value), None) => Some((ValueSource::Value(read_value(&value, findings)?), findings.site(&value), value.path)),
        (None, Some(from)) => read_from(&from, findings),
        (None, None) => {
            findings.missing(object, "value", "write `value: …`, or `from: {env: NAME}` to take it from your environment");
            None
        }
    }
}

/// A string, or the text of a number or boolean as it is written: `1.10` stays `1.10`.
fn read_value(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Secret> {
    if let Some(text) = field.text() {
        return Some(Secret::new(text));
    }
    if let Some(written) = findings.written(field).filter(|_| field.is_bare()) {
        return Some(Secret::new(written));
    }
    findings.wrong_kind(field, "a string").hint("an empty value is written `\"\"`");
    None
}

fn read_from(from: &Field<'_>, findings: &mut Findings<'_>) -> Option<(ValueSource, Site, String)> {
    if !from.is_object() {
        findings.wrong_kind(from, "an object").hint("write `from: {env: NAME}`");
        return None;
    }
    let Some(field) = from.get("env") else {
        findings.missing(from, "env", "write `env: NAME`");
        return None;
    };
    let name = findings.text(&field)?;
    if !is_env_name(name) {
        findings.mistake(&field, "this is not the name of an environment variable");
        return None;
    }
    Some((ValueSource::Env(name.to_owned()), findings.site(&field), field.path))
}

/// `api_token`: a string names an environment variable; an object holds `value` or `from`.
pub fn read_token(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<TokenSource> {
    if field.is_object() {
        let (source, site, key) = read_source(field, findings)?;
        return Some(TokenSource { source, site, key });
    }
    let name = findings.text(field)?;
    if !is_env_name(name) {
        findings
            .mistake(field, "`api_token` must name an environment variable")
            .hint("write the variable's name; a token in the file is written `api_token: {value: …}`");
        return None;
    }
    Some(TokenSource { source: ValueSource::Env(name.to_owned()), site: findings.site(field), key: field.path.clone() })
}

impl EnvEntry {
    /// As the server keeps it: the origin without the value.
    pub fn variable(&self) -> EnvVar {
        let source = match &self.source {
            ValueSource::Value(_) => EnvSource::Value,
            ValueSource::Env(key) => EnvSource::Env(key.clone()),
        };
        EnvVar { name: self.name.clone(), source }
    }
}

/// The values of all entries, in their order; all that are missing are named at once.
pub fn resolve(entries: &[EnvEntry], environment: &Environment) -> Result<Vec<EnvValue>, ConfigError> {
    let mut mistakes = Vec::new();
    let mut values = Vec::new();
    for entry in entries {
        match look_up(&entry.source, environment)? {
            Some(value) => values.push(EnvValue { name: entry.name.clone(), value }),
            None => mistakes.push(missing(&entry.source, &entry.site, &entry.key)),
        }
    }
    if mistakes.is_empty() { Ok(values) } else { Err(ConfigError::invalid(mistakes)) }
}

pub fn resolve_token(token: &TokenSource, environment: &Environment) -> Result<Secret, ConfigError> {
    let found = look_up(&token.source, environment)?;
    found.ok_or_else(|| ConfigError::invalid(vec![missing(&token.source, &token.site, &token.key)]))
}

fn look_up(source: &ValueSource, environment: &Environment) -> Result<Option<Secret>, ConfigError> {
    match source {
        ValueSource::Value(value) => Ok(Some(value.clone())),
        ValueSource::Env(key) => environment.get(key),
    }
}

fn missing(source: &ValueSource, site: &Site, key: &str) -> Mistake {
    let subject = match source {
        ValueSource::Env(name) if !may_be_token(key, name) => format!("the environment variable `{name}`"),
        _ => "the environment variable named here".to_owned(),
    };
    let mut mistake = Mistake::new(site.clone(), Some(key.to_owned()), format!("{subject} is empty or not set"));
    mistake.hint("export it, or write it into a `.env` file beside this one");
    mistake
}

/// A token pasted where `api_token` wants a variable's name looks like a name, but not in capitals.
fn may_be_token(key: &str, name: &str) -> bool {
    key == "api_token" && name.bytes().any(|b| b.is_ascii_lowercase())
}
