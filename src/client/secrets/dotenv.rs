//! Dotenv that a program printed: taken as it is. Files that people write are read by `config`, which
//! expands `$NAME`; in a generated password a `$` is a `$`.

use zeroize::Zeroizing;

use crate::secret::Secret;

/// The variables in their order, or the number of the line that is none.
pub fn parse(text: &str) -> Result<Vec<(String, Secret)>, usize> {
    let mut variables = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let begin = text.len() - rest.len();
        let bad_line = || text[..begin].matches('\n').count() + 1;
        let line = rest.split('\n').next().unwrap_or_default();
        let blank = line.trim_start();
        if blank.is_empty() || blank.starts_with('#') {
            rest = rest.get(line.len() + 1..).unwrap_or_default();
            continue;
        }
        let (name, _) = line.split_once('=').ok_or_else(bad_line)?;
        let value_and_rest = rest[name.len() + 1..].trim_start_matches([' ', '\t']);
        let name = name.trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim_start);
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(bad_line());
        }
        let (value, after) = value(value_and_rest).ok_or_else(bad_line)?;
        variables.push((name.to_owned(), value));
        rest = after;
    }
    Ok(variables)
}

/// A value on its own, as it may stand behind `=`: with quotes or without.
pub fn unquoted(text: &Secret) -> Secret {
    match quoted(text.expose()) {
        Some((value, "")) => value,
        _ => text.clone(),
    }
}

/// The value at the beginning of a text, and what follows its line. Quoted values may span lines.
fn value(text: &str) -> Option<(Secret, &str)> {
    if text.starts_with(['"', '\'']) {
        let (value, after) = quoted(text)?;
        let (comment, rest) = after.split_once('\n').unwrap_or((after, ""));
        let comment = comment.trim();
        return (comment.is_empty() || comment.starts_with('#')).then_some((value, rest));
    }
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let comment = line.match_indices('#').find(|(at, _)| line[..*at].ends_with([' ', '\t']) || *at == 0);
    let value = comment.map_or(line, |(at, _)| &line[..at]);
    Some((Secret::new(value.trim()), rest))
}

/// The text between the quotes with which `text` begins, and what follows the second.
fn quoted(text: &str) -> Option<(Secret, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    // No longer than the text: growing would leave copies behind.
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((Secret::new(value.as_str()), &text[at + 2..])),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('"' | '\\' | '$' | '`') => value.push(c),
                c => {
                    value.push('\\');
                    value.push(c);
                }
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<(String, String)>, usize> {
        parse(text).map(|variables| variables.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
    }

    #[test]
    fn reads_what_programs_print() {
        let text =
            "# comment\n\nA=1\nexport B='two $words # x'\r\nC=\"multi\nline \\\"q\\\" \\n\\$\" # x\nD=\nE= a$B#c # d\nF=x=y\nG='it' ";
        let expected =
            [("A", "1"), ("B", "two $words # x"), ("C", "multi\nline \"q\" \n$"), ("D", ""), ("E", "a$B#c"), ("F", "x=y"), ("G", "it")];
        assert_eq!(shown(text), Ok(expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()));
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number() {
        for (text, line) in
            [("A=1\nhunter2\n", 2), ("A=1\n\nB='x\ny\n", 3), ("A=\"x\ny\"\nB='x' y\n", 3), ("=x", 1), ("A B=x", 1), ("A=\"\\", 1)]
        {
            assert_eq!(shown(text), Err(line), "{text}");
        }
    }

    #[test]
    fn a_value_on_its_own() {
        for (text, value) in [("\"a b\"", "a b"), ("'a'", "a"), ("'a' b", "'a' b"), ("a", "a"), ("'", "'"), ("", "")] {
            assert_eq!(unquoted(&Secret::new(text)).expose(), value);
        }
    }
}
