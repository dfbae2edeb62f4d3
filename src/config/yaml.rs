//! YAML (and JSON, which YAML 1.2 contains) to a tree with spans. The only file that names
//! serde-saphyr.

use std::fmt;
use std::ops::Range;

use figment::value::Num;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, MessageFormatter as _, Spanned, UserMessageFormatter};

use super::tree::{Key, Kind, Node, Parsed, SyntaxError};

/// What anchors may grow to when they are repeated. A file that a person wrote stays far below;
/// one that doubles itself twenty times is refused within milliseconds.
const REPEATED_NODES: usize = 20_000;
const NODES: usize = 100_000;

/// Nobody's configuration is nested deeper; each level costs stack.
const DEPTH: usize = 16;

/// The tree of a YAML or JSON text. A repeated key does not end the reading: it is reported beside
/// the tree in which its first value stands.
pub fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    match read(text, DuplicateKeyPolicy::Error) {
        Ok(root) => Ok(Parsed { root, repeated: None }),
        Err(error) => {
            let problem = syntax_error(&error, text);
            if !matches!(error.without_snippet(), Error::DuplicateMappingKey { .. }) {
                return Err(problem);
            }
            match read(text, DuplicateKeyPolicy::FirstWins) {
                Ok(root) => Ok(Parsed { root, repeated: Some(problem) }),
                Err(_) => Err(problem),
            }
        }
    }
}

fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, Error> {
    let options = serde_saphyr::options! {
        // Otherwise `no`, `on` and `y` would be booleans: `tls: off` is a word.
        strict_booleans: true,
        duplicate_keys: duplicate_keys,
        // The text as written is kept beside the number, so nothing is lost.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        budget: serde_saphyr::budget! { max_depth: DEPTH, flow_nesting_limit: DEPTH, max_nodes: NODES },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED_NODES, max_replay_stack_depth: DEPTH },
        with_snippet: false,
    };
    if text.trim().is_empty() {
        return Ok(Node { kind: Kind::Null, span: 0..0, defined: 0..0 });
    }
    let root: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options)?;
    Ok(lower(root, text))
}

/// A node as the parser hands it over, with its two places: where it is used and where it is defined.
enum Raw {
    Null,
    Bool(bool),
    Number(Num),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(Num::I64(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(Num::U64(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(Num::F64(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Raw::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

fn lower(raw: Spanned<Raw>, text: &str) -> Node {
    let span = bytes(&raw.referenced, text);
    let defined = bytes(&raw.defined, text);
    let written = || text.get(defined.clone()).unwrap_or_default().trim().to_owned();
    let kind = match raw.value {
        Raw::Null => Kind::Null,
        Raw::Bool(value) => Kind::Bool { value, written: written() },
        Raw::Number(value) => Kind::Number { value, written: written() },
        Raw::Text(value) => Kind::Text(value),
        Raw::List(nodes) => Kind::List(nodes.into_iter().map(|node| lower(node, text)).collect()),
        Raw::Map(entries) => Kind::Map(entries.into_iter().map(|(key, node)| (lower_key(key, text), lower(node, text))).collect()),
    };
    Node { kind, span, defined }
}

fn lower_key(key: Spanned<String>, text: &str) -> Key {
    let span = bytes(&key.referenced, text);
    Key { name: key.value, span }
}

/// The bytes that a location covers. Containers report where they begin; their length is one byte.
fn bytes(location: &Location, text: &str) -> Range<usize> {
    let span = location.span();
    let start = span.byte_offset().and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(text.len());
    let length = span.byte_len().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    start..start.saturating_add(length).min(text.len())
}

/// Where an error is: parser errors know line and column (both from 1, columns in characters) alone.
fn position(location: &Location, text: &str) -> Range<usize> {
    let (Ok(line), Ok(column)) = (usize::try_from(location.line()), usize::try_from(location.column())) else { return 0..0 };
    super::source::at(text, line, column)
}

fn syntax_error(error: &Error, text: &str) -> SyntaxError {
    let error = error.without_snippet();
    let place = if matches!(error, Error::DuplicateMappingKey { .. }) { bytes } else { position };
    SyntaxError { message: message(error), span: error.location().map(|location| place(&location, text)) }
}

fn message(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => message(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is written twice"),
        Error::DuplicateMappingKey { key: None, .. } => "a key is written twice".to_owned(),
        Error::ExternalMessage { msg, .. } => msg.clone(),
        Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } | Error::Budget { .. } => {
            "the file grows too large when its anchors and lists are written out".to_owned()
        }
        Error::Unexpected { expected, .. } if expected.contains("string") => "a key must be a word".to_owned(),
        Error::MultipleDocuments { .. } => "the file holds more than one document: keep one, without `---` between".to_owned(),
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}
