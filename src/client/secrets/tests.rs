//! Every provider against a fake of its program: the exact arguments, the real format of what it prints, and what
//! people read when it goes wrong (`failures`).

mod failures;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::config::secrets::{SecretOrigin, SecretProviders};
use crate::error::{FAILED, MISUSE, Report as _, chain, render};

use super::*;

/// Long enough for everything that ends by itself.
const DEADLINE: Duration = Duration::from_secs(30);

/// A project with its configuration, and a directory of fake programs.
struct Fakes {
    project: tempfile::TempDir,
    programs: tempfile::TempDir,
    providers: SecretProviders,
    time_limit: Duration,
}

/// What a fake program prints and ends with, and what runs before that.
#[derive(Default, Clone, Copy)]
struct Fake<'a> {
    stdout: &'a str,
    stderr: &'a str,
    code: u8,
    script: &'a str,
}

impl Fakes {
    fn new(secret_providers: &str) -> Self {
        let project = tempfile::tempdir().expect("temporary directory");
        let file = project.path().join("haloy.yaml");
        let text = format!("name: shop\nserver: example.com\nimage: nginx:1.27\nsecret_providers:\n{secret_providers}");
        std::fs::write(&file, text).expect("write");
        let config = crate::config::load(&file).unwrap_or_else(|error| panic!("{}", render(&error)));
        let programs = tempfile::tempdir().expect("temporary directory");
        Self { project, programs, providers: config.secret_providers, time_limit: DEADLINE }
    }

    fn prints(self, program: &str, stdout: &str) -> Self {
        self.has(program, Fake { stdout, ..Fake::default() })
    }

    fn has(self, program: &str, fake: Fake<'_>) -> Self {
        std::fs::write(self.file(program, "stdout"), fake.stdout).expect("write");
        std::fs::write(self.file(program, "stderr"), fake.stderr).expect("write");
        let Fake { script, code, .. } = fake;
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$0.arguments\"\necho run >> \"$0.runs\"\npwd > \"$0.folder\"\n{script}\n\
             cat \"$0.stderr\" >&2\ncat \"$0.stdout\"\nexit {code}\n"
        );
        write_program(&self.programs.path().join(program), &text);
        self
    }

    fn file(&self, program: &str, what: &str) -> std::path::PathBuf {
        self.programs.path().join(format!("{program}.{what}"))
    }

    /// What a program recorded, line by line.
    #[track_caller]
    fn recorded(&self, program: &str, what: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.file(program, what)).unwrap_or_else(|_| panic!("`{program}` did not run"));
        text.lines().map(str::to_owned).collect()
    }

    async fn fetch(&self, references: &[&str]) -> Result<Vec<String>, SecretError> {
        let references: Vec<SecretRef> = references.iter().map(|reference| self.reference(reference)).collect();
        let path = std::env::join_paths([self.programs.path(), Path::new("/usr/bin"), Path::new("/bin")]).expect("paths");
        let fetch = Fetch {
            programs: Programs { path, variables: Vec::new(), time_limit: self.time_limit },
            providers: &self.providers,
            folder: self.project.path(),
            terminal: Terminal { progress: false, interactive: false, colour: false },
        };
        let secrets = fetch.all(&references.iter().cloned().collect::<BTreeSet<_>>()).await?;
        assert!(!format!("{secrets:?}").contains("hunter"));
        Ok(references.iter().map(|reference| secrets.get(reference).expect("fetched").expose().to_owned()).collect())
    }

    #[track_caller]
    fn reference(&self, text: &str) -> SecretRef {
        match self.providers.resolve(text) {
            Ok(SecretOrigin::Provider(reference)) => reference,
            other => panic!("{text}: {other:?}"),
        }
    }
}

/// Written by another process: while this one forks for a test beside, its own open files cannot be run.
fn write_program(path: &Path, text: &str) {
    let mut shell = std::process::Command::new("/bin/sh");
    let mut shell = shell.args(["-c", "cat > \"$0\" && chmod +x \"$0\""]).arg(path).stdin(Stdio::piped()).spawn().expect("a shell");
    shell.stdin.take().expect("piped").write_all(text.as_bytes()).expect("write");
    assert!(shell.wait().expect("wait").success());
}

/// One provider whose program ran once with exactly `arguments`, and the values of some references.
#[track_caller]
fn reads(fakes: &Fakes, program: &str, arguments: &[&str], expected: &[(&str, &str)]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let references: Vec<&str> = expected.iter().map(|(reference, _)| *reference).collect();
    let found = runtime.block_on(fakes.fetch(&references)).unwrap_or_else(|error| panic!("{}", render(&error)));
    let expected: Vec<&str> = expected.iter().map(|(_, value)| *value).collect();
    assert_eq!(found, expected);
    assert_eq!(fakes.recorded(program, "arguments"), arguments);
    assert_eq!(fakes.recorded(program, "runs").len(), 1, "each source is read once");
}

const ONEPASSWORD: &str = "  onepassword:\n    db:\n      vault: Production\n      item: Shop Database\n";

const OP_ITEM: &str = r#"{
  "id": "6tlhxa3u2bbmq3kzh2vqyxqwzy", "title": "Shop Database", "version": 3,
  "vault": { "id": "4ddfz", "name": "Production" }, "category": "LOGIN",
  "sections": [ { "id": "add more" }, { "id": "s1", "label": "Replica" } ],
  "fields": [
    { "id": "password", "section": { "id": "s1", "label": "Replica" }, "type": "CONCEALED", "label": "password", "value": "hunter4" },
    { "id": "username", "type": "STRING", "purpose": "USERNAME", "label": "username", "value": "shop", "reference": "op://P/S/username" },
    { "id": "password", "type": "CONCEALED", "purpose": "PASSWORD", "label": "password", "value": "hunter2 \"ä\"\n" },
    { "id": "notesPlain", "type": "STRING", "purpose": "NOTES", "label": "notesPlain" },
    { "id": "x1", "section": { "id": "add more" }, "type": "CONCEALED", "label": "api-key", "value": "hunter3" }
  ]
}"#;

#[test]
fn onepassword() {
    let fakes = Fakes::new(ONEPASSWORD).prints("op", OP_ITEM);
    let arguments = ["item", "get", "Shop Database", "--vault", "Production", "--format", "json"];
    let expected = [
        ("onepassword:db.username", "shop"),
        ("1password:db:password", "hunter2 \"ä\"\n"),
        ("onepassword:db.Replica.password", "hunter4"),
        ("onepassword:db.api-key", "hunter3"),
        ("onepassword:db.notesPlain", ""),
    ];
    reads(&fakes, "op", &arguments, &expected);
    assert_eq!(Path::new(&fakes.recorded("op", "folder")[0]), fakes.project.path().canonicalize().expect("there"));

    let fakes = Fakes::new(&format!("{ONEPASSWORD}      account: my-team\n")).prints("op", OP_ITEM);
    let arguments = ["item", "get", "Shop Database", "--vault", "Production", "--format", "json", "--account", "my-team"];
    reads(&fakes, "op", &arguments, &[("onepassword:db.username", "shop")]);
}

#[test]
fn sops() {
    let output = "{\n\t\"database\": {\n\t\t\"password\": \"hunter2\",\n\t\t\"ports\": [5432, 5433]\n\t},\n\t\"debug\": false,\n\t\"rate\": 1.5,\n\t\"none\": null\n}\n";
    let fakes = Fakes::new("  sops:\n    live:\n      file: deploy/secrets.enc.yaml\n").prints("sops", output);
    let expected = [
        ("sops:live.database.password", "hunter2"),
        ("sops:live:database.ports.1", "5433"),
        ("sops:live.debug", "false"),
        ("sops:live.rate", "1.5"),
        ("sops:live.none", ""),
    ];
    reads(&fakes, "sops", &["decrypt", "--output-type", "json", "deploy/secrets.enc.yaml"], &expected);

    let output = r#"{"A": "\"hunter2 # 3\"", "B": "hunter$x", "C": "two\nlines"}"#;
    for (yaml, arguments) in [
        ("file: .env", vec!["decrypt", "--output-type", "json", ".env"]),
        ("file: -x.live\n      format: dotenv", vec!["decrypt", "--input-type", "dotenv", "--output-type", "json", "./-x.live"]),
    ] {
        let fakes = Fakes::new(&format!("  sops:\n    live:\n      {yaml}\n")).prints("sops", output);
        let expected = [("sops:live.A", "hunter2 # 3"), ("sops:live.B", "hunter$x"), ("sops:live.C", "two\nlines")];
        reads(&fakes, "sops", &arguments, &expected);
    }
}

#[test]
fn bitwarden() {
    let item = r#"{"object":"item","id":"f9d6","organizationId":null,"folderId":null,"type":1,"reprompt":0,"name":"Registry","notes":"hunter note",
        "favorite":false,"fields":[{"name":"token","value":"hunter3","type":1,"linkedId":null},{"name":"password","value":"shadowed","type":1},
        {"name":"empty","value":null,"type":0}],"login":{"uris":[{"match":null,"uri":"https://ghcr.io"}],"username":"ada","password":"hunter2",
        "totp":null,"passwordRevisionDate":null},"collectionIds":[],"passwordHistory":null}"#;
    let fakes = Fakes::new("  bitwarden:\n    registry:\n      item: Registry\n").prints("bw", item);
    let expected = [
        ("bitwarden:registry.username", "ada"),
        ("bitwarden:registry.password", "hunter2"),
        ("bitwarden:registry.token", "hunter3"),
        ("bitwarden:registry.empty", ""),
        ("bitwarden:registry.uri", "https://ghcr.io"),
        ("bitwarden:registry.notes", "hunter note"),
    ];
    reads(&fakes, "bw", &["get", "item", "Registry", "--nointeraction"], &expected);
}

#[test]
fn bitwarden_secrets_manager() {
    let list = r#"[
      { "object": "secret", "id": "be8e0ad8", "organizationId": "d4", "projectId": "e3", "key": "DB_PASSWORD", "value": "hunter2", "note": "" },
      { "object": "secret", "id": "be8e0ad9", "organizationId": "d4", "projectId": "e3", "key": "api.key", "value": "hunter3", "note": "" } ]"#;
    let expected = [("bitwarden-sm:live.DB_PASSWORD", "hunter2"), ("bitwarden_sm:live:api.key", "hunter3")];
    let fakes = Fakes::new("  bitwarden-sm:\n    live:\n      project: 3b0e7c1e\n").prints("bws", list);
    reads(&fakes, "bws", &["secret", "list", "3b0e7c1e", "--output", "json"], &expected);
    let fakes = Fakes::new("  bitwarden_sm:\n    live: {}\n").prints("bws", list);
    reads(&fakes, "bws", &["secret", "list", "--output", "json"], &expected);
}

#[test]
fn lastpass() {
    let list = r#"[
      {
        "id": "1234567890",
        "name": "SMTP",
        "fullname": "Production/SMTP",
        "username": "mailer",
        "password": "hunter2",
        "last_modified_gmt": "1611339000",
        "last_touch": "0",
        "group": "Production",
        "url": "http://sn",
        "note": "NoteType:SSH Key\nBit Strength:4096\nPrivate Key:-----BEGIN\nProc-Type: 4,ENCRYPTED\n\nhunter3\n-----END\nHostname:a:22\nNotes:one: two\nthree" 
      }
    ]"#;
    let fakes = Fakes::new("  lastpass:\n    smtp:\n      item: Production/SMTP\n").prints("lpass", list);
    let expected = [
        ("lastpass:smtp.username", "mailer"),
        ("lastpass:smtp.password", "hunter2"),
        ("lastpass:smtp.url", "http://sn"),
        ("lastpass:smtp.Private Key", "-----BEGIN\nProc-Type: 4,ENCRYPTED\n\nhunter3\n-----END"),
        ("lastpass:smtp.Hostname", "a:22"),
        ("lastpass:smtp.Notes", "one: two\nthree"),
    ];
    reads(&fakes, "lpass", &["show", "--json", "Production/SMTP"], &expected);

    let own = r#"[{"id": "1", "name": "SMTP", "note": "NoteType:Our Form\nRelay:a:25\nRelay Key:hunter2"}]"#;
    let fakes = Fakes::new("  lastpass:\n    smtp:\n      item: SMTP\n").prints("lpass", own);
    let expected = [("lastpass:smtp.Relay", "a:25"), ("lastpass:smtp.Relay Key", "hunter2")];
    reads(&fakes, "lpass", &["show", "--json", "SMTP"], &expected);
}

#[test]
fn aws_secrets_manager() {
    let answer = r#"{
    "ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:production/shop-a1b2c3", "Name": "production/shop",
    "VersionId": "EXAMPLE1", "SecretString": "{\"password\":\"hunter2\",\"port\":5432,\"replica\":{\"password\":\"hunter3\"}}",
    "VersionStages": ["AWSCURRENT"], "CreatedDate": 1523477145.713 }"#;
    let fakes =
        Fakes::new("  aws_secrets_manager:\n    shop:\n      secret: production/shop\n      region: eu-central-1\n      profile: live\n");
    let arguments = [
        "secretsmanager",
        "get-secret-value",
        "--secret-id",
        "production/shop",
        "--output",
        "json",
        "--region",
        "eu-central-1",
        "--profile",
        "live",
    ];
    let expected = [
        ("aws_secrets_manager:shop.password", "hunter2"),
        ("aws_secrets_manager:shop.port", "5432"),
        ("aws_secrets_manager:shop.replica.password", "hunter3"),
        ("aws_secrets_manager:shop", "{\"password\":\"hunter2\",\"port\":5432,\"replica\":{\"password\":\"hunter3\"}}"),
    ];
    reads(&fakes.prints("aws", answer), "aws", &arguments, &expected);

    let fakes = Fakes::new("  aws_secrets_manager:\n    shop:\n      secret: s\n").prints("aws", r#"{"SecretString": "hunter2\n"}"#);
    let arguments = ["secretsmanager", "get-secret-value", "--secret-id", "s", "--output", "json"];
    reads(&fakes, "aws", &arguments, &[("aws_secrets_manager:shop", "hunter2\n")]);
}

#[test]
fn gcp() {
    let fakes = Fakes::new("  gcp:\n    url:\n      secret: database-url\n").prints("gcloud", "postgres://a:hunter2@db\n");
    reads(
        &fakes,
        "gcloud",
        &["secrets", "versions", "access", "latest", "--secret=database-url"],
        &[("gcp:url", "postgres://a:hunter2@db")],
    );

    let source = "    sa:\n      secret: sa\n      version: \"3\"\n      project: p\n      account: a@p.iam\n";
    let fakes = Fakes::new(&format!("  gcp:\n{source}")).prints("gcloud", "{\"private_key\": \"hunter2\"}");
    let arguments = ["secrets", "versions", "access", "3", "--secret=sa", "--project=p", "--account=a@p.iam"];
    let expected = [("gcp:sa.private_key", "hunter2"), ("gcp_secret_manager:sa", "{\"private_key\": \"hunter2\"}")];
    reads(&fakes, "gcloud", &arguments, &expected);
}

#[test]
fn doppler() {
    let output = r#"{"DOPPLER_CONFIG":"prd","DOPPLER_PROJECT":"shop","STRIPE_KEY":"hunter2"}"#;
    let fakes = Fakes::new("  doppler:\n    shop:\n      project: shop\n      config: prd\n").prints("doppler", output);
    let arguments = ["secrets", "download", "--no-file", "--format", "json", "--project", "shop", "--config", "prd"];
    reads(&fakes, "doppler", &arguments, &[("doppler:shop.STRIPE_KEY", "hunter2")]);
    let fakes = Fakes::new("  doppler:\n    shop: {}\n").prints("doppler", output);
    reads(&fakes, "doppler", &["secrets", "download", "--no-file", "--format", "json"], &[("doppler:shop:STRIPE_KEY", "hunter2")]);
}

#[test]
fn passbolt() {
    let output = "{\n  \"folder_parent_id\": \"\",\n  \"name\": \"DB\",\n  \"username\": \"shop\",\n  \"uri\": \"db:5432\",\n  \
                  \"password\": \"hunter2\",\n  \"description\": \"the \\\"db\\\"\"\n}\n";
    let expected = [
        ("passbolt:db.username", "shop"),
        ("passbolt:db.password", "hunter2"),
        ("passbolt:db.uri", "db:5432"),
        ("passbolt:db.description", "the \"db\""),
    ];
    for program in ["passbolt", "go-passbolt-cli"] {
        let fakes = Fakes::new("  passbolt:\n    db:\n      resource: 9a2c7c0e\n").prints(program, output);
        reads(&fakes, program, &["get", "resource", "--id", "9a2c7c0e", "--json"], &expected);
    }
}

#[test]
fn enpass() {
    let list = r#"[{"category":"login","label":"Password","login":"shop","password":"hunter2","title":"Database","type":"password"},
        {"category":"login","label":"replica","login":"shop","password":"hunter3","title":"Database","type":"password"},
        {"category":"login","label":"Password","login":"other","password":"wrong","title":"Old Database","type":"password"}]"#;
    let expected = [
        ("enpass:db.Password", "hunter2"),
        ("enpass:db.password", "hunter2"),
        ("enpass:db.replica", "hunter3"),
        ("enpass:db.username", "shop"),
    ];
    for program in ["enpass-cli", "enpasscli"] {
        let fakes = Fakes::new("  enpass:\n    db:\n      vault: /home/ada/Enpass/primary\n      item: Database\n").prints(program, list);
        reads(&fakes, program, &["-json", "-vault=/home/ada/Enpass/primary", "show", "Database"], &expected);
    }
}

#[test]
fn vault() {
    let second = r#"{"request_id": "d9", "lease_id": "", "lease_duration": 0, "renewable": false, "data": {
        "data": {"password": "hunter2", "nested": {"key": "hunter3"}}, "metadata": {"created_time": "2026-01-01T00:00:00Z",
        "custom_metadata": null, "deletion_time": "", "destroyed": false, "version": 3}}, "warnings": null}"#;
    let source = "  vault:\n    shop:\n      path: shop/production\n";
    let more = "      mount: secret\n      address: https://vault.example.com:8200\n      namespace: team\n";
    let arguments =
        ["kv", "get", "-format=json", "-mount=secret", "-address=https://vault.example.com:8200", "-namespace=team", "shop/production"];
    let expected = [("vault:shop.password", "hunter2"), ("vault:shop.nested.key", "hunter3")];
    reads(&Fakes::new(&format!("{source}{more}")).prints("vault", second), "vault", &arguments, &expected);

    let first = r#"{"request_id": "0a", "lease_duration": 2764800, "data": {"password": "hunter2", "data": "x"}, "warnings": null}"#;
    for program in ["vault", "bao"] {
        let fakes = Fakes::new(source).prints(program, first);
        reads(
            &fakes,
            program,
            &["kv", "get", "-format=json", "shop/production"],
            &[("vault:shop.password", "hunter2"), ("vault:shop.data", "x")],
        );
    }
}

#[test]
fn commands() {
    let source = |format: &str| format!("  command:\n    it:\n      run: [\"keys\", \"show it\", \"$HOME\"]\n{format}");
    type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
    let cases: [Case; 6] = [
        ("", "{\"a\": {\"b\": \"hunter2\"}}\n", &[("command:it.a.b", "hunter2")]),
        ("", "hunter2 and {more}\n", &[("command:it", "hunter2 and {more}")]),
        ("      format: json\n", "[{\"a\": \"hunter2\"}]", &[("command:it.0.a", "hunter2")]),
        ("      format: json\n", "\"hunter2\"\n", &[("command:it", "hunter2")]),
        ("      format: dotenv\n", "A='hunter2'\nB=a$b\n", &[("command:it.A", "hunter2"), ("command:it.B", "a$b")]),
        ("      format: text\n", "{\"a\": 1}\n\n", &[("command:it", "{\"a\": 1}\n")]),
    ];
    for (format, output, expected) in cases {
        reads(&Fakes::new(&source(format)).prints("keys", output), "keys", &["show it", "$HOME"], expected);
    }
}

#[test]
fn a_command_with_a_slash_lies_beside_the_configuration() {
    let fakes = Fakes::new("  command:\n    it:\n      run: ./secrets.sh\n");
    write_program(&fakes.project.path().join("secrets.sh"), "#!/bin/sh\necho hunter2\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    assert_eq!(runtime.block_on(fakes.fetch(&["command:it"])).expect("it runs"), ["hunter2"]);
}
