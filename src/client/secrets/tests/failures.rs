//! What people read when a provider does not give what was asked of it, and that it never holds a secret.

use super::*;

/// The whole report, and the exit code.
async fn report(fakes: &Fakes, references: &[&str]) -> (String, u8) {
    let error = fakes.fetch(references).await.expect_err("something is wrong");
    let text = render(&error);
    assert!(!format!("{text}{error:?}{}{:?}", chain(&error), error.hint()).contains("hunter"), "{text}\n{error:?}");
    (text, error.exit_code())
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let fakes = Fakes::new(
        "  onepassword:\n    db: {vault: V, item: I}\n  doppler:\n    shop: {}\n  bitwarden:\n    registry: {item: R}\n  \
         vault:\n    shop: {path: p}\n  sops:\n    live: {file: secrets.bin}\n",
    )
    .prints("doppler", r#"{"PASSWORD": "hunter2", "PASSPHRASE": "hunter3"}"#)
    .has("bw", Fake { stderr: "\x1b[31mVault is locked.\x1b[0m\n", code: 1, ..Fake::default() })
    .prints("vault", "hunter2 is not JSON\n");
    let references = [
        "onepassword:db.a",
        "doppler:shop.PASWORD",
        "doppler:shop",
        "doppler:shop.PASSWORD",
        "bitwarden:registry.x",
        "vault:shop.x",
        "sops:live.x",
    ];
    let expected = "\
error: `secret_providers.onepassword.db` needs the program `op`, which was not found

hint: install it (https://developer.1password.com/docs/cli) and make sure that `op` is on the PATH

error: `secret_providers.sops.live` is a file whose ending does not say its format

hint: write `format: yaml`, `format: json` or `format: dotenv` below it

error: `secret_providers.bitwarden.registry` could not be read: `bw` failed with exit code 1
  last words
    Vault is locked.

hint: is it unlocked and up to date? run `export BW_SESSION=\"$(bw unlock --raw)\"` and `bw sync`

error: `secret_providers.doppler.shop` has several secrets, the reference must name one of them

hint: its keys are `PASSWORD`, `PASSPHRASE`

error: `secret_providers.doppler.shop` has no key `PASWORD`

hint: did you mean `PASSWORD`?

error: `secret_providers.vault.shop` could not be read: what `vault` printed is not understood as JSON (line 1, column 1)

hint: update the program; another one may be installed under its name
";
    assert_eq!(report(&fakes, &references).await, (expected.to_owned(), FAILED));
    assert_eq!(fakes.recorded("doppler", "runs").len(), 1, "four references, one source");

    let error = fakes.fetch(&["bitwarden:registry.x", "doppler:shop"]).await.expect_err("both are wrong");
    assert_eq!(
        chain(&error),
        "`secret_providers.bitwarden.registry` could not be read: `bw` failed with exit code 1: Vault is locked.; \
         `secret_providers.doppler.shop` has several secrets, the reference must name one of them"
    );
}

#[tokio::test]
async fn keys_are_named_but_not_endlessly() {
    let many: Vec<String> = (0..30).map(|at| format!("\"key{at}\": {{\"value\": \"hunter{at}\"}}")).collect();
    let fakes = Fakes::new("  command:\n    it: {run: it}\n    one: {run: one}\n")
        .prints("it", &format!("{{{}}}", many.join(",")))
        .prints("one", "hunter2\n");
    let (text, code) = report(&fakes, &["command:it.something-else"]).await;
    assert!(text.contains("hint: its keys are `key0.value`, `key1.value`, "), "{text}");
    assert!(text.ends_with("`key19.value` and 10 more\n"), "{text}");
    assert_eq!(code, MISUSE);
    let (text, _) = report(&fakes, &["command:it.key3"]).await;
    assert!(text.contains("has several secrets below `key3`") && text.contains("its keys are `key3.value`\n"), "{text}");
    let (text, _) = report(&fakes, &["command:one.password"]).await;
    assert!(text.contains("is a single secret and has no key `password`") && text.contains("hint: write `command:one`"), "{text}");
}

#[tokio::test]
async fn last_words_hold_nothing_that_was_printed() {
    let fakes = Fakes::new("  command:\n    it: {run: it}\n")
        .has("it", Fake { stdout: "{\"password\": \"hunter2\"}", stderr: "+ echo hunter2\nit broke\n", code: 3, ..Fake::default() });
    let (text, _) = report(&fakes, &["command:it.password"]).await;
    let expected = "error: `secret_providers.command.it` could not be read: `it` failed with exit code 3\n  last words\n    + echo *****\n    it broke\n";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn outputs_that_are_something_else_are_not_quoted() {
    for (yaml, program, reference, output, reason) in [
        ("onepassword:\n    s: {vault: V, item: I}", "op", "onepassword:s.x", r#"{"hunter": 1}"#, "an item with `fields`"),
        ("bitwarden:\n    s: {item: I}", "bw", "bitwarden:s.x", r#"{"hunter": 1}"#, "an item"),
        ("bitwarden-sm:\n    s: {}", "bws", "bitwarden-sm:s.x", r#"[{"key": "hunter"}]"#, "a list of secrets with `key` and `value`"),
        (
            "lastpass:\n    s: {item: I}",
            "lpass",
            "lastpass:s.x",
            "Multiple matches found.\nhunter",
            "understood as JSON (line 1, column 1)",
        ),
        ("lastpass:\n    s: {item: I}", "lpass", "lastpass:s.x", "[{}, {}]", "a list of exactly one entry"),
        (
            "aws_secrets_manager:\n    s: {secret: S}",
            "aws",
            "aws_secrets_manager:s",
            r#"{"SecretBinary": "aHVudGVy"}"#,
            "an answer with `SecretString`",
        ),
        (
            "enpass:\n    s: {vault: V, item: Data}",
            "enpass-cli",
            "enpass:s.x",
            r#"[{"title": "Database", "password": "hunter2"}]"#,
            "a list with an item of exactly this title",
        ),
        (
            "vault:\n    s: {path: P}",
            "vault",
            "vault:s.x",
            r#"{"data": {"data": null, "metadata": {"destroyed": true}}}"#,
            "a version that still exists",
        ),
        ("command:\n    s: {run: it, format: dotenv}", "it", "command:s.x", "A=1\nhunter2\n", "understood as dotenv (line 2)"),
        ("command:\n    s: {run: it, format: json}", "it", "command:s.x", "{\"a\": hunter2}", "understood as JSON (line 1, column 7)"),
    ] {
        let fakes = Fakes::new(&format!("  {yaml}\n")).prints(program, output);
        let (text, code) = report(&fakes, &[reference]).await;
        let provider = reference.split(':').next().unwrap_or_default();
        let expected =
            format!("error: `secret_providers.{provider}.s` could not be read: what `{program}` printed is not {reason}\n\nhint: ");
        assert!(text.starts_with(&expected), "{text}\nis not\n{expected}");
        assert_eq!(code, FAILED);
    }
}

#[tokio::test]
async fn a_program_that_does_not_end_is_ended() {
    let mut fakes = Fakes::new("  onepassword:\n    db: {vault: V, item: I}\n")
        .has("op", Fake { script: "echo 'waiting for the fingerprint' >&2; exec sleep 300", ..Fake::default() });
    fakes.time_limit = Duration::from_secs(1);
    let (text, _) = report(&fakes, &["onepassword:db.x"]).await;
    assert!(text.starts_with("error: `secret_providers.onepassword.db` could not be read: `op` did not end within 1 s\n  last words\n    waiting for the fingerprint\n"), "{text}");
}

#[tokio::test]
async fn a_program_that_prints_without_end_is_ended() {
    let fakes = Fakes::new("  command:\n    it: {run: it}\n").has("it", Fake { script: "exec cat /dev/zero", ..Fake::default() });
    let (text, _) = report(&fakes, &["command:it"]).await;
    assert_eq!(text, "error: `secret_providers.command.it` could not be read: `it` printed more than 1024 KiB\n");
    let fakes = Fakes::new("  command:\n    it: {run: it}\n")
        .has("it", Fake { script: "yes 'one of many words' | head -n 20000 >&2; echo 'the last' >&2", code: 1, ..Fake::default() });
    let (text, _) = report(&fakes, &["command:it"]).await;
    assert!(text.ends_with("    one of many words\n    the last\n"), "{text}");
    assert!(text.len() < 1000, "{text}");
}

#[tokio::test]
async fn sources_are_read_at_the_same_time() {
    // Each of the two ends when the other has begun.
    let meet = |other: &str| format!(": > \"$0.here\"; until [ -e \"${{0%/*}}/{other}.here\" ]; do sleep 0.01; done");
    let fakes = Fakes::new("  command:\n    a: {run: a}\n    b: {run: b}\n")
        .has("a", Fake { stdout: "hunter1", script: &meet("b"), ..Fake::default() })
        .has("b", Fake { stdout: "hunter2", script: &meet("a"), ..Fake::default() });
    assert_eq!(fakes.fetch(&["command:a", "command:b"]).await.expect("both are read"), ["hunter1", "hunter2"]);
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_not_waited_for() {
    let script = "(for i in $(seq 3000); do [ -e \"$0.end\" ] && exit; sleep 0.1; done) &";
    let fakes = Fakes::new("  command:\n    it: {run: it}\n").has("it", Fake { stdout: "hunter2", script, ..Fake::default() });
    let began = Instant::now();
    let fetched = fakes.fetch(&["command:it"]).await;
    std::fs::write(fakes.file("it", "end"), "").expect("write");
    assert_eq!(fetched.expect("it is read"), ["hunter2"]);
    assert!(began.elapsed() < DEADLINE);
}

#[tokio::test]
async fn a_program_gets_no_input_and_the_folder_of_the_configuration_is_not_searched() {
    let fakes = Fakes::new("  command:\n    it: {run: it}\n    here: {run: here}\n")
        .has("it", Fake { script: "cat", stdout: "hunter2", ..Fake::default() });
    write_program(&fakes.project.path().join("here"), "#!/bin/sh\necho hunter2\n");
    assert_eq!(fakes.fetch(&["command:it"]).await.expect("it ends"), ["hunter2"]);
    let (text, _) = report(&fakes, &["command:here"]).await;
    let expected = "error: `secret_providers.command.here` needs the program `here`, which was not found\n\nhint: check `secret_providers.command.here.run`\n";
    assert_eq!(text, expected);
}
