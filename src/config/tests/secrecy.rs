//! Nothing that is shown holds a byte of a secret, however the file around it is damaged.

use proptest::prelude::*;
use serde_json::json;

use super::written::Node;
use super::*;
use crate::config::settings;

/// So many characters of a secret in a row are its bytes and no accident.
const PIECE: usize = 6;

/// A file with a secret at every place that is made for one.
fn file(secret: &str) -> Node {
    Node::from(json!({
        "name": "shop",
        "api_token": {"value": secret},
        "image": {
            "repository": "ghcr.io/acme/shop",
            "tag": "1",
            "registry": {"username": {"value": secret}, "password": {"value": secret}},
            "build_config": {"args": [{"name": "A", "value": secret}, {"name": "B", "value": secret}]},
        },
        "images": {"web": {"repository": "web", "registry": {"username": {"value": "u"}, "password": {"value": secret}}}},
        "env": [{"name": "KEY", "value": secret}, {"name": "OTHER", "from": {"env": "OTHER"}}, {"name": "LAST", "value": secret}],
        "replicas": 2,
        "targets": {
            "east": {"env": [{"name": "KEY", "value": secret}], "env_merge": true},
            "west": {"api_token": {"value": secret}, "image": {"registry": {"username": {"value": "u"}, "password": {"value": secret}}}},
        },
    }))
}

/// Long, and unlike any word of a report; with signs that the formats must escape.
fn secret() -> impl Strategy<Value = String> {
    "[A-Z0-9]{3}[A-Z0-9!@%^&*()\\[\\]{}<>:;,'\"\\\\/=+# -]{10,20}[A-Z0-9]{3}"
}

/// How a file may be wrong beside its secrets.
#[derive(Debug, Clone, Copy)]
enum Damage {
    None,
    /// A letter of the key is missing.
    Misspelled,
    /// What stands there is of another kind.
    Kind,
    /// The key stands there twice, with what it holds.
    Twice,
    /// Beside it stands a key that nobody knows.
    Stranger,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop::sample::select(vec![Damage::None, Damage::Misspelled, Damage::Kind, Damage::Twice, Damage::Stranger])
}

/// Damages the object or list entry that `place` counts down to.
fn damage_at(node: &mut Node, place: &mut usize, damage: Damage) {
    match node {
        Node::Scalar(_) => {}
        Node::List(nodes) => nodes.iter_mut().for_each(|node| damage_at(node, place, damage)),
        Node::Map(entries) => {
            for index in 0..entries.len() {
                if *place == 0 {
                    hurt(entries, index, damage);
                    *place = usize::MAX;
                    return;
                }
                *place -= 1;
                damage_at(&mut entries[index].1, place, damage);
                if *place == usize::MAX {
                    return;
                }
            }
        }
    }
}

fn hurt(entries: &mut Vec<(String, Node)>, index: usize, damage: Damage) {
    let (key, node) = entries[index].clone();
    match damage {
        Damage::None => {}
        Damage::Misspelled => entries[index].0 = key.chars().skip(1).collect(),
        Damage::Kind => entries[index].1 = Node::List(vec![node]),
        Damage::Twice => entries.push((key, node)),
        Damage::Stranger => entries.push(("stranger".to_owned(), node)),
    }
}

/// Everything that is ever shown of a text.
fn shown(name: &str, text: &str) -> String {
    let path = Path::new(name);
    let read = || app::read(&Document::parse(path, Format::of(path)?, text, &keys::APP)?);
    match read() {
        Ok(app) => {
            let warnings: String = app.warnings.iter().map(|warning| warning.render(true) + &warning.render(false)).collect();
            let targets: Vec<_> = app.targets.iter().map(resolved_target).collect();
            format!("{warnings}\n{app:?}\n{}\n{}", serde_json::json!(targets), settings_of(name, text))
        }
        Err(error) => {
            let mistakes = serde_json::to_string(&error.mistakes()).expect("JSON");
            format!("{}\n{}\n{error:?}\n{mistakes}", plain(&error), error.all_mistakes(true).unwrap_or_default())
        }
    }
}

fn settings_of(name: &str, text: &str) -> String {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join(name);
    fs::write(&path, text).expect("write");
    format!("{:?}", settings::read(&path).expect("a valid file"))
}

/// The first piece of the secret that a text shows. Of a text that cannot be parsed brackets and quotes are shown
/// wherever they stand: marks alone are no secret.
fn leak<'s>(shown: &str, secret: &'s str) -> Option<&'s str> {
    let ends = secret.char_indices().map(|(at, _)| at);
    ends.filter_map(|start| secret.get(start..start + PIECE)).find(|piece| piece.contains(char::is_alphanumeric) && shown.contains(piece))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn masked_output_never_holds_a_byte_of_a_secret(
        secret in secret(),
        damage in damage(),
        place in 0_usize..60,
        ending in prop::sample::select(vec!["yaml", "toml", "json"]),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let mut node = file(&secret);
        damage_at(&mut node, &mut place.clone(), damage);
        let mut text = node.written_as(ending);
        if let Some(cut) = cut {
            // The rest of the file is lost, perhaps in the middle of a secret.
            text.truncate(cut.index(text.len()));
        }
        let shown = shown(&format!("haloy.{ending}"), &text);
        prop_assert_eq!(leak(&shown, &secret), None, "{}\n{}", text, shown);
    }

    /// One character is lost: a quote, a bracket, a colon, a line's end.
    #[test]
    fn a_lost_mark_shows_no_secret(
        secret in "[A-Z0-9]{16}",
        ending in prop::sample::select(vec!["yaml", "toml", "json"]),
        at in any::<prop::sample::Index>(),
    ) {
        let mut text = file(&secret).written_as(ending);
        let marks: Vec<usize> = text.char_indices().filter(|(_, c)| !c.is_alphanumeric()).map(|(at, _)| at).collect();
        text.remove(marks[at.index(marks.len())]);
        let shown = shown(&format!("haloy.{ending}"), &text);
        prop_assert_eq!(leak(&shown, &secret), None, "{}\n{}", text, shown);
    }
}
