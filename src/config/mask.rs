//! What must not be shown of a file: which bytes of its text could be a secret.

use std::ops::Range;

use super::keys::{Key, Shape};
use super::spelling::camel_case;

/// A value and the comment behind it: old secrets live on in comments.
pub fn with_comment(text: &str, value: &Range<usize>) -> Range<usize> {
    let end = value.end.min(text.len());
    let rest = text[end..].split(['\n', '\r']).next().unwrap_or_default();
    if rest.trim_start_matches([' ', '\t', ',']).starts_with('#') { value.start..end + rest.len() } else { value.start..end }
}

/// What to hide in a text that could not be parsed: everything but known keys and what follows one
/// that is not private. Errs on the side of hiding.
pub fn unparsed(text: &str, shape: &Shape) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut public = false;
    let mut position = 0;
    for word in words(text) {
        let known = if stands_as_key(text, &word) { Some(known_key(&text[word.clone()], shape)) } else { None };
        let shown_to = if matches!(known, Some(Known::No) | None) { word.end } else { word.start };
        if !public {
            hidden.push(position..shown_to);
        }
        if let Some(known) = known {
            public = matches!(known, Known::Public);
        }
        position = word.end;
    }
    if !public {
        hidden.push(position..text.len());
    }
    hidden.into_iter().flat_map(|span| without_marks(text, span)).collect()
}

/// Runs of characters that a key may have.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(is_word)?;
        let end = text[start..].find(|c| !is_word(c)).map_or(text.len(), |length| start + length);
        rest = end;
        Some(start..end)
    })
}

/// A key begins a line, an entry of a list or of an object; it ends in `:` and a space or line end
/// (YAML), in `":` (JSON), or in ` =` (TOML).
fn stands_as_key(text: &str, word: &Range<usize>) -> bool {
    let before = text[..word.start].trim_end_matches([' ', '\t', '"', '\'']);
    if !before.is_empty() && !before.ends_with(['\n', '\r', '-', '{', '[', ',']) {
        return false;
    }
    let rest = &text[word.end..];
    let (quoted, rest) = rest.strip_prefix(['"', '\'']).map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start_matches([' ', '\t']);
    match rest.strip_prefix(':') {
        Some(after) => quoted || after.is_empty() || after.starts_with([' ', '\t', '\n', '\r']),
        None => rest.starts_with('='),
    }
}

enum Known {
    No,
    Private,
    Public,
}

fn known_key(word: &str, shape: &Shape) -> Known {
    // The same word may be a key at several places; one private place makes it private.
    let mut places = Vec::new();
    collect(word, shape, false, &mut places);
    match places.iter().any(|private| *private) {
        _ if places.is_empty() => Known::No,
        true => Known::Private,
        false => Known::Public,
    }
}

fn collect(word: &str, shape: &Shape, private: bool, places: &mut Vec<bool>) {
    match shape {
        Shape::Object(keys) => {
            for Key { name, shape, private: own } in *keys {
                let shown = matches!(shape, Shape::Variable) || *name == "from";
                if *name == word || camel_case(name) == word {
                    places.push((private || *own) && !shown);
                }
                collect(word, shape, private || *own, places);
            }
        }
        Shape::List(inner) | Shape::Names(inner) => collect(word, inner, private, places),
        Shape::Value | Shape::Variable => {}
    }
}

/// Spaces, line ends, quotes and brackets stay visible: they are what a syntax error is about.
fn without_marks(text: &str, span: Range<usize>) -> Vec<Range<usize>> {
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | '{' | '}' | ',' | ':' | '=' | '-' | '#');
    let mut spans = Vec::new();
    let mut start = None;
    for (offset, c) in text[span.clone()].char_indices() {
        let byte = span.start + offset;
        match (is_mark(c), start) {
            (true, Some(begin)) => {
                spans.push(begin..byte);
                start = None;
            }
            (false, None) => start = Some(byte),
            _ => {}
        }
    }
    spans.extend(start.map(|begin| begin..span.end));
    spans
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::keys::APP;
    use crate::config::source::Source;

    #[test]
    fn a_text_that_is_not_parsed_shows_what_is_surely_no_secret() {
        for (text, expected) in [
            ("name: shop\nport: [80\n", "name: shop\nport: [80\n"),
            ("  - name: KEY\n    value: \"hunter2\n      hunter3\n", "  - name: KEY\n    value: \"*******\n      *******\n"),
            ("env:\n  - KEY=hunter2\n", "env:\n  - ***=*******\n"),
            ("env:\n  DB: hunter2@h\n", "env:\n  **: *********\n"),
            ("  KEY: hunter2image:\n", "  ***: ************:\n"),
            ("api_token: hunter2\n", "api_token: *******\n"),
            (r#"[{"name": "K", "value": "hunter2"}"#, r#"[{"name": "K", "value": "*******"}"#),
            ("name = \"K\"\nvalue = \"hunter2\n", "name = \"K\"\nvalue = \"*******\n"),
        ] {
            let shown = Source::new(Path::new("haloy.yaml"), text, &unparsed(text, &APP));
            assert_eq!(shown.shown(), expected);
        }
    }

    #[test]
    fn a_comment_behind_a_value_is_hidden_with_it() {
        let text = "value: new # was old\nport: 1 # shown\n";
        assert_eq!(with_comment(text, &(7..10)), 7..20);
        assert_eq!(with_comment("value: new\n# other\n", &(7..10)), 7..10);
    }
}
