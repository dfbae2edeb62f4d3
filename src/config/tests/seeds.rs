//! The configuration examples that earlier generations print: each is valid and means what its author expects.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::config::app::App;
use crate::config::client::Servers;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/seeds")
}

/// The examples of `haloy.yaml`; those of other files have tests of their own.
fn examples() -> Vec<PathBuf> {
    let mut paths = fixtures("seeds");
    paths.retain(|path| !path.ends_with("000-client.yaml"));
    paths
}

pub fn read_app(path: &Path) -> App {
    let text = source::read(path).expect("a text");
    let name = Path::new(path.file_name().expect("a file"));
    let read = || app::read(&Document::parse(name, Format::of(path)?, &text, &keys::APP)?);
    read().unwrap_or_else(|error| panic!("{}:\n{}", path.display(), plain(&error)))
}

/// All that a file means, without values that may be secrets.
pub fn resolved(app: &App) -> Value {
    let warnings: Vec<String> = app.warnings.iter().map(|warning| warning.render(false)).collect();
    let targets: Vec<Value> = app.targets.iter().map(resolved_target).collect();
    let mut value = json!({
        "targets": targets,
        "secret_providers": format!("{:?}", app.secret_providers),
        "global_pre_deploy": app.global_pre_deploy,
        "global_post_deploy": app.global_post_deploy,
        "warnings": warnings.iter().map(|warning| warning.lines().collect()).collect::<Vec<Vec<&str>>>(),
    });
    prune(&mut value);
    value
}

/// Leaves out what is absent: what remains can be read by a person.
fn prune(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Object(entries) => {
            entries.values_mut().for_each(prune);
            entries.retain(|_, value| !value.is_null() && *value != json!([]) && *value != json!({}) && *value != json!(false));
        }
        _ => {}
    }
}

#[test]
fn the_index_lists_every_example() {
    let index = fs::read_to_string(folder().join("INDEX.md")).expect("the index");
    let listed: Vec<&str> = index.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), listed.len(), "a file is listed twice");
    let names = fs::read_dir(folder()).expect("examples").map(|entry| entry.expect("entry").file_name().into_string().expect("a name"));
    let mut there: Vec<String> = names.filter(|name| name != "INDEX.md" && !name.ends_with(".expected.json")).collect();
    there.sort_unstable();
    assert_eq!(sorted, there);
}

#[test]
fn every_example_means_what_its_author_expects() {
    let mut different = Vec::new();
    for path in examples() {
        let actual = format!("{}\n", serde_json::to_string_pretty(&resolved(&read_app(&path))).expect("JSON"));
        assert!(!actual.contains(SECRET), "{}: a secret is shown:\n{actual}", path.display());
        different.extend(differs(&PathBuf::from(format!("{}.expected.json", path.display())), &actual));
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn files_of_one_stem_mean_the_same() {
    let mut by_stem: BTreeMap<PathBuf, Vec<Value>> = BTreeMap::new();
    for path in examples() {
        let mut value = resolved(&read_app(&path));
        // Notes quote the file.
        value["warnings"] = Value::Null;
        by_stem.entry(path.with_extension("")).or_default().push(value);
    }
    let several: Vec<_> = by_stem.values().filter(|values| values.len() > 1).collect();
    assert!(several.len() >= 4, "only {} examples in several formats", several.len());
    for values in several {
        assert!(values.iter().all(|value| *value == values[0]), "{values:#?}");
    }
}

#[test]
fn the_clients_own_files() {
    let dir = tempfile::tempdir().expect("temporary directory");
    for (example, name) in [("000-client.yaml", "client.yaml"), ("000-client.env", ".env")] {
        fs::copy(folder().join(example), dir.path().join(name)).expect("copy");
    }
    let servers = Servers::load(dir.path()).expect("valid");
    let tokens: Vec<_> = servers
        .list()
        .map(|server| {
            (server.name.to_string(), server.token(dir.path(), |_| None).expect("readable").map(|found| found.token.expose().to_owned()))
        })
        .collect();
    let expected = [("north.lighthouse.example", "foghorn123"), ("south.lighthouse.example", "beacon456")];
    assert_eq!(tokens, expected.map(|(host, token)| (host.to_owned(), Some(token.to_owned()))));
}

#[test]
fn a_file_of_environment_variables() {
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::copy(folder().join("000-environment.env"), dir.path().join(".env")).expect("copy");
    let nowhere = dir.path().join("nowhere");
    let environment = Environment::new(dir.path(), &nowhere, None);
    for (name, value) in [("TIDES_URL", "redis://tides.internal:6379/2"), ("MOON_KEY", SECRET), ("VERBOSE", "false")] {
        assert_eq!(environment.get(name).expect("readable"), Some(Secret::new(value)), "{name}");
    }
}
