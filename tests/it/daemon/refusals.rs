//! Why a daemon does not start: each with its words, its hint, exit code 1, and nothing half done.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};

use crate::program::has;
use crate::recorder::Recorder;
use crate::site::{End, Haloyd, Site, route};

#[track_caller]
fn refuses(site: &Site, flags: &[&str], words: &[&str]) -> End {
    let end = Haloyd::spawn(site.haloyd_with(flags)).ends();
    assert_eq!(end.code, Some(1), "{}", end.log);
    has(&end.log, words);
    assert!(!end.log.contains("haloyd serves") && !end.log.contains("panicked"), "{}", end.log);
    end
}

fn taken() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

#[test]
fn a_port_in_use() {
    for (flag, words) in [("--http-addr", "listen on"), ("--https-addr", "listen on"), ("--api-addr", "open the API on")] {
        let (site, (_listener, address)) = (Site::new(), taken());
        let hint = format!("`ss -ltnp 'sport = :{}'`", address.port());
        let address = address.to_string();
        refuses(&site, &[flag, &address], &["error: ", words, &address, "caused by: ", "in use", "hint: ", &hint]);
        // Nothing is left that keeps the next start from succeeding.
        site.start().stops();
    }
}

/// Sockets of several daemons would share a port quietly, each getting some of the connections.
#[test]
fn a_port_of_another_haloyd() {
    let (one, other) = (Site::new(), Site::new());
    let running = one.start();
    for (flag, address) in [("--http-addr", running.http), ("--https-addr", running.https), ("--api-addr", running.api)] {
        refuses(&other, &[flag, &address.to_string()], &["error: ", "in use", "hint: "]);
    }
    running.stops();
}

#[test]
fn an_address_that_is_not_of_this_machine() {
    refuses(&Site::new(), &["--http-addr", "192.0.2.1:80"], &["error: ", "could not listen on 192.0.2.1:80", "caused by: "]);
}

#[test]
fn an_api_that_others_could_listen_to() {
    for address in ["0.0.0.0:9999", "192.0.2.1:80", "[::]:9999"] {
        let end = Haloyd::spawn(Site::new().haloyd_with(&["--api-addr", address])).ends();
        assert_eq!(end.code, Some(2), "{}", end.log);
        has(&end.log, &["error: the API cannot be opened on ", address, "in clear", "hint: ", "ssh -N -L"]);
    }
}

#[test]
fn a_second_daemon_on_the_same_data_directory() {
    let (site, backend) = (Site::new(), Recorder::start());
    site.routes(&[route("plain.example", backend.address, false)]);
    let first = site.start();
    refuses(&site, &[], &["error: another haloyd uses the data directory", "hint: ", "--data-dir"]);
    // The first one lost nothing by it, its socket included.
    assert_eq!(first.get("plain.example", "/").status, 200);
    assert_eq!(first.engine(), "down");
    assert_eq!(first.ask_socket(&site, "GET", "/v1/version").status, 200);
    first.stops();
    site.start().stops();
}

#[test]
fn a_killed_daemon_does_not_keep_its_successor_out() {
    let site = Site::new();
    let first = site.start();
    first.signal(rustix::process::Signal::KILL);
    assert_eq!(first.ends().code, None);
    let second = site.start();
    assert_eq!(second.ask_socket(&site, "GET", "/v1/version").status, 200);
    second.stops();
}

#[test]
fn directories_that_cannot_be_made() {
    for name in ["data", "config"] {
        let site = Site::new();
        site.write(name, "a file where a directory should be");
        refuses(
            &site,
            &[],
            &["error: could not prepare the directories of haloyd", "caused by: could not create directory", name, "hint: make `", name],
        );
        assert_eq!(std::fs::read_to_string(site.path().join(name)).expect("read"), "a file where a directory should be");
    }
    for name in ["data/db", "data/cert-storage"] {
        let site = Site::new();
        site.write(name, "a file where a directory should be");
        refuses(&site, &[], &["error: ", "could not", name, "hint: "]);
    }
}

#[test]
fn directories_that_cannot_be_written() {
    let site = Site::new();
    std::fs::create_dir_all(site.data()).expect("create");
    // Permissions do not bind root; a read-only mount binds everybody.
    let mut command = site.haloyd_after(&format!("mount -t tmpfs -o ro tmpfs '{}'", site.data().display()));
    let end = Haloyd::spawn(&mut command).ends();
    assert_eq!(end.code, Some(1), "{}", end.log);
    has(&end.log, &["error: ", "could not", "data", "caused by: ", "Read-only file system", "hint: "]);
    assert!(!end.log.contains("haloyd serves"), "{}", end.log);
}

#[test]
fn an_engine_address_that_is_none() {
    let site = Site::new();
    for host in ["ssh://me@host", "nonsense", "unix://", "tcp://", "tcp://host:port"] {
        let mut command = site.haloyd();
        command.env("DOCKER_HOST", host);
        let end = Haloyd::spawn(&mut command).ends();
        assert_eq!(end.code, Some(1), "{host}: {}", end.log);
        has(&end.log, &["error: the Docker Engine's address is not usable", "caused by: ", "hint: "]);
    }
}

#[test]
fn a_socket_path_that_is_a_directory() {
    let site = Site::new();
    site.write("data/api.sock/file", "");
    refuses(&site, &[], &["error: could not open the API socket", "api.sock", "caused by: "]);
    assert!(File::open(site.data().join("api.sock/file")).is_ok(), "what is not ours is left alone");
}
