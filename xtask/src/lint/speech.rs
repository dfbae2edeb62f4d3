//! The product prints in one place, does not panic, and leaves no work for later. Tests may do all of that.

use super::Finding;
use super::source::Source;

/// Macros and what to do instead.
const MACROS: &[(&str, &str)] = &[
    ("println", "print through src/term.rs"),
    ("eprintln", "print through src/term.rs"),
    ("print", "print through src/term.rs"),
    ("eprint", "print through src/term.rs"),
    ("dbg", "it is for debugging"),
    ("todo", "finish it"),
    ("unimplemented", "finish it"),
    ("panic", "return an error; an invariant of our own is an `.expect(\"invariant: …\")`"),
];

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for place in (0..source.tokens.len()).filter(|place| !source.is_test(*place)) {
        let text = |ahead: usize| source.at(place + ahead);
        let line = source.tokens[place].line;
        if let Some((name, instead)) = MACROS.iter().find(|(name, _)| *name == text(0))
            && text(1) == "!"
            && text(2) != "="
        {
            findings.push(Finding::new(&source.path, line, format!("no `{name}!`: {instead}")));
        }
        if [text(0), text(1), text(2), text(3)] == [".", "unwrap", "(", ")"] {
            findings.push(Finding::new(&source.path, line, "no `unwrap()`: return an error, or `.expect(\"invariant: …\")`"));
        }
        if text(0) == "#" && ([text(1), text(2)] == ["[", "allow"] || [text(1), text(2), text(3)] == ["!", "[", "allow"]) {
            findings.push(Finding::new(
                &source.path,
                line,
                "no `allow`: `expect(…, reason = \"…\")` says why and when it has become needless",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn only_code_outside_tests_is_held_to_it() {
        let text =
            "fn a() {\n  println!(\"b\");\n  c.unwrap();\n  todo!()\n}\n#[cfg(test)]\nmod tests { fn d() { panic!(); e.unwrap(); } }\n";
        assert_eq!(lines("src/a.rs", text), [2, 3, 4]);
        assert_eq!(lines("tests/it/main.rs", text), [0; 0]);
        assert_eq!(lines("xtask/src/main.rs", text), [0; 0]);
    }

    #[test]
    fn look_alikes_are_left_alone() {
        assert_eq!(
            lines("src/a.rs", "// println!()\nfn a() { b.unwrap_or(1); \"panic!()\"; if panic != 1 {} writeln!(f, \"c\"); }"),
            [0; 0]
        );
    }

    #[test]
    fn lints_are_expected_not_allowed() {
        assert_eq!(lines("src/a.rs", "#![allow(dead_code)]\n#[expect(unused, reason = \"r\")]\n#[allow(unused)]\nfn a() {}"), [1, 3]);
    }
}
