//! The inheritance step: which targets a file has, and the values of each.
//!
//! A target's values are layers laid over one another, from below: the root's preset, the root, the
//! target's preset, the target. Of `image` only the parts that a layer names are its own; `env` is
//! merged by name when `env_merge` asks for it; everything else is replaced as a whole.

use std::collections::BTreeMap;

use figment::Figment;
use figment::value::{Dict, Value};

use super::document::Document;
use super::field::Field;
use super::findings::Findings;
use super::generations;
use super::image::{registry_host, registry_of};
use super::layer::{Layer, Origin, OriginKind, Origins, Part};
use super::spelling::nearest;
use crate::names::ImageRef;

/// So many values are read for all targets of one file at most: each target repeats those of the root.
const VALUES: usize = 500_000;

/// What exists once for a file, and no target inherits.
const ROOT: [&str; 6] = ["targets", "apps", "images", "secret_providers", "global_pre_deploy", "global_post_deploy"];

/// A target's values after inheritance.
pub struct Merged {
    /// None for the one target of a file that names none.
    pub name: Option<String>,
    pub values: Value,
    /// Where the target stands in the document; empty for the root.
    pub at: String,
    pub origins: Origins,
}

/// The values of a file that has no targets.
pub fn values(document: &Document) -> Value {
    // Not `extract`: it gives names like `___figment_tagged_item` in the file a meaning of their own.
    Figment::from(document).find_value("").expect("invariant: a document provides a dictionary")
}

/// The targets of a file, in its order. None only when their list cannot be read, which is noted.
pub fn inherit(document: &Document, findings: &mut Findings<'_>) -> Vec<Merged> {
    let values = values(document);
    let file = Field::root(&values);
    let Some(entries) = entries(&file, findings) else { return Vec::new() };
    let mut root = document.values.clone();
    root.retain(|key, _| !ROOT.contains(&key.as_str()));
    if entries.is_empty() {
        let base = on_preset(complete(Layer::new(root, "", OriginKind::Value), "", &file, findings));
        let (values, origins) = base.into_parts();
        return vec![Merged { name: None, values, at: String::new(), origins }];
    }
    if let Some(name) = file.get("name").filter(|_| root.remove("name").is_some()) {
        let first = &entries[0].name;
        let message = "`name` is not used here: with `targets`, each app is called like its target";
        findings.note(&name, message).hint(format!("give a target a `name` of its own if it is not to be called `{first}`"));
    }
    let base = complete(Layer::new(root, "", OriginKind::Value), "", &file, findings);
    if entries.len().saturating_mul(base.len()) > VALUES {
        let message = "the file grows too large when every target has the values of the root";
        findings.mistake(&entries[0].field, message).hint("divide it into several files");
        return Vec::new();
    }
    entries.into_iter().filter_map(|entry| entry.over(&base, &file, findings)).collect()
}

/// What is written for all targets, and each of `images`: looked at by itself, because a mistake in it is
/// one even when no target uses it. Nothing for a file without targets, which is one itself.
pub fn parts(document: &Document) -> Vec<Merged> {
    let values = values(document);
    let file = Field::root(&values);
    // What is wrong with the lists themselves is noted elsewhere.
    let mut unheard = Findings::new(document);
    let part = |layer: Layer| {
        let (values, origins) = layer.into_parts();
        Merged { name: None, values, at: String::new(), origins }
    };
    let image = |field: Field<'_>| {
        let mut layer = Layer::default();
        layer.put("image", Part::new(field.value().clone(), &field.path, OriginKind::Value));
        generations::modernise(&mut layer, &mut Findings::new(document));
        part(layer)
    };
    let mut parts: Vec<Merged> = file.get("images").iter().flat_map(Field::members).map(image).collect();
    if entries(&file, &mut unheard).is_some_and(|entries| !entries.is_empty()) {
        let mut root = document.values.clone();
        root.retain(|key, _| !ROOT.contains(&key.as_str()) && key != "name");
        parts.push(part(complete(Layer::new(root, "", OriginKind::Value), "", &file, &mut unheard)));
    }
    parts
}

/// One entry of `targets` or `apps`.
struct Entry<'a> {
    name: String,
    field: Field<'a>,
    /// The key is the target's name; an entry of `apps` must say its own.
    keyed: bool,
}

fn entries<'a>(file: &Field<'a>, findings: &mut Findings<'_>) -> Option<Vec<Entry<'a>>> {
    let (targets, apps) = (file.get("targets"), file.get("apps"));
    if let (Some(targets), Some(_)) = (&targets, &apps) {
        findings.mistake(targets, "`targets` and `apps` exclude each other").hint("move the entries of `apps` to `targets`");
        return None;
    }
    if let Some(apps) = apps {
        let name = |item: &Field<'a>| item.get("name").and_then(|name| name.text()).unwrap_or_default().to_owned();
        return Some(findings.list(&apps).into_iter().map(|field| Entry { name: name(&field), field, keyed: false }).collect());
    }
    let Some(targets) = targets else { return Some(Vec::new()) };
    if !targets.is_object() {
        findings.wrong_kind(&targets, "an object").hint("write a target's name below it, like `production:`");
        return None;
    }
    let entry = |(name, field): (&'a str, Field<'a>)| Entry { name: name.to_owned(), field, keyed: true };
    let mut entries: Vec<Entry<'a>> = targets.entries().into_iter().map(entry).collect();
    entries.sort_by_key(|entry| findings.key_start(&entry.field));
    Some(entries)
}

impl Entry<'_> {
    fn over(self, base: &Layer, file: &Field<'_>, findings: &mut Findings<'_>) -> Option<Merged> {
        if !self.field.is_object() && !self.field.is_empty() {
            let hint = if self.keyed {
                "write the target's own keys below its name, like `server: …`"
            } else {
                "write `- name: my-app`, and its other keys below"
            };
            findings.wrong_kind(&self.field, "an object").hint(hint);
            return None;
        }
        let at = self.field.path.clone();
        // A key without a value is no value: the root's holds.
        let own = self.field.entries().into_iter().filter(|(_, field)| !field.is_empty());
        let own: Dict = own.map(|(key, field)| (key.to_owned(), written(key, field.value()))).collect();
        let mut own = complete(Layer::new(own, &at, OriginKind::Value), &at, file, findings);
        // A preset of its own stands between the target and the root, and takes the place of the root's.
        let own_preset = preset(&own).is_some();
        let base = if own_preset { base.clone() } else { on_preset(base.clone()) };
        if self.keyed && own.get("name").is_none() {
            let origin = Origin { path: at.clone(), kind: OriginKind::Key };
            own.put("name", Part::at(origin, self.name.as_str()));
        }
        note_env(&base, &own, findings);
        note_repository(&base, &own, findings);
        if !self.keyed && own.get("port").or(base.get("port")).is_none() {
            let message = "without `port` the app's port is the only TCP port that its image EXPOSEs, else 8080";
            findings.note(&self.field, message).hint("an earlier generation took port 80: write `port: 80` if the app listens there");
        }
        let name = own.get("name").and_then(Value::as_str).map_or(self.name.clone(), str::to_owned);
        let merged = overlay(base, if own_preset { on_preset(own) } else { own });
        let (values, origins) = merged.into_parts();
        Some(Merged { name: Some(if self.keyed { self.name } else { name }), values, at, origins })
    }
}

/// A value of a target. Of `image`, which is merged part by part, the parts that have one.
fn written(key: &str, value: &Value) -> Value {
    match value {
        Value::Dict(_, parts) if key == "image" => {
            let parts = parts.iter().filter(|(_, value)| !matches!(value, Value::Empty(..)));
            Value::from(parts.map(|(name, value)| (name.clone(), written("image", value))).collect::<Dict>())
        }
        _ => value.clone(),
    }
}

/// Some expect that the variables of the root are set in every target.
fn note_env(base: &Layer, own: &Layer, findings: &mut Findings<'_>) {
    let is_list = |layer: &Layer| matches!(layer.get("env"), Some(Value::Array(..)));
    let asked = [base, own].iter().any(|layer| layer.get("env_merge").is_some());
    let place = own.origin("env").zip(own.get("env")).and_then(|(origin, value)| findings.at(origin, value));
    if let Some(field) = place.filter(|_| is_list(base) && is_list(own) && !asked) {
        let message = "this `env` replaces the root's: variables that are only there are not set for this target";
        findings.note(&field, message).hint("write `env_merge: true` to keep them, or `env_merge: false` if it is meant so");
    }
}

/// Another image rarely has the tag or the build of the root's.
fn note_repository(base: &Layer, own: &Layer, findings: &mut Findings<'_>) {
    let repository = own.get("image.repository").zip(own.origin("image.repository")).filter(|_| !is_reference(own));
    let Some((value, origin)) = repository.filter(|(value, _)| base.get("image.repository").is_some_and(|other| other != *value)) else {
        return;
    };
    let kept = ["tag", "build_config"]
        .into_iter()
        .filter(|part| base.get(&format!("image.{part}")).is_some() && own.get(&format!("image.{part}")).is_none());
    let kept: Vec<String> = kept.map(|part| format!("`{part}`")).collect();
    if let Some(field) = findings.at(origin, value).filter(|_| !kept.is_empty()) {
        let message = format!("the root's {} of `image` goes with this repository, too", kept.join(" and "));
        findings.note(&field, message).hint("write the image as one string, like `image: postgres:18`, if it stands for itself");
    }
}

/// A layer in today's words, with its image looked up.
fn complete(mut layer: Layer, at: &str, file: &Field<'_>, findings: &mut Findings<'_>) -> Layer {
    choose_image(&mut layer, at, file, findings);
    generations::modernise(&mut layer, findings);
    layer
}

/// A layer with what its preset stands for under it.
fn on_preset(layer: Layer) -> Layer {
    match preset(&layer) {
        Some(preset) => overlay(preset, layer),
        None => layer,
    }
}

/// Puts one of `images` in the place of `image_key`.
fn choose_image(layer: &mut Layer, at: &str, file: &Field<'_>, findings: &mut Findings<'_>) {
    let Some(part) = layer.take("image_key") else { return };
    let Some(key) = part.origin().and_then(|origin| findings.at(origin, &part.value)) else { return };
    let Some(wanted) = findings.word(&key) else { return };
    if layer.get("image").is_some() {
        let place = if at.is_empty() { "here" } else { "in one target" };
        findings.mistake(&key, format!("`image` and `image_key` exclude each other {place}")).hint("keep one of them");
        return;
    }
    let images = file.get("images");
    let entries = images.iter().flat_map(Field::entries).collect::<Vec<_>>();
    let Some((_, image)) = entries.iter().find(|(name, _)| *name == wanted) else {
        let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
        let hint = match nearest(wanted, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => format!("write `images: {{{wanted}: ghcr.io/you/app:1.0}}` at the root of the file"),
            None => format!("the images are {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        findings.mistake(&key, format!("`images` has no `{wanted}`")).hint(hint);
        return;
    };
    layer.put("image", Part::new(image.value().clone(), &image.path, OriginKind::Value));
    layer.put("image_key", part);
}

/// What a preset stands for.
fn preset(layer: &Layer) -> Option<Layer> {
    let origin = Origin { kind: OriginKind::Preset, ..layer.origin("preset")?.clone() };
    let name = layer.get("preset")?.as_str()?;
    if !matches!(name, "database" | "service") {
        return None;
    }
    let mut defaults = Layer::default();
    let mut put = |path: &str, value: Value| defaults.put(path, Part::at(origin.clone(), value));
    put("deployment_strategy", "replace".into());
    put("naming_strategy", "static".into());
    put("replicas", 1_i64.into());
    put("image.pull_policy", "if_missing".into());
    put("image.history.strategy", "none".into());
    if name == "database" {
        put("protected", true.into());
    }
    Some(defaults)
}

/// `upper` over `lower`.
fn overlay(mut lower: Layer, mut upper: Layer) -> Layer {
    if lower.get("env_merge").or(upper.get("env_merge")).is_some() {
        merge_env(&mut lower, &mut upper);
    }
    for key in upper.keys("") {
        if key != "image" {
            lower.take(&key);
        }
    }
    if upper.get("image_key").is_some() {
        // A chosen image is a whole one.
        keep_preset_of_image(&mut lower);
        spell_out_image(&mut upper);
    } else if upper.get("image").is_some() {
        lower.take("image_key");
        clear_image(&mut lower, &mut upper);
    }
    lower.under(upper)
}

/// Of an image below another whole one only what a preset says about it holds.
fn keep_preset_of_image(lower: &mut Layer) {
    for path in ["image.pull_policy", "image.history"] {
        let preset = lower.origin(&format!("{path}.strategy")).or(lower.origin(path)).is_some_and(|o| o.kind == OriginKind::Preset);
        if !preset {
            lower.take(path);
        }
    }
    for key in lower.keys("image") {
        if !matches!(key.as_str(), "pull_policy" | "history") {
            lower.take(&format!("image.{key}"));
        }
    }
    if matches!(lower.get("image"), Some(Value::String(..))) {
        lower.take("image");
    }
}

/// Takes out of the image below what the image above replaces.
fn clear_image(lower: &mut Layer, upper: &mut Layer) {
    if is_reference(upper) {
        // An image that exists: neither built nor another tag of the one below.
        ["image.tag", "image.build", "image.build_config"].iter().for_each(|path| drop(lower.take(path)));
    }
    for layer in [&mut *lower, &mut *upper] {
        spell_out_image(layer);
    }
    if is_of_other_registry(lower, upper) {
        lower.take("image.registry");
    }
    let has_tag = |repository: &str| repository.contains('@') || repository.rsplit('/').next().is_some_and(|name| name.contains(':'));
    if upper.get("image.repository").and_then(Value::as_str).is_some_and(has_tag) {
        lower.take("image.tag");
    }
    if upper.get("image.tag").is_some() && upper.get("image.repository").is_none() {
        cut_tag(lower);
    }
    for key in upper.keys("image") {
        let path = format!("image.{key}");
        let parts = upper.keys(&path);
        let merged =
            matches!(key.as_str(), "registry" | "build_config") || key == "history" && !parts.iter().any(|part| part == "strategy");
        if merged && matches!(upper.get(&path), Some(Value::Dict(..))) {
            parts.iter().for_each(|part| drop(lower.take(&format!("{path}.{part}"))));
        } else {
            lower.take(&path);
        }
    }
}

/// Whether a layer's image is written as one string, spelled out by now or not.
fn is_reference(layer: &Layer) -> bool {
    let spelled_out = |origin: &Origin| origin.kind == OriginKind::Value && !origin.path.ends_with(".repository");
    matches!(layer.get("image"), Some(Value::String(..))) || layer.origin("image.repository").is_some_and(spelled_out)
}

/// `image: nginx` as `image: {repository: nginx}`.
pub fn spell_out_image(layer: &mut Layer) {
    if matches!(layer.get("image"), Some(Value::String(..)))
        && let Some(image) = layer.take("image")
    {
        layer.put("image.repository", image);
    }
}

/// A login is for one registry: an image of another must not take it along.
fn is_of_other_registry(lower: &Layer, upper: &Layer) -> bool {
    let image = |layer: &Layer| layer.get("image.repository").and_then(Value::as_str)?.parse::<ImageRef>().ok();
    let Some(own) = image(upper) else { return false };
    let host = lower.get("image.registry.server").and_then(Value::as_str).map(registry_host);
    let host = host.or_else(|| image(lower).map(|image| registry_of(&image).to_owned()));
    upper.get("image.registry").is_none() && host.is_some_and(|host| host != registry_of(&own))
}

/// A tag of its own replaces the one in the repository below.
fn cut_tag(lower: &mut Layer) {
    let Some(repository) = lower.get("image.repository").and_then(Value::as_str).map(str::to_owned) else { return };
    let Ok(image) = repository.parse::<crate::names::ImageRef>() else { return };
    if let Some(origin) = lower.origin("image.repository").cloned() {
        lower.put("image.repository", Part::at(origin, image.repository()));
    }
}

/// Puts the variables of `lower` that `upper` does not set before its own.
fn merge_env(lower: &mut Layer, upper: &mut Layer) {
    let asked = upper.get("env_merge").or(lower.get("env_merge"));
    if !matches!(asked, Some(Value::Bool(_, true))) || !matches!(upper.get("env"), Some(Value::Array(..))) {
        return;
    }
    if lower.get("env").is_none() {
        return;
    }
    let (Some(below), Some(above)) = (lower.take("env"), upper.take("env")) else { return };
    let Some(origin) = above.origin().cloned() else { return };
    let mut above: Vec<Option<Part>> = above.into_items().into_iter().map(Some).collect();
    let named = above.iter().enumerate().filter_map(|(index, item)| Some((variable(item.as_ref()?)?.to_owned(), index)));
    let indices: BTreeMap<String, usize> = named.collect();
    let mut items: Vec<Part> = Vec::new();
    for item in below.into_items() {
        let same = variable(&item).and_then(|name| indices.get(name)).and_then(|index| above[*index].take());
        items.push(same.unwrap_or(item));
    }
    items.extend(above.into_iter().flatten());
    upper.put("env", Part::list(items, origin));
}

fn variable(item: &Part) -> Option<&str> {
    match &item.value {
        Value::String(_, name) => Some(name),
        Value::Dict(_, dict) => dict.get("name")?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
