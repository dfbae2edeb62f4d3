//! What a program said on stderr before it failed, without what might be a secret.

use zeroize::Zeroizing;

use super::program::is_secret_variable;
use crate::secret::Secret;

const LINES: usize = 10;
const LINE_LENGTH: usize = 300;
/// Shorter words are not taken for secrets: masking each `is` and `id` would leave no message.
const SHORTEST_SECRET: usize = 6;
const MASK: &str = "*****";

/// The last lines of `stderr`. Words of stdout, values of variables like `VAULT_TOKEN` and all of `.env` files
/// (`given`) are masked in them.
pub fn of(stderr: &[u8], stdout: &[u8], given: &[(&str, &Secret)]) -> Vec<String> {
    let variables = std::env::vars_os().filter(|(name, _)| is_secret_variable(name));
    let variables: Vec<Zeroizing<String>> = variables.filter_map(|(_, value)| value.into_string().ok().map(Zeroizing::new)).collect();
    let given = given.iter().map(|(_, value)| value.expose());
    lines(stderr, stdout, &variables.iter().map(|value| value.as_str()).chain(given).collect::<Vec<_>>())
}

fn lines(stderr: &[u8], stdout: &[u8], variables: &[&str]) -> Vec<String> {
    let printed = Zeroizing::new(String::from_utf8_lossy(stdout).into_owned());
    let words = printed.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '=')).map(|word| word.trim_matches(':'));
    let mut secrets: Vec<&str> =
        words.chain(printed.lines().map(str::trim)).chain(variables.iter().flat_map(|value| value.lines()).map(str::trim)).collect();
    secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
    // A secret may be a part of another one.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    let text = Zeroizing::new(plain(&Zeroizing::new(String::from_utf8_lossy(stderr).into_owned())));
    let shown: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    shown[shown.len().saturating_sub(LINES)..].iter().map(|line| shorten(&masked(line, &secrets))).collect()
}

fn masked(line: &str, secrets: &[&str]) -> String {
    secrets.iter().fold(line.to_owned(), |line, secret| if line.contains(secret) { line.replace(secret, MASK) } else { line })
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(LINE_LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Without what moves cursors and changes colours.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // CSI: parameters, then one final letter (ECMA-48, 5.4).
            '\x1b' if rest.peek() == Some(&'[') => {
                rest.next();
                while rest.next_if(|c| ('\x20'..='\x3f').contains(c)).is_some() {}
                rest.next();
            }
            '\r' => plain.push('\n'),
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stderr: &str, stdout: &str, variables: &[&str]) -> Vec<String> {
        lines(stderr.as_bytes(), stdout.as_bytes(), variables)
    }

    #[test]
    fn the_end_is_kept_without_colours() {
        let many: String = (1..=30).map(|line| format!("\x1b[31mline {line}\x1b[0m\r\n\n")).collect();
        let expected: Vec<String> = (21..=30).map(|line| format!("line {line}")).collect();
        assert_eq!(shown(&many, "", &[]), expected);
        assert_eq!(shown(&"x".repeat(1000), "", &[])[0].chars().count(), 301);
        assert_eq!(shown("", "", &[]), Vec::<String>::new());
    }

    #[test]
    fn what_was_printed_and_what_tokens_are_is_masked() {
        let stdout = "{\"password\": \"hunter2-and-more\", \"pin\": \"1234\"}\n";
        assert_eq!(shown("+ echo hunter2-and-more 1234\n", stdout, &[]), ["+ echo ***** 1234"]);
        assert_eq!(shown("bad token hvs.abcdef, sorry", "", &["hvs.abcdef", "so"]), ["bad token *****, sorry"]);
        assert_eq!(shown("hunter2 hunter2hunter2", "hunter2 hunter2hunter2", &[]), ["*****"]);
    }

    #[test]
    fn variables_that_hold_secrets_are_known_by_their_names() {
        for name in ["VAULT_TOKEN", "BW_SESSION", "AWS_SECRET_ACCESS_KEY", "OP_SESSION_team", "MASTERPW", "SOPS_AGE_KEY", "BW_PASSWORD"] {
            assert!(is_secret_variable(name.as_ref()), "{name}");
        }
        for name in ["PATH", "HOME", "SOPS_AGE_KEY_FILE", "XDG_SESSION_ID", "VAULT_ADDR"] {
            assert!(!is_secret_variable(name.as_ref()), "{name}");
        }
    }
}
