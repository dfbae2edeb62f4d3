//! One layer of a target's configuration: values, and where each of them is written.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

/// By path, as [`Field`](super::field::Field) knows it.
pub type Origins = BTreeMap<String, Origin>;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The path in the document: `targets.production.image.tag`.
    pub path: String,
    pub kind: OriginKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginKind {
    /// The value that is written there.
    Value,
    /// The key that is written there.
    Key,
    /// What the preset that is written there stands for.
    Preset,
}

/// Values and their origins, which change together. Some are secrets in the clear: it has no `Debug`.
#[derive(Clone, Default)]
pub struct Layer {
    values: Dict,
    origins: Origins,
}

/// A value on its way to another place.
pub struct Part {
    pub value: Value,
    /// By the rest of the path: ``, `.tag`, `[0].name`.
    origins: Origins,
}

impl Layer {
    /// Values as they stand in the document below `from`.
    pub fn new(values: Dict, from: &str, kind: OriginKind) -> Self {
        let mut layer = Self::default();
        for (key, value) in values {
            let path = join(from, &key);
            layer.put(&key, Part::new(value, &path, kind));
        }
        layer
    }

    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut keys = path.split('.');
        let first = self.values.get(keys.next()?)?;
        keys.try_fold(first, |value, key| if let Value::Dict(_, dict) = value { dict.get(key) } else { None })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    pub fn keys(&self, path: &str) -> Vec<String> {
        let dict = if path.is_empty() { Some(&self.values) } else { self.get(path).and_then(as_dict) };
        dict.into_iter().flat_map(Dict::keys).cloned().collect()
    }

    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.origins.get(path)
    }

    /// Removes a value with everything below it.
    pub fn take(&mut self, path: &str) -> Option<Part> {
        let value = take(&mut self.values, path)?;
        let below: Vec<String> =
            self.origins.range(path.to_owned()..).map(|(path, _)| path.clone()).take_while(|p| p.starts_with(path)).collect();
        let mut origins = Origins::new();
        for full in below.into_iter().filter(|full| is_below(full, path)) {
            if let Some(origin) = self.origins.remove(&full) {
                origins.insert(full[path.len()..].to_owned(), origin);
            }
        }
        Some(Part { value, origins })
    }

    /// Puts a value in, in place of what is there. Objects on the way are made; where something else
    /// stands in the way, that stays as it is, for its reader to complain about.
    pub fn put(&mut self, path: &str, part: Part) {
        if !has_room(&self.values, path) {
            return;
        }
        self.take(path);
        let mut reached = String::new();
        let parents: Vec<&str> = path.split('.').collect();
        let here = part.origins.get("").cloned();
        for key in &parents[..parents.len() - 1] {
            reached = join(&reached, key);
            if let (None, Some(origin)) = (self.origins.get(&reached), &here) {
                self.origins.insert(reached.clone(), origin.clone());
            }
        }
        put(&mut self.values, &parents, part.value);
        self.origins.extend(part.origins.into_iter().map(|(rest, origin)| (format!("{path}{rest}"), origin)));
    }

    /// This layer with another one over it: what that one names is its own, objects that both have are
    /// merged key by key.
    pub fn under(self, upper: Layer) -> Layer {
        let mut origins = self.origins.clone();
        origins.extend(upper.origins.clone());
        // Not `extract`: it gives names like `___figment_tagged_item` in the file a meaning of their own.
        let merged = Figment::from(&self).merge(&upper).find_value("").expect("invariant: a layer provides a dictionary");
        Layer { values: merged.into_dict().unwrap_or_default(), origins }
    }

    pub fn into_parts(self) -> (Value, Origins) {
        (Value::from(self.values), self.origins)
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("configuration file")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

impl Part {
    /// A value that stands in the document at `path`, with everything below it.
    pub fn new(value: Value, path: &str, kind: OriginKind) -> Self {
        let mut origins = Origins::new();
        trace(&value, String::new(), path, kind, &mut origins);
        Self { value, origins }
    }

    /// Another value that is written at the same place.
    pub fn at(origin: Origin, value: impl Into<Value>) -> Self {
        let value = value.into();
        let mut origins = Origins::new();
        trace(&value, String::new(), &origin.path, origin.kind, &mut origins);
        for below in origins.values_mut() {
            below.path.clone_from(&origin.path);
        }
        Self { value, origins }
    }

    pub fn origin(&self) -> Option<&Origin> {
        self.origins.get("")
    }

    /// The entries of a list, each with its origins.
    pub fn into_items(self) -> Vec<Part> {
        let Value::Array(_, values) = self.value else { return Vec::new() };
        let mut items: Vec<Part> = values.into_iter().map(|value| Part { value, origins: Origins::new() }).collect();
        for (path, origin) in self.origins {
            let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) else { continue };
            if let Some(item) = index.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                item.origins.insert(rest.to_owned(), origin);
            }
        }
        items
    }

    /// A list of entries that keep their origins; the list itself is written at `origin`.
    pub fn list(items: Vec<Part>, origin: Origin) -> Self {
        let mut origins = Origins::from([(String::new(), origin)]);
        let mut values = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            origins.extend(item.origins.into_iter().map(|(rest, origin)| (format!("[{index}]{rest}"), origin)));
            values.push(item.value);
        }
        Self { value: Value::from(values), origins }
    }
}

fn trace(value: &Value, rest: String, path: &str, kind: OriginKind, origins: &mut Origins) {
    match value {
        Value::Dict(_, dict) => {
            for (key, value) in dict {
                trace(value, format!("{rest}.{key}"), &join(path, key), kind, origins);
            }
        }
        Value::Array(_, values) => {
            for (index, value) in values.iter().enumerate() {
                trace(value, format!("{rest}[{index}]"), &format!("{path}[{index}]"), kind, origins);
            }
        }
        _ => {}
    }
    origins.insert(rest, Origin { path: path.to_owned(), kind });
}

/// `image.tag` is below `image`, `image_key` is not.
fn is_below(full: &str, path: &str) -> bool {
    full.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn take(dict: &mut Dict, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => dict.remove(path),
        Some((key, rest)) => match dict.get_mut(key) {
            Some(Value::Dict(_, below)) => take(below, rest),
            _ => None,
        },
    }
}

/// Everything above a path is an object, or not there.
fn has_room(dict: &Dict, path: &str) -> bool {
    let Some((key, rest)) = path.split_once('.') else { return true };
    match dict.get(key) {
        None => true,
        Some(Value::Dict(_, below)) => has_room(below, rest),
        Some(_) => false,
    }
}

fn put(dict: &mut Dict, path: &[&str], value: Value) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        dict.insert((*key).to_owned(), value);
        return;
    }
    let below = dict.entry((*key).to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, below) = below {
        put(below, rest, value);
    }
}

fn as_dict(value: &Value) -> Option<&Dict> {
    if let Value::Dict(_, dict) = value { Some(dict) } else { None }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
