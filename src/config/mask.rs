//! What must not be shown of a file: which bytes of its text could be a secret.

use std::collections::HashMap;
use std::ops::Range;

use super::keys::Shape;
use super::spelling::camel_case;

/// A value and the comment behind it: old secrets live on in comments.
pub fn with_comment(text: &str, value: &Range<usize>) -> Range<usize> {
    let end = value.end.min(text.len());
    let begin = value.start.min(end);
    // The span of a block scalar runs on to the next key.
    let end = begin + text[begin..end].trim_end().len();
    let rest = &text[end..];
    if !rest.trim_start_matches([' ', '\t', ',']).starts_with('#') {
        return begin..end;
    }
    begin..end + rest.find(['\n', '\r']).unwrap_or(rest.len())
}

/// What to hide in a text that could not be parsed, where nothing is known for sure: every line but
/// those that plainly hold one public key and its value. Known keys and marks stay visible in all.
pub fn unparsed(text: &str, shape: &'static Shape) -> Vec<Range<usize>> {
    let keys = known_keys(shape);
    let mut hidden = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if !is_public(line, &keys) {
            let words = words(line).filter(|word| line[word.clone()] != *"-" && !keys.contains_key(&line[word.clone()]));
            hidden.extend(words.map(|word| start + word.start..start + word.end));
        }
        start += line.len();
    }
    hidden
}

/// One public key at the beginning of a line, and behind it nothing that could be a second one.
fn is_public(line: &str, keys: &KnownKeys) -> bool {
    let Some(separator) = line.find([':', '=']) else { return false };
    let (before, value) = (&line[..separator], &line[separator + 1..]);
    let key = before.trim().trim_start_matches("- ").trim_matches([' ', '"', '\'']);
    let has_second = value.contains(['=', '#']) || value.contains(": ") || value.contains("\":") || value.trim_end().ends_with(':');
    !has_second && keys.get(key).is_some_and(|private| !private)
}

/// What stands between spaces and marks.
fn words(line: &str) -> impl Iterator<Item = Range<usize>> {
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | '{' | '}' | ',' | ':' | '=' | '#');
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + line[rest..].find(|c| !is_mark(c))?;
        let end = line[start..].find(is_mark).map_or(line.len(), |length| start + length);
        rest = end;
        Some(start..end)
    })
}

/// Every word that is a key of the table, in all spellings, and whether it is a private one. The same
/// word may be a key at several places; one private place makes it private.
type KnownKeys = HashMap<String, bool>;

fn known_keys(shape: &'static Shape) -> KnownKeys {
    let mut keys = KnownKeys::new();
    collect(shape, false, &mut keys);
    keys
}

fn collect(shape: &'static Shape, private: bool, keys: &mut KnownKeys) {
    match shape {
        Shape::Object(_) => {
            for key in shape.keys() {
                let private = private || key.private;
                let shown = matches!(key.shape, Shape::Variable { .. }) || key.name == "from";
                for name in key.former.iter().copied().chain([key.name]) {
                    for spelling in [name.to_owned(), camel_case(name)] {
                        *keys.entry(spelling).or_default() |= private && !shown;
                    }
                }
                // A target and an entry of `apps` have the keys of the root.
                if !matches!(key.name, "targets" | "apps") {
                    collect(&key.shape, private, keys);
                }
            }
        }
        Shape::List(inner) | Shape::Names(inner) => collect(inner, private, keys),
        Shape::Either(ways) => ways.iter().for_each(|way| collect(way, private, keys)),
        Shape::Value(_) | Shape::Variable { .. } => {}
    }
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
            ("name: shop\nimage: nginx:1.27\nport: [80\n", "name: shop\nimage: nginx:1.27\nport: [80\n"),
            ("  - name: KEY\n    value: \"hunter2\n      hunter3\n", "  - name: KEY\n    value: \"*******\n      *******\n"),
            ("env:\n  - KEY=hunter2\n", "env:\n  - ***=*******\n"),
            ("env:\n  DB: hunter2@h\n", "env:\n  **: *********\n"),
            ("  KEY: hunter2image:\n", "  ***: ************:\n"),
            ("port: 80\napi_tok hunter2\n", "port: 80\n******* *******\n"),
            ("  - name: KEY value: hunter2\n", "  - name: *** value: *******\n"),
            ("  - \"name\": \"KEY\",\n", "  - \"name\": \"KEY\",\n"),
            ("image: nginx:1.27 # hunter2\n", "image: *****:**** # *******\n"),
            ("api_token: hunter2\n", "api_token: *******\n"),
            (r#"[{"name": "K", "value": "hunter2"}"#, r#"[{"name": "*", "value": "*******"}"#),
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
