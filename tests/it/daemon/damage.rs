//! Files that are damaged: what can be made again is, what cannot is never overwritten.

use std::fs;

use crate::program::has;
use crate::recorder::Recorder;
use crate::site::{End, Haloyd, Site, route};

const GARBAGE: &[u8] = b"\0\xff\xfe garbage \x01 that is longer than any magic number of any format";

/// A site that a daemon has used before.
fn used() -> Site {
    let site = Site::new();
    site.start().stops();
    site
}

#[track_caller]
fn refuses(site: &Site) -> End {
    let end = Haloyd::spawn(&mut site.haloyd()).ends();
    assert!(!end.log.contains("haloyd serves") && !end.log.contains("panicked"), "{}", end.log);
    end
}

#[test]
fn settings() {
    let site = used();
    for (text, words) in [
        ("http_addr: [", &["error", "haloyd.yaml"][..]),
        ("http_addr: 80", &["http_addr", "haloyd.yaml:1:12"]),
        ("http_adr: 0.0.0.0:80", &["http_adr", "haloyd.yaml:1:1", "http_addr"]),
        ("debug: sometimes", &["debug", "haloyd.yaml:1:8"]),
        ("docker_host: /var/run/docker.sock", &["docker_host", "haloyd.yaml:1:14", "unix://"]),
        ("- a\n- list", &["error", "haloyd.yaml"]),
    ] {
        site.write("config/haloyd.yaml", text);
        let end = refuses(&site);
        assert_eq!(end.code, Some(2), "{text}: {}", end.log);
        for word in words {
            assert!(end.log.contains(word), "{word} is missing for `{text}`:\n{}", end.log);
        }
    }
    site.write("config/haloyd.yaml", GARBAGE);
    let end = refuses(&site);
    assert!(matches!(end.code, Some(1 | 2)), "{}", end.log);
    has(&end.log, &["error", "haloyd.yaml"]);
    // An empty file is no settings.
    site.write("config/haloyd.yaml", "");
    site.start().stops();
}

#[test]
fn the_table() {
    for damage in [GARBAGE, b"", b"{", b"null", b"[]", b"{\"routes\":7}", b"{\"routes\":[],\"redirects\":{}} x"] {
        let site = used();
        site.write("data/proxy.json", damage);
        let haloyd = site.start();
        haloyd.says("the last routing table is damaged: starting without one");
        assert_eq!(haloyd.get("plain.example", "/").status, 404);
        haloyd.stops();
    }
}

#[test]
fn the_default_certificate() {
    let site = used();
    let path = site.data().join("cert-storage/default.pem");
    let before = fs::read_to_string(&path).expect("made at the first start");
    site.start().stops();
    assert_eq!(fs::read_to_string(&path).expect("kept"), before, "it is made once");
    let key = before.split_once("-----BEGIN PRIVATE").expect("a key").0.to_owned();
    for damage in [GARBAGE, b"", key.as_bytes()] {
        fs::write(&path, damage).expect("write");
        let haloyd = site.start();
        haloyd.says("the default certificate is damaged: making another");
        haloyd.stops();
        assert!(fs::read_to_string(&path).expect("text").contains("PRIVATE KEY"));
    }
}

#[test]
fn the_age_identity_is_never_replaced() {
    let site = used();
    let path = site.config().join("age_identity.txt");
    for damage in [GARBAGE, b"", b"# only a comment\n", b"AGE-SECRET-KEY-1NONSENSE\n"] {
        fs::write(&path, damage).expect("write");
        let end = refuses(&site);
        assert_eq!(end.code, Some(1), "{}", end.log);
        has(&end.log, &["error: ", "age identity", "age_identity.txt", "hint: restore the file from a backup"]);
        assert_eq!(fs::read(&path).expect("read"), damage, "the file is left as it was");
    }
}

#[test]
fn the_database_is_never_replaced() {
    let site = used();
    let path = site.data().join("db/haloy.db");
    // Everything into the one file: what is damaged here must not be mended from the log beside it.
    let database = rusqlite::Connection::open(&path).expect("open");
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("checkpoint");
    drop(database);
    let whole = fs::read(&path).expect("made at the first start");
    let mut torn = whole.clone();
    torn[..64].fill(0x55);
    for damage in [&GARBAGE.repeat(100)[..], &torn] {
        fs::write(&path, damage).expect("write");
        let end = refuses(&site);
        assert_eq!(end.code, Some(1), "{}", end.log);
        has(&end.log, &["error: ", "database", "caused by: ", "hint: ", "haloy.db"]);
        assert_eq!(fs::read(&path).expect("read"), damage, "the file is left as it was");
    }
    fs::write(&path, whole).expect("write");
    site.start().stops();
}

#[test]
fn a_database_of_a_newer_haloyd() {
    let site = used();
    let path = site.data().join("db/haloy.db");
    let database = rusqlite::Connection::open(&path).expect("open");
    database.pragma_update(None, "user_version", 999).expect("set");
    drop(database);
    let end = refuses(&site);
    assert_eq!(end.code, Some(1), "{}", end.log);
    has(&end.log, &["error: the database was written by a newer haloyd (schema 999", "hint: "]);
}

#[test]
fn the_token_file_lets_nobody_in() {
    let site = used();
    let token = site.token();
    let haloyd = site.start();
    assert_eq!(haloyd.ask("GET", "/v1/apps", Some(&token), "").status, 200);
    site.write("config/tokens.json", GARBAGE);
    assert_eq!(haloyd.ask("GET", "/v1/apps", Some(&token), "").status, 401);
    haloyd.says("The API tokens cannot be read: every one is refused");
    haloyd.stops();
}

#[test]
fn a_table_whose_backends_are_gone_is_served_as_it_is() {
    let (site, backend) = (Site::new(), Recorder::start());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    site.routes(&[route("plain.example", backend.address, false), route("gone.example", nobody, false)]);
    let haloyd = site.start();
    assert_eq!(haloyd.get("plain.example", "/").status, 200);
    assert_eq!(haloyd.get("gone.example", "/").status, 502);
    haloyd.stops();
}
