//! What a directory tells about the app in it.

use std::fs;
use std::path::Path;

use crate::names::AppName;

/// No file that tells something is larger.
const MOST: u64 = 1024 * 1024;

/// What was found.
pub struct Found {
    pub name: AppName,
    /// TCP ports that the Dockerfile EXPOSEs.
    pub exposed: Vec<u16>,
    pub has_dockerfile: bool,
    pub facts: Vec<Fact>,
    /// What a Dockerfile would have to do.
    pub wanted: String,
}

/// One file, and what it says.
pub struct Fact {
    pub file: &'static str,
    pub said: String,
}

/// What a file of packages says.
struct Package {
    file: &'static str,
    kind: &'static str,
    name: Option<String>,
    /// What the Dockerfile of such an app does.
    wanted: String,
}

impl Found {
    pub fn look(folder: &Path) -> Self {
        let dockerfile = read(folder, "Dockerfile");
        let exposed = dockerfile.as_deref().map(exposed).unwrap_or_default();
        let packages: Vec<Package> = [node(folder), rust(folder), go(folder), ruby(folder), python(folder)].into_iter().flatten().collect();
        let mut facts = Vec::new();
        facts.extend(dockerfile.as_ref().map(|_| Fact { file: "Dockerfile", said: said(&exposed) }));
        facts.extend(packages.iter().map(|package| {
            let name = package.name.as_ref().map(|name| format!(" `{name}`")).unwrap_or_default();
            Fact { file: package.file, said: format!("{}{name}", package.kind) }
        }));
        let named = packages.iter().find_map(|package| app_name(package.name.as_deref()?));
        let name = named.or_else(|| app_name(&folder_name(folder)?)).unwrap_or_else(fallback);
        let wanted = packages.first().map_or("builds and runs the app".to_owned(), |package| package.wanted.clone());
        Self { name, exposed, has_dockerfile: dockerfile.is_some(), facts, wanted }
    }
}

fn said(exposed: &[u16]) -> String {
    let ports: Vec<String> = exposed.iter().map(u16::to_string).collect();
    if ports.is_empty() { "it EXPOSEs no port".to_owned() } else { format!("it EXPOSEs {}", ports.join(", ")) }
}

fn folder_name(folder: &Path) -> Option<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fs::canonicalize(folder).ok()?.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn read(folder: &Path, name: &str) -> Option<String> {
    let path = folder.join(name);
    let small = fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MOST);
    if small { fs::read_to_string(path).ok() } else { None }
}

/// The TCP ports of all EXPOSE lines of the last stage, as far as they are numbers.
fn exposed(dockerfile: &str) -> Vec<u16> {
    let mut ports = Vec::new();
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        match words.next().map(str::to_ascii_uppercase).as_deref() {
            // What an earlier stage EXPOSEs is no part of the image.
            Some("FROM") => ports.clear(),
            Some("EXPOSE") => ports.extend(words.take_while(|word| !word.starts_with('#')).filter_map(port)),
            _ => {}
        }
    }
    ports.dedup();
    ports
}

fn port(word: &str) -> Option<u16> {
    let (number, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    number.parse().ok().filter(|number| *number > 0 && protocol.eq_ignore_ascii_case("tcp"))
}

fn node(folder: &Path) -> Option<Package> {
    let package: serde_json::Value = serde_json::from_str(&read(folder, "package.json")?).unwrap_or_default();
    let start = package["scripts"]["start"].as_str();
    let wanted = match start {
        Some(start) => format!("installs the packages and runs `npm start` (`{start}`)"),
        None => "installs the packages and starts the app".to_owned(),
    };
    // `@acme/shop` is the shop of acme.
    let name = package["name"].as_str().and_then(|name| name.rsplit('/').next()).map(str::to_owned);
    Some(Package { file: "package.json", kind: "a Node.js package", name, wanted })
}

fn rust(folder: &Path) -> Option<Package> {
    let name = toml_name(&read(folder, "Cargo.toml")?, &["package"]);
    let binary = name.as_ref().map(|name| format!(" and runs `{name}`")).unwrap_or_default();
    Some(Package { file: "Cargo.toml", kind: "a Rust crate", name, wanted: format!("builds with `cargo build --release`{binary}") })
}

fn go(folder: &Path) -> Option<Package> {
    let text = read(folder, "go.mod")?;
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module ")).map(str::trim);
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let name = module.and_then(|module| module.rsplit('/').find(|part| !is_version(part))).map(str::to_owned);
    Some(Package { file: "go.mod", kind: "a Go module", name, wanted: "builds with `go build` and runs what it made".to_owned() })
}

fn ruby(folder: &Path) -> Option<Package> {
    let text = read(folder, "Gemfile")?;
    let rails = text.lines().any(|line| line.trim().starts_with("gem \"rails\"") || line.trim().starts_with("gem 'rails'"));
    let (kind, start) = if rails { ("a Rails app", "bin/rails server") } else { ("a Ruby app", "bundle exec") };
    Some(Package { file: "Gemfile", kind, name: None, wanted: format!("runs `bundle install`, and starts the app with `{start}`") })
}

fn python(folder: &Path) -> Option<Package> {
    let text = read(folder, "pyproject.toml")?;
    let name = toml_name(&text, &["project"]).or_else(|| toml_name(&text, &["tool", "poetry"]));
    Some(Package { file: "pyproject.toml", kind: "a Python project", name, wanted: "runs `pip install .` and starts the app".to_owned() })
}

fn toml_name(text: &str, table: &[&str]) -> Option<String> {
    let root: toml::Table = text.parse().ok()?;
    let table = table.iter().try_fold(&root, |table, key| table.get(*key)?.as_table())?;
    table.get("name")?.as_str().map(str::to_owned)
}

/// The nearest valid name; none when nothing of it is left.
fn app_name(text: &str) -> Option<AppName> {
    let mut name = String::new();
    for c in text.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '.' | '_' => name.push(c),
            _ if !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(63);
    name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).parse().ok()
}

fn fallback() -> AppName {
    "app".parse().expect("invariant: `app` is a valid name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[(&str, &str)]) -> Found {
        let folder = tempfile::tempdir().expect("temporary directory");
        let app = folder.path().join("My Shop!");
        fs::create_dir(&app).expect("create");
        files.iter().for_each(|(name, text)| fs::write(app.join(name), text).expect("write"));
        Found::look(&app)
    }

    #[test]
    fn names_come_from_packages_and_from_the_directory() {
        for (file, text, expected) in [
            ("README.md", "", "my-shop"),
            ("package.json", r#"{"name": "@acme/web-shop", "scripts": {"start": "node server.js"}}"#, "web-shop"),
            ("package.json", "not JSON", "my-shop"),
            ("Cargo.toml", "[package]\nname = \"shop_api\"\n", "shop_api"),
            ("Cargo.toml", "[workspace]\n", "my-shop"),
            ("go.mod", "module github.com/acme/Shop/v2\n\ngo 1.25\n", "shop"),
            ("pyproject.toml", "[tool.poetry]\nname = \"Shop.Api\"\n", "shop.api"),
            ("Gemfile", "gem \"rails\"\n", "my-shop"),
            ("package.json", r#"{"name": "___"}"#, "my-shop"),
        ] {
            let found = look(&[(file, text)]);
            assert_eq!(found.name.to_string(), expected, "{file}: {text}");
            assert_eq!(found.facts.len(), usize::from(file != "README.md"), "{file}");
        }
        assert_eq!(app_name("ÜÖ"), None);
        assert_eq!(app_name(&"a".repeat(80)).map(|name| name.to_string().len()), Some(63));
    }

    #[test]
    fn a_dockerfile_tells_its_ports() {
        for (text, expected) in [
            ("FROM a\nEXPOSE 3000\n", &[3000][..]),
            ("FROM a AS build\nEXPOSE 1\nFROM b\nexpose 80/tcp 443 53/udp\n", &[80, 443]),
            ("FROM a\nEXPOSE $PORT 0 70000\n# EXPOSE 5\n", &[]),
        ] {
            assert_eq!(look(&[("Dockerfile", text)]).exposed, expected, "{text}");
        }
        assert!(!look(&[]).has_dockerfile);
    }

    #[test]
    fn a_missing_dockerfile_is_described() {
        let wanted = |file: &str, text: &str| look(&[(file, text)]).wanted;
        assert!(wanted("package.json", r#"{"scripts": {"start": "node server.js"}}"#).contains("`npm start` (`node server.js`)"));
        assert!(wanted("Cargo.toml", "[package]\nname = \"shop\"\n").contains("`cargo build --release` and runs `shop`"));
        assert!(wanted("Gemfile", "gem 'rails', '~> 8'\n").contains("bin/rails server"));
        assert_eq!(wanted("README", ""), "builds and runs the app");
    }
}
