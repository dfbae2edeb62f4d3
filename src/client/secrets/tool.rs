//! The tools that read the providers: what they are called, where they are found, how one signs in.

use crate::config::secrets::Provider;

pub struct Tool {
    /// For people who wait.
    pub title: &'static str,
    /// What it is installed as; the first is its usual name. Empty when the configuration says it.
    pub names: &'static [&'static str],
    pub install: Option<&'static str>,
    /// What may help after it failed with these last words.
    pub sign_in: fn(&[String]) -> Option<&'static str>,
    /// What to look at when its output is not understood.
    pub format: &'static str,
}

const UPDATE: &str = "update the program; another one may be installed under its name";

impl Tool {
    pub fn of(provider: Provider) -> &'static Self {
        match provider {
            Provider::OnePassword => &Self {
                title: "1Password (op)",
                names: &["op"],
                install: Some("https://developer.1password.com/docs/cli"),
                sign_in: |_| Some("is it signed in? try `op whoami`, then `op signin`; in CI set OP_SERVICE_ACCOUNT_TOKEN"),
                format: UPDATE,
            },
            Provider::Sops => &Self {
                title: "sops",
                names: &["sops"],
                install: Some("https://getsops.io, version 3.9 or newer"),
                sign_in: |_| Some("is there a key for the file here? with age, set SOPS_AGE_KEY_FILE"),
                format: "the file may hold no keys and values; write its `format` if the ending does not say it",
            },
            Provider::Bitwarden => &Self {
                title: "Bitwarden (bw)",
                names: &["bw"],
                install: Some("https://bitwarden.com/help/cli"),
                sign_in: |words| match words.iter().any(|line| line.contains("not logged in")) {
                    true => Some("run `bw login`, then `export BW_SESSION=\"$(bw unlock --raw)\"`"),
                    false => Some("is it unlocked and up to date? run `export BW_SESSION=\"$(bw unlock --raw)\"` and `bw sync`"),
                },
                format: UPDATE,
            },
            Provider::BitwardenSm => &Self {
                title: "Bitwarden Secrets Manager (bws)",
                names: &["bws"],
                install: Some("https://bitwarden.com/help/secrets-manager-cli"),
                sign_in: |_| Some("is the access token of a machine account in BWS_ACCESS_TOKEN?"),
                format: UPDATE,
            },
            Provider::LastPass => &Self {
                title: "LastPass (lpass)",
                names: &["lpass"],
                install: Some("https://github.com/lastpass/lastpass-cli"),
                sign_in: |_| Some("is it signed in? try `lpass status`, then `lpass login EMAIL`"),
                format: "several entries may have this name: write the entry's id as `item`, `lpass ls` shows it",
            },
            Provider::AwsSecretsManager => &Self {
                title: "AWS Secrets Manager (aws)",
                names: &["aws"],
                install: Some("https://docs.aws.amazon.com/cli"),
                sign_in: |_| Some("is it signed in? try `aws sts get-caller-identity`, then `aws sso login` or `aws configure`"),
                format: "a secret that is not text cannot be read",
            },
            Provider::Gcp => &Self {
                title: "Google Cloud (gcloud)",
                names: &["gcloud"],
                install: Some("https://cloud.google.com/sdk/docs/install"),
                sign_in: |_| Some("is it signed in? try `gcloud auth list`, then `gcloud auth login`"),
                format: "a secret that is not text cannot be read",
            },
            Provider::Doppler => &Self {
                title: "Doppler (doppler)",
                names: &["doppler"],
                install: Some("https://docs.doppler.com/docs/install-cli"),
                sign_in: |_| Some("is it signed in? try `doppler me`, then `doppler login`; in CI set DOPPLER_TOKEN"),
                format: UPDATE,
            },
            Provider::Passbolt => &Self {
                title: "Passbolt (passbolt)",
                names: &["passbolt", "go-passbolt-cli"],
                install: Some("https://github.com/passbolt/go-passbolt-cli"),
                sign_in: |_| Some("is it configured? try `passbolt verify`, then `passbolt configure --help`"),
                format: UPDATE,
            },
            Provider::Enpass => &Self {
                title: "Enpass (enpass-cli)",
                names: &["enpass-cli", "enpasscli"],
                install: Some("https://github.com/hazcod/enpass-cli"),
                sign_in: |_| Some("is the vault's master password in MASTERPW?"),
                format: UPDATE,
            },
            Provider::Vault => &Self {
                title: "Vault (vault)",
                names: &["vault", "bao"],
                install: Some("https://developer.hashicorp.com/vault/install"),
                sign_in: |_| Some("is it signed in? try `vault token lookup`, then `vault login`"),
                format: UPDATE,
            },
            Provider::Command => &Self {
                title: "commands",
                names: &[],
                install: None,
                sign_in: |_| None,
                format: "write the `format` in which it prints: `json`, `dotenv` or `text`",
            },
        }
    }
}
