//! One value of the merged configuration, under the path by which its place is known.

use figment::value::{Num, Value};

/// A value and its path, like `env[1].from.env`.
#[derive(Clone)]
pub struct Field<'a> {
    pub path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    /// The whole configuration.
    pub fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// A value on its own.
    pub fn at(path: String, value: &'a Value) -> Self {
        Self { path, value }
    }

    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The value of a key. A key without a value (`domains:` and nothing behind) counts as absent.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        self.named(key).filter(|field| !field.is_empty())
    }

    /// The value of a key, be it empty.
    pub fn named(&self, key: &str) -> Option<Field<'a>> {
        let Value::Dict(_, dict) = self.value else { return None };
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        dict.get(key).map(|value| Field { path, value })
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.value, Value::Empty(..))
    }

    pub fn is_object(&self) -> bool {
        matches!(self.value, Value::Dict(..))
    }

    /// The entries of an object whose keys the user chose.
    pub fn entries(&self) -> Vec<(&'a str, Field<'a>)> {
        let Value::Dict(_, dict) = self.value else { return Vec::new() };
        let path = |key: &str| if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        dict.iter().map(|(key, value)| (key.as_str(), Field { path: path(key), value })).collect()
    }

    /// The values of an object.
    pub fn members(&self) -> Vec<Field<'a>> {
        self.entries().into_iter().map(|(_, field)| field).collect()
    }

    /// The entries of a list; none when it is not a list.
    pub fn items(&self) -> Option<Vec<Field<'a>>> {
        let Value::Array(_, values) = self.value else { return None };
        Some(values.iter().enumerate().map(|(index, value)| Field { path: format!("{}[{index}]", self.path), value }).collect())
    }

    pub fn text(&self) -> Option<&'a str> {
        if let Value::String(_, text) = self.value { Some(text) } else { None }
    }

    pub fn boolean(&self) -> Option<bool> {
        if let Value::Bool(_, value) = self.value { Some(*value) } else { None }
    }

    /// A whole number; `2.0` is not one.
    pub fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Num(_, Num::I64(number)) => Some(*number),
            Value::Num(_, Num::U64(number)) => Some(i64::try_from(*number).unwrap_or(i64::MAX)),
            _ => None,
        }
    }

    /// A number or a boolean: a scalar whose text in the file may be meant.
    pub fn is_bare(&self) -> bool {
        matches!(self.value, Value::Num(..) | Value::Bool(..))
    }

    /// What it is, in the user's words.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::String(..) | Value::Char(..) => "a string",
            Value::Bool(..) => "a boolean",
            Value::Num(..) => "a number",
            Value::Empty(..) => "nothing",
            Value::Dict(..) => "an object",
            Value::Array(..) => "a list",
        }
    }
}
