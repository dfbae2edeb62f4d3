//! How keys are spelled, and which known word a misspelled one is likely to be.

/// `health_check_path` → `healthCheckPath`.
pub fn camel_case(snake_case: &str) -> String {
    let mut words = snake_case.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

/// Whether a word of a file is a key, in snake_case or camelCase.
pub fn spells(key: &str, written: &str) -> bool {
    if key == written {
        return true;
    }
    let mut after_mark = false;
    let camel = key.chars().filter_map(|c| {
        let capital = std::mem::replace(&mut after_mark, c == '_');
        (c != '_').then_some(if capital { c.to_ascii_uppercase() } else { c })
    });
    camel.eq(written.chars())
}

/// The known word that `written` is likely to mean.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['_', '-'], "");
    let written = plain(written);
    // Long enough that a third of it may be wrong; nobody types a key of a thousand letters.
    // A word of which nothing is left is another word.
    let length = written.chars().count();
    let allowed = (length / 3).clamp(1, 4).min(length.saturating_sub(1));
    if written.len() > 64 {
        return None;
    }
    let distances = known.into_iter().map(|word| (distance(&written, &plain(word)), word));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// What other tools call something, and what to write here.
const FOREIGN: [(&str, &str); 22] = [
    ("environment", "the key is `env`: a list of `name` with `value` or `from`"),
    ("environments", "the key is `targets`, or `env` for variables"),
    ("container_name", "write `naming_strategy: static`: the container is then called like the app"),
    ("hostname", "leave it out: containers are found by the app's name with `naming_strategy: static`"),
    ("privileged", "add what the app needs with `cap_add`"),
    ("mem_limit", "the key is `resources.memory`"),
    ("memory", "the key is `resources.memory`"),
    ("cpus", "the key is `resources.cpus`"),
    ("stop_grace_period", "the key is `stop_timeout`"),
    ("env_file", "put a `.env` file beside this one and list the names in `env`"),
    ("ports", "the key is `port`: the one port that the app listens on"),
    ("expose", "the key is `port`: the one port that the app listens on"),
    ("healthcheck", "the key is `health_check`"),
    ("services", "the key is `targets`"),
    ("hosts", "the key is `domains`"),
    ("host", "the key is `domains`"),
    ("service", "the key is `name`"),
    ("build", "the key is `image.build_config`"),
    ("deploy", "write its parts here: `replicas`, `resources`"),
    ("restart", "leave it out: haloy starts again what ends"),
    ("depends_on", "leave it out: a version takes over when its health check passes"),
    ("networks", "the key is `network`, and takes one name"),
];

/// A hint for a key that is one of another tool.
pub fn foreign(written: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(name, _)| spells(name, written)).map(|(_, hint)| *hint)
}

/// Edits from one word to the other: insertions, deletions, replacements, swaps of neighbours
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_key() {
        assert_eq!(camel_case("health_check_path"), "healthCheckPath");
        assert_eq!(camel_case("name"), "name");
        for written in ["health_check_path", "healthCheckPath"] {
            assert!(spells("health_check_path", written));
        }
        for written in ["healthcheckpath", "health_checkPath", "HealthCheckPath", "health"] {
            assert!(!spells("health_check_path", written), "{written}");
        }
    }

    #[test]
    fn the_nearest_word_is_found_and_far_ones_are_not() {
        let known = ["replicas", "port", "pre_deploy", "post_deploy", "health_check_path"];
        for (written, meant) in [
            ("replica", Some("replicas")),
            ("prot", Some("port")),
            ("PreDeploy", Some("pre_deploy")),
            ("healthcheck_path", Some("health_check_path")),
            ("health-check-path", Some("health_check_path")),
            ("tls", None),
            ("p", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }
}
