//! What is run for a source, word by word, and how its output is read.

use crate::config::secrets::{CommandFormat, Provider, Source};

use super::document::{self, Contents};
use super::error::{Problem, Unreadable};
use super::program::Invocation;
use super::tool::Tool;
use super::{bitwarden, cloud, enpass, lastpass, onepassword, sops, vault};

/// The program and its arguments. Nothing secret is ever among them: they are visible to every user of the machine.
pub fn invocation(provider: Provider, source: &Source) -> Result<Invocation, Problem> {
    if let Source::Command { run, .. } = source {
        let (program, arguments) = run.split_first().ok_or(Problem::Undefined)?;
        return Ok(Invocation { names: vec![program.clone()], arguments: arguments.to_vec() });
    }
    let names = Tool::of(provider).names.iter().map(|name| (*name).to_owned()).collect();
    Ok(Invocation { names, arguments: arguments(source)? })
}

fn arguments(source: &Source) -> Result<Vec<String>, Problem> {
    let words = |words: &[&str]| Words(words.iter().map(|word| (*word).to_owned()).collect());
    let words = match source {
        Source::OnePassword { account, vault, item } => {
            words(&["item", "get", item, "--vault", vault, "--format", "json"]).option("--account", account)
        }
        Source::Sops { file, format } => sops::arguments(file, *format).map(Words)?,
        Source::Bitwarden { item } => words(&["get", "item", item, "--nointeraction"]),
        Source::BitwardenSm { project } => {
            let mut words = words(&["secret", "list"]);
            words.0.extend(project.clone());
            words.0.extend(["--output".to_owned(), "json".to_owned()]);
            words
        }
        Source::LastPass { item } => words(&["show", "--json", item]),
        Source::AwsSecretsManager { secret, region, profile } => {
            let words = words(&["secretsmanager", "get-secret-value", "--secret-id", secret, "--output", "json"]);
            words.option("--region", region).option("--profile", profile)
        }
        Source::Gcp { secret, project, version, account } => {
            let version = version.as_deref().unwrap_or("latest");
            let words = words(&["secrets", "versions", "access", version, &format!("--secret={secret}")]);
            words.joined("--project", project).joined("--account", account)
        }
        Source::Doppler { project, config } => {
            let words = words(&["secrets", "download", "--no-file", "--format", "json"]);
            words.option("--project", project).option("--config", config)
        }
        Source::Passbolt { resource } => words(&["get", "resource", "--id", resource, "--json"]),
        Source::Enpass { vault, item } => words(&["-json", &format!("-vault={vault}"), "show", item]),
        Source::Vault { path, mount, address, namespace } => {
            let words = words(&["kv", "get", "-format=json"]);
            let mut words = words.joined("-mount", mount).joined("-address", address).joined("-namespace", namespace);
            words.0.push(path.clone());
            words
        }
        Source::Command { run, .. } => Words(run.clone()),
    };
    Ok(words.0)
}

struct Words(Vec<String>);

impl Words {
    /// `--name value`
    fn option(mut self, name: &str, value: &Option<String>) -> Self {
        self.0.extend(value.iter().flat_map(|value| [name.to_owned(), value.clone()]));
        self
    }

    /// `--name=value`
    fn joined(mut self, name: &str, value: &Option<String>) -> Self {
        self.0.extend(value.iter().map(|value| format!("{name}={value}")));
        self
    }
}

/// The secrets in what the program printed.
pub fn contents(provider: Provider, source: &Source, output: &[u8]) -> Result<Contents, Problem> {
    let contents = match source {
        Source::OnePassword { .. } => onepassword::read(output),
        Source::Sops { file, format } => sops::read(output, sops::format_of(file, *format)),
        Source::Bitwarden { .. } => bitwarden::item(output),
        Source::BitwardenSm { .. } => bitwarden::secrets(output),
        Source::LastPass { .. } => lastpass::read(output),
        Source::AwsSecretsManager { .. } => cloud::aws(output),
        Source::Gcp { .. } => cloud::gcp(output),
        Source::Doppler { .. } | Source::Passbolt { .. } => document::object(output).map(Contents::keys),
        Source::Enpass { item, .. } => enpass::read(output, item),
        Source::Vault { .. } => vault::read(output),
        Source::Command { format, .. } => command(output, *format),
    };
    let program = || match source {
        Source::Command { run, .. } => run.first().cloned().unwrap_or_default(),
        _ => Tool::of(provider).names.first().copied().unwrap_or_default().to_owned(),
    };
    contents.map_err(|reason| Problem::Output { program: program(), reason })
}

fn command(output: &[u8], format: CommandFormat) -> Result<Contents, Unreadable> {
    match format {
        CommandFormat::Auto => document::object(output).map(Contents::keys).or_else(|_| document::text(output).map(Contents::one)),
        CommandFormat::Json => document::json(output).map(|value| match value.text() {
            Some(text) => Contents::one(text.clone()),
            None => Contents::keys(value),
        }),
        CommandFormat::Dotenv => document::variables(output).map(Contents::keys),
        CommandFormat::Text => document::text(output).map(Contents::one),
    }
}
