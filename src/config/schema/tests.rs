//! The schema against a validator that is not ours, and against the readers.

use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};

use super::*;
use crate::config::source::Format;
use crate::config::{json, toml};

struct Validator {
    schemas: Schemas,
    compiler: Compiler,
    whole: SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource(ADDRESS, schema()).expect("a schema");
        let whole = compiler.compile(ADDRESS, &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        Self { schemas, compiler, whole }
    }

    fn refusal(&self, value: &Value) -> Option<String> {
        self.schemas.validate(value, self.whole).err().map(|error| format!("{error:#}"))
    }

    /// After the part of the schema at a JSON pointer.
    fn refusal_at(&mut self, pointer: &str, value: &Value) -> Option<String> {
        let part = self.compiler.compile(&format!("{ADDRESS}{pointer}"), &mut self.schemas).unwrap_or_else(|error| panic!("{error:#}"));
        self.schemas.validate(value, part).err().map(|error| format!("{error:#}"))
    }
}

fn read(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    let parsed = match Format::of(path).ok()? {
        Format::Yaml => yaml::parse(&text),
        Format::Json => json::parse(&text),
        Format::Toml => toml::parse(&text),
    };
    parsed.ok().filter(|parsed| parsed.repeated.is_none()).map(|parsed| plain(parsed.root))
}

fn fixtures(kind: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(kind);
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("fixtures") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { paths.push(path) }
        }
    }
    paths.retain(|path| Format::of(path).is_ok() && !path.to_string_lossy().ends_with(".expected.json"));
    paths.sort();
    paths.iter().filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), read(path)?))).collect()
}

#[test]
fn the_committed_schema_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/haloy.schema.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&schema()).expect("JSON"));
    if std::env::var_os("HALOY_BLESS").is_some() {
        fs::write(&path, &made).expect("bless");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "`{}` is not what the table of keys makes: run this test with HALOY_BLESS=1", path.display());
}

#[test]
fn it_is_a_schema_of_its_draft() {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    let index = compiler.compile("https://json-schema.org/draft/2020-12/schema", &mut schemas).expect("the draft's own schema");
    assert!(schemas.validate(&schema(), index).is_ok());
}

#[test]
fn files_that_we_take_are_taken() {
    let validator = Validator::new();
    let mut files = fixtures("valid");
    // `client.yaml` is another file, of the client itself.
    files.extend(fixtures("seeds").into_iter().filter(|(name, _)| name != "000-client.yaml"));
    let refused: Vec<String> =
        files.iter().filter_map(|(name, file)| validator.refusal(file).map(|refusal| format!("{name}: {refusal}"))).collect();
    assert!(files.len() >= 70 && refused.is_empty(), "{}", refused.join("\n"));
}

/// Every mistake of shape; those of meaning (names, paths, values that exclude each other) are not its business.
#[test]
fn files_of_a_wrong_shape_are_refused() {
    let validator = Validator::new();
    let shapes = [
        "api_token_empty",
        "api_token_pasted",
        "choices",
        "domains_is_a_string",
        "durations",
        "empty.yaml",
        "env_is",
        "everything_wrong",
        "hooks",
        "image_is_a_list",
        "missing_name",
        "misspelled",
        "name_is_a_number",
        "not_an_object",
        "only_comments",
        "port_",
        "replicas",
        "tag_is",
        "tls_word",
        "unknown_key",
    ];
    let files = fixtures("invalid");
    let mut seen = 0;
    for (name, file) in files.iter().filter(|(name, _)| shapes.iter().any(|shape| name.starts_with(shape))) {
        assert!(validator.refusal(file).is_some(), "{name} is taken: {file}");
        seen += 1;
    }
    assert!(seen >= 25, "only {seen} files");
}

#[test]
fn both_spellings_former_names_keys_of_ones_own_and_empty_keys_are_taken() {
    let validator = Validator::new();
    for text in [
        "name: a\nhealthCheckPath: /up\nminReadySeconds: 1m 30s\nx-mine: {anything: [1]}\n",
        "name: a\nimage: {builder: {buildContext: ., build_args: [A, {name: B, value: 1}], x-a: 1}}\nnetworkMode: host\n",
        "name: a\nimage:\nport:\nenv:\ndomains:\ntls:\nhealth_check:\nreplicas:\n",
        "targets: {a: {image_key: web, deployTimeout: 5m}, b: }\nimages: {web: nginx}\n",
        "apps: [{name: a, image: nginx, deploymentsToKeep: 3}]\n",
        "name: a\nsecretProviders: {1password: {db: {vault: a, item: b}}, doppler: {shop: }, gcp: {a: {secret: b, version: 3}}}\n",
        "name: a\ncommand: bin/jobs\nentrypoint: [a, 1]\nulimits: {nofile: 65536, core: {soft: 0, hard: -1}}\nshm_size: 64m\nport: \"80\"\n",
    ] {
        let file = plain(yaml::parse(text).expect("YAML").root);
        assert_eq!(validator.refusal(&file), None, "{text}");
    }
    for text in [
        "image: nginx\n",
        "name:\n",
        "name: a\nhealthcheckPath: /\n",
        "name: a\nreplicas: 0\n",
        "name: a\ndrain_timeout: soon\n",
        "name: a\nimage: {tag: latest, repo: a}\n",
        "apps: [{image: nginx}]\n",
        "targets: {a: {targets: {}}}\n",
        "targets: [a]\n",
        "name: a\nsecret_providers: {onepassword: {db: {vault: a}}}\n",
        "name: a\nenv: {A: b}\n",
        "name: a\nhealth_check: {tcp: yes}\n",
    ] {
        let file = plain(yaml::parse(text).expect("YAML").root);
        assert!(validator.refusal(&file).is_some(), "{text}");
    }
}

/// The table's own examples and defaults are right, and each key of today has an example.
#[test]
fn examples_and_defaults_are_valid() {
    let schema = schema();
    let mut keys = Vec::new();
    collect(&schema, "#", &mut keys);
    let mut validator = Validator::new();
    assert!(keys.len() > 100, "only {} keys", keys.len());
    for (pointer, key) in keys {
        let examples = key.get("examples").and_then(Value::as_array).cloned().unwrap_or_default();
        assert!(key.get("deprecated").is_some() || !examples.is_empty(), "{pointer} has no example");
        for value in examples.iter().chain(key.get("default")) {
            assert_eq!(validator.refusal_at(&pointer, value), None, "{pointer}: {value}");
        }
    }
}

/// Everything below `properties` that is described.
fn collect<'a>(value: &'a Value, at: &str, keys: &mut Vec<(String, &'a Value)>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let pointer = format!("{at}/{name}");
        if at.ends_with("/properties") && child.get("description").is_some_and(Value::is_string) {
            keys.push((pointer.clone(), child));
        }
        collect(child, &pointer, keys);
    }
}

#[test]
fn examples_are_written_with_the_keys_name() {
    fn check(shape: &'static Shape) {
        for way in shape.ways() {
            match way {
                Shape::Object(_) => way.keys().for_each(|key| {
                    if !key.example.is_empty() {
                        let tree::Kind::Map(entries) = yaml::parse(key.example).expect(key.example).root.kind else {
                            panic!("{}", key.example)
                        };
                        assert_eq!(entries.iter().map(|(name, _)| name.name.as_str()).collect::<Vec<_>>(), [key.name]);
                    }
                    assert!(
                        !key.required || !key.name.contains('_') && key.former.is_empty(),
                        "`required` knows one spelling: {}",
                        key.name
                    );
                    check(&key.shape);
                }),
                Shape::List(inner) | Shape::Names(inner) => check(inner),
                Shape::Value(_) | Shape::Variable { .. } | Shape::Either(_) => {}
            }
        }
    }
    check(&APP);
}
