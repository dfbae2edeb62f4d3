//! How an image is built: `image.build_config`, and `source.dockerfile` of the first generation.

use std::collections::BTreeSet;

use super::env::EnvEntry;
use super::field::Field;
use super::findings::Findings;
use super::object::Object;
use super::secrets::SecretProviders;
use super::source::Site;
use super::value::{self, SourcedValue};
use crate::names::is_env_name;

/// What is written about a build, nothing of it looked up or looked at yet.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// The directory that the build sees; the one of the configuration file when absent.
    pub context: Option<BuildPath>,
    /// `Dockerfile` in the context when absent.
    pub dockerfile: Option<BuildPath>,
    /// As `docker build` takes it: `linux/amd64`. The server's when absent.
    pub platform: Option<String>,
    /// Names are unique.
    pub args: Vec<BuildArg>,
    pub push: Push,
    /// The stage; the last when absent.
    pub target: Option<String>,
    pub cache_from: Vec<String>,
    pub cache_to: Vec<String>,
    pub ssh: Vec<String>,
    /// More arguments, one word each.
    pub flags: Vec<String>,
    pub on: BuildsOn,
}

/// A path as it is written: relative to the configuration file.
#[derive(Debug, Clone)]
pub struct BuildPath {
    pub path: String,
    pub site: Site,
}

#[derive(Debug, Clone)]
pub struct BuildArg {
    pub name: String,
    pub value: ArgValue,
}

#[derive(Debug, Clone)]
pub enum ArgValue {
    Sourced(SourcedValue),
    /// The value of the entry of `env` of the same name.
    Variable,
}

/// Where a built image goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Push {
    /// Straight to the server that runs it.
    #[default]
    Server,
    /// To the image's registry.
    Registry,
}

/// Which machine builds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BuildsOn {
    #[default]
    Client,
    Server,
}

impl Build {
    /// The directory that the build sees, as it is written.
    pub fn context(&self) -> &str {
        self.context.as_ref().map_or(".", |context| context.path.as_str())
    }

    /// Entries of `env` that are build arguments, too. An argument of the same name wins.
    pub(super) fn add_variables(&mut self, env: &[EnvEntry]) {
        let given: BTreeSet<String> = self.args.iter().map(|arg| arg.name.clone()).collect();
        let more = env.iter().filter(|entry| entry.build_arg && !given.contains(&entry.name));
        self.args.extend(more.map(|entry| BuildArg { name: entry.name.clone(), value: ArgValue::Variable }));
    }
}

/// `build_config`, before it is known what the image's other keys make of it.
#[derive(Default)]
pub struct Written {
    build: Build,
    push: Option<Push>,
}

/// The key `build_config`.
pub fn read(field: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<Written> {
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `build_config: {context: .}`, or `build: true` alone");
        return None;
    }
    let mut config = Object::new(field, findings);
    let push = config.choice("push", &[("server", Push::Server), ("registry", Push::Registry)]);
    let build = Build {
        context: config.read("context", read_path),
        dockerfile: config.read("dockerfile", read_path),
        platform: config.read("platform", read_platform),
        args: config.all("args", |args, findings| read_args(args, providers, findings)),
        push: Push::default(),
        target: config.literal("target"),
        cache_from: config.literals("cache_from"),
        cache_to: config.literals("cache_to"),
        ssh: config.literals("ssh"),
        flags: config.literals("flags"),
        on: config.choice("on", &[("client", BuildsOn::Client), ("server", BuildsOn::Server)]).unwrap_or_default(),
    };
    Some(Written { build, push })
}

impl Written {
    /// A build with its last word on where the image goes. `image` is the object that all of it belongs to.
    pub fn decide(self, has_registry: bool, image: &Field<'_>, findings: &mut Findings<'_>) -> Build {
        // The login may stand in the targets.
        if let (Some(Push::Registry), false, false) = (self.push, has_registry, findings.is_partial())
            && let Some(push) = image.get("build_config").and_then(|config| config.get("push"))
        {
            findings
                .mistake(&push, "the image cannot be pushed to its registry: `image.registry` does not say how to log in")
                .hint("write `registry:` with `username` and `password` below `image`, or `push: server`");
        }
        if let (Some(Push::Registry), BuildsOn::Server) = (self.push, self.build.on)
            && let Some(push) = image.get("build_config").and_then(|config| config.get("push"))
        {
            findings
                .mistake(&push, "what the server builds stays there: it is not pushed to a registry")
                .hint("leave `push` out, or build where Docker is with `on: client`");
        }
        let push = if has_registry && self.build.on == BuildsOn::Client { Push::Registry } else { Push::Server };
        Build { push: self.push.unwrap_or(push), ..self.build }
    }
}

fn read_path(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<BuildPath> {
    let path = findings.word(field)?.to_owned();
    Some(BuildPath { path, site: findings.site(field) })
}

fn read_platform(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let platform = findings.word(field)?;
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if platform.split('/').count() > 3 || !platform.split('/').all(is_part) {
        let found = findings.quoted(field, platform);
        findings.mistake(field, format!("{found} is not one platform")).hint("write it like `linux/amd64` or `linux/arm64`");
        return None;
    }
    Some(platform.to_owned())
}

fn read_args(field: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Vec<BuildArg> {
    if field.is_object() {
        findings.wrong_kind(field, "a list").hint("write each argument as `- name: NAME` with `value: …` below it");
        return Vec::new();
    }
    let mut args: Vec<BuildArg> = Vec::new();
    let mut seen = BTreeSet::new();
    for item in findings.list(field) {
        let Some(arg) = read_arg(&item, providers, findings) else { continue };
        if !seen.insert(arg.name.clone()) {
            findings.mistake(&item, "this build argument is given twice").hint("keep one of them");
            continue;
        }
        args.push(arg);
    }
    args
}

/// An object, or a name by itself.
fn read_arg(item: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<BuildArg> {
    if !item.is_object() {
        let name = findings.text(item)?;
        if !is_env_name(name) {
            findings
                .mistake(item, format!("`{}` is not an argument's name", item.path))
                .hint("write `- name: NAME` with `value: …` below it");
            return None;
        }
        let value = value::read_variable(item, findings)?;
        return Some(BuildArg { name: name.to_owned(), value: ArgValue::Sourced(value) });
    }
    let Some(name) = item.get("name") else {
        findings.missing(item, "name", "write `name: NAME`");
        return None;
    };
    let value = match value::read_keys(item, providers, findings)? {
        Some(value) => value,
        None => value::read_variable(&name, findings)?,
    };
    Some(BuildArg { name: read_arg_name(&name, findings)?, value: ArgValue::Sourced(value) })
}

fn read_arg_name(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let name = findings.text(field)?;
    if !is_env_name(name) {
        findings.mistake(field, "the argument's name is not valid: it has letters, digits and `_`, and does not begin with a digit");
        return None;
    }
    Some(name.to_owned())
}
