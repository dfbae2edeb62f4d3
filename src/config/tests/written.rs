//! A configuration before it is written down in one of the three formats.

use std::fmt::Write as _;

use serde_json::Value;

/// A value whose keys have an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A string, a number or a boolean.
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// From JSON, keys in the order of the alphabet.
    pub fn json(text: &str) -> Self {
        serde_json::from_str::<Value>(text).map(Self::from).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    pub fn put(&mut self, key: &str, node: Node) {
        let Self::Map(entries) = self else { panic!("no object") };
        match entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = node,
            None => entries.push((key.to_owned(), node)),
        }
    }

    pub fn take(&mut self, key: &str) -> Option<Node> {
        let Self::Map(entries) = self else { return None };
        let index = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.remove(index).1)
    }

    /// The same with the keys of every object in another order.
    pub fn shuffled(&self, seed: &mut u64) -> Self {
        match self {
            Self::Scalar(value) => Self::Scalar(value.clone()),
            Self::List(nodes) => Self::List(nodes.iter().map(|node| node.shuffled(seed)).collect()),
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().map(|(key, node)| (key.clone(), node.shuffled(seed))).collect();
                for last in (1..entries.len()).rev() {
                    // Knuth's generator; its high bits are random enough for an order.
                    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    entries.swap(last, (*seed >> 33) as usize % (last + 1));
                }
                Self::Map(entries)
            }
        }
    }

    pub fn written_as(&self, ending: &str) -> String {
        match ending {
            "json" => self.to_json(),
            "yaml" => self.to_yaml(),
            "toml" => self.to_toml(),
            _ => panic!("no format: {ending}"),
        }
    }

    fn to_json(&self) -> String {
        match self {
            Self::Scalar(value) => value.to_string(),
            Self::List(nodes) => format!("[{}]", nodes.iter().map(Self::to_json).collect::<Vec<_>>().join(", ")),
            Self::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, node)| format!("{}: {}", Value::from(key.as_str()), node.to_json())).collect();
                format!("{{{}}}", entries.join(",\n"))
            }
        }
    }

    fn to_yaml(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Map(entries) if !entries.is_empty() => block(entries, 0, &mut text),
            other => text.push_str(&other.to_json()),
        }
        text
    }

    fn to_toml(&self) -> String {
        let Self::Map(entries) = self else { panic!("TOML is an object") };
        entries.iter().map(|(key, node)| format!("{} = {}\n", Value::from(key.as_str()), node.inline_toml())).collect()
    }

    fn inline_toml(&self) -> String {
        match self {
            Self::Scalar(value) => value.to_string(),
            Self::List(nodes) => format!("[{}]", nodes.iter().map(Self::inline_toml).collect::<Vec<_>>().join(", ")),
            Self::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, node)| format!("{} = {}", Value::from(key.as_str()), node.inline_toml())).collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Value::Object(entries) => Self::Map(entries.into_iter().map(|(key, value)| (key, Self::from(value))).collect()),
            scalar => Self::Scalar(scalar),
        }
    }
}

/// Objects in lines of their own, one level deeper each; all else as JSON, which is YAML.
fn block(entries: &[(String, Node)], depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    for (key, node) in entries {
        match node {
            Node::Map(below) if !below.is_empty() => {
                let _ = writeln!(text, "{indent}{key}:");
                block(below, depth + 1, text);
            }
            Node::List(nodes) if nodes.iter().any(|node| matches!(node, Node::Map(below) if !below.is_empty())) => {
                let _ = writeln!(text, "{indent}{key}:");
                for node in nodes {
                    let _ = writeln!(text, "{indent}  - {}", node.to_json().replace('\n', ""));
                }
            }
            other => {
                let _ = writeln!(text, "{indent}{key}: {}", other.to_json().replace('\n', ""));
            }
        }
    }
}
