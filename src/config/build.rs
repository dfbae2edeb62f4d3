//! How an image is built: `image.build_config`, and `source.dockerfile` of the first generation.

use super::env::EnvEntry;
use super::field::Field;
use super::findings::Findings;
use super::object::Object;
use super::secrets::SecretProviders;
use super::source::Site;
use super::value::{self, SourcedValue};
use crate::names::is_env_name;

/// What is written about a build, nothing of it looked up or looked at yet.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// Straight to the server that runs it.
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
        for entry in env.iter().filter(|entry| entry.build_arg) {
            if !self.args.iter().any(|arg| arg.name == entry.name) {
                self.args.push(BuildArg { name: entry.name.clone(), value: ArgValue::Variable });
            }
        }
    }
}

/// The keys of `build_config`, before it is known what the image's other keys make of them.
#[derive(Default)]
pub struct Written {
    context: Option<BuildPath>,
    dockerfile: Option<BuildPath>,
    platform: Option<String>,
    args: Vec<BuildArg>,
    push: Option<Push>,
    target: Option<String>,
    cache_from: Vec<String>,
    cache_to: Vec<String>,
    ssh: Vec<String>,
    flags: Vec<String>,
    on: Option<BuildsOn>,
}

/// The key `build_config`.
pub fn read(field: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<Written> {
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `build_config: {context: .}`, or `build: true` alone");
        return None;
    }
    let mut config = Object::new(field, findings);
    Some(Written {
        context: config.read("context", read_path),
        dockerfile: config.read("dockerfile", read_path),
        platform: config.read("platform", read_platform),
        args: config.all("args", |args, findings| read_args(args, providers, findings)),
        push: config.choice("push", &[("server", Push::Server), ("registry", Push::Registry)]),
        target: config.literal("target"),
        cache_from: config.literals("cache_from"),
        cache_to: config.literals("cache_to"),
        ssh: config.literals("ssh"),
        flags: config.literals("flags"),
        on: config.choice("on", &[("client", BuildsOn::Client), ("server", BuildsOn::Server)]),
    })
}

/// `source.dockerfile` of the first generation.
pub fn read_dockerfile(field: Option<&Field<'_>>, findings: &mut Findings<'_>) -> Option<Written> {
    let field = field?;
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `image: {build_config: {dockerfile: …}}` in its place");
        return None;
    }
    let mut dockerfile = Object::new(field, findings);
    let (context, path) = (dockerfile.read("build_context", read_path), dockerfile.read("path", read_path));
    let args = dockerfile.all("build_args", |args, findings| {
        if !args.is_object() {
            findings.wrong_kind(args, "an object").hint("write `NAME: value` below it");
        }
        args.entries().iter().filter_map(|(name, value)| read_named_arg(name, value, findings)).collect()
    });
    Some(Written { context, dockerfile: path, args, ..Written::default() })
}

/// A build with its last word on where the image goes. `object` holds the key that a mistake points at.
pub fn decide(written: Option<Written>, has_registry: bool, object: &Field<'_>, findings: &mut Findings<'_>) -> Option<Build> {
    let written = written?;
    if let (Some(Push::Registry), false) = (written.push, has_registry)
        && let Some(push) = object.get("build_config").and_then(|config| config.get("push"))
    {
        findings
            .mistake(&push, "the image cannot be pushed to its registry: `image.registry` does not say how to log in")
            .hint("write `registry:` with `username` and `password` below `image`, or `push: server`");
    }
    let push = written.push.unwrap_or(if has_registry { Push::Registry } else { Push::Server });
    Some(Build {
        context: written.context,
        dockerfile: written.dockerfile,
        platform: written.platform,
        args: written.args,
        push,
        target: written.target,
        cache_from: written.cache_from,
        cache_to: written.cache_to,
        ssh: written.ssh,
        flags: written.flags,
        on: written.on.unwrap_or_default(),
    })
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
    for item in findings.list(field) {
        let Some(arg) = read_arg(&item, providers, findings) else { continue };
        if args.iter().any(|other| other.name == arg.name) {
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

fn read_named_arg(name: &str, field: &Field<'_>, findings: &mut Findings<'_>) -> Option<BuildArg> {
    if !is_env_name(name) {
        findings.mistake(field, "the argument's name is not valid: it has letters, digits and `_`, and does not begin with a digit");
        return None;
    }
    let value = value::read_written(field, findings)?;
    Some(BuildArg { name: name.to_owned(), value: ArgValue::Sourced(value) })
}
