//! What systemd is told: ready when the proxy answers, stopping when it goes, nothing when it never was.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::recorder::Recorder;
use crate::site::{Haloyd, SOON, Site, route};

fn receive(socket: &UnixDatagram) -> Option<String> {
    let mut bytes = [0; 4096];
    let count = socket.recv(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
}

fn listen(site: &Site) -> UnixDatagram {
    let socket = UnixDatagram::bind(site.path().join("notify")).expect("bind");
    socket.set_read_timeout(Some(SOON)).expect("timeout");
    socket
}

#[test]
fn ready_when_it_serves_and_stopping_when_it_ends() {
    let (site, recorder) = (Site::new(), Recorder::start());
    site.routes(&[route("plain.example", recorder.address, false)]);
    let socket = listen(&site);
    let haloyd = Haloyd::spawn(site.haloyd().env("NOTIFY_SOCKET", site.path().join("notify")));
    let said = receive(&socket).expect("it says something");
    assert!(said.lines().any(|line| line == "READY=1"), "{said}");
    // The addresses were logged before; from READY on the very first request is answered.
    let haloyd = haloyd.with_addresses();
    assert_eq!(haloyd.get("plain.example", "/first").status, 200);
    assert_eq!(haloyd.engine(), "down");
    haloyd.signal(rustix::process::Signal::TERM);
    let said = receive(&socket).expect("it says something more");
    assert!(said.lines().any(|line| line == "STOPPING=1"), "{said}");
    assert_eq!(haloyd.ends().code, Some(0));
}

#[test]
fn one_that_cannot_start_is_never_ready() {
    let site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("address").to_string();
    let socket = listen(&site);
    let end = Haloyd::spawn(site.haloyd_with(&["--api-addr", &address]).env("NOTIFY_SOCKET", site.path().join("notify"))).ends();
    assert_eq!(end.code, Some(1), "{}", end.log);
    socket.set_read_timeout(Some(Duration::from_millis(1))).expect("timeout");
    assert_eq!(receive(&socket), None);
}

#[test]
fn a_notify_socket_that_is_gone_does_not_matter() {
    let site = Site::new();
    Haloyd::start(site.haloyd().env("NOTIFY_SOCKET", site.path().join("nobody"))).stops();
}
