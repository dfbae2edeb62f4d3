//! One file that holds every key of the language, in three formats.

use std::collections::BTreeSet;

use super::seeds::{read_app, resolved};
use super::*;
use crate::config::keys::{APP, Shape};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/valid")
}

#[test]
fn three_formats_mean_the_same() {
    let apps = ["yaml", "toml", "json"].map(|ending| read_app(&folder().join(format!("every_key.{ending}"))));
    let meanings = apps.each_ref().map(|app| {
        let mut meaning = resolved(app);
        // Warnings quote the file.
        meaning["warnings"] = serde_json::Value::Null;
        meaning
    });
    assert_eq!(meanings[0], meanings[1]);
    assert_eq!(meanings[0], meanings[2]);
    for other in &apps[1..] {
        for (target, same) in apps[0].targets.iter().zip(&other.targets) {
            assert_eq!(target.spec, same.spec);
            let values =
                |target: &Target| target.env.iter().map(|entry| (entry.name.clone(), describe(&entry.value.source))).collect::<Vec<_>>();
            assert_eq!(values(target), values(same));
        }
    }
    let actual = format!("{}\n", serde_json::to_string_pretty(&meanings[0]).expect("JSON"));
    assert!(!actual.contains(SECRET), "{actual}");
    assert_eq!(differs(&folder().join("every_key.targets.expected.json"), &actual), None);
}

#[test]
fn no_key_of_the_table_is_left_out() {
    let text = fs::read_to_string(folder().join("every_key.json")).expect("a text");
    let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let (mut known, mut used) = (BTreeSet::new(), BTreeSet::new());
    collect(&APP, "", &mut known);
    follow(&file, &APP, "", &mut used);
    let missing: Vec<_> = known.difference(&used).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Every key of today by its path; those of a target are those of the root.
fn collect(shape: &'static Shape, path: &str, known: &mut BTreeSet<String>) {
    match shape {
        Shape::Object(_) => {
            for key in shape.keys().filter(|key| key.superseded.is_empty()) {
                let path = below(path, key.name);
                known.insert(path.clone());
                if !matches!(key.name, "targets" | "images") {
                    collect(&key.shape, &path, known);
                }
            }
        }
        Shape::List(inner) | Shape::Names(inner) => collect(inner, path, known),
        Shape::Either(ways) => ways.iter().for_each(|way| collect(way, path, known)),
        Shape::Value(_) | Shape::Variable { .. } => {}
    }
}

fn follow(value: &serde_json::Value, shape: &'static Shape, path: &str, used: &mut BTreeSet<String>) {
    for way in shape.ways() {
        match (value, way) {
            (serde_json::Value::Object(entries), Shape::Object(_)) => {
                for (written, value) in entries {
                    let Some(key) = way.keys().find(|key| key.is_written(written)) else { continue };
                    used.insert(below(path, key.name));
                    let path = match key.name {
                        "targets" => String::new(),
                        "images" => below(path, "image"),
                        name => below(path, name),
                    };
                    follow(value, &key.shape, &path, used);
                }
            }
            (serde_json::Value::Object(entries), Shape::Names(inner)) => {
                entries.values().for_each(|value| follow(value, inner, path, used))
            }
            (serde_json::Value::Array(items), Shape::List(inner)) => items.iter().for_each(|value| follow(value, inner, path, used)),
            _ => {}
        }
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
