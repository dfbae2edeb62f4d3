//! The JSON Schema (draft 2020-12) of `haloy.yaml`, for editors and other programs, made from the table
//! of keys.
//!
//! It refuses what the readers refuse by shape; what needs a look at names and at other keys is theirs
//! alone. Keys are proposed in snake_case; their camelCase spelling and their former names stand under
//! `patternProperties`, which editors check and do not propose.

use figment::value::Num;
use serde_json::{Map, Value, json};

use super::keys::{APP, FROM, IMAGE, Key, Kind, Shape, TARGET, VALUE_SOURCE, WORDS};
use super::spelling::camel_case;
use super::{tree, yaml};

/// Where a release keeps it: the first line of a configuration file tells editors this place.
pub const ADDRESS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/raw/v", env!("CARGO_PKG_VERSION"), "/packaging/haloy.schema.json");

/// What more than one key takes.
const SHARED: [(&str, &Shape); 5] =
    [("words", &WORDS), ("from", &FROM), ("value_source", &VALUE_SOURCE), ("image", &IMAGE), ("target", &TARGET)];

/// Lengths of time as people write them, in digits alone, in words, or as ISO 8601 has them.
const TIME: &str = r"^([0-9]+|PT[0-9HMS.]+|([0-9]+(\.[0-9]+)? ?(h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|ms),? ?)+)$";
const SIZE: &str = r"^[0-9]+(\.[0-9]+)? ?([bB]|[kKmMgGtT]i?[bB]?)?$";
const NAME_OF_VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// The schema as a whole.
pub fn schema() -> Value {
    let definitions = SHARED.iter().map(|(name, shape)| {
        let mut made = written_out(shape, &format!("#/$defs/{name}"));
        if *shape == &TARGET {
            // A target is called like its key.
            made.remove("required");
        }
        ((*name).to_owned(), Value::Object(made))
    });
    let mut root = root();
    root.insert("$defs".to_owned(), definitions.collect());
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("$id".to_owned(), json!(ADDRESS));
    root.insert("title".to_owned(), json!("haloy.yaml"));
    root.insert("description".to_owned(), json!("What haloy deploys: an app, or several targets."));
    Value::Object(root)
}

/// The keys of a target stand at the root, too, where they are but referred to.
fn root() -> Map<String, Value> {
    let mut root = written_out(&APP, "#");
    root.remove("required");
    for key in TARGET.keys() {
        root["properties"][key.name] = json!({ "$ref": format!("#/$defs/target/properties/{}", key.name) });
    }
    // For editors of JSON files, which have no comments to name it in.
    root["properties"]["$schema"] = json!({ "type": "string", "description": "The address of this schema.", "examples": [ADDRESS] });
    root["properties"]["apps"]["items"]["required"] = json!(["name"]);
    root.insert("if".to_owned(), json!({ "not": { "anyOf": [{ "required": ["targets"] }, { "required": ["apps"] }] } }));
    root.insert("then".to_owned(), json!({ "required": ["name"] }));
    root
}

/// What may stand at a place; `at` is the place of what is made, to be referred to.
fn made(shape: &'static Shape, at: &str) -> Map<String, Value> {
    match SHARED.iter().find(|(_, shared)| *shared == shape) {
        Some((name, _)) => object(json!({ "$ref": format!("#/$defs/{name}") })),
        None => written_out(shape, at),
    }
}

fn written_out(shape: &'static Shape, at: &str) -> Map<String, Value> {
    match shape {
        Shape::Value(kind) => value(kind),
        Shape::Variable { .. } => object(json!({ "type": "string", "pattern": NAME_OF_VARIABLE })),
        Shape::Object(_) => keys(shape, at),
        Shape::List(item) => object(json!({ "type": "array", "items": made(item, &format!("{at}/items")) })),
        Shape::Names(inner) => {
            let mut entry = made(inner, &format!("{at}/additionalProperties"));
            if *inner == &TARGET || matches!(inner, Shape::Object(_)) && inner.keys().all(|key| !key.required) {
                entry = or_null(entry);
            }
            object(json!({ "type": "object", "additionalProperties": entry }))
        }
        Shape::Either(ways) => {
            let ways = ways.iter().enumerate().map(|(index, way)| Value::Object(made(way, &format!("{at}/anyOf/{index}"))));
            object(json!({ "anyOf": ways.collect::<Vec<_>>() }))
        }
    }
}

fn value(kind: &Kind) -> Map<String, Value> {
    object(match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Literal => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Whole(least, most) => json!({ "type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": "^[0-9]+$" }),
        Kind::Seconds(least, most) => json!({ "type": ["integer", "string"], "minimum": least, "maximum": most, "pattern": TIME }),
        Kind::Bytes => json!({ "type": ["integer", "string"], "minimum": 1, "pattern": SIZE }),
        Kind::Decimal => json!({ "type": ["number", "string"], "exclusiveMinimum": 0, "pattern": r"^[0-9]*\.?[0-9]+$" }),
        Kind::Choice(words) => json!({ "enum": words }),
    })
}

/// An object with fixed keys and nothing else but what begins with `x-`.
fn keys(shape: &'static Shape, at: &str) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut patterns = object(json!({ "^x-": {} }));
    for key in shape.keys() {
        let place = format!("{at}/properties/{}", key.name);
        properties.insert(key.name.to_owned(), Value::Object(described(key, &place)));
        let mut other = |name: &str, made: Value| patterns.insert(format!("^{name}$"), made);
        let camel = camel_case(key.name);
        if camel != key.name {
            other(&camel, json!({ "$ref": place }));
        }
        for former in key.former {
            let about = format!("Of an earlier generation: write `{}`.", key.name);
            let spellings = std::iter::once(camel_case(former)).filter(|camel| camel != former).chain([(*former).to_owned()]);
            spellings.for_each(|name| drop(other(&name, json!({ "$ref": place, "description": about, "deprecated": true }))));
        }
    }
    let required: Vec<&str> = shape.keys().filter(|key| key.required).map(|key| key.name).collect();
    let mut closed =
        object(json!({ "type": "object", "properties": properties, "patternProperties": patterns, "additionalProperties": false }));
    if !required.is_empty() {
        closed.insert("required".to_owned(), json!(required));
    }
    closed
}

fn described(key: &'static Key, at: &str) -> Map<String, Value> {
    let mut described = made(&key.shape, at);
    // A key without a value counts as absent, where a value is not taken to the letter.
    if !key.required && !matches!(key.shape, Shape::Value(Kind::Literal)) {
        described = or_null(described);
    }
    let mut about = key.about.to_owned();
    if !key.default.is_empty() {
        about.push_str(&format!(" Default: {}.", key.default));
    }
    if !key.superseded.is_empty() {
        about.push_str(&format!(" Of an earlier generation: write {}.", key.superseded));
        described.insert("deprecated".to_owned(), json!(true));
    }
    described.insert("description".to_owned(), json!(about));
    if let Some(default) = default(key) {
        described.insert("default".to_owned(), default);
    }
    if let Some(example) = example(key) {
        described.insert("examples".to_owned(), json!([example]));
    }
    described
}

/// The same, or nothing.
fn or_null(mut made: Map<String, Value>) -> Map<String, Value> {
    if let Some(types) = made.get_mut("type") {
        *types = match types.take() {
            Value::Array(types) => types.into_iter().chain([json!("null")]).collect(),
            one => json!([one, "null"]),
        };
    } else if let Some(Value::Array(words)) = made.get_mut("enum") {
        words.push(Value::Null);
    } else if let Some(Value::Array(ways)) = made.get_mut("anyOf") {
        ways.push(json!({ "type": "null" }));
    } else {
        return object(json!({ "anyOf": [made, { "type": "null" }] }));
    }
    made
}

/// A default that is one value, not words about where it comes from.
fn default(key: &Key) -> Option<Value> {
    let text = key.default;
    match &key.shape {
        _ if text.is_empty() || text.contains(' ') => None,
        Shape::Value(Kind::Whole(..) | Kind::Seconds(..) | Kind::Decimal | Kind::Boolean) => {
            Some(serde_json::from_str(text).unwrap_or_else(|_| json!(text)))
        }
        Shape::Value(_) => Some(json!(text)),
        _ => None,
    }
}

/// The value of the key's example.
fn example(key: &Key) -> Option<Value> {
    let tree::Kind::Map(mut entries) = yaml::parse(key.example).ok()?.root.kind else { return None };
    entries.pop().map(|(_, node)| plain(node))
}

/// A value without its place.
pub fn plain(node: tree::Node) -> Value {
    match node.kind {
        tree::Kind::Null => Value::Null,
        tree::Kind::Bool { value, .. } => json!(value),
        tree::Kind::Number { value: Num::I64(number), .. } => json!(number),
        tree::Kind::Number { value: Num::U64(number), .. } => json!(number),
        tree::Kind::Number { value: Num::F64(number), written } if !number.is_finite() => json!(written),
        tree::Kind::Number { value: Num::F64(number), .. } => json!(number),
        tree::Kind::Number { written, .. } => json!(written),
        tree::Kind::Text(text) => json!(text),
        tree::Kind::List(nodes) => nodes.into_iter().map(plain).collect(),
        tree::Kind::Map(entries) => entries.into_iter().map(|(key, node)| (key.name, plain(node))).collect(),
    }
}

/// The members of an object literal.
fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value { members } else { Map::new() }
}

#[cfg(test)]
mod tests;
