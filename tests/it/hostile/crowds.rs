//! Many connections, slow ones, and none left to accept with.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::front::Front;
use crate::site::{Answer, Haloyd, SOON, eventually};

/// Idle connections beside which the daemon must serve.
const CROWD: usize = 1000;

fn connect(haloyd: &Haloyd) -> TcpStream {
    let stream = TcpStream::connect(haloyd.http).expect("the proxy accepts");
    stream.set_read_timeout(Some(SOON)).expect("timeout");
    stream
}

/// A request is answered without waiting for the crowd.
#[track_caller]
fn serves_at_once(haloyd: &Haloyd) {
    let begin = Instant::now();
    assert_eq!(haloyd.get("plain.example", "/beside").status, 200);
    assert!(begin.elapsed() < Duration::from_secs(3), "it took {:?}", begin.elapsed());
}

#[test]
fn a_thousand_connections_that_say_nothing() {
    let front = Front::start();
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect(&front.haloyd)).collect();
    serves_at_once(&front.haloyd);
    // They are cut when no request came in time, and never answered.
    for stream in crowd {
        let answer = Answer::read(stream);
        assert!(answer.head.is_empty(), "{answer:?}");
    }
    serves_at_once(&front.haloyd);
    front.survives();
}

#[test]
fn slow_heads_are_cut_and_hold_nobody_up() {
    let front = Front::start();
    let crowd: Vec<TcpStream> = (0..300).map(|_| connect(&front.haloyd)).collect();
    let begin = Instant::now();
    let mut left: Vec<&TcpStream> = crowd.iter().collect();
    while !left.is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{} heads still drip in", left.len());
        // Each gets another byte; the system says when the peer is gone.
        left.retain(|stream| (&**stream).write_all(b"G").is_ok());
        serves_at_once(&front.haloyd);
    }
    front.survives();
}

#[test]
fn the_soft_limit_of_file_descriptors_is_raised() {
    let front = Front::start_with(|site| Haloyd::start(&mut site.haloyd_after("ulimit -Sn 256")));
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect(&front.haloyd)).collect();
    serves_at_once(&front.haloyd);
    drop(crowd);
    front.survives();
}

#[test]
fn without_file_descriptors_it_waits_until_some_come_back() {
    let front = Front::start_with(|site| Haloyd::start(&mut site.haloyd_after("ulimit -n 200")));
    let crowd: Vec<TcpStream> = (0..400).map(|_| connect(&front.haloyd)).collect();
    front.haloyd.says("cannot accept connections");
    drop(crowd);
    eventually(200, || front.haloyd.get("plain.example", "/again").status);
    front.survives();
}
