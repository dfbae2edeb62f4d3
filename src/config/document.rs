//! A file as a figment provider: keys in one spelling, every value with its place, secrets masked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use figment::value::{Dict, Empty, Map, Tag, Value};
use figment::{Metadata, Profile, Provider};

use super::error::{ConfigError, SHOWN};
use super::keys::{APP, Key, Kind as ValueKind, Shape};
use super::mask;
use super::mistake::Mistake;
use super::source::{self, Format, Site, Source};
use super::spelling::{camel_case, foreign, nearest, spells};
use super::tree::{Kind, Node, Parsed, SyntaxError};
use super::{json, toml, yaml};
use crate::names::is_env_name;

/// What stands below a key that the table does not know.
static ANYTHING: Shape = Shape::Value(ValueKind::Text);

/// One file, read. Its mistakes so far are those of spelling: unknown and repeated keys.
pub struct Document {
    pub source: Arc<Source>,
    pub values: Dict,
    /// By path, as [`Field`](super::field::Field) knows it: `env[1].from.env`.
    places: BTreeMap<String, Place>,
    /// Paths of known keys that a misspelled key is likely to mean.
    meant: BTreeSet<String>,
    pub mistakes: Vec<Mistake>,
    /// Keys of earlier generations.
    pub notes: Vec<Mistake>,
}

/// Where a value stands, and how it is written.
#[derive(Debug, Clone)]
pub struct Place {
    pub key: Option<Range<usize>>,
    pub value: Range<usize>,
    /// The text of a number or boolean.
    pub written: Option<String>,
    /// It is masked where the file is shown: no message may quote it either.
    pub hidden: bool,
}

/// The path alone: the values are those of the file, secrets too.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Document {
    /// Reads a file whose keys are those of `shape`. A file that is not of its format is an error at
    /// once; mistakes of spelling are kept beside what could be read.
    pub fn read(path: &Path, shape: &'static Shape) -> Result<Self, ConfigError> {
        let format = Format::of(path)?;
        let text = source::read(path)?;
        Self::parse(path, format, &text, shape)
    }

    pub fn parse(path: &Path, format: Format, text: &str, shape: &'static Shape) -> Result<Self, ConfigError> {
        let parsed = match format {
            Format::Yaml => yaml::parse(text),
            Format::Json => json::parse(text),
            Format::Toml => toml::parse(text),
        };
        match parsed {
            Ok(parsed) => Self::lower(path, text, parsed, shape),
            Err(error) => {
                let source = Arc::new(Source::new(path, text, &mask::unparsed(text, shape)));
                let message = format!("this is not valid {}: {}", format.name(), error.message);
                Err(ConfigError::invalid(vec![syntax_mistake(&source, SyntaxError { message, ..error })]))
            }
        }
    }

    fn lower(path: &Path, text: &str, parsed: Parsed, shape: &'static Shape) -> Result<Self, ConfigError> {
        let mut lowering = Lowering {
            text,
            places: BTreeMap::new(),
            secrets: Vec::new(),
            meant: BTreeSet::new(),
            misspelled: Vec::new(),
            outdated: Vec::new(),
        };
        let begin = source::char_at(text, parsed.root.span.start);
        if !matches!(parsed.root.kind, Kind::Map(_)) {
            lowering.hide(&parsed.root);
        }
        let values = lowering.value(parsed.root, shape, "", false);
        if parsed.repeated.is_some() {
            // The repeated key's value is no part of the tree: whatever it is, it is not shown.
            lowering.secrets.extend(mask::unparsed(text, shape));
        }
        let source = Arc::new(Source::new(path, text, &lowering.secrets));
        let mut mistakes: Vec<Mistake> = lowering.misspelled.into_iter().map(|misspelled| misspelled.mistake(&source)).collect();
        mistakes.extend(parsed.repeated.map(|error| syntax_mistake(&source, error)));
        let notes = lowering.outdated.into_iter().map(|outdated| outdated.mistake(&source).note()).collect();
        let values = match values {
            Value::Dict(_, values) => values,
            Value::Empty(..) => Dict::new(),
            _ => {
                let message = "the file must consist of keys with values, like `name: my-app`";
                return Err(ConfigError::invalid(vec![Mistake::new(Site { source, span: begin }, None, message)]));
            }
        };
        Ok(Self { source, values, places: lowering.places, meant: lowering.meant, mistakes, notes })
    }

    /// A key that was reported as unknown is likely to be this one.
    pub fn is_meant(&self, path: &str) -> bool {
        self.meant.contains(path)
    }

    /// The place of a value; the file itself has none.
    pub fn place(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }
}

impl Provider for &Document {
    fn metadata(&self) -> Metadata {
        Metadata::from("configuration file", self.source.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

fn syntax_mistake(source: &Arc<Source>, error: SyntaxError) -> Mistake {
    let span = error.span.unwrap_or(0..0);
    Mistake::new(Site { source: Arc::clone(source), span }, None, error.message)
}

/// A key that is not in the table, or that is there in both spellings.
struct Misspelled {
    span: Range<usize>,
    path: String,
    message: String,
    hint: Option<String>,
    other: Option<Range<usize>>,
}

impl Misspelled {
    fn mistake(self, source: &Arc<Source>) -> Mistake {
        let mut mistake = Mistake::new(Site { source: Arc::clone(source), span: self.span }, Some(self.path), self.message);
        if let Some(hint) = self.hint {
            mistake.hint(hint);
        }
        if let Some(other) = self.other {
            mistake.other(other, "first written here");
        }
        mistake
    }
}

/// The walk from the tree to figment's values.
struct Lowering<'a> {
    text: &'a str,
    places: BTreeMap<String, Place>,
    secrets: Vec<Range<usize>>,
    meant: BTreeSet<String>,
    misspelled: Vec<Misspelled>,
    outdated: Vec<Misspelled>,
}

impl Lowering<'_> {
    fn value(&mut self, node: Node, shape: &'static Shape, path: &str, private: bool) -> Value {
        let shape = shape.of(&node.kind);
        if is_hidden(&node.kind, shape, private) {
            self.hide(&node);
        }
        match node.kind {
            Kind::Null => Value::Empty(Tag::Default, Empty::Unit),
            Kind::Bool { value, .. } => Value::Bool(Tag::Default, value),
            Kind::Number { value, .. } => Value::Num(Tag::Default, value),
            Kind::Text(text) => Value::String(Tag::Default, text),
            Kind::List(nodes) => {
                let shape = if let Shape::List(inner) = shape { inner } else { &ANYTHING };
                let entry = |(index, node)| self.child(None, node, shape, format!("{path}[{index}]"), private);
                Value::Array(Tag::Default, nodes.into_iter().enumerate().map(entry).collect())
            }
            Kind::Map(entries) => Value::Dict(Tag::Default, self.entries(entries, shape, path, private)),
        }
    }

    fn child(&mut self, key: Option<Range<usize>>, node: Node, shape: &'static Shape, path: String, private: bool) -> Value {
        let written = match &node.kind {
            Kind::Bool { written, .. } | Kind::Number { written, .. } => Some(written.clone()),
            _ => None,
        };
        let strays = key.as_ref().is_some_and(|key| self.strays(key, &node));
        if strays {
            self.hide(&node);
        }
        let hidden = strays || is_hidden(&node.kind, shape.of(&node.kind), private);
        let place = Place { key, value: self.pointed_at(&node), written, hidden };
        self.places.insert(path.clone(), place);
        self.value(node, shape, &path, private)
    }

    fn entries(&mut self, entries: Vec<(super::tree::Key, Node)>, shape: &'static Shape, path: &str, private: bool) -> Dict {
        let mut dict = Dict::new();
        for (written, node) in entries {
            let (name, below, private) = match shape {
                Shape::Object(_) if written.name.starts_with("x-") || path.is_empty() && written.name == "$schema" => {
                    self.hide(&node);
                    continue;
                }
                Shape::Object(_) => match shape.keys().find(|key| key.is_written(&written.name)) {
                    Some(key) => {
                        self.note_generation(key, &written, path);
                        (key.name.to_owned(), &key.shape, private || key.private)
                    }
                    None => {
                        self.unknown(&written, &node, &shape.keys().collect::<Vec<_>>(), path, private);
                        continue;
                    }
                },
                Shape::Names(inner) => (written.name, *inner, private),
                Shape::Value(_) | Shape::Variable { .. } | Shape::List(_) | Shape::Either(_) => (written.name, &ANYTHING, private),
            };
            let path = join(path, &name);
            if let Some(first) = self.places.get(&path).and_then(|place| place.key.clone()).filter(|_| dict.contains_key(&name)) {
                let message = format!("the key `{name}` is written twice");
                self.misspelled.push(Misspelled { span: written.span, path, message, hint: None, other: Some(first) });
                if private {
                    self.hide(&node);
                }
                continue;
            }
            let value = self.child(Some(written.span), node, below, path, private);
            dict.insert(name, value);
        }
        dict
    }

    /// A key or a spelling of an earlier generation works, and is noted.
    fn note_generation(&mut self, key: &Key, written: &super::tree::Key, path: &str) {
        let former = key.former.iter().any(|name| spells(name, &written.name));
        let today = if former { format!("`{}`", key.name) } else { key.superseded.to_owned() };
        if today.is_empty() {
            return;
        }
        let message = format!("`{}` is of an earlier generation", written.name);
        let hint = Some(format!("write {today}"));
        self.outdated.push(Misspelled { span: written.span.clone(), path: join(path, &written.name), message, hint, other: None });
    }

    fn unknown(&mut self, written: &super::tree::Key, node: &Node, keys: &[&Key], path: &str, private: bool) {
        // Nobody reads thousands of hints, and each takes a comparison with every key.
        let wants_hint = self.misspelled.len() < 10 * SHOWN;
        let nearest = wants_hint.then(|| nearest(&written.name, keys.iter().map(|key| key.name))).flatten();
        let meant = nearest.and_then(|name| keys.iter().copied().find(|key| key.name == name));
        // A key alone, like `{hunter2}`, may be the value that somebody forgot to write a key for.
        let is_word = written.name.len() <= 40 && written.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        let quotable = is_word && (!private || meant.is_some() || node.kind != Kind::Null);
        if !quotable {
            self.secrets.push(written.span.clone());
        }
        let is_list = matches!(node.kind, Kind::List(_) | Kind::Map(_));
        if private || !quotable || is_list || keys.iter().any(|key| key.private && key.required) || meant.is_none_or(|key| key.private) {
            self.hide(node);
        }
        if let Some(key) = meant.or_else(|| keys.first().copied().filter(|_| keys.len() == 1)) {
            self.meant.insert(join(path, key.name));
        }
        let message = if quotable { format!("unknown key `{}`", written.name) } else { "unknown key".to_owned() };
        let path = if quotable { join(path, &written.name) } else { path.to_owned() };
        let hint = Some(key_hint(&written.name, meant, keys));
        self.misspelled.push(Misspelled { span: written.span.clone(), path, message, hint, other: None });
    }

    /// Whether a string ends on another line than its key: where a colon or a quote is missing, it has
    /// swallowed other keys and their values.
    fn strays(&self, key: &Range<usize>, node: &Node) -> bool {
        let end = node.span.start + self.text.get(node.span.clone()).unwrap_or_default().trim_end().len();
        let between = self.text.get(key.end..end).unwrap_or_default();
        matches!(node.kind, Kind::Text(_)) && between.contains(['\n', '\r'])
    }

    /// What a mistake underlines: a scalar itself; of lists and objects, whose length is not known,
    /// the rest of the line that they begin on.
    fn pointed_at(&self, node: &Node) -> Range<usize> {
        if !matches!(node.kind, Kind::List(_) | Kind::Map(_)) || node.span.len() > 1 {
            return node.span.clone();
        }
        let start = node.span.start.min(self.text.len());
        // A file may be one long line with thousands of lists: a part of it says where.
        let rest = self.text[start..].char_indices().take_while(|(byte, c)| *byte < 80 && !matches!(c, '\n' | '\r'));
        let end = rest.filter(|(_, c)| !c.is_whitespace()).last().map_or(start, |(byte, c)| start + byte + c.len_utf8());
        start..end
    }

    /// Masks every scalar below.
    fn hide(&mut self, node: &Node) {
        match &node.kind {
            Kind::List(nodes) => nodes.iter().for_each(|node| self.hide(node)),
            Kind::Map(entries) => {
                // `{hunter2}` is a key without a value.
                self.secrets.extend(entries.iter().filter(|(_, node)| node.kind == Kind::Null).map(|(key, _)| key.span.clone()));
                entries.iter().for_each(|(_, node)| self.hide(node));
            }
            Kind::Null => {}
            Kind::Bool { .. } | Kind::Number { .. } | Kind::Text(_) => self.secrets.push(mask::with_comment(self.text, &node.defined)),
        }
    }
}

/// Whether a value could be a secret: everything inside a private key that is not plainly something
/// else, and lists and objects where others belong, because nobody knows what was meant.
fn is_hidden(kind: &Kind, shape: &Shape, private: bool) -> bool {
    let misplaced = match (kind, shape) {
        (Kind::List(_), Shape::Object(_) | Shape::Names(_)) | (Kind::Map(_), Shape::List(_)) => true,
        // `registry: you:password`
        (Kind::Text(_) | Kind::Number { .. }, Shape::Object(_) | Shape::Names(_)) => shape.holds_private(),
        _ => false,
    };
    misplaced || private && !is_shown(kind, shape)
}

/// Inside a private key objects and lists decide for each value below, names of variables are shown,
/// and nothing else.
fn is_shown(kind: &Kind, shape: &Shape) -> bool {
    match (kind, shape) {
        (Kind::List(_), Shape::List(_)) | (Kind::Map(_), Shape::Object(_)) | (Kind::Null, _) => true,
        (Kind::Text(text), Shape::Variable { capitals }) => {
            is_env_name(text) && !(*capitals && text.bytes().any(|b| b.is_ascii_lowercase()))
        }
        (Kind::Text(text), Shape::Value(ValueKind::Choice(words))) => words.contains(&text.as_str()),
        (Kind::Bool { .. }, Shape::Value(ValueKind::Boolean)) => true,
        _ => false,
    }
}

fn key_hint(written: &str, meant: Option<&Key>, keys: &[&Key]) -> String {
    let of_target = keys.iter().any(|key| key.name == "image_key");
    if of_target && APP.keys().any(|key| key.is_written(written)) {
        return format!("`{written}` stands at the root of the file, once for all targets");
    }
    if let Some(hint) = foreign(written).filter(|_| of_target) {
        return hint.to_owned();
    }
    let in_camel_case = written.contains(|c: char| c.is_ascii_uppercase()) && !written.contains('_');
    match meant {
        Some(key) if in_camel_case => format!("did you mean `{}`?", camel_case(key.name)),
        Some(key) => format!("did you mean `{}`?", key.name),
        None if keys.len() == 1 => format!("the only key here is `{}`", keys[0].name),
        None if keys.len() <= 6 => format!("the keys here are {}", names(keys)),
        None => "keys for your own use (YAML anchors) begin with `x-`".to_owned(),
    }
}

fn names(keys: &[&Key]) -> String {
    keys.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
