//! `.dockerignore`: which files of a context the builder does not see (Docker's build reference, ".dockerignore files").
//!
//! Patterns are those of Go's `filepath.Match`, with `**` for anything, directories as well. They are tried in their order
//! and the last that fits decides; a pattern that fits a directory fits everything below it; `!` takes files back in.

/// The patterns of one file.
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
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
            let text = clean(pattern);
            (!text.is_empty()).then_some(Pattern { text, takes_back })
        });
        Self { patterns: patterns.collect() }
    }

    /// Whether the builder does not see this path, relative to the context and with `/`.
    pub fn leaves_out(&self, path: &str) -> bool {
        let mut out = false;
        for pattern in &self.patterns {
            // One that changes nothing need not be tried.
            if pattern.takes_back == out && pattern.fits(path) {
                out = !pattern.takes_back;
            }
        }
        out
    }

    /// Whether something below this directory may be taken back in although the directory is left out.
    pub fn may_take_back_below(&self, directory: &str) -> bool {
        self.patterns.iter().filter(|pattern| pattern.takes_back).any(|pattern| pattern.may_fit_below(directory))
    }
}

impl Pattern {
    /// The path itself, or a directory above it.
    fn fits(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.into_iter().any(|end| self.fits_exactly(&path[..end]))
    }

    fn fits_exactly(&self, path: &str) -> bool {
        match self.text.strip_prefix("**") {
            // Docker looks at the end alone: `**.pem` is every file that ends so, wherever it is.
            Some(end) if !end.is_empty() && !end.contains(['*', '?', '[', '\\']) => {
                path.ends_with(end) || end.strip_prefix('/') == Some(path)
            }
            _ => fit(self.text.as_bytes(), path.as_bytes()),
        }
    }

    fn may_fit_below(&self, directory: &str) -> bool {
        let (mut parts, mut names) = (self.text.split('/'), directory.split('/'));
        loop {
            match (parts.next(), names.next()) {
                (Some(part), _) if part.contains("**") => return true,
                (Some(part), Some(name)) if fit(part.as_bytes(), name.as_bytes()) => {}
                (Some(_), Some(_)) => return false,
                (None, None) | (Some(_), None) => return true,
                (None, Some(_)) => return false,
            }
        }
    }
}

/// Without `.` and empty parts, and with `..` followed as far as the context goes.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `*`, `?`, `[a-z]`, `[^a-z]` within a name, `**` beyond it, and `\` for the character itself. What is not a pattern
/// fits nothing.
fn fit(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        ([b'*', b'*', rest @ ..], _) => {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            let mut below = (0..path.len()).filter(|&at| path[at] == b'/').map(|at| &path[at + 1..]);
            rest.is_empty() || fit(rest, path) || below.any(|path| fit(rest, path))
        }
        ([b'*', rest @ ..], _) => {
            let name = path.iter().position(|&character| character == b'/').unwrap_or(path.len());
            (0..=name).any(|skipped| fit(rest, &path[skipped..]))
        }
        ([b'?', rest @ ..], [character, below @ ..]) => *character != b'/' && fit(rest, below),
        ([b'[', rest @ ..], [character, below @ ..]) => match class(rest, *character) {
            Some((true, rest)) => *character != b'/' && fit(rest, below),
            _ => false,
        },
        ([b'\\', escaped, rest @ ..], [character, below @ ..]) => escaped == character && fit(rest, below),
        ([wanted, rest @ ..], [character, below @ ..]) => *wanted != b'\\' && wanted == character && fit(rest, below),
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
            ("**.pem", &["a.pem", "certs/key.pem"], &["a.pem2", "pem"]),
            ("a**b", &["ab", "ax/b", "a/x/b"], &["axb"]),
            ("**/*.go", &["x.go", "a/b/x.go"], &["x.gox"]),
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
