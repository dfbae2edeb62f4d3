//! Rust files as the rules see them: tokens without comments and strings, and which of them are tests.

use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::failure::{Attempt as _, Outcome};

/// A word, a `::`, or one sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// Counts from 1.
    pub line: usize,
}

#[derive(Debug)]
pub struct Source {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    /// Token ranges of items under `#[cfg(test)]`.
    tests: Vec<Range<usize>>,
    /// The whole file is compiled for tests only.
    test_file: bool,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let tokens = tokens(&blank(text));
        let tests = test_items(&tokens);
        let test_file = !path.starts_with("src/") || whole_file_is_test(&tokens);
        Self { path: path.to_owned(), text: text.to_owned(), tokens, tests, test_file }
    }

    /// Whether the token at `place` is part of a test.
    pub fn is_test(&self, place: usize) -> bool {
        self.test_file || self.tests.iter().any(|range| range.contains(&place))
    }

    /// The text of the token at `place`; empty past the end.
    pub fn at(&self, place: usize) -> &str {
        self.tokens.get(place).map_or("", |token| &token.text)
    }

    /// The text of the token before `place`; empty at the beginning.
    pub fn before(&self, place: usize) -> &str {
        place.checked_sub(1).map_or("", |place| self.at(place))
    }

    /// Files that hold the modules which this file declares under `#[cfg(test)]`, without their `.rs`.
    fn test_modules(&self) -> impl Iterator<Item = String> {
        let folder = match self.path.strip_suffix(".rs").unwrap_or(&self.path) {
            root @ ("src/lib" | "src/main") => root.rsplit_once('/').map_or(root, |(folder, _)| folder),
            module => module.strip_suffix("/mod").unwrap_or(module),
        };
        let declared = self.tests.iter().filter_map(|range| {
            let words = &self.tokens[range.clone()];
            let place = words.iter().position(|token| token.text == "mod")?;
            (words.get(place + 2)?.text == ";").then(|| words[place + 1].text.clone())
        });
        declared.map(move |name| format!("{folder}/{name}"))
    }
}

pub struct Sources(Vec<Source>);

impl Sources {
    /// Reads every Rust file below `folders` of `root`.
    pub fn read(root: &Path, folders: &[&str]) -> Outcome<Self> {
        let mut sources = Vec::new();
        for folder in folders {
            collect(root, folder, &mut sources)?;
        }
        Ok(Self::new(sources))
    }

    fn new(mut sources: Vec<Source>) -> Self {
        let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
        for source in &mut sources {
            let is_part = |module: &String| source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/"));
            source.test_file |= modules.iter().any(is_part);
        }
        Self(sources)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }
}

fn collect(root: &Path, folder: &str, sources: &mut Vec<Source>) -> Outcome {
    let entries = fs::read_dir(root.join(folder)).attempt(|| format!("read the folder {folder}"))?;
    for entry in entries {
        let entry = entry.attempt(|| format!("read the folder {folder}"))?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(root, &path, sources)?;
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).attempt(|| format!("read {path}"))?;
            sources.push(Source::new(&path, &text));
        }
    }
    Ok(())
}

/// The text with comments, strings and characters made blank; line ends stay.
fn blank(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        let length = match opaque(rest, previous) {
            0 => {
                out.push(first);
                previous = first;
                rest = &rest[first.len_utf8()..];
                continue;
            }
            length => length,
        };
        out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        previous = ' ';
        rest = &rest[length..];
    }
    out
}

/// Length of the comment, string or character that `rest` begins with; 0 when it begins with code.
fn opaque(rest: &str, previous: char) -> usize {
    let end_of = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |place| from + place + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return string(rest);
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    let in_word = previous.is_alphanumeric() || previous == '_';
    let after_prefix = rest.trim_start_matches(['b', 'c']);
    if !in_word && rest.len() - after_prefix.len() <= 1 && after_prefix.starts_with('r') {
        let hashes = after_prefix[1..].len() - after_prefix[1..].trim_start_matches('#').len();
        let open = rest.len() - after_prefix.len() + 1 + hashes;
        // `r#type` is a word, `r#"…"#` a string.
        if rest[open..].starts_with('"') {
            return end_of(&format!("\"{}", "#".repeat(hashes)), open + 1);
        }
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut place = 0;
    while place < rest.len() {
        if rest[place..].starts_with("/*") {
            depth += 1;
            place += 2;
        } else if rest[place..].starts_with("*/") {
            depth -= 1;
            place += 2;
            if depth == 0 {
                return place;
            }
        } else {
            place += rest[place..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (place, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return place + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal's length; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(0, |place| place + 4),
        Some(_) => match chars.next() {
            Some((place, '\'')) => place + 1,
            _ => 0,
        },
        None => 0,
    }
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { text: rest[..length].to_owned(), line: number + 1 });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// The items under a `#[cfg(test)]`, with the attribute.
fn test_items(tokens: &[Token]) -> Vec<Range<usize>> {
    let text = |place: usize| tokens.get(place).map_or("", |token| token.text.as_str());
    let mut items = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        if text(place) == "#" && text(place + 1) == "[" && is_test_cfg(tokens, place + 2) {
            let end = item_end(tokens, place);
            items.push(place..end);
            place = end;
        } else {
            place += 1;
        }
    }
    items
}

fn whole_file_is_test(tokens: &[Token]) -> bool {
    tokens.len() > 3 && tokens[0].text == "#" && tokens[1].text == "!" && is_test_cfg(tokens, 3)
}

/// Whether the attribute whose name stands at `place` is a `cfg` that asks for `test`.
fn is_test_cfg(tokens: &[Token], place: usize) -> bool {
    let words: Vec<&str> = tokens[place..].iter().map(|token| token.text.as_str()).take_while(|text| *text != "]").collect();
    words.first() == Some(&"cfg") && words.contains(&"test") && !words.contains(&"not")
}

/// Where the item ends that begins at `place`: after its `;`, or after the block that is its body.
fn item_end(tokens: &[Token], place: usize) -> usize {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(place) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return place + 1;
                }
            }
            ";" if depth == 0 => return place + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blank() {
        let code = blank("a /* b /* c */ d */ e // f\n\"g \\\" h\" r#\"i \" j\"# b\"k\" 'l' '\\'' &'m str br\"n\" r#type");
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "e", "b", "&'m", "str", "r#type"]);
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn test_items_are_told_from_code() {
        let source =
            Source::new("src/a.rs", "fn one() {}\n#[cfg(test)]\nmod tests { fn two() {} }\nfn three() {}\n#[cfg(not(test))] fn four() {}");
        let tests: Vec<_> = ["one", "two", "three", "four"]
            .map(|name| source.is_test(source.tokens.iter().position(|token| token.text == name).unwrap()))
            .to_vec();
        assert_eq!(tests, [false, true, false, false]);
    }

    #[test]
    fn test_modules_in_files_of_their_own_are_tests() {
        let sources = Sources::new(vec![
            Source::new("src/plan/mod.rs", "#[cfg(test)] mod sim; mod rules;"),
            Source::new("src/plan/sim.rs", "fn a() {}"),
            Source::new("src/plan/rules.rs", "fn a() {} #[cfg(test)] mod tests;"),
            Source::new("src/plan/rules/tests.rs", "fn a() {}"),
            Source::new("src/plan/other.rs", "fn a() {}"),
            Source::new("tests/it/main.rs", "fn a() {}"),
        ]);
        let tests: Vec<_> = sources.iter().map(|source| source.is_test(0)).collect();
        assert_eq!(tests, [true, true, false, true, false, true]);
    }
}
