//! Docker is down: the daemon starts, serves what it served last, says so, takes changes and waits;
//! when the engine appears it goes on by itself.

use std::io::copy;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use super::abuse::deploy_body;
use crate::recorder::Recorder;
use crate::site::{Haloyd, Site, eventually, route};

const ENGINE: &str = "/var/run/docker.sock";

/// Lets the machine's engine answer on `path` too.
fn forward(path: &Path) {
    let listener = UnixListener::bind(path).expect("bind");
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = UnixStream::connect(ENGINE).expect("these tests need a Docker Engine");
            for (mut from, mut to) in [(near.try_clone(), far.try_clone()), (far.try_clone(), near.try_clone())]
                .map(|(a, b)| (a.expect("clone"), b.expect("clone")))
            {
                thread::spawn(move || {
                    // Whoever ends first ends the other: an engine that goes away is what is played here.
                    let _ = copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
}

fn count(log: &str, text: &str) -> usize {
    log.matches(text).count()
}

#[test]
fn without_docker_it_serves_says_so_once_and_waits() {
    let (site, recorder) = (Site::new(), Recorder::start());
    site.routes(&[route("plain.example", recorder.address, false), route("secure.example", recorder.address, true)]);
    let token = site.token();
    let socket = site.path().join("engine.sock");
    let mut command = site.haloyd();
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let haloyd = Haloyd::start(&mut command);

    haloyd.says("could not look at the containers");
    assert_eq!(haloyd.engine(), "down");
    assert_eq!(haloyd.get("plain.example", "/").status, 200);
    assert_eq!(haloyd.get("secure.example", "/path?q").status, 301);
    assert_eq!(haloyd.get("other.example", "/").status, 404);

    // A deploy is written down and waits; the table stays.
    let body = deploy_body("shop", "localhost:1/shop:1", "shop.example");
    let answer = haloyd.ask("POST", "/v1/apps/shop/deploy", Some(&token), &body);
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = || haloyd.ask("GET", "/v1/jobs/1", Some(&token), "").json();
    assert_eq!(job()["finished_at"], serde_json::Value::Null);
    // Reading an app's logs needs the engine, and says so.
    let logs = haloyd.ask("GET", "/v1/apps/shop/logs", Some(&token), "");
    assert!(logs.status == 503 && logs.json()["code"] == "docker_unavailable", "{logs:?}");
    // The loop has looked several times since, and said it once.
    thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(count(&haloyd.log(), "could not look at the containers"), 1, "{}", haloyd.log());
    assert_eq!(count(&haloyd.log(), "no events from the engine"), 1, "{}", haloyd.log());
    assert_eq!(haloyd.get("plain.example", "/").status, 200);

    // A restart without Docker changes nothing of this.
    haloyd.stops();
    let haloyd = Haloyd::start(&mut command);
    assert_eq!(haloyd.get("plain.example", "/").status, 200);
    assert_eq!(haloyd.engine(), "down");
    haloyd.says("could not look at the containers");

    forward(&socket);
    haloyd.says("the Docker Engine answers");
    eventually("up".to_owned(), || haloyd.engine());
    // The job is taken up by itself and comes to the verdict that this image deserves.
    let job = || haloyd.ask("GET", "/v1/jobs/1", Some(&token), "").json();
    eventually("failed".to_owned(), || job()["phase"].as_str().unwrap_or_default().to_owned());
    let failure = job()["failure"].clone();
    assert!(failure["reason"].as_str().is_some_and(|reason| reason.contains("localhost:1/shop:1")), "{failure}");
    // Now that the world was seen, the table is what was asked for, and no longer what was there before.
    eventually(404, || haloyd.get("plain.example", "/").status);
    assert_eq!(count(&haloyd.log(), "could not look at the containers"), 1, "{}", haloyd.log());
    haloyd.stops();
}

#[test]
fn an_engine_that_talks_nonsense_is_one_that_is_down() {
    let (site, recorder) = (Site::new(), Recorder::start());
    site.routes(&[route("plain.example", recorder.address, false)]);
    let socket = site.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).expect("bind");
    thread::spawn(move || {
        for (number, mut stream) in listener.incoming().map_while(Result::ok).enumerate() {
            use std::io::{Read as _, Write as _};
            let _ = stream.read(&mut [0; 4096]);
            let said: &[u8] = match number % 4 {
                0 => b"nonsense\r\n\r\n",
                1 => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnonsense!",
                2 => b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
                _ => b"",
            };
            let _ = stream.write_all(said);
        }
    });
    let mut command = site.haloyd();
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let haloyd = Haloyd::start(&mut command);
    haloyd.says("could not look at the containers");
    assert_eq!(haloyd.engine(), "down");
    assert_eq!(haloyd.get("plain.example", "/").status, 200);
    haloyd.stops();
}

#[test]
fn an_engine_that_hangs_does_not_hang_the_daemon() {
    let (site, recorder) = (Site::new(), Recorder::start());
    site.routes(&[route("plain.example", recorder.address, false)]);
    let socket = site.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).expect("bind");
    let _held = thread::spawn(move || listener.incoming().map_while(Result::ok).collect::<Vec<_>>());
    let mut command = site.haloyd();
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let haloyd = Haloyd::start(&mut command);
    assert_eq!(haloyd.get("plain.example", "/").status, 200);
    assert_eq!(haloyd.engine(), "down");
    // Told to stop in the middle of a call, it does not wait for the call's deadline.
    let begin = std::time::Instant::now();
    haloyd.stops();
    assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
}
