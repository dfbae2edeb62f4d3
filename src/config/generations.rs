//! What earlier generations wrote in other words, in today's.
//!
//! Keys that only have another name today are known to the table of keys; here are those whose value
//! moves to another place. That they are old is noted where the file is read.

use figment::value::{Dict, Value};

use super::findings::Findings;
use super::layer::{Layer, Part};
use super::targets::spell_out_image;

/// Moves every value of an earlier generation to its place of today.
pub fn modernise(layer: &mut Layer, findings: &mut Findings<'_>) {
    source(layer, findings);
    if let Some(count) = layer.take("deployments_to_keep") {
        spell_out_image(layer);
        if layer.get("image.history.count").is_none() {
            layer.put("image.history.count", count);
        }
    }
    if let Some(variable) = layer.take("api_token_env")
        && layer.get("api_token").is_none()
    {
        layer.put("api_token", variable);
    }
    image_source(layer);
}

/// `source: {image: …}` and `source: {dockerfile: …}`.
fn source(layer: &mut Layer, findings: &mut Findings<'_>) {
    let Some(whole) = layer.origin("source").cloned() else { return };
    let wanted = [
        ("source", "write `image: ghcr.io/you/app:1.0` in its place"),
        ("source.dockerfile", "write `image: {build_config: {dockerfile: Dockerfile}}` in its place"),
    ];
    for (path, hint) in wanted {
        let value = layer.get(path).filter(|value| !matches!(value, Value::Dict(..) | Value::Empty(..)));
        if let Some(field) = value.zip(layer.origin(path)).and_then(|(value, origin)| findings.at(origin, value)) {
            findings.wrong_kind(&field, "an object").hint(hint);
        }
    }
    if layer.get("image").is_some() {
        let value = layer.get("source").cloned().unwrap_or_else(|| Value::from(""));
        if let Some(field) = findings.at(&whole, &value) {
            findings.mistake(&field, "`source` and `image` exclude each other").hint("keep `image`");
        }
    }
    if let Some(image) = layer.take("source.image") {
        layer.put("image", image);
    }
    let moves = [("path", "dockerfile"), ("build_context", "context")];
    for (before, today) in moves {
        if let Some(part) = layer.take(&format!("source.dockerfile.{before}")) {
            spell_out_image(layer);
            layer.put(&format!("image.build_config.{today}"), part);
        }
    }
    if let Some(args) = layer.take("source.dockerfile.build_args") {
        build_args(layer, args);
    }
    layer.take("source");
}

/// An object of build arguments as today's list; what is one already is left to the reader of that.
fn build_args(layer: &mut Layer, args: Part) {
    if !matches!(args.value, Value::Dict(..)) {
        layer.put("image.build_config.args", args);
        return;
    }
    let (Some(origin), Value::Dict(_, entries)) = (args.origin().cloned(), args.value) else { return };
    let item = |(name, value)| {
        let origin = super::layer::Origin { path: format!("{}.{name}", origin.path), ..origin.clone() };
        Part::at(origin, Dict::from([("name".to_owned(), Value::from(name)), ("value".to_owned(), value)]))
    };
    let items = entries.into_iter().map(item).collect();
    layer.put("image.build_config.args", Part::list(items, origin));
}

/// `image: {source: local}`.
fn image_source(layer: &mut Layer) {
    let Some(source) = layer.take("image.source") else { return };
    let Some(origin) = source.origin().cloned() else { return };
    match source.value.as_str() {
        Some("local") if layer.get("image.pull_policy").is_none() => layer.put("image.pull_policy", Part::at(origin, "never")),
        Some("local" | "registry") => {}
        // Not a word of that generation: the reader of the key says so.
        _ => layer.put("image.source", source),
    }
}
