//! Values as YAML, for people and for other programs.

use serde_json::Value;

/// An object as a document: `name` first, the rest after the alphabet.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort_by_key(|key| *key != "name");
            for key in keys {
                let key_text = scalar(key);
                *text += &format!("{:indent$}{key_text}:", "");
                below(&members[key], indent, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut lines = String::new();
                write(item, indent + 2, &mut lines);
                // The first line of the item stands behind the dash.
                *text += &format!("{:indent$}- {}", "", lines.trim_start());
            }
        }
        one => *text += &format!("{:indent$}{}\n", "", plain(one)),
    }
}

fn below(value: &Value, indent: usize, text: &mut String) {
    if matches!(value, Value::Object(members) if !members.is_empty()) || matches!(value, Value::Array(items) if !items.is_empty()) {
        text.push('\n');
        write(value, indent + 2, text);
    } else {
        *text += &format!(" {}\n", plain(value));
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// A text as a value that is read as text again: `"2048"`, `"no"`.
pub fn text(text: &str) -> String {
    if reads_as_another(text) { Value::from(text).to_string() } else { scalar(text) }
}

/// A text on one line, quoted where YAML would read something else than text.
pub fn scalar(text: &str) -> String {
    let first = text.chars().next().unwrap_or(' ');
    let is_plain = !first.is_whitespace()
        && !"\"'&*!|>%@`{[]},#?:-=~".contains(first)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
        && !text.contains(char::is_control);
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// A number, a boolean or nothing in some version of YAML.
fn reads_as_another(text: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) || words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{schema, yaml};

    #[test]
    fn a_document_reads_as_what_it_was() {
        let value = json!({
            "a": [{ "name": "X", "value": "1.10" }, { "nested": ["b", ["c"]] }], "name": "shop", "port": 80, "flag": false,
            "texts": ["yes", "", "a: b", "- x", "two\nlines", "-1", "plain text", "#", "~", "\u{1f680}", "=", "'", "0x1F", "2026-01-01"],
            "none": null, "empty": {}, "list": [], "deep": { "er": { "key: odd": 1.5 } },
        });
        let text = document(&value);
        assert!(text.starts_with("name: shop\na:\n  - name: X\n    value: \"1.10\"\n"), "{text}");
        let read = yaml::parse(&text).unwrap_or_else(|error| panic!("{error:?}:\n{text}"));
        assert_eq!(schema::plain(read.root), value, "{text}");
    }
}
