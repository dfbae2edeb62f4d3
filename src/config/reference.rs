//! The reference of `haloy.yaml`: what the table of keys says, as people read it.

use serde::Serialize;

use super::keys::{APP, Key, Kind, Shape, TARGET};
use super::spelling::{camel_case, nearest, spells};
use crate::error::{MISUSE, Report};

/// What the groups of the root are called, in their order.
const TITLES: [&str; 10] = [
    "Which app, and where",
    "What runs",
    "How visitors reach it",
    "When it is healthy",
    "How a new version takes over",
    "Its environment and its data",
    "How its containers are created",
    "Commands around a deployment",
    "Once for a file",
    EARLIER,
];
const EARLIER: &str = "Of earlier generations: they work, and are noted";

/// Keys that belong together.
#[derive(Debug, Serialize)]
pub struct Group {
    pub title: &'static str,
    pub keys: Vec<Entry>,
}

/// One key.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// From the root: `image.registry.username`, `env[].name`, `targets.NAME.server`.
    pub path: String,
    pub name: &'static str,
    /// Its other spelling, when that differs.
    pub camel_case: Option<String>,
    /// Names of earlier generations.
    pub former: &'static [&'static str],
    /// In words.
    pub r#type: String,
    /// In one word for each way to write it.
    pub kind: String,
    pub about: &'static str,
    /// What holds when it is absent, in words or as it is written.
    pub default: Option<&'static str>,
    /// In YAML, with its name.
    pub example: Option<&'static str>,
    /// What to write today, for a key of an earlier generation.
    pub superseded: Option<&'static str>,
    pub required: bool,
    /// Whether a target may have its own.
    pub in_targets: bool,
    /// What may stand below it.
    pub keys: Vec<Line>,
}

/// A key in one line.
#[derive(Debug, Serialize)]
pub struct Line {
    pub name: &'static str,
    pub r#type: String,
    pub kind: String,
    pub superseded: bool,
    pub about: &'static str,
}

/// A path that leads to no key.
#[derive(Debug, thiserror::Error)]
#[error("there is no key `{written}`{}", place(below))]
pub struct UnknownKey {
    written: String,
    below: String,
    /// Paths of keys, the likeliest first.
    meant: Vec<String>,
}

fn place(below: &str) -> String {
    if below.is_empty() { String::new() } else { format!(" in `{below}`") }
}

impl Report for UnknownKey {
    fn hint(&self) -> Option<String> {
        let place = if self.below.is_empty() { String::new() } else { format!(" {}", self.below) };
        let list = format!("`haloy config docs{place}` lists the keys that there are");
        let meant: Vec<String> = self.meant.iter().map(|path| format!("`{path}`")).collect();
        Some(match meant.split_last() {
            None => list,
            Some((last, [])) => format!("did you mean {last}?"),
            Some((last, others)) => format!("did you mean {} or {last}?", others.join(", ")),
        })
    }

    fn exit_code(&self) -> u8 {
        MISUSE
    }
}

/// All keys of the root.
pub fn overview() -> Vec<Group> {
    let Shape::Object(groups) = APP else { return Vec::new() };
    let titled = TITLES.iter().zip(groups).filter(|(title, _)| **title != EARLIER);
    let mut groups: Vec<Group> = titled
        .map(|(title, keys)| Group { title, keys: keys.iter().filter(|key| key.superseded.is_empty()).map(at_root).collect() })
        .collect();
    groups.push(Group { title: EARLIER, keys: APP.keys().filter(|key| !key.superseded.is_empty()).map(at_root).collect() });
    groups
}

/// Everything, each key followed by those below it. Targets take the keys of the root: those are not
/// repeated.
pub fn everything() -> Vec<Group> {
    let with_below = |entry: Entry| {
        let mut entries = vec![];
        below(entry, &mut entries);
        entries
    };
    let groups = overview().into_iter();
    groups.map(|group| Group { title: group.title, keys: group.keys.into_iter().flat_map(with_below).collect() }).collect()
}

/// The key at a path and all below it.
pub fn with_all_below(path: &str) -> Result<Vec<Entry>, UnknownKey> {
    let mut entries = vec![];
    below(find(path)?, &mut entries);
    Ok(entries)
}

fn below(entry: Entry, entries: &mut Vec<Entry>) {
    let names: Vec<String> = entry.keys.iter().map(|line| line.name.to_owned()).collect();
    let found = locate(&entry.path).ok();
    let path = found.as_ref().map_or(String::new(), |found| format!("{}{}", found.path, inside(&found.key.shape)));
    let repeats = found.is_some_and(|found| found.key.superseded.is_empty() && holds_targets(&found.key.shape));
    let superseded = entry.superseded.is_some();
    entries.push(entry);
    if repeats || superseded {
        return;
    }
    names.iter().filter_map(|name| find(&format!("{path}.{name}")).ok()).for_each(|entry| below(entry, entries));
}

fn holds_targets(shape: &Shape) -> bool {
    matches!(shape, Shape::Names(inner) | Shape::List(inner) if **inner == TARGET)
}

/// One key by its path, in any spelling and by any of its names; what the user names himself (a
/// target, a source of secrets) and places in lists (`env[0].name`) may be there or not. The end of a
/// path is enough where only one key has it: `pull_policy`.
pub fn find(path: &str) -> Result<Entry, UnknownKey> {
    locate(path).map(|found| found.entry()).or_else(|unknown| by_end(path).unwrap_or(Err(unknown)))
}

/// Whether the root has a key of this name.
pub fn is_root(word: &str) -> bool {
    !word.contains('.') && locate(word).is_ok()
}

/// The one key whose path ends like this, or the refusal to choose among several; none when no path does.
fn by_end(written: &str) -> Option<Result<Entry, UnknownKey>> {
    let words: Vec<&str> = written.split('.').map(|word| word.split('[').next().unwrap_or_default()).collect();
    let keys = everything().into_iter().flat_map(|group| group.keys);
    // `images` repeats what `image` has.
    let mut ending: Vec<Entry> = keys.filter(|entry| ends_with(entry, &words) && !entry.path.starts_with("images.")).collect();
    if ending.len() > 1 {
        let meant = ending.into_iter().map(|entry| entry.path).collect();
        return Some(Err(UnknownKey { written: written.to_owned(), below: String::new(), meant }));
    }
    ending.pop().map(Ok)
}

fn ends_with(entry: &Entry, words: &[&str]) -> bool {
    let Some((last, above)) = words.split_last() else { return false };
    let mut names = entry.path.rsplit('.').skip(1).map(|name| name.trim_end_matches("[]"));
    (spells(entry.name, last) || entry.former.contains(last))
        && above.iter().rev().all(|word| names.next().is_some_and(|name| spells(name, word)))
}

/// A key and where it is.
struct Found {
    path: String,
    key: &'static Key,
    in_targets: bool,
}

impl Found {
    fn entry(&self) -> Entry {
        let key = self.key;
        let camel = camel_case(key.name);
        let words = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        Entry {
            path: self.path.clone(),
            name: key.name,
            camel_case: Some(camel).filter(|camel| camel != key.name),
            former: key.former,
            r#type: words_for(&key.shape),
            kind: word_for(&key.shape),
            about: key.about,
            default: words(key.default),
            example: words(key.example),
            superseded: words(key.superseded),
            required: key.required,
            in_targets: self.in_targets,
            keys: keys_in(&key.shape).map(line).collect(),
        }
    }
}

fn line(key: &'static Key) -> Line {
    Line {
        name: key.name,
        r#type: words_for(&key.shape),
        kind: word_for(&key.shape),
        superseded: !key.superseded.is_empty(),
        about: key.about,
    }
}

fn at_root(key: &'static Key) -> Entry {
    Found { path: key.name.to_owned(), key, in_targets: TARGET.keys().any(|own| own.name == key.name) }.entry()
}

fn locate(path: &str) -> Result<Found, UnknownKey> {
    let mut found: Option<Found> = None;
    // The user's own word was read, which stands for one of many.
    let mut named = false;
    for written in path.split('.') {
        let word = written.split('[').next().unwrap_or_default();
        let (keys, names): (Vec<&'static Key>, bool) = match &found {
            None => (APP.keys().collect(), false),
            Some(found) => (keys_in(&found.key.shape).collect(), has_names(&found.key.shape) && !named),
        };
        let next = keys.iter().find(|key| spells(key.name, word)).or_else(|| keys.iter().find(|key| key.is_written(word)));
        match (next, found) {
            (Some(key), None) => {
                found = Some(Found { in_targets: TARGET.keys().any(|own| own.name == key.name), path: key.name.to_owned(), key })
            }
            (Some(key), Some(above)) => {
                let path = format!("{}{}.{}", above.path, inside(&above.key.shape), key.name);
                found = Some(Found { path, key, in_targets: above.in_targets || holds_targets(&above.key.shape) });
            }
            (None, Some(above)) if names => {
                named = true;
                found = Some(above);
                continue;
            }
            (None, above) => {
                let below = above.map(|above| above.path).unwrap_or_default();
                let meant = nearest(word, keys.iter().map(|key| key.name));
                let meant = meant.map(|name| if below.is_empty() { name.to_owned() } else { format!("{below}.{name}") });
                return Err(UnknownKey { written: word.to_owned(), below, meant: meant.into_iter().collect() });
            }
        }
        named = false;
    }
    // `split` gives at least one word, which was found or refused.
    found.ok_or_else(|| UnknownKey { written: path.to_owned(), below: String::new(), meant: Vec::new() })
}

/// What stands between a key and those below it.
fn inside(shape: &Shape) -> &'static str {
    match shape {
        Shape::List(_) => "[]",
        Shape::Names(_) => ".NAME",
        Shape::Either(ways) => ways.iter().map(inside).find(|inside| !inside.is_empty()).unwrap_or_default(),
        _ => "",
    }
}

fn has_names(shape: &'static Shape) -> bool {
    shape.ways().iter().any(|way| matches!(way, Shape::Names(_)))
}

/// The keys that may stand below a key, whichever way its value is written.
fn keys_in(shape: &'static Shape) -> Box<dyn Iterator<Item = &'static Key>> {
    match shape {
        Shape::Object(_) => Box::new(shape.keys()),
        Shape::List(inner) | Shape::Names(inner) => keys_in(inner),
        Shape::Either(ways) => Box::new(ways.iter().flat_map(keys_in)),
        Shape::Value(_) | Shape::Variable { .. } => Box::new(std::iter::empty()),
    }
}

fn word_for(shape: &Shape) -> String {
    let word = match shape {
        Shape::Value(Kind::Text | Kind::Literal) | Shape::Variable { .. } => "text",
        Shape::Value(Kind::Boolean) => "true|false",
        Shape::Value(Kind::Whole(..) | Kind::Decimal) => "number",
        Shape::Value(Kind::Seconds(..)) => "time",
        Shape::Value(Kind::Bytes) => "size",
        Shape::Value(Kind::Choice(_)) => "choice",
        Shape::Object(_) | Shape::Names(_) => "object",
        Shape::List(_) => "list",
        Shape::Either(ways) => return ways.iter().map(word_for).collect::<Vec<_>>().join("|"),
    };
    word.to_owned()
}

/// What a value is, in words.
fn words_for(shape: &Shape) -> String {
    match shape {
        Shape::Value(kind) => kind_words(kind),
        Shape::Variable { .. } => "name of a variable".to_owned(),
        Shape::Object(_) => "object".to_owned(),
        Shape::List(item) => format!("list of {}", plural(item)),
        Shape::Names(inner) => format!("object of {}, each under a name", plural(inner)),
        Shape::Either(ways) => {
            let ways: Vec<String> = ways.iter().map(words_for).collect();
            ways.join(" or ")
        }
    }
}

fn kind_words(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Literal => "text or number".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Whole(least, most) => format!("whole number, {least} to {most}"),
        Kind::Seconds(least, most) => format!("time like `90s` or `2m`, {} to {}", time(*least), time(*most)),
        Kind::Bytes => "size like `512m` or `2g`".to_owned(),
        Kind::Decimal => "number".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
    }
}

fn plural(shape: &Shape) -> String {
    match shape {
        Shape::Value(Kind::Text | Kind::Literal) => "texts".to_owned(),
        Shape::Variable { .. } => "names of variables".to_owned(),
        Shape::Object(_) => "objects".to_owned(),
        Shape::Either(ways) => {
            let ways: Vec<String> = ways.iter().map(plural).collect();
            ways.join(" or ")
        }
        other => words_for(other),
    }
}

fn time(seconds: u32) -> String {
    match seconds {
        0 => "0".to_owned(),
        hours if hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(written: &str) -> String {
        find(written).unwrap_or_else(|error| panic!("{}", crate::error::render(&error))).path
    }

    #[test]
    fn keys_are_found_by_every_way_to_write_them() {
        for (written, expected) in [
            ("replicas", "replicas"),
            ("healthCheckPath", "health_check_path"),
            ("image.registry.username", "image.registry.username"),
            ("image.builder.buildContext", "image.build_config.context"),
            ("env", "env"),
            ("env.from.secret", "env[].from.secret"),
            ("env[3].from.env", "env[].from.env"),
            ("targets.production.replicas", "targets.NAME.replicas"),
            ("targets.replicas", "targets.NAME.replicas"),
            ("targets.production", "targets"),
            ("secret_providers.1password.production-db.vault", "secret_providers.onepassword.NAME.vault"),
            ("images.web.tag", "images.NAME.tag"),
        ] {
            assert_eq!(path(written), expected, "{written}");
        }
    }

    #[test]
    fn the_end_of_a_path_is_enough_where_it_is_of_one_key() {
        for (written, expected) in [
            ("build_config", "image.build_config"),
            ("builder", "image.build_config"),
            ("history", "image.history"),
            ("pullPolicy", "image.pull_policy"),
            ("onepassword", "secret_providers.onepassword"),
            ("registry.username", "image.registry.username"),
        ] {
            assert_eq!(path(written), expected, "{written}");
        }
        let refusal = crate::error::render(&find("path").expect_err("several"));
        let expected = "error: there is no key `path`\n\nhint: did you mean `health_check.path` or `secret_providers.vault.NAME.path`?\n";
        assert_eq!(refusal, expected);
    }

    #[test]
    fn unknown_keys_come_with_the_likely_one() {
        let refusal = |written: &str| crate::error::render(&find(written).expect_err(written));
        assert_eq!(refusal("replica"), "error: there is no key `replica`\n\nhint: did you mean `replicas`?\n");
        assert_eq!(refusal("image.regstry"), "error: there is no key `regstry` in `image`\n\nhint: did you mean `image.registry`?\n");
        assert_eq!(
            refusal("image.elephants"),
            "error: there is no key `elephants` in `image`\n\nhint: `haloy config docs image` lists the keys that there are\n"
        );
        for written in ["", ".", "replicas.x", "targets.a.b", "targets..", "env.name.x"] {
            refusal(written);
        }
    }

    #[test]
    fn every_key_of_the_table_has_its_place() {
        let Shape::Object(groups) = APP else { panic!("the root is an object") };
        assert_eq!(groups.len(), TITLES.len());
        let listed: usize = overview().iter().map(|group| group.keys.len()).sum();
        assert_eq!(listed, APP.keys().count());
        let all: Vec<Entry> = everything().into_iter().flat_map(|group| group.keys).collect();
        assert!(all.len() > 150, "only {} keys", all.len());
        for entry in &all {
            assert_eq!(path(&entry.path), entry.path);
            assert!(entry.about.ends_with('.') && !entry.about.starts_with(char::is_lowercase), "`{}` is no sentence", entry.about);
        }
        assert!(all.iter().any(|entry| entry.path == "secret_providers.vault.NAME.mount"));
        assert!(!all.iter().any(|entry| entry.path.starts_with("targets.")), "targets repeat the root");
    }

    #[test]
    fn an_entry_says_everything() {
        let entry = find("image.build_config").expect("a key");
        assert_eq!((entry.camel_case.as_deref(), entry.former, entry.in_targets), (Some("buildConfig"), &["builder"][..], true));
        assert!(entry.keys.iter().any(|line| line.name == "cache_from" && line.r#type == "list of texts"));
        assert_eq!(find("drain_timeout").expect("a key").r#type, "time like `90s` or `2m`, 0 to 24h");
        assert_eq!(find("tls").expect("a key").r#type, "`auto` or `off`");
        assert!(!find("secret_providers").expect("a key").in_targets);
        assert!(find("targets.a.image.tag").expect("a key").in_targets);
        assert_eq!(find("source").expect("a key").superseded, Some("`image`"));
    }
}
