//! Certificates from a real authority (Pebble, strict), for a real daemon.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, image, wait_for};
use crate::fake_authority::FakeAuthority;
use crate::haloyd::Haloyd;
use crate::load::Load;
use crate::pebble::{Pebble, Wishes};

/// An order takes Pebble some seconds, and more when it rejects a nonce or sleeps.
const ORDER: Duration = Duration::from_secs(60);

fn deploy(app: &App<'_>, aliases: &[&str]) {
    let aliases = aliases.join(", ");
    let domains = format!("domains:\n  - domain: {}\n    aliases: [{aliases}]\n", app.domain);
    app.configure(&format!("{domains}image: {}\nhealth_check_path: /health\ndrain_timeout: 1s\nstop_timeout: 1s\n", image("v1")));
    app.haloy(&["deploy"]).ok();
}

fn certificate(app: &App<'_>) -> Value {
    let show = || app.haloy(&["cert", "show", &app.domain, "--json"]);
    let said = wait_for(Duration::from_secs(10), "the keeper has seen the app", || Some(show()).filter(|said| said.code == 0));
    said.json()["certificate"].clone()
}

/// Waits until a visitor who trusts the authority alone is served.
fn served(pebble: &Pebble, haloyd: &Haloyd, name: &str) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    let mut last = String::new();
    let visit = || pebble.visit(haloyd, name).map_err(|error| last = error).ok();
    let limit = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_for(ORDER, &format!("a certificate for {name}"), visit)));
    limit.unwrap_or_else(|_| panic!("{name}: {last}"))
}

#[test]
fn a_deployed_domain_gets_a_certificate_with_its_aliases_and_keeps_it() {
    let haloyd = Haloyd::start();
    let pebble = Pebble::start(&haloyd, &Wishes::default(), "");
    let app = App::new(&haloyd, "shop");
    let alias = format!("www.{}", app.domain);
    deploy(&app, &[&alias]);
    assert!(pebble.visit(&haloyd, "unknown.example").is_err(), "names of nobody get no app's certificate");
    let chain = served(&pebble, &haloyd, &app.domain);
    assert_eq!(served(&pebble, &haloyd, &alias), chain, "one certificate for both");

    let shown = wait_for(ORDER, "it is shown", || Some(certificate(&app)).filter(|shown| shown["state"] == "valid"));
    let names: Vec<&str> = shown["served"]["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    assert_eq!(names, [app.domain.as_str(), alias.as_str()]);
    assert_eq!((&shown["served"]["source"], &shown["app"], &shown["problem"]), (&json!("acme"), &json!(app.name), &Value::Null));
    let listed = app.haloy(&["cert", "list"]).ok();
    assert!(listed.stdout.contains(&app.domain) && listed.stdout.contains("valid") && listed.stdout.contains("Pebble"), "{listed}");
    assert!(app.haloy(&["status"]).ok().stdout.contains(&format!("{} valid, ends in", app.domain)));
    let pem = app.haloy(&["cert", "show", &app.domain, "--pem"]).ok().stdout;
    assert!(pem.matches("BEGIN CERTIFICATE").count() >= 2 && !pem.contains("PRIVATE"), "{pem}");

    let storage = haloyd.data_dir().join("cert-storage");
    let file = storage.join(format!("{}.pem", app.domain));
    assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    let accounts: Vec<_> = std::fs::read_dir(storage.join("accounts")).expect("the accounts").flatten().collect();
    assert_eq!(accounts.len(), 1);
    assert_eq!(accounts[0].metadata().expect("the file").permissions().mode() & 0o777, 0o600);

    // Neither another order of the same names nor a restart is a reason for another certificate.
    deploy(&app, &[&alias.to_uppercase()]);
    haloyd.restart();
    assert_eq!(pebble.visit(&haloyd, &app.domain).expect("served at once"), chain);
    assert_eq!(certificate(&app)["served"]["fingerprint"], shown["served"]["fingerprint"]);
}

#[test]
fn tls_alpn_and_an_external_account() {
    let haloyd = Haloyd::start();
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let wishes = Wishes { eab: Some(("kid-1", key)), ..Wishes::default() };
    let more = format!("  challenge: tls-alpn-01\n  key_type: rsa\n  eab: {{kid: kid-1, hmac_key: {key}}}\n");
    let pebble = Pebble::start(&haloyd, &wishes, &more);
    let app = App::new(&haloyd, "alpn");
    deploy(&app, &[]);
    served(&pebble, &haloyd, &app.domain);
    assert!(!haloyd.log().contains(key));
    assert!(!pebble.log().contains("Attempting to validate w/ HTTP"), "not over HTTP");
}

#[test]
fn an_alias_that_leads_nowhere_does_not_hold_the_others_up() {
    let haloyd = Haloyd::start();
    let pebble = Pebble::start(&haloyd, &Wishes::default(), "");
    let app = App::new(&haloyd, "partly");
    let (good, bad) = (format!("www.{}", app.domain), format!("old.{}", app.domain));
    let worse = format!("older.{}", app.domain);
    pebble.lose(&bad);
    pebble.lose(&worse);
    deploy(&app, &[&good, &bad, &worse]);
    served(&pebble, &haloyd, &good);
    let shown = wait_for(ORDER, "the alias is named", || Some(certificate(&app)).filter(|shown| shown["left_out"] != json!([])));
    assert_eq!((&shown["state"], &shown["left_out"][0]["name"]), (&json!("valid"), &json!(bad)));
    assert_eq!(shown["left_out"][1]["name"], json!(worse), "both at once");
    let said = app.haloy(&["cert", "show", &app.domain]).ok().stdout;
    assert!(said.contains(&format!("without `{bad}`: ")) && said.contains("hint: the ports 80 and 443 of"), "{said}");
    // It is tried again, by itself or at once for those who ask.
    pebble.find(&bad);
    pebble.find(&worse);
    app.haloy(&["cert", "renew", &app.domain]).ok();
    served(&pebble, &haloyd, &bad);
    assert_eq!(certificate(&app)["left_out"], json!([]));
}

#[test]
fn a_renewal_fails_nobodys_request() {
    let haloyd = Haloyd::start();
    let pebble = Pebble::start(&haloyd, &Wishes::default(), "");
    let app = App::new(&haloyd, "busy");
    deploy(&app, &[]);
    let first = served(&pebble, &haloyd, &app.domain);
    let load = Load::start(&app, haloyd.https_addr(), Duration::from_secs(1));
    for _ in 0..2 {
        let renewed = app.haloy(&["cert", "renew", &app.domain]).ok();
        assert!(renewed.stderr.contains("has a new certificate"), "{renewed}");
    }
    println!("{}", load.finish());
    assert_ne!(pebble.visit(&haloyd, &app.domain).expect("served"), first);
}

#[test]
fn a_daemon_that_is_killed_during_an_order_gets_the_certificate_all_the_same() {
    let haloyd = Haloyd::start();
    let mut pebble = Pebble::start(&haloyd, &Wishes::default(), "");
    let app = App::new(&haloyd, "killed");
    deploy(&app, &[]);
    wait_for(ORDER, "the order is under way", || haloyd.log().contains("ordering a certificate").then_some(()));
    haloyd.kill9();
    haloyd.restart();
    let chain = served(&pebble, &haloyd, &app.domain);

    // An authority that is away at the start takes nothing away.
    pebble.stop();
    haloyd.restart();
    wait_for(ORDER, "it is shown", || Some(certificate(&app)).filter(|shown| shown["state"] == "valid"));
    let other = App::new(&haloyd, "later");
    deploy(&other, &[]);
    let shown = wait_for(ORDER, "the failure is shown", || Some(certificate(&other)).filter(|shown| shown["state"] == "failed"));
    assert!(shown["problem"]["reason"].as_str().is_some_and(|reason| reason.contains("could not open the account")), "{shown}");
    let status = other.haloy(&["status"]).ok().stdout;
    assert!(
        status.contains("failed") && status.contains("hint: can the server reach it?") && status.contains("the next attempt is in"),
        "{status}"
    );
    let failed = other.haloy(&["cert", "renew", &other.domain]);
    assert!(failed.code == 1 && failed.stderr.contains("error: no new certificate for"), "{failed}");

    // The failure outlives a restart, and so does the pause; with the authority back, whoever asks is served.
    haloyd.restart();
    assert_eq!(certificate(&other)["state"], "failed");
    pebble.start_again();
    other.haloy(&["cert", "renew", &other.domain]).ok();
    served(&pebble, &haloyd, &other.domain);
    let root_was_replaced = pebble.visit(&haloyd, &app.domain).is_err();
    assert!(root_was_replaced && certificate(&app)["served"]["fingerprint"].is_string() && !chain.is_empty(), "the old one is served on");
}

#[test]
fn a_certificate_of_ones_own() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "own");
    deploy(&app, &[]);
    assert_eq!(certificate(&app)["state"], "self_signed", "no public authority is asked about such a name");
    let made = rcgen::generate_simple_self_signed([app.domain.clone()]).expect("certificate");
    let place = |name: &str| app.folder().join(name).display().to_string();
    std::fs::write(place("cert.pem"), made.cert.pem()).expect("write");
    std::fs::write(place("key.pem"), made.signing_key.serialize_pem()).expect("write");
    let other = rcgen::KeyPair::generate().expect("key");
    std::fs::write(place("other.pem"), other.serialize_pem()).expect("write");
    let add = |key: &str, domain: &str| app.haloy(&["cert", "add", domain, "--cert", &place("cert.pem"), "--key", &place(key)]);
    let refused = add("other.pem", &app.domain);
    assert!(refused.code == 1 && refused.stderr.contains("cannot be used together"), "{refused}");
    let refused = add("key.pem", "other.example.com");
    assert!(refused.code == 1 && refused.stderr.contains(&format!("is for `{}`, not for", app.domain)), "{refused}");
    assert_eq!(add("missing.pem", &app.domain).code, 2);
    add("key.pem", &app.domain).ok();
    let shown = wait_for(ORDER, "it is served", || Some(certificate(&app)).filter(|shown| shown["served"] != Value::Null));
    assert_eq!((&shown["state"], &shown["served"]["source"]), (&json!("valid"), &json!("file")));
    let refused = app.haloy(&["cert", "renew", &app.domain]);
    assert!(refused.code == 1 && refused.stderr.contains("is not one that is ordered here"), "{refused}");
    app.haloy(&["cert", "remove", &app.domain]).ok();
    wait_for(ORDER, "it is gone", || (certificate(&app)["served"] == Value::Null).then_some(()));
    let gone = app.haloy(&["cert", "remove", &app.domain]);
    assert!(gone.code == 1 && gone.stderr.contains("there is no certificate"), "{gone}");
}

/// The authority's window counts, and it is told what the new certificate replaces (RFC 9773); a profile is asked for.
#[test]
fn an_authority_says_when_to_renew() {
    let haloyd = Haloyd::start();
    let authority = FakeAuthority::start();
    let root = haloyd.folder().join("root.pem");
    std::fs::write(&root, &authority.root).expect("write");
    haloyd.configure(&format!("acme: {{directory: '{}', ca_file: '{}', profile: shortlived}}", authority.directory(), root.display()));
    haloyd.restart();
    let app = App::new(&haloyd, "advised");
    deploy(&app, &[]);
    let orders = wait_for(ORDER, "the renewal", || Some(authority.orders()).filter(|orders| orders.len() == 2));
    assert!(orders.iter().all(|order| order["profile"] == "shortlived"), "{orders:?}");
    assert_eq!((&orders[0]["replaces"], orders[1]["replaces"].as_str()), (&Value::Null, Some(authority.renewals()[0].as_str())));
    let days = |shown: &Value| {
        let at = shown["renew_at"].as_str()?.parse::<jiff::Timestamp>().ok()?;
        Some(at.duration_since(jiff::Timestamp::now()).as_hours() / 24)
    };
    let shown = wait_for(ORDER, "the new window", || {
        Some(certificate(&app)).filter(|shown| days(shown).is_some_and(|days| [39, 40].contains(&days)))
    });
    assert_eq!((&shown["state"], authority.renewals().len()), (&json!("valid"), 2));
    haloyd.restart();
    assert_eq!(certificate(&app)["renew_at"], shown["renew_at"], "it is remembered");
    assert_eq!(authority.orders().len(), 2);
}

/// The API has a domain of its own: set while the daemon runs, served with its certificate, and no app's.
#[test]
fn the_api_is_served_at_its_domain() {
    let haloyd = Haloyd::start();
    let pebble = Pebble::start(&haloyd, &Wishes::default(), "");
    let domain = "haloy.api-test.localhost";
    let set = haloyd.admin(&["api", "domain", domain, "kim@example.com"]);
    assert_eq!((set.code, set.stdout.as_str()), (0, "haloy.api-test.localhost\n"), "{set}");
    assert!(set.stderr.contains("haloy server add haloy.api-test.localhost"), "{set}");
    wait_for(ORDER, "the API's certificate", || pebble.ask(&haloyd, domain, "/v1/health", None).ok());
    let token = format!("Bearer {}", haloyd.token());
    let version = pebble.ask(&haloyd, domain, "/v1/version", Some(&token)).expect("with the token");
    assert!(version.starts_with("HTTP/1.1 200") && version.contains(domain), "{version}");
    let refused = pebble.ask(&haloyd, domain, "/v1/version", None).expect("without a token");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");

    let app = App::new(&haloyd, "greedy");
    app.configure(&format!("domains: [{domain}]\nimage: {}\n", image("v1")));
    let refused = app.haloy(&["deploy"]);
    assert!(refused.code == 1 && refused.stderr.contains("is the domain of this server's API"), "{refused}");
    haloyd.admin(&["api", "domain", "--remove"]);
    wait_for(ORDER, "it is gone", || (!haloyd.get("/v1/version").body.contains(domain)).then_some(()));
    app.haloy(&["deploy", "--detach"]).ok();
}
