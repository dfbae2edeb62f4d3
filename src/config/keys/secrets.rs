//! Secret providers and what each needs to find a secret.

use super::{Key, Shape, choice, key, literal};

/// By provider; in each the user names sources.
pub const PROVIDERS: Shape = Shape::Object(&[&[
    provider("onepassword", &ONEPASSWORD, "1Password, with `op`: the fields of an item.")
        .former(&["1password"])
        .example("onepassword:\n  production-db:\n    vault: Production\n    item: Database"),
    provider("sops", &SOPS, "A file that `sops` decrypts; keys of nested values are joined with dots.")
        .example("sops:\n  production:\n    file: secrets.enc.yaml"),
    provider("bitwarden", &BITWARDEN, "Bitwarden, with `bw`: username, password and fields of an item.")
        .example("bitwarden:\n  registry:\n    item: Container registry"),
    provider("bitwarden-sm", &BITWARDEN_SM, "Bitwarden Secrets Manager, with `bws`: secrets by their names.")
        .former(&["bitwarden_sm"])
        .example("bitwarden-sm:\n  production:\n    project: 3b0e7c1e-8f0b-4c39-9d7a-2f1f0a5f9f11"),
    provider("lastpass", &LASTPASS, "LastPass, with `lpass`: username, password, url, note and fields of an entry.")
        .example("lastpass:\n  smtp:\n    item: Production/SMTP"),
    provider("aws_secrets_manager", &AWS, "AWS Secrets Manager, with `aws`: the keys of a secret that is JSON, or the secret itself.")
        .example("aws_secrets_manager:\n  shop:\n    secret: production/shop\n    region: eu-central-1"),
    provider("gcp", &GCP, "Google Cloud Secret Manager, with `gcloud`: the keys of a secret that is JSON, or the secret itself.")
        .former(&["gcp_secret_manager"])
        .example("gcp:\n  database:\n    project: my-project\n    secret: database-url"),
    provider("doppler", &DOPPLER, "Doppler, with `doppler`: the secrets of a config.")
        .example("doppler:\n  shop:\n    project: shop\n    config: prd"),
    provider("passbolt", &PASSBOLT, "Passbolt, with `passbolt`: username, password, uri and description of a resource.")
        .example("passbolt:\n  database:\n    resource: 9a2c7c0e-2f5b-4a53-9d0a-0f0e5d8f4a10"),
    provider("enpass", &ENPASS, "Enpass, with `enpass-cli`: the fields of an item.")
        .example("enpass:\n  database:\n    vault: /home/you/Enpass/primary\n    item: Database"),
    provider("vault", &VAULT, "HashiCorp Vault or OpenBao, with `vault`: the keys of a secret.")
        .example("vault:\n  shop:\n    mount: secret\n    path: shop/production"),
    provider("command", &COMMAND, "Any program: it prints a JSON object whose keys are the secrets, or one secret.")
        .example("command:\n  pass:\n    run: [\"pass\", \"show\", \"shop/production\"]"),
]]);

const fn provider(name: &'static str, source: &'static Shape, about: &'static str) -> Key {
    key(name, Shape::Names(source), about)
}

const ONEPASSWORD: Shape = Shape::Object(&[&[
    literal("account", "The account, when there are several.").example("account: my-team"),
    literal("vault", "The vault.").required().example("vault: Production"),
    literal("item", "The item whose fields are the secrets.").required().example("item: Database"),
]]);

const SOPS: Shape = Shape::Object(&[&[
    literal("file", "The encrypted file, relative to this one.").required().example("file: secrets.enc.yaml"),
    choice("format", &["yaml", "json", "dotenv"], "Its format.").default("after the file's ending").example("format: yaml"),
]]);

const BITWARDEN: Shape = Shape::Object(&[&[literal("item", "The item's name or id.").required().example("item: Container registry")]]);

const BITWARDEN_SM: Shape = Shape::Object(&[&[literal("project", "The project's id.")
    .default("all secrets that the access token can see")
    .example("project: 3b0e7c1e-8f0b-4c39-9d7a-2f1f0a5f9f11")]]);

const LASTPASS: Shape =
    Shape::Object(&[&[literal("item", "The entry's name, with its folder, or its id.").required().example("item: Production/SMTP")]]);

const AWS: Shape = Shape::Object(&[&[
    literal("secret", "The secret's name or ARN.").required().example("secret: production/shop"),
    literal("region", "The region.").default("the profile's").example("region: eu-central-1"),
    literal("profile", "The profile of the AWS CLI.").default("the default one").example("profile: production"),
]]);

const GCP: Shape = Shape::Object(&[&[
    literal("secret", "The secret's name.").required().example("secret: database-url"),
    literal("project", "The project.").default("gcloud's own").example("project: my-project"),
    literal("version", "The version.").default("latest").example("version: \"3\""),
    literal("account", "The account of gcloud.").default("the active one").example("account: deploy@my-project.iam.gserviceaccount.com"),
]]);

const DOPPLER: Shape = Shape::Object(&[&[
    literal("project", "The project.").default("the token's").example("project: shop"),
    literal("config", "The config.").default("the token's").example("config: prd"),
]]);

const PASSBOLT: Shape =
    Shape::Object(&[&[literal("resource", "The resource's id.").required().example("resource: 9a2c7c0e-2f5b-4a53-9d0a-0f0e5d8f4a10")]]);

const ENPASS: Shape = Shape::Object(&[&[
    literal("vault", "The vault's directory.").required().example("vault: /home/you/Enpass/primary"),
    literal("item", "The item's title.").required().example("item: Database"),
]]);

const VAULT: Shape = Shape::Object(&[&[
    literal("path", "The secret's path below its mount.").required().example("path: shop/production"),
    literal("mount", "The mount of the key-value engine.").example("mount: secret"),
    literal("address", "The server.").default("the variable VAULT_ADDR").example("address: https://vault.example.com:8200"),
    literal("namespace", "The namespace.").default("the variable VAULT_NAMESPACE").example("namespace: team"),
]]);

const COMMAND: Shape = Shape::Object(&[&[
    key("run", super::target::WORDS, "The program and its arguments, one word each; no shell runs. It runs in the directory of this file.")
        .required()
        .example("run: [\"pass\", \"show\", \"shop/production\"]"),
    choice(
        "format",
        &["auto", "json", "dotenv", "text"],
        "What it prints: `auto` takes a JSON object as one and everything else as a single secret.",
    )
    .default("auto")
    .example("format: json"),
]]);
