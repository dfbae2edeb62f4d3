//! A configuration as people look at it: every value of every target, and where it comes from.

use std::path::Path;

use figment::value::{Num, Value};

use super::document::Document;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::layer::OriginKind;
use super::source::Site;
use super::targets::{self, Merged};
use super::{app, keys};

/// One target after inheritance.
#[derive(Debug)]
pub struct TargetSettings {
    /// None for the one target of a file that names none.
    pub name: Option<String>,
    /// Every value that is written or that a preset stands for, by path.
    pub settings: Vec<Setting>,
}

/// One value.
#[derive(Debug)]
pub struct Setting {
    /// `image.tag`, `env[1].from.env`.
    pub key: String,
    /// None for what may be a secret.
    pub value: Option<String>,
    pub origin: SettingOrigin,
    /// From 1; of the value, or of the preset that stands for it.
    pub line: usize,
    pub column: usize,
    /// The line at which the root of the file has another value for all targets.
    pub overridden: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingOrigin {
    File,
    /// The target's key is its name.
    TargetKey,
    Preset,
}

/// The settings of every target of a valid file.
pub fn read(path: &Path) -> Result<Vec<TargetSettings>, ConfigError> {
    let document = Document::read(path, &keys::APP)?;
    app::read(&document)?;
    let merged = targets::inherit(&document, &mut Findings::new(&document));
    Ok(merged.iter().map(|target| of_target(target, &document)).collect())
}

fn of_target(target: &Merged, document: &Document) -> TargetSettings {
    let mut settings = Vec::new();
    collect(&Field::root(&target.values), target, document, &mut settings);
    TargetSettings { name: target.name.clone(), settings }
}

fn collect(field: &Field<'_>, target: &Merged, document: &Document, settings: &mut Vec<Setting>) {
    let below: Vec<Field<'_>> = match field.items() {
        Some(items) => items,
        None => field.members(),
    };
    if !below.is_empty() {
        below.iter().for_each(|field| collect(field, target, document, settings));
        return;
    }
    if field.is_empty() || field.path.is_empty() {
        return;
    }
    settings.extend(setting(field, target, document));
}

fn setting(field: &Field<'_>, target: &Merged, document: &Document) -> Option<Setting> {
    let origin = target.origins.get(&field.path)?;
    let place = document.place(&origin.path)?;
    let span = if origin.kind == OriginKind::Key { place.key.clone()? } else { place.value.clone() };
    let position = |span| Site { source: document.source.clone(), span }.position();
    let (line, column) = position(span);
    let kind = match origin.kind {
        OriginKind::Value => SettingOrigin::File,
        OriginKind::Key => SettingOrigin::TargetKey,
        OriginKind::Preset => SettingOrigin::Preset,
    };
    // A list is replaced as a whole: what the root has at the same index is no other value of this one.
    let in_root = document.place(&field.path).filter(|_| origin.path != field.path && !field.path.contains('['));
    let written = place.written.clone().filter(|_| origin.kind == OriginKind::Value);
    Some(Setting {
        key: field.path.clone(),
        value: (!place.hidden).then(|| written.unwrap_or_else(|| text(field.value()))),
        origin: kind,
        line,
        column,
        overridden: in_root.map(|place| position(place.value.clone()).0),
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Char(_, c) => c.to_string(),
        Value::Bool(_, value) => value.to_string(),
        Value::Num(_, Num::I64(number)) => number.to_string(),
        Value::Num(_, number) => number.to_u128().map(|n| n.to_string()).or(number.to_f64().map(|n| n.to_string())).unwrap_or_default(),
        Value::Empty(..) => String::new(),
        Value::Dict(..) => "{}".to_owned(),
        Value::Array(..) => "[]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_says_where_it_comes_from() {
        let text = "replicas: 2\nport: 80\nenv:\n- name: A\n  value: hunter2\ntargets:\n  db:\n    preset: database\n    image: postgres:18\n    port: 5432\n";
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("haloy.yaml");
        std::fs::write(&path, text).expect("write");
        let targets = read(&path).expect("a valid file");
        let facts: Vec<_> =
            targets[0].settings.iter().map(|s| (s.key.as_str(), s.value.as_deref(), s.origin, s.line, s.overridden)).collect();
        for expected in [
            ("name", Some("db"), SettingOrigin::TargetKey, 7, None),
            ("port", Some("5432"), SettingOrigin::File, 10, Some(2)),
            ("replicas", Some("1"), SettingOrigin::Preset, 8, Some(1)),
            ("image.pull_policy", Some("if_missing"), SettingOrigin::Preset, 8, None),
            ("env[0].name", Some("A"), SettingOrigin::File, 4, None),
            ("env[0].value", None, SettingOrigin::File, 5, None),
        ] {
            assert!(facts.contains(&expected), "{expected:?} is not in {facts:#?}");
        }
    }
}
