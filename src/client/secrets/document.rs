//! What a source holds: values by key, read from JSON or dotenv into texts that are wiped.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::secret::Secret;

use super::dotenv;
use super::error::{Problem, Unreadable};

/// A JSON value. All that is not a name is a secret.
#[derive(Debug, Clone)]
pub enum Value {
    /// A text, or the text of a number or truth value; empty for null.
    Text(Secret),
    List(Vec<Value>),
    /// In the order of the document, each name once.
    Object(Vec<(String, Value)>),
}

/// What a source holds.
#[derive(Debug)]
pub struct Contents {
    /// What references with a key are looked up in.
    keys: Option<Value>,
    /// What a reference without a key means.
    whole: Option<Secret>,
}

impl Contents {
    pub fn keys(keys: Value) -> Self {
        Self { keys: Some(keys), whole: None }
    }

    pub fn one(secret: Secret) -> Self {
        Self { keys: None, whole: Some(secret) }
    }

    /// A text that is one secret and, where it is a JSON object, many.
    pub fn text(text: Secret) -> Self {
        Self { keys: object(text.expose().as_bytes()).ok(), whole: Some(text) }
    }

    /// The secret that a reference means.
    pub fn get(&self, key: Option<&str>) -> Result<Secret, Problem> {
        match (key, &self.keys, &self.whole) {
            (None, _, Some(whole)) => Ok(whole.clone()),
            (None, keys, None) => Err(Problem::KeyNeeded { known: keys.as_ref().map(Value::paths).unwrap_or_default() }),
            (Some(key), None, _) => Err(Problem::OneSecret { key: key.to_owned() }),
            (Some(key), Some(keys), _) => match keys.at(key) {
                Some(Value::Text(secret)) => Ok(secret.clone()),
                Some(group) => {
                    let known = group.paths().into_iter().map(|path| format!("{key}.{path}")).collect();
                    Err(Problem::Group { key: key.to_owned(), known })
                }
                None => Err(Problem::NoKey { key: key.to_owned(), known: keys.paths() }),
            },
        }
    }
}

impl Value {
    pub fn empty() -> Self {
        Self::Text(Secret::new(""))
    }

    /// The value of a name or of a path like `servers.0.password`. A name that holds dots itself wins over a path.
    pub fn at(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.named(path) {
            return Some(value);
        }
        let dots = path.match_indices('.').map(|(dot, _)| dot);
        dots.rev().find_map(|dot| self.named(&path[..dot])?.at(&path[dot + 1..]))
    }

    /// A value that lies directly in this one.
    pub fn named(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            Self::List(items) => name.parse::<usize>().ok().filter(|index| index.to_string() == name).and_then(|index| items.get(index)),
            Self::Text(_) => None,
        }
    }

    pub fn text(&self) -> Option<&Secret> {
        match self {
            Self::Text(secret) => Some(secret),
            Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The text of a name; `None` when it is missing or empty.
    pub fn text_of(&self, name: &str) -> Option<&Secret> {
        self.named(name)?.text().filter(|text| !text.expose().is_empty())
    }

    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            Self::Text(_) | Self::Object(_) => None,
        }
    }

    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// What leads to each text.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, path: &str, paths: &mut Vec<String>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match self {
            Self::Text(_) => paths.push(path.to_owned()),
            Self::List(items) => items.iter().enumerate().for_each(|(at, item)| item.collect_paths(&below(&at.to_string()), paths)),
            Self::Object(entries) => entries.iter().for_each(|(name, value)| value.collect_paths(&below(name), paths)),
        }
    }
}

/// Entries of an object that is put together from several places; of a repeated name the first counts.
impl FromIterator<(String, Value)> for Value {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        let mut seen = HashSet::new();
        Self::Object(entries.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect())
    }
}

/// Any JSON document.
pub fn json(bytes: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(strip_mark(bytes)).map_err(|error| Unreadable::Json { line: error.line(), column: error.column() })
}

/// A JSON object.
pub fn object(bytes: &[u8]) -> Result<Value, Unreadable> {
    let value = json(bytes)?;
    if value.is_object() { Ok(value) } else { Err(Unreadable::Shape("a JSON object")) }
}

/// Lines of `NAME=value`. Nothing in them is expanded.
pub fn variables(bytes: &[u8]) -> Result<Value, Unreadable> {
    let text = std::str::from_utf8(strip_mark(bytes)).map_err(|_| Unreadable::Shape("text in UTF-8"))?;
    let variables = dotenv::parse(text).map_err(|line| Unreadable::Dotenv { line })?;
    // The last of a repeated name counts, as in a shell.
    Ok(variables.into_iter().rev().map(|(name, value)| (name, Value::Text(value))).collect())
}

/// One text, without the end of its last line.
pub fn text(bytes: &[u8]) -> Result<Secret, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Shape("text in UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Secret::new(text))
}

/// Without a byte order mark, which programs on Windows print.
fn strip_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Text(Secret::new(value.to_string())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(Secret::new(value.to_string())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(Secret::new(value.to_string())))
    }

    /// A number that could have been rounded is no secret that anybody could use.
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        const EXACT: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
        match serde_json::Number::from_f64(value) {
            Some(number) if value.abs() < EXACT => Ok(Value::Text(Secret::new(number.to_string()))),
            _ => Err(E::custom("a number that is not kept exactly")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(Secret::new(value)))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(Secret::new(value)))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::empty())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        // The last of a repeated name counts, as nearly everywhere.
        let mut seen = HashSet::new();
        entries.reverse();
        entries.retain(|(name, _)| seen.insert(name.clone()));
        entries.reverse();
        Ok(Value::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json_text: &str, path: &str) -> Option<String> {
        let value = json(json_text.as_bytes()).expect("JSON");
        value.at(path).and_then(Value::text).map(|text| text.expose().to_owned())
    }

    #[test]
    fn values_are_found_by_names_and_paths() {
        let text = r#"{"a": {"b": [{"c": "deep"}, "second"], "x.y": "dots"}, "a.b.0.c": "literal", "e": {"": "empty"}}"#;
        for (path, found) in [
            ("a.b.0.c", Some("literal")),
            ("a.b.1", Some("second")),
            ("a.x.y", Some("dots")),
            ("e.", Some("empty")),
            ("a.b", None),
            ("a.b.2", None),
            ("a.b.01", None),
            ("a.b.-1", None),
            ("a..b", None),
            ("", None),
        ] {
            assert_eq!(read(text, path).as_deref(), found, "{path}");
        }
        assert_eq!(read(r#"{"a": {"b.c": {"d": "1"}}}"#, "a.b.c.d").as_deref(), Some("1"));
    }

    #[test]
    fn scalars_are_their_texts() {
        let text = "\u{feff}{\"t\": true, \"i\": -42, \"u\": 18446744073709551615, \"f\": 1.5, \"n\": null, \"s\": \"\\u00e4\\n\"}";
        for (name, expected) in [("t", "true"), ("i", "-42"), ("u", "18446744073709551615"), ("f", "1.5"), ("n", ""), ("s", "ä\n")] {
            assert_eq!(read(text, name).as_deref(), Some(expected), "{name}");
        }
        // Silently rounded it would be a wrong secret.
        assert!(json(b"{\"account\": 123456789012345678901234567890}").is_err());
        assert_eq!(read(r#"{"a": "1", "a": "2"}"#, "a").as_deref(), Some("2"));
        assert!(json("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn nothing_that_is_read_can_be_printed() {
        let contents = Contents::text(text(br#"{"password": "hunter2"}"#).expect("text"));
        assert!(!format!("{contents:?}").contains("hunter"));
        let error = json(b"{\"a\": hunter2}").expect_err("not JSON");
        assert!(!format!("{error:?} {error}").contains("hunter"));
    }

    #[test]
    fn one_end_of_line_is_taken_away() {
        for (printed, secret) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), (" a \n", " a "), ("", "")] {
            assert_eq!(text(printed.as_bytes()).expect("text").expose(), secret);
        }
        assert!(text(b"\xff").is_err());
    }
}
