//! Programs with their arguments: `command`, `entrypoint` and the like.

use super::field::Field;
use super::findings::Findings;
use crate::names::is_argument;

/// A list of words, or one line that is cut into words by the quoting rules of POSIX shells; none of
/// a shell's other abilities take part.
pub fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let words = match field.items() {
        Some(items) => items.iter().map(|item| findings.literal(item).map(str::to_owned)).collect::<Option<Vec<_>>>()?,
        None => cut(field, findings)?,
    };
    if words.first().is_none_or(String::is_empty) {
        findings
            .mistake(field, format!("`{}` names no program", field.path))
            .hint("leave the key out, or write `[\"program\", \"argument\"]`");
        return None;
    }
    if !words.iter().all(|word| is_argument(word)) {
        findings.mistake(field, format!("`{}` cannot contain a NUL character", field.path));
        return None;
    }
    Some(words)
}

fn cut(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    if field.is_object() {
        findings.wrong_kind(field, "a list of words or one line").hint("write `[\"program\", \"argument\"]`");
        return None;
    }
    let words = shlex::split(findings.literal(field)?);
    if words.is_none() {
        findings
            .mistake(field, format!("a quote is not closed in `{}`", field.path))
            .hint("write it as a list: `[\"program\", \"argument\"]`");
    }
    words
}
