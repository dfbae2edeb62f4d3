//! `secret_providers`, and references to what they hold.

use std::collections::BTreeMap;
use std::fmt;

use super::command_words;
use super::field::Field;
use super::findings::Findings;
use super::spelling::nearest;
use crate::secret::Secret;

/// Where secrets are kept; each has a program that reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    OnePassword,
    Sops,
    Bitwarden,
    BitwardenSm,
    LastPass,
    AwsSecretsManager,
    Gcp,
    Doppler,
    Passbolt,
    Enpass,
    Vault,
    Command,
}

/// What a provider needs to find a source's secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    OnePassword { account: Option<String>, vault: String, item: String },
    Sops { file: String, format: Option<SopsFormat> },
    Bitwarden { item: String },
    BitwardenSm { project: Option<String> },
    LastPass { item: String },
    AwsSecretsManager { secret: String, region: Option<String>, profile: Option<String> },
    Gcp { secret: String, project: Option<String>, version: Option<String>, account: Option<String> },
    Doppler { project: Option<String>, config: Option<String> },
    Passbolt { resource: String },
    Enpass { vault: String, item: String },
    Vault { path: String, mount: Option<String>, address: Option<String>, namespace: Option<String> },
    Command { run: Vec<String>, format: CommandFormat },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SopsFormat {
    Yaml,
    Json,
    Dotenv,
}

/// What a program prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CommandFormat {
    /// A JSON object when it is one, else a single secret.
    #[default]
    Auto,
    Json,
    Dotenv,
    Text,
}

/// One source of one provider.
pub type SourceId = (Provider, String);

/// The sources of a file.
#[derive(Debug, Clone, Default)]
pub struct SecretProviders {
    sources: BTreeMap<SourceId, Source>,
}

/// One secret of one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    pub provider: Provider,
    pub source: String,
    /// None when the source is one secret.
    pub key: Option<String>,
}

/// What `from.secret` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    Provider(SecretRef),
    /// One of the server's own secrets.
    Server(String),
}

/// The secrets that were asked for.
#[derive(Debug, Default)]
pub struct FetchedSecrets(BTreeMap<SecretRef, Secret>);

impl FetchedSecrets {
    pub fn new(secrets: impl IntoIterator<Item = (SecretRef, Secret)>) -> Self {
        Self(secrets.into_iter().collect())
    }

    pub fn get(&self, reference: &SecretRef) -> Option<&Secret> {
        self.0.get(reference)
    }
}

impl Provider {
    const ALL: [(&'static str, Provider); 12] = [
        ("onepassword", Provider::OnePassword),
        ("sops", Provider::Sops),
        ("bitwarden", Provider::Bitwarden),
        ("bitwarden-sm", Provider::BitwardenSm),
        ("lastpass", Provider::LastPass),
        ("aws_secrets_manager", Provider::AwsSecretsManager),
        ("gcp", Provider::Gcp),
        ("doppler", Provider::Doppler),
        ("passbolt", Provider::Passbolt),
        ("enpass", Provider::Enpass),
        ("vault", Provider::Vault),
        ("command", Provider::Command),
    ];

    /// As it is written in files.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, provider)| *provider == self).map_or("", |(name, _)| name)
    }

    /// By its name or one that it had before.
    fn named(name: &str) -> Option<Self> {
        let today = match name {
            "1password" => "onepassword",
            "bitwarden_sm" | "bitwardenSm" => "bitwarden-sm",
            "gcp_secret_manager" | "gcpSecretManager" => "gcp",
            "awsSecretsManager" => "aws_secrets_manager",
            other => other,
        };
        Self::ALL.iter().find(|(name, _)| *name == today).map(|(_, provider)| *provider)
    }
}

impl SecretProviders {
    /// The key `secret_providers`.
    pub fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Self {
        let mut sources = BTreeMap::new();
        if !field.is_object() {
            findings.wrong_kind(field, "an object").hint("write a provider's name below it, like `onepassword:`");
            return Self::default();
        }
        for (name, sources_of) in field.entries() {
            let Some(provider) = Provider::named(name) else { continue };
            if !sources_of.is_object() {
                findings.wrong_kind(&sources_of, "an object").hint("write the name of a source below it, and behind that what it needs");
                continue;
            }
            for (name, source) in sources_of.entries() {
                if let Some(source) = read_source(provider, &source, findings) {
                    sources.insert((provider, name.to_owned()), source);
                }
            }
        }
        Self { sources }
    }

    pub fn source(&self, id: &SourceId) -> Option<&Source> {
        self.sources.get(id)
    }

    /// What a reference means: `provider:source:key`, `provider:source.key`, `provider:source`, or the name of one of
    /// the server's secrets, with `haloy:` before it or without.
    pub fn resolve(&self, reference: &str) -> Result<SecretOrigin, UnknownSecret> {
        let Some((provider, rest)) = reference.split_once(':') else { return server_secret(reference) };
        if provider == "haloy" {
            return server_secret(rest);
        }
        let Some(provider) = Provider::named(provider) else { return Err(UnknownSecret::Provider(provider.to_owned())) };
        let known = |source: &str| self.sources.contains_key(&(provider, source.to_owned()));
        // Names of sources may hold dots and colons: the cut is where a source is known.
        let cuts = rest.match_indices(':').chain(rest.match_indices('.')).map(|(at, _)| at);
        let mut parts = cuts.map(|at| (&rest[..at], Some(&rest[at + 1..]))).chain([(rest, None)]);
        let (source, key) = parts.find(|(source, _)| known(source)).ok_or_else(|| self.unknown_source(provider, rest))?;
        if key == Some("") {
            return Err(UnknownSecret::Key);
        }
        Ok(SecretOrigin::Provider(SecretRef { provider, source: source.to_owned(), key: key.map(str::to_owned) }))
    }

    fn unknown_source(&self, provider: Provider, rest: &str) -> UnknownSecret {
        let source = rest.split([':', '.']).next().unwrap_or_default().to_owned();
        let known = self.sources.keys().filter(|(of, _)| *of == provider).map(|(_, name)| name.clone()).collect();
        UnknownSecret::Source { provider, source, known }
    }
}

fn server_secret(name: &str) -> Result<SecretOrigin, UnknownSecret> {
    let valid = !name.is_empty() && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if valid { Ok(SecretOrigin::Server(name.to_owned())) } else { Err(UnknownSecret::Name) }
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownSecret {
    Provider(String),
    Source { provider: Provider, source: String, known: Vec<String> },
    Key,
    Name,
}

/// The value of `from.secret`.
pub fn read_reference(field: &Field<'_>, providers: &SecretProviders, findings: &mut Findings<'_>) -> Option<SecretOrigin> {
    let written = findings.text(field)?;
    match providers.resolve(written) {
        Ok(origin) => Some(origin),
        Err(unknown) => {
            let (message, hint) = unknown.explain();
            findings.mistake(field, message).hint(hint);
            None
        }
    }
}

impl UnknownSecret {
    fn explain(&self) -> (String, String) {
        match self {
            // It may be the secret itself, pasted here.
            Self::Provider(name) => {
                let meant = nearest(name, Provider::ALL.iter().map(|(name, _)| *name));
                let names = || Provider::ALL.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                let hint = meant.map_or_else(|| format!("the providers are {}", names()), |meant| format!("did you mean `{meant}:`?"));
                ("this reference does not begin with a secret provider".to_owned(), hint)
            }
            Self::Source { provider, known, .. } if known.is_empty() => {
                let name = provider.name();
                (
                    format!("`secret_providers` has no source of `{name}`"),
                    format!("write `secret_providers: {{{name}: {{NAME: …}}}}`, see `haloy config docs secret_providers.{name}`"),
                )
            }
            Self::Source { provider, source, known } => {
                let meant = nearest(source, known.iter().map(String::as_str)).map(|meant| format!("did you mean `{meant}`?"));
                let names = || known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                let hint = meant.unwrap_or_else(|| format!("the sources of `{}` are {}", provider.name(), names()));
                (format!("`secret_providers.{}` has no source of this name", provider.name()), hint)
            }
            Self::Key => ("this reference names no key".to_owned(), "write `provider:source.key`".to_owned()),
            Self::Name => (
                "this is neither a reference to a secret provider nor the name of a secret".to_owned(),
                "write `provider:source.key`, or a name of letters, digits, `_`, `-` and `.`".to_owned(),
            ),
        }
    }
}

/// As people write it today.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider.name(), self.source)?;
        self.key.iter().try_for_each(|key| write!(f, ":{key}"))
    }
}

fn read_source(provider: Provider, field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Source> {
    if !field.is_object() && !field.is_empty() {
        findings.wrong_kind(field, "an object").hint(format!("see `haloy config docs secret_providers.{}`", provider.name()));
        return None;
    }
    let mut parts = Parts { field, findings };
    Some(match provider {
        Provider::OnePassword => {
            let (account, vault, item) = (parts.optional("account"), parts.required("vault"), parts.required("item"));
            Source::OnePassword { account, vault: vault?, item: item? }
        }
        Provider::Sops => {
            let formats = [("yaml", SopsFormat::Yaml), ("json", SopsFormat::Json), ("dotenv", SopsFormat::Dotenv)];
            let (file, format) = (parts.required("file"), parts.choice("format", &formats));
            Source::Sops { file: file?, format }
        }
        Provider::Bitwarden => Source::Bitwarden { item: parts.required("item")? },
        Provider::BitwardenSm => Source::BitwardenSm { project: parts.optional("project") },
        Provider::LastPass => Source::LastPass { item: parts.required("item")? },
        Provider::AwsSecretsManager => {
            let (secret, region, profile) = (parts.required("secret"), parts.optional("region"), parts.optional("profile"));
            Source::AwsSecretsManager { secret: secret?, region, profile }
        }
        Provider::Gcp => {
            let (secret, project) = (parts.required("secret"), parts.optional("project"));
            let (version, account) = (parts.optional("version"), parts.optional("account"));
            Source::Gcp { secret: secret?, project, version, account }
        }
        Provider::Doppler => Source::Doppler { project: parts.optional("project"), config: parts.optional("config") },
        Provider::Passbolt => Source::Passbolt { resource: parts.required("resource")? },
        Provider::Enpass => {
            let (vault, item) = (parts.required("vault"), parts.required("item"));
            Source::Enpass { vault: vault?, item: item? }
        }
        Provider::Vault => {
            let (path, mount) = (parts.required("path"), parts.optional("mount"));
            let (address, namespace) = (parts.optional("address"), parts.optional("namespace"));
            Source::Vault { path: path?, mount, address, namespace }
        }
        Provider::Command => {
            let formats = [
                ("auto", CommandFormat::Auto),
                ("json", CommandFormat::Json),
                ("dotenv", CommandFormat::Dotenv),
                ("text", CommandFormat::Text),
            ];
            let (run, format) = (parts.words("run"), parts.choice("format", &formats));
            Source::Command { run: run?, format: format.unwrap_or_default() }
        }
    })
}

/// Reads the keys of one source.
struct Parts<'p, 'f, 'd> {
    field: &'p Field<'f>,
    findings: &'p mut Findings<'d>,
}

impl Parts<'_, '_, '_> {
    fn required(&mut self, key: &str) -> Option<String> {
        if self.field.get(key).is_none() {
            self.findings.missing(self.field, key, &format!("write `{key}: …`"));
        }
        self.optional(key)
    }

    fn optional(&mut self, key: &str) -> Option<String> {
        let field = self.field.get(key)?;
        self.findings.literal(&field).map(str::to_owned)
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&'static str, T)]) -> Option<T> {
        let field = self.field.get(key)?;
        self.findings.choice(&field, choices)
    }

    fn words(&mut self, key: &str) -> Option<Vec<String>> {
        match self.field.get(key) {
            Some(field) => command_words::read(&field, self.findings),
            None => {
                self.findings.missing(self.field, key, &format!("write `{key}: [\"program\", \"argument\"]`"));
                None
            }
        }
    }
}
