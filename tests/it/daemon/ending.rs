//! SIGTERM and SIGINT: what is in flight is finished, a second signal ends it now.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::recorder::Recorder;
use crate::site::{Answer, Haloyd, SOON, Site, eventually, route};

/// A backend that begins its answer and ends it when it is told to.
struct Slow {
    address: std::net::SocketAddr,
    begun: Receiver<()>,
    end: Sender<()>,
}

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let ((begins, begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin");
                let _ = begins.send(());
                if ended.recv().is_err() {
                    return;
                }
                let _ = stream.write_all(b"+done");
            }
        });
        Self { address, begun, end }
    }
}

fn request(haloyd: &Haloyd) -> TcpStream {
    let mut stream = TcpStream::connect(haloyd.http).expect("the proxy accepts");
    stream.set_read_timeout(Some(SOON)).expect("timeout");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n").expect("write");
    stream
}

fn busy() -> (Site, Slow, Haloyd, TcpStream) {
    let (site, slow) = (Site::new(), Slow::start());
    site.routes(&[route("plain.example", slow.address, false)]);
    let haloyd = site.start();
    let client = request(&haloyd);
    slow.begun.recv_timeout(SOON).expect("the backend is asked");
    (site, slow, haloyd, client)
}

#[test]
fn a_slow_response_is_finished_before_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let (_site, slow, mut haloyd, client) = busy();
        haloyd.signal(signal);
        haloyd.says("told to stop: finishing the requests in flight");
        // Nobody new is let in, and the daemon waits for who is.
        eventually(true, || TcpStream::connect(haloyd.http).is_err());
        assert!(haloyd.runs(), "{}", haloyd.log());
        slow.end.send(()).expect("the backend runs");
        let answer = Answer::read(client);
        assert_eq!((answer.status, answer.body.as_str()), (200, "begin+done"));
        let begin = Instant::now();
        let end = haloyd.ends();
        assert_eq!(end.code, Some(0), "{}", end.log);
        assert!(begin.elapsed() < Duration::from_secs(5), "it ends as soon as the last request did, not after {:?}", begin.elapsed());
        assert!(end.log.contains("stopped"), "{}", end.log);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for signals in [[Signal::TERM, Signal::TERM], [Signal::TERM, Signal::INT], [Signal::INT, Signal::INT]] {
        let (_site, _slow, haloyd, client) = busy();
        haloyd.signal(signals[0]);
        haloyd.says("told to stop");
        eventually(true, || TcpStream::connect(haloyd.http).is_err());
        let begin = Instant::now();
        haloyd.signal(signals[1]);
        let end = haloyd.ends();
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
        assert_ne!(end.code, Some(0), "what was in flight is lost: {}", end.log);
        assert!(end.log.contains("told twice: stopping now"), "{}", end.log);
        assert_ne!(Answer::read(client).body, "begin+done");
    }
}

#[test]
fn two_signals_at_once_do_not_leave_it_hanging() {
    let site = Site::new();
    let haloyd = site.start();
    haloyd.signal(Signal::TERM);
    haloyd.signal(Signal::INT);
    let end = haloyd.ends();
    assert!(end.code.is_some(), "{}", end.log);
}

#[test]
fn an_idle_daemon_ends_at_once_even_with_idle_connections() {
    let (site, recorder) = (Site::new(), Recorder::start());
    site.routes(&[route("plain.example", recorder.address, false)]);
    let haloyd = site.start();
    let mut kept = request(&haloyd);
    assert!(kept.read(&mut [0; 1024]).expect("an answer") > 0);
    let silent = TcpStream::connect(haloyd.api).expect("the API accepts");
    let begin = Instant::now();
    haloyd.stops();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop((kept, silent));
}

#[test]
fn a_signal_during_the_start_ends_it() {
    let site = Site::new();
    let haloyd = Haloyd::spawn(&mut site.haloyd());
    haloyd.says("listening");
    haloyd.signal(Signal::TERM);
    haloyd.ends();
    site.start().stops();
}

#[test]
fn followed_streams_of_the_api_end_with_it() {
    let site = Site::new();
    let token = site.token();
    let haloyd = site.start();
    let body = super::abuse::deploy_body("shop", "shop:1", "shop.example");
    assert_eq!(haloyd.ask("POST", "/v1/apps/shop/deploy", Some(&token), &body).status, 202);
    let mut stream = TcpStream::connect(haloyd.api).expect("the API accepts");
    write!(stream, "GET /v1/jobs/1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n").expect("write");
    assert!(stream.read(&mut [0; 1024]).expect("the stream begins") > 0);
    haloyd.stops();
}
