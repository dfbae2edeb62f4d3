//! The key `env`: the app's environment variables.

use std::collections::BTreeMap;

use super::environment::Environment;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::interpolation::{self, Refusal, Variable};
use super::mistake::Mistake;
use super::secrets::{FetchedSecrets, SecretProviders};
use super::value::{self, SourcedValue, ValueSource};
use crate::names::is_env_name;
use crate::secret::Secret;
use crate::wire::{EnvSource, EnvValue, EnvVar};

/// Names that haloy sets in every container begin with this.
const RESERVED: &str = "HALOY_";

/// One entry of `env`, its value not looked up yet.
#[derive(Debug, Clone)]
pub struct EnvEntry {
    pub name: String,
    pub value: SourcedValue,
    /// It is a build argument, too.
    pub build_arg: bool,
}

/// The list `env`.
pub fn read(field: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Vec<EnvEntry> {
    if field.is_object() {
        findings.wrong_kind(field, "a list").hint("write each variable as `- name: NAME` with `value: …` below it");
        return Vec::new();
    }
    let items = findings.list(field);
    let mut entries: Vec<EnvEntry> = Vec::new();
    let mut seen = BTreeMap::new();
    for item in items {
        let Some((name, entry)) = read_one(&item, providers, findings) else { continue };
        if let Some(first) = seen.get(&entry.name).cloned() {
            let variable = if findings.is_hidden(&name) { "this variable".to_owned() } else { format!("the variable `{}`", entry.name) };
            findings.mistake(&name, format!("{variable} is set twice")).other(first, "first set here");
            continue;
        }
        seen.insert(entry.name.clone(), findings.span(&name));
        entries.push(entry);
    }
    check_templates(&entries, findings);
    entries
}

/// Notes what is wrong with the names in values that are written in the file.
fn check_templates(entries: &[EnvEntry], findings: &mut Findings<'_>) {
    let text = |entry: &EnvEntry| if let ValueSource::Value(value) = &entry.value.source { Some(value.clone()) } else { None };
    let variables: Vec<Variable> = entries
        .iter()
        .map(|entry| Variable {
            name: entry.name.clone(),
            is_template: text(entry).is_some(),
            value: text(entry).unwrap_or_else(|| Secret::new("")),
        })
        .collect();
    if let Err(refusals) = interpolation::expand(&variables) {
        refusals.iter().for_each(|refusal| findings.add(explain(refusal, entries)));
    }
    if findings.is_partial() {
        // The targets may have the variables that are missing here.
        return;
    }
    for (index, nearest) in interpolation::strangers(&variables) {
        let value = &entries[index].value;
        let mut warning = Mistake::new(
            value.site.clone(),
            Some(value.key.clone()),
            "a `${…}` in this value names no variable of this `env`, and stays as it is",
        );
        warning.hint(match nearest {
            Some(name) => format!("did you mean `${{{name}}}`? A `$${{` is `${{` itself"),
            None => "add the variable to `env`, or write `$${` if the text itself is meant".to_owned(),
        });
        findings.add(warning.warning());
    }
}

/// An entry, and the field that its name is written in.
fn read_one<'f>(item: &Field<'f>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<(Field<'f>, EnvEntry)> {
    if !item.is_object() {
        return read_bare(item, findings);
    }
    let name = read_name(item, findings);
    let value = value::read_keys(item, providers, findings);
    let build_arg = item.get("build_arg").and_then(|field| findings.boolean(&field)).unwrap_or_default();
    let (name, field) = name?;
    let value = match value? {
        Some(value) => value,
        // A name alone takes the variable of that name.
        None => value::read_variable(&field, findings)?,
    };
    Some((field, EnvEntry { name, value, build_arg }))
}

/// A name by itself.
fn read_bare<'f>(item: &Field<'f>, findings: &mut Findings<'_>) -> Option<(Field<'f>, EnvEntry)> {
    const HINT: &str = "write `- name: NAME` with `value: …` below it; a name alone takes the variable of your environment";
    let Some(name) = item.text() else {
        findings.wrong_kind(item, "an object or a name").hint(HINT);
        return None;
    };
    if !is_env_name(name) {
        findings.mistake(item, format!("`{}` is not a variable's name", item.path)).hint(HINT);
        return None;
    }
    warn_of_reserved(item, name, findings);
    let value = value::read_variable(item, findings)?;
    Some((item.clone(), EnvEntry { name: name.to_owned(), value, build_arg: false }))
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
    warn_of_reserved(&field, name, findings);
    Some((name.to_owned(), field))
}

fn warn_of_reserved(field: &Field<'_>, name: &str, findings: &mut Findings<'_>) {
    if name.starts_with(RESERVED) {
        findings.warning(field, format!("`{name}`: names that begin with `{RESERVED}` belong to haloy, which sets its own over yours"));
    }
}

impl EnvEntry {
    /// As the server keeps it: the origin without the value.
    pub fn variable(&self) -> EnvVar {
        let source = match &self.value.source {
            ValueSource::Value(_) => EnvSource::Value,
            ValueSource::Env(name) => EnvSource::Env(name.clone()),
            ValueSource::Secret(reference) => EnvSource::Secret(reference.to_string()),
            ValueSource::ServerSecret(name) => EnvSource::ServerSecret(name.clone()),
        };
        EnvVar { name: self.name.clone(), source }
    }
}

/// The values of all entries, in their order, with those of each other put in; all that are missing are
/// named at once.
pub fn resolve(entries: &[EnvEntry], environment: &Environment, secrets: &FetchedSecrets) -> Result<Vec<EnvValue>, ConfigError> {
    let values = value::resolve(entries.iter().map(|entry| &entry.value), environment, secrets)?;
    let variable = |(entry, value): (&EnvEntry, Secret)| Variable {
        name: entry.name.clone(),
        value,
        // A password that holds `${` is a password, and what CI passes on is nobody's template.
        is_template: matches!(entry.value.source, ValueSource::Value(_)),
    };
    let variables: Vec<Variable> = entries.iter().zip(values).map(variable).collect();
    let values = interpolation::expand(&variables)
        .map_err(|refusals| ConfigError::invalid(refusals.iter().map(|refusal| explain(refusal, entries)).collect()))?;
    Ok(entries.iter().zip(values).map(|(entry, value)| EnvValue { name: entry.name.clone(), value }).collect())
}

/// Points at the first variable concerned.
fn explain(refusal: &Refusal, entries: &[EnvEntry]) -> Mistake {
    let name = |index: &usize| entries[*index].name.as_str();
    let (index, message, hint) = match refusal {
        Refusal::Circle(members) => {
            let names: Vec<String> = members.iter().map(|index| format!("`{}`", name(index))).collect();
            let message = match names.as_slice() {
                [one] => format!("the value of {one} contains itself"),
                [others @ .., last] => format!("the values of {} and {last} contain each other", others.join(", ")),
                [] => String::new(),
            };
            let first = name(&members[0]);
            (members[0], message, format!("the text `${{{first}}}` itself is written `$${{{first}}}`"))
        }
        Refusal::TooLarge(index) => (
            *index,
            "with this value the environment is larger than 1 MiB".to_owned(),
            "look for names that stand in each other's values".to_owned(),
        ),
    };
    let value = &entries[index].value;
    let mut mistake = Mistake::new(value.site.clone(), Some(value.key.clone()), message);
    mistake.hint(hint);
    mistake
}
