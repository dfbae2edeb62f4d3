//! `.dockerignore`: which files of a context the builder does not see (Docker's build reference, ".dockerignore files").
//!
//! Patterns are those of Go's `filepath.Match`, with `**` for any number of directories. They are tried in their order and
//! the last that fits decides; a pattern that fits a directory fits everything below it; `!` takes files back in.

/// The patterns of one file.
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    parts: Vec<String>,
    takes_back: bool,
}

impl Ignore {
    pub fn parse(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let patterns = lines.filter_map(|line| {
            let (takes_back, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let parts = clean(pattern);
            (!parts.is_empty()).then_some(Pattern { parts, takes_back })
        });
        Self { patterns: patterns.collect() }
    }

    /// Whether the builder does not see this path, relative to the context and with `/`.
    pub fn leaves_out(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let mut out = false;
        for pattern in &self.patterns {
            // One that changes nothing need not be tried.
            if pattern.takes_back == out && pattern.fits(&parts) {
                out = !pattern.takes_back;
            }
        }
        out
    }

    /// Whether something below this directory may be taken back in although the directory is left out.
    pub fn may_take_back_below(&self, directory: &str) -> bool {
        let parts: Vec<&str> = directory.split('/').collect();
        self.patterns.iter().filter(|pattern| pattern.takes_back).any(|pattern| pattern.may_fit_below(&parts))
    }
}

impl Pattern {
    /// The path itself, or a directory above it.
    fn fits(&self, path: &[&str]) -> bool {
        (1..=path.len()).any(|length| fit(&self.parts, &path[..length]))
    }

    fn may_fit_below(&self, directory: &[&str]) -> bool {
        let (mut parts, mut path) = (self.parts.as_slice(), directory);
        while let ([part, rest @ ..], [name, below @ ..]) = (parts, path) {
            if part == "**" {
                return true;
            }
            if !fit_part(part.as_bytes(), name.as_bytes()) {
                return false;
            }
            (parts, path) = (rest, below);
        }
        !parts.is_empty() || path.is_empty()
    }
}

/// Without `.` and empty parts, and with `..` followed as far as the context goes.
fn clean(pattern: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

fn fit(parts: &[String], path: &[&str]) -> bool {
    match (parts.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((part, rest)), _) if part == "**" => (0..=path.len()).any(|skipped| fit(rest, &path[skipped..])),
        (Some((part, rest)), Some((name, below))) => fit_part(part.as_bytes(), name.as_bytes()) && fit(rest, below),
        _ => false,
    }
}

/// `*`, `?`, `[a-z]`, `[^a-z]` and `\` for the character itself. What is not a pattern fits nothing.
fn fit_part(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skipped| fit_part(rest, &name[skipped..])),
        (Some((b'?', rest)), Some((_, below))) => fit_part(rest, below),
        (Some((b'[', rest)), Some((character, below))) => match class(rest, *character) {
            Some((true, rest)) => fit_part(rest, below),
            _ => false,
        },
        (Some((b'\\', rest)), Some((character, below))) => match rest.split_first() {
            Some((escaped, rest)) => escaped == character && fit_part(rest, below),
            None => false,
        },
        (Some((wanted, rest)), Some((character, below))) => wanted == character && fit_part(rest, below),
        _ => false,
    }
}

/// Whether a character is of the class that begins here, and what follows it.
fn class(pattern: &[u8], character: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern.split_first() {
        Some((b'^' | b'!', rest)) => (true, rest),
        _ => (false, pattern),
    };
    let mut found = false;
    let mut first = true;
    loop {
        let (mut low, after) = rest.split_first()?;
        rest = after;
        if *low == b']' && !first {
            return Some((found != negated, rest));
        }
        first = false;
        if *low == b'\\' {
            (low, rest) = rest.split_first()?;
        }
        let high = match rest {
            [b'-', high, after @ ..] if *high != b']' => {
                rest = after;
                *high
            }
            _ => *low,
        };
        found |= (*low..=high).contains(&character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_as_docker_reads_them() {
        for (text, out, seen) in [
            ("node_modules", &["node_modules", "node_modules/a/b"][..], &["src/node_modules", "node_modules2"][..]),
            ("/target/", &["target/debug"], &["src/target"]),
            ("*/temp*", &["a/temporary.txt", "a/temp/x"], &["temporary", "a/b/temp"]),
            ("*/*/temp*", &["a/b/temporary.txt"], &["a/temp"]),
            ("temp?", &["tempa"], &["temp", "tempab"]),
            ("**/*.go", &["main.go", "a/b/c.go"], &["main.rs"]),
            ("**/build", &["build", "a/build/x"], &["a/builds"]),
            ("a/**/z", &["a/z", "a/b/c/z"], &["b/a/z"]),
            ("*.md\n!README.md", &["a.md"], &["README.md", "docs/a.md"]),
            ("*.md\n!README*.md\nREADME-secret.md", &["README-secret.md"], &["README-x.md"]),
            ("docs\n!docs/keep", &["docs/a", "docs"], &["docs/keep", "docs/keep/b"]),
            ("**\n!src", &["a", "a/b"], &["src", "src/x"]),
            ("# comment\n\n  spaced  \n", &["spaced"], &["# comment"]),
            ("./a/../b", &["b"], &["a"]),
            ("[a-c]x", &["ax", "cx"], &["dx"]),
            ("[^a-c]x", &["dx"], &["ax"]),
            ("a\\*", &["a*"], &["ab"]),
            ("", &[], &["anything"]),
        ] {
            let ignore = Ignore::parse(text);
            out.iter().for_each(|path| assert!(ignore.leaves_out(path), "{text:?} leaves `{path}` out"));
            seen.iter().for_each(|path| assert!(!ignore.leaves_out(path), "{text:?} keeps `{path}`"));
        }
    }

    #[test]
    fn directories_that_need_not_be_entered() {
        let ignore = Ignore::parse("node_modules\ndocs\n!docs/keep/this");
        assert!(!ignore.may_take_back_below("node_modules"));
        assert!(ignore.may_take_back_below("docs") && ignore.may_take_back_below("docs/keep"));
        assert!(!ignore.may_take_back_below("docs/other"));
        assert!(Ignore::parse("a\n!**/x").may_take_back_below("a/b"));
    }
}
