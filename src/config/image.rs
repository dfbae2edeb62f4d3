//! The key `image`: which image runs, how it comes to be and how long it is kept.

use super::build::{self, Build};
use super::field::Field;
use super::findings::Findings;
use super::object::Object;
use super::secrets::SecretProviders;
use super::value::{self, SourcedValue};
use crate::names::{AppName, ImageRef, fits};
use crate::wire::{History, PullPolicy};

/// More of them nobody keeps.
const COUNT: (u32, u32) = (1, 1000);
/// Tags that name another image every day.
const MUTABLE: [&str; 6] = ["latest", "main", "master", "develop", "staging", "production"];
const DOCKER_HUB: &str = "docker.io";

/// What the client has to do with the image; the reference to run is in the spec.
#[derive(Debug, Clone)]
pub struct Image {
    /// None for an image that exists.
    pub build: Option<Build>,
    /// How to log in to its registry.
    pub registry: Option<RegistryAuth>,
}

/// A login, not looked up yet.
#[derive(Debug, Clone)]
pub struct RegistryAuth {
    /// Host, with a port perhaps; `docker.io` for Docker Hub.
    pub server: String,
    pub username: SourcedValue,
    pub password: SourcedValue,
}

/// The image of an app: its reference, when it is pulled, and the rest.
pub struct Read {
    pub reference: ImageRef,
    pub pull_policy: PullPolicy,
    pub history: History,
    pub image: Image,
}

/// The key `image`; without it the app's Dockerfile is built.
pub fn read(root: &Field<'_>, app: Option<&AppName>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<Read> {
    if root.named("image").is_some_and(|field| field.is_empty()) {
        findings.missing(
            root,
            "image",
            "write `image: ghcr.io/you/app:1.0`, or leave the key out to build the Dockerfile beside this file",
        );
        return None;
    }
    let Some(field) = root.get("image") else {
        let image = Image { build: Some(Build::default()), registry: None };
        return Some(Read { reference: named_like(app?)?, pull_policy: PullPolicy::default(), history: History::default(), image });
    };
    if field.items().is_some() {
        findings.wrong_kind(&field, "a string or an object").hint("write `image: ghcr.io/you/app:1.0`");
        return None;
    }
    if field.is_object() {
        return read_parts(&field, app, providers, findings);
    }
    let reference: Option<ImageRef> = findings.parse(&field);
    if let Some(reference) = reference.as_ref().filter(|reference| app.is_some_and(|app| app.as_str() == reference.as_str())) {
        findings
            .warning(&field, format!("`{reference}` is pulled from a registry, not built"))
            .hint("leave `image` out to build the Dockerfile beside this file, or write the tag of the image that is meant");
    }
    let image = Image { build: None, registry: None };
    Some(Read { reference: reference?, pull_policy: PullPolicy::default(), history: History::default(), image })
}

fn read_parts(field: &Field<'_>, app: Option<&AppName>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<Read> {
    let reference = read_reference(field, app, findings);
    let registry = field.get("registry").map(|registry| read_registry(&registry, reference.as_ref(), providers, findings));
    let history = field.get("history").map_or(Some(History::default()), |history| read_history(&history, findings));
    let pull_policy = read_pull_policy(field, findings);
    let config = field.get("build_config").map(|config| build::read(&config, providers, findings));
    let is_built = field.get("build").and_then(|build| findings.boolean(&build));
    let builds = is_built.unwrap_or(config.is_some() || field.get("repository").is_none());
    let config = config.unwrap_or_else(|| Some(build::Written::default()));
    let build = config.filter(|_| builds).map(|written| written.decide(registry.is_some(), field, findings));
    if let (Some(false), Some(config)) = (is_built, field.get("build_config")) {
        findings.warning(&config, "`build_config` does nothing with `build: false`").hint("leave one of them out");
    }
    if let (Some(build), Some(field)) = (&build, field.get("registry"))
        && build.push == build::Push::Server
    {
        findings
            .warning(&field, "`registry` does nothing: the built image goes straight to the server")
            .hint("leave it out, or write `push: registry` in `build_config`");
    }
    let reference = reference?;
    if let Some(field) = field.get("repository").filter(|_| build.is_some() && reference.as_str().contains('@')) {
        findings
            .mistake(&field, "an image that is built has no digest before")
            .hint("write a tag, or leave `build` and `build_config` out");
    }
    check_tag(field, &reference, history.as_ref(), findings);
    let registry = registry.map_or(Some(None), |registry| registry.map(Some))?;
    Some(Read { reference, pull_policy, history: history?, image: Image { build, registry } })
}

/// `repository` and `tag`.
fn read_reference(field: &Field<'_>, app: Option<&AppName>, findings: &mut Findings<'_>) -> Option<ImageRef> {
    let repository = match field.get("repository") {
        Some(repository) => findings.parse::<ImageRef>(&repository),
        None => app.and_then(named_like),
    };
    let Some(tag_field) = field.get("tag") else { return repository };
    let tag = Object::new(field, findings).literal("tag")?;
    let repository = repository?;
    if repository.as_str() != repository.repository() {
        let what = if repository.as_str().contains('@') { "digest" } else { "tag" };
        let message = if what == "tag" { "the tag is written twice" } else { "a tag beside a digest says nothing" };
        findings.mistake(&tag_field, format!("{message}: `image.repository` has a {what} already")).hint("keep one of them");
        return None;
    }
    match format!("{repository}:{tag}").parse::<ImageRef>() {
        Ok(image) => Some(image),
        Err(_) => {
            let tag = findings.quoted(&tag_field, &tag);
            findings.mistake(&tag_field, format!("{tag} is not a tag: it has 1 to 128 of letters, digits, `_`, `.` and `-`"));
            None
        }
    }
}

/// Every app's name is a repository's, too.
fn named_like(app: &AppName) -> Option<ImageRef> {
    app.as_str().parse().ok()
}

fn read_pull_policy(field: &Field<'_>, findings: &mut Findings<'_>) -> PullPolicy {
    let mut image = Object::new(field, findings);
    let policies = [("always", PullPolicy::Always), ("if_missing", PullPolicy::IfMissing), ("never", PullPolicy::Never)];
    let policy = image.choice("pull_policy", &policies);
    // Its words are of today's `pull_policy` by now; what is left is none of them.
    image.choice("source", &[("registry", ()), ("local", ())]);
    policy.unwrap_or_default()
}

fn read_registry(
    field: &Field<'_>,
    reference: Option<&ImageRef>,
    providers: &SecretProviders,
    findings: &mut Findings<'_>,
) -> Option<RegistryAuth> {
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `username:` and `password:` below it");
        return None;
    }
    let written = field.get("server").map(|server| read_registry_server(&server, findings));
    let mut login = |key: &str| match field.get(key) {
        Some(value) => value::read(&value, providers, findings),
        None => {
            findings.missing(field, key, &format!("write `{key}: {{from: {{env: REGISTRY_{}}}}}`", key.to_uppercase()));
            None
        }
    };
    let (username, password) = (login("username"), login("password"));
    let host = reference.map(registry_of);
    if let (Some(server), Some(Some(written)), Some(host)) = (field.get("server"), &written, host)
        && written != host
    {
        findings
            .warning(&server, format!("the image is not of this registry but of `{host}`: nobody logs in to `{written}`"))
            .hint(format!("write `{host}`, or leave it out"));
    }
    let server = written.unwrap_or_else(|| host.map(str::to_owned));
    Some(RegistryAuth { server: server?, username: username?, password: password? })
}

/// A host, with a port perhaps. An address as `docker login` takes it means its host.
fn read_registry_server(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let written = findings.word(field)?;
    let host = registry_host(written);
    let is_host = host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    if !is_host {
        let found = findings.quoted(field, written);
        findings.mistake(field, format!("{found} is not a registry's host")).hint("write it like `ghcr.io` or `registry.example.com:5000`");
        return None;
    }
    Some(host)
}

/// The host of a registry's address as `docker login` takes it; one name for Docker Hub, which has many.
pub fn registry_host(written: &str) -> String {
    let host = written.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let host = host.trim_end_matches("/v1").trim_end_matches("/v2").to_ascii_lowercase();
    let is_hub = matches!(host.as_str(), "index.docker.io" | "registry-1.docker.io" | "hub.docker.com");
    if is_hub { DOCKER_HUB.to_owned() } else { host }
}

/// What Docker's own files call a registry: Docker Hub has a name of its own there.
pub fn registry_address(server: &str) -> &str {
    if server == DOCKER_HUB { "https://index.docker.io/v1/" } else { server }
}

/// The registry that an image is of.
pub fn registry_of(image: &ImageRef) -> &str {
    let host = image.repository().split_once('/').map(|(first, _)| first);
    match host.filter(|first| first.contains(['.', ':']) || *first == "localhost") {
        Some("index.docker.io" | "registry-1.docker.io") | None => DOCKER_HUB,
        Some(host) => host,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Local,
    Registry,
    None,
}

fn read_history(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<History> {
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `history: {strategy: local, count: 5}`");
        return None;
    }
    let mut history = Object::new(field, findings);
    let strategies = [("local", Strategy::Local), ("registry", Strategy::Registry), ("none", Strategy::None)];
    let strategy = match history.get("strategy") {
        Some(_) => history.choice("strategy", &strategies)?,
        None => Strategy::Local,
    };
    let count = history.number("count", COUNT).and_then(|count| u16::try_from(count).ok());
    let pattern = history.literal("pattern");
    if let Some(pattern) = field.get("pattern").filter(|_| strategy != Strategy::Registry) {
        findings.warning(&pattern, "`pattern` does nothing without `strategy: registry`").hint("leave it out");
    }
    if let Some(count) = field.get("count").filter(|_| strategy == Strategy::None) {
        findings.warning(&count, "`count` does nothing with `strategy: none`").hint("write `strategy: local`, or leave it out");
    }
    let count = count.unwrap_or(History::DEFAULT_COUNT);
    Some(match strategy {
        Strategy::None => History::None,
        Strategy::Local => History::Local { count },
        Strategy::Registry => {
            if field.get("pattern").is_none() {
                findings.missing(field, "pattern", "write which tags are versions: `pattern: \"v*\"`");
            }
            History::Registry { count, pattern: pattern? }
        }
    })
}

/// With history in the registry an older version is found by its tag: one that moves, or that is none of the
/// versions, leads nowhere.
fn check_tag(field: &Field<'_>, reference: &ImageRef, history: Option<&History>, findings: &mut Findings<'_>) {
    let (Some(tag), Some(History::Registry { pattern, .. })) = (reference.tag(), history) else { return };
    let place = field.get("tag").or_else(|| field.get("repository")).unwrap_or_else(|| field.clone());
    if MUTABLE.contains(&tag) {
        findings
            .mistake(&place, format!("the tag `{tag}` is moved to every new version: an older one cannot be found by it"))
            .hint("give each version a tag of its own, like `v1.4.2`, or write `strategy: local` in `history`");
    } else if !fits(pattern, tag) {
        findings
            .mistake(&place, format!("the tag `{tag}` is none of the versions that `history.pattern` describes: `{pattern}`"))
            .hint("write a tag that fits, or another pattern");
    }
}
