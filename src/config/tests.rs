//! Whole files in, whole reports out. `HALOY_BLESS=1` rewrites the expectations under
//! `tests/fixtures/config`.

mod every_key;
mod limits;
mod looked_up;
mod properties;
mod sameness;
mod secrecy;
mod seeds;
mod written;

use std::fs;
use std::path::{Path, PathBuf};

use super::build::ArgValue;
use super::document::Document;
use super::image::Image;
use super::secrets::FetchedSecrets;
use super::source::Format;
use super::value::{SourcedValue, ValueSource};
use super::*;
use crate::error::Report as _;
use crate::secret::Secret;
use crate::wire::AppSpec;

/// Stands in fixtures wherever a secret could stand, and never in a report.
const SECRET: &str = "hunter2";

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(kind);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).expect("fixtures").map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| Format::of(path).is_ok() && !path.to_string_lossy().ends_with(".expected.json"));
    paths.sort();
    paths
}

/// Every file here that is a valid `haloy.yaml`.
pub fn valid_files() -> Vec<PathBuf> {
    let mut paths = [fixtures("valid"), fixtures("seeds")].concat();
    paths.retain(|path| !path.ends_with("000-client.yaml"));
    paths
}

/// Reads a file as the client does, under its bare name.
fn read(path: &Path) -> Result<(Vec<Target>, Vec<Mistake>), ConfigError> {
    let text = source::read(path)?;
    let name = Path::new(path.file_name().expect("a file"));
    parts(&Document::parse(name, Format::of(path)?, &text, &keys::APP)?)
}

fn read_text(name: &str, text: &str) -> Result<(Vec<Target>, Vec<Mistake>), ConfigError> {
    let path = Path::new(name);
    parts(&Document::parse(path, Format::of(path).expect("a known ending"), text, &keys::APP)?)
}

fn parts(document: &Document) -> Result<(Vec<Target>, Vec<Mistake>), ConfigError> {
    app::read(document).map(|app| (app.targets, app.warnings))
}

/// Compares with the file, or rewrites it when asked to; returns what differs.
fn differs(expected: &Path, actual: &str) -> Option<String> {
    if std::env::var_os("HALOY_BLESS").is_some() {
        fs::write(expected, actual).expect("bless");
    }
    let wanted = fs::read_to_string(expected).unwrap_or_default();
    (wanted != actual).then(|| format!("{}:\n--- expected\n{wanted}\n--- actual\n{actual}", expected.display()))
}

/// What the user sees where there is no colour.
fn plain(error: &ConfigError) -> String {
    error.all_mistakes(false).unwrap_or_else(|| crate::error::render(error))
}

pub fn spec(text: &str) -> AppSpec {
    let (mut targets, _) = read_text("haloy.yaml", text).unwrap_or_else(|error| panic!("{}", plain(&error)));
    targets.remove(0).spec
}

fn report(name: &str, text: &str) -> String {
    plain(&read_text(name, text).expect_err("the file has mistakes"))
}

#[test]
fn invalid_files_are_explained() {
    let mut different = Vec::new();
    let paths = fixtures("invalid");
    for path in &paths {
        let Err(error) = read(path) else {
            different.push(format!("{} is accepted", path.display()));
            continue;
        };
        let actual = plain(&error);
        if actual.contains(SECRET) || format!("{error:?}").contains(SECRET) {
            different.push(format!("{}: a secret is shown:\n{actual}", path.display()));
        }
        assert_eq!(error.exit_code(), crate::error::MISUSE, "{}", path.display());
        for mistake in error.mistakes() {
            let place = format!("--> {}:{}:{}\n", mistake.file, mistake.line, mistake.column);
            let nowhere = format!("--> {}\n", mistake.file);
            assert!(actual.contains(&place) || actual.contains(&nowhere), "{place} is not in\n{actual}");
        }
        for name in ["u16", "u32", "i64", "f64", "usize", "String", "Vec<", "Option", "struct ", "enum ", "BTreeMap", "invalid type"] {
            if actual.contains(name) {
                different.push(format!("{}: `{name}` is no word for users:\n{actual}", path.display()));
            }
        }
        different.extend(differs(&PathBuf::from(format!("{}.txt", path.display())), &actual));
    }
    assert!(paths.len() >= 100, "only {} invalid files", paths.len());
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn valid_files_resolve() {
    let mut different = Vec::new();
    for path in fixtures("valid") {
        let (targets, warnings) = read(&path).unwrap_or_else(|error| panic!("{}", plain(&error)));
        let target = &targets[0];
        let warnings: Vec<String> = warnings.iter().map(|warning| warning.render(false)).collect();
        assert!(!warnings.concat().contains(SECRET), "{warnings:?}");
        let values: Vec<String> = target.env.iter().map(|entry| describe(&entry.value.source)).collect();
        let resolved = serde_json::json!({
            "spec": target.spec,
            "env": values,
            "image": describe_image(&target.image),
            "server": target.server,
            "api_token": target.api_token.as_ref().map(|token| describe(&token.source)),
            "pre_deploy": target.pre_deploy,
            "post_deploy": target.post_deploy,
            "warnings": warnings,
        });
        let actual = format!("{}\n", serde_json::to_string_pretty(&resolved).expect("JSON"));
        different.extend(differs(&PathBuf::from(format!("{}.expected.json", path.display())), &actual));
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

/// All that a target means, without values that may be secrets.
fn resolved_target(target: &Target) -> serde_json::Value {
    let Image { build, registry } = &target.image;
    let origin = |value: &SourcedValue| match &value.source {
        ValueSource::Value(_) => "value".to_owned(),
        other => describe(other),
    };
    serde_json::json!({
        "name": target.name,
        "spec": target.spec,
        "server": target.server,
        "api_token": target.api_token.as_ref().map(origin),
        "registry": registry.as_ref().map(|login| serde_json::json!({
            "server": login.server, "username": origin(&login.username), "password": origin(&login.password),
        })),
        "build": build.as_ref().map(|build| serde_json::json!({
            "context": build.context(),
            "dockerfile": build.dockerfile.as_ref().map(|dockerfile| &dockerfile.path),
            "platform": build.platform,
            "target": build.target,
            "push": format!("{:?}", build.push),
            "on": format!("{:?}", build.on),
            "args": build.args.iter().map(|arg| match &arg.value {
                ArgValue::Sourced(value) => format!("{}: {}", arg.name, origin(value)),
                ArgValue::Variable => format!("{}: as in env", arg.name),
            }).collect::<Vec<_>>(),
            "cache_from": build.cache_from,
            "cache_to": build.cache_to,
            "ssh": build.ssh,
            "flags": build.flags,
        })),
        "pre_deploy": target.pre_deploy,
        "post_deploy": target.post_deploy,
    })
}

fn describe(source: &ValueSource) -> String {
    match source {
        ValueSource::Value(value) => format!("value {}", value.expose()),
        ValueSource::Env(name) => format!("env {name}"),
        ValueSource::Secret(reference) => format!("secret {reference}"),
        ValueSource::ServerSecret(name) => format!("server secret {name}"),
    }
}

/// All of it, in words.
fn describe_image(image: &Image) -> serde_json::Value {
    let path = |path: &Option<BuildPath>| path.as_ref().map(|path| path.path.clone());
    let arg = |arg: &build::BuildArg| match &arg.value {
        ArgValue::Sourced(value) => format!("{} = {}", arg.name, describe(&value.source)),
        ArgValue::Variable => format!("{} as in env", arg.name),
    };
    let build = image.build.as_ref().map(|build| {
        serde_json::json!({
            "context": path(&build.context),
            "dockerfile": path(&build.dockerfile),
            "platform": build.platform,
            "args": build.args.iter().map(arg).collect::<Vec<_>>(),
            "push": format!("{:?}", build.push),
            "target": build.target,
            "cache_from": build.cache_from,
            "cache_to": build.cache_to,
            "ssh": build.ssh,
            "flags": build.flags,
            "on": format!("{:?}", build.on),
        })
    });
    let registry = image.registry.as_ref().map(|registry| {
        let (username, password) = (describe(&registry.username.source), describe(&registry.password.source));
        format!("{} with {username} and {password}", registry.server)
    });
    serde_json::json!({ "build": build, "registry": registry })
}

#[test]
fn networks_that_an_app_can_be_in() {
    let network = |text: &str| spec(&format!("name: a\nimage: a\n{text}")).network().to_owned();
    assert_eq!(network(""), "haloy-public");
    assert_eq!(network("network: host\ndomains: [a.example.com]\ndeployment_strategy: replace\n"), "host");
    assert_eq!(network("network: none\n"), "none", "a worker needs no network");
}

#[test]
fn the_same_app_in_three_formats_is_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/valid");
    let target = |name: &str| read(&folder.join(name)).unwrap_or_else(|error| panic!("{}", plain(&error))).0.remove(0);
    let yaml = target("everything.yaml");
    for other in [target("everything.json"), target("everything.toml")] {
        assert_eq!(yaml.spec, other.spec);
        let values =
            |target: &Target| target.env.iter().map(|entry| (entry.name.clone(), describe(&entry.value.source))).collect::<Vec<_>>();
        assert_eq!(values(&yaml), values(&other));
        assert_eq!(describe_image(&yaml.image), describe_image(&other.image));
        assert_eq!((&yaml.server, &yaml.pre_deploy, &yaml.post_deploy), (&other.server, &other.pre_deploy, &other.post_deploy));
    }
}

#[test]
fn a_tag_is_what_is_written() {
    for (name, text) in [
        ("haloy.yaml", "name: a\nimage: {repository: b, tag: 1.10}\n"),
        ("haloy.json", "{\"name\": \"a\", \"image\": {\"repository\": \"b\", \"tag\": 1.10}}"),
        ("haloy.toml", "name = \"a\"\nimage = {repository = \"b\", tag = 1.10}\n"),
    ] {
        let (targets, _) = read_text(name, text).unwrap_or_else(|error| panic!("{}", plain(&error)));
        assert_eq!(targets[0].spec.image.to_string(), "b:1.10", "{name}");
    }
}

#[test]
fn all_mistakes_are_named_at_once_for_people_and_for_programs() {
    let error = read_text("haloy.yaml", "name: My App\nimage: nginx\nreplica: 2\nport: 70000\n").expect_err("three mistakes");
    let mistakes = error.mistakes();
    let places: Vec<_> = mistakes.iter().map(|m| (m.line, m.column, m.key.as_deref().unwrap_or_default())).collect();
    assert_eq!(places, [(1, 7, "name"), (3, 1, "replica"), (4, 7, "port")]);
    let json = serde_json::to_value(&mistakes[1]).expect("JSON");
    let expected = serde_json::json!({
        "file": "haloy.yaml", "line": 3, "column": 1, "key": "replica",
        "message": "unknown key `replica`", "hint": "did you mean `replicas`?",
    });
    assert_eq!(json, expected);
}

#[test]
fn both_spellings_and_private_keys_are_accepted_everywhere() {
    let snake = spec("name: a\nimage: nginx\nhealth_check_path: /up\nmin_ready_seconds: 3\n");
    let camel = spec("name: a\nimage: nginx\nhealthCheckPath: /up\nminReadySeconds: 3\nx-mine: {anything: [1]}\n");
    assert_eq!(snake, camel);
}

#[test]
fn names_that_the_libraries_use_inside_mean_nothing() {
    for key in [
        "___figment_tagged_item",
        "___figment_tagged_tag",
        "$__serde_spanned_private_Spanned",
        "$__serde_spanned_private_start",
        "$serde_json::private::Number",
    ] {
        for text in [format!("name: {{\"{key}\": 1}}\n"), format!("\"{key}\": 1\n"), format!("name:\n  {key}: [1, 2]\nimage: nginx\n")] {
            assert!(report("haloy.yaml", &text).contains("haloy.yaml"), "{text}");
        }
        assert!(
            report("haloy.json", &format!("{{\"name\": {{\"{key}\": \"1\"}}, \"image\": \"nginx\"}}")).contains("`name` must be a string")
        );
        assert!(report("haloy.toml", &format!("image = \"nginx\"\n[name]\n\"{key}\" = 1\n")).contains("`name` must be a string"));
    }
}

#[test]
fn bombs_and_giants_are_refused_quickly() {
    let started = std::time::Instant::now();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    assert!(report("haloy.yaml", &bomb).contains("too large"), "{}", report("haloy.yaml", &bomb));
    for (name, text) in [
        ("haloy.yaml", "[".repeat(500_000)),
        ("haloy.yaml", "{a: ".repeat(200_000)),
        ("haloy.yaml", "- ".repeat(500_000)),
        ("haloy.json", "[".repeat(500_000)),
        ("haloy.json", "{\"a\":".repeat(200_000)),
        ("haloy.toml", format!("a = {}", "[".repeat(500_000))),
        ("haloy.toml", format!("{} = 1", vec!["a"; 250_000].join("."))),
    ] {
        let error = read_text(name, &text).expect_err(name);
        assert!(plain(&error).len() < 2000, "{name}");
    }
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("haloy.yaml");
    fs::write(&path, "#".repeat(10 * 1024 * 1024)).expect("write");
    let error = load(&path).expect_err("10 MiB");
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "took {:?}", started.elapsed());
}

#[test]
fn thousands_of_mistakes_are_counted_and_the_first_are_shown() {
    let started = std::time::Instant::now();
    let line = format!(
        "{{\"name\": \"a\", \"image\": \"b\", \"domains\": [{}], \"env\": [{}]}}",
        ["[]"; 20_000].join(", "),
        ["5"; 20_000].join(", ")
    );
    let text = report("haloy.json", &line);
    assert!(
        text.ends_with("error: the configuration has 40000 mistakes, of which these are the first 100\n"),
        "{}",
        &text[text.len() - 200..]
    );
    let lines = format!("name: a\nimage: b\ndomains:\n{}", "  - []\n".repeat(40_000));
    assert!(report("haloy.yaml", &lines).contains("haloy.yaml:103:5"));
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "took {:?}", started.elapsed());
}

#[test]
fn the_file_is_found_or_the_error_says_where_it_was_sought() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let error = find(Some(dir.path())).expect_err("nothing there");
    let text = plain(&error);
    for name in ["haloy.yaml", "haloy.yml", "haloy.json", "haloy.toml"] {
        assert!(text.contains(name), "{text}");
    }
    let toml = dir.path().join("haloy.toml");
    fs::write(&toml, "").expect("write");
    assert_eq!(find(Some(dir.path())).expect("one file"), toml);
    assert_eq!(find(Some(&toml)).expect("the file itself"), toml);
    fs::write(dir.path().join("haloy.yml"), "").expect("write");
    let error = find(Some(dir.path())).expect_err("two files");
    assert!(error.to_string().contains("haloy.yml") && error.to_string().contains("haloy.toml"), "{error}");
    let missing = dir.path().join("other.yaml");
    assert!(matches!(find(Some(&missing)), Err(ConfigError::NotFound { tried }) if tried == [missing.clone()]));
    let strange = dir.path().join("haloy.conf");
    fs::write(&strange, "").expect("write");
    assert!(matches!(load(&strange), Err(ConfigError::UnknownFormat { .. })));
    fs::write(&toml, b"name = \"\xff\"").expect("write");
    assert!(matches!(load(&toml), Err(ConfigError::NotText { .. })));
}

#[test]
fn values_come_from_the_environment_and_all_missing_ones_are_named() {
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::write(dir.path().join(".env"), "HALOY_TEST_DB=hunter2\nHALOY_TEST_TOKEN=t0ken\n").expect("write");
    let environment = Environment::new(dir.path(), dir.path(), None);
    let text = "name: a\nimage: nginx\napi_token: HALOY_TEST_TOKEN\nenv:\n  - name: DB\n    from: {env: HALOY_TEST_DB}\n  - name: N\n    value: 1.10\n";
    let (targets, _) = read_text("haloy.yaml", text).expect("valid");
    let values = targets[0].resolve_env(&environment, &FetchedSecrets::default()).expect("all set");
    let values: Vec<_> = values.iter().map(|value| (value.name.as_str(), value.value.expose())).collect();
    assert_eq!(values, [("DB", "hunter2"), ("N", "1.10")]);
    assert_eq!(targets[0].resolve_token(&environment, &FetchedSecrets::default()).expect("set"), Some(Secret::new("t0ken")));

    let text = "name: a\nimage: nginx\napi_token: haloy_hunter2\nenv:\n  - name: A\n    from: {env: HALOY_TEST_NONE}\n  - name: B\n    value: hunter2\n  - name: C\n    from:\n      env: HALOY_TEST_NONE2\n";
    let (targets, _) = read_text("haloy.yaml", text).expect("valid");
    let error = targets[0].resolve_env(&environment, &FetchedSecrets::default()).expect_err("two are missing");
    let places: Vec<_> = error.mistakes().into_iter().map(|m| (m.line, m.key.unwrap_or_default(), m.message)).collect();
    let message = |name: &str| format!("the environment variable `{name}` is empty or not set");
    assert_eq!(
        places,
        [(6, "env[0].from.env".to_owned(), message("HALOY_TEST_NONE")), (11, "env[2].from.env".to_owned(), message("HALOY_TEST_NONE2"))]
    );
    let error = targets[0].resolve_token(&environment, &FetchedSecrets::default()).expect_err("not set");
    assert!(!plain(&error).contains("hunter2"), "{}", plain(&error));
    assert!(!format!("{targets:?}").contains("value: \"hunter2"), "{targets:?}");
}
