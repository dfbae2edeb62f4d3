//! Which of a registry's tags are versions, newest first: pure. A registry knows no times, so the names decide.

use std::cmp::Ordering;

use crate::names::fits;

/// At most `count` of the tags that fit the pattern, the newest first.
pub fn newest(tags: Vec<String>, pattern: &str, count: usize) -> Vec<String> {
    let mut tags: Vec<String> = tags.into_iter().filter(|tag| fits(pattern, tag)).collect();
    tags.sort_by(|a, b| compare(b, a));
    tags.truncate(count);
    tags
}

/// Runs of digits count as numbers; what goes on with `-` comes before what ends there (SemVer 2.0, section 11: a
/// pre-release is older than its release).
fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.chars().next(), b.chars().next()) {
            (None, None) => return Ordering::Equal,
            (Some('-'), None) => return Ordering::Less,
            (None, Some('-')) => return Ordering::Greater,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(first), Some(second)) if first.is_ascii_digit() && second.is_ascii_digit() => {
                let (number, rest) = digits(a);
                let (other, other_rest) = digits(b);
                // Without leading zeros a longer number is a larger one.
                let order = number.len().cmp(&other.len()).then_with(|| number.cmp(other));
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (rest, other_rest);
            }
            (Some(first), Some(second)) if first == second => {
                (a, b) = (&a[first.len_utf8()..], &b[second.len_utf8()..]);
            }
            (Some('-'), Some(_)) => return Ordering::Less,
            (Some(_), Some('-')) => return Ordering::Greater,
            (Some(first), Some(second)) => return first.cmp(&second),
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_their_order() {
        let tags = ["v1.9", "latest", "v1.10", "v2.0-rc.1", "v2.0", "v1.9.1", "v2.0-rc.10", "v1.09", "v2.0-alpha"];
        let tags = |pattern, count| newest(tags.map(str::to_owned).to_vec(), pattern, count);
        assert_eq!(tags("v*", 20), ["v2.0", "v2.0-rc.10", "v2.0-rc.1", "v2.0-alpha", "v1.10", "v1.9.1", "v1.9", "v1.09"]);
        assert_eq!(tags("v1.*", 2), ["v1.10", "v1.9.1"]);
        assert_eq!(tags("1.*", 5), [""; 0]);
        let dates = newest(["20260101".to_owned(), "20261127".to_owned()].to_vec(), "*", 1);
        assert_eq!(dates, ["20261127"]);
    }
}
