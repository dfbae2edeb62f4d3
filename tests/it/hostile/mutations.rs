//! Good requests with a few wrong bytes, from a seed: whatever the proxy takes them for, the backend
//! takes them for the same.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::front::Front;

const CONNECTIONS: usize = 3000;

/// What mutations are made of: what parsers stumble over.
const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b":",
    b";",
    b",",
    b"0",
    b"1",
    b"f",
    b"\r\n\r\n",
    b"\r\n ",
    b"\xff",
    b"\x0b",
    b"#",
    b"?",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: evil.example\r\n",
    b"HTTP/1.0",
    b"0\r\n\r\n",
    b"GET /x HTTP/1.1\r\n",
];

const REQUESTS: [&[u8]; 5] = [
    b"GET /a?b=c HTTP/1.1\r\nHost: plain.example\r\nAccept: */*\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: plain.example\r\nContent-Length: 11\r\n\r\nhello world",
    b"POST /c HTTP/1.1\r\nHost: plain.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\n",
    b"HEAD http://plain.example/d HTTP/1.1\r\nHost: plain.example\r\nX-A: \"quoted, list\"\r\n\r\n",
    b"GET /e HTTP/1.0\r\nHost: plain.example\r\nConnection: keep-alive\r\n\r\n",
];

/// A small generator (xorshift64*), so that a failure can be seen again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// Two or three requests on one connection with one to four mutations.
fn mutated(seed: usize) -> Vec<u8> {
    let mut dice = Dice((seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes: Vec<u8> = (0..2 + dice.below(2)).flat_map(|_| REQUESTS[dice.below(REQUESTS.len())].to_vec()).collect();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        let piece = PIECES[dice.below(PIECES.len())];
        let end = (at + 1 + dice.below(4)).min(bytes.len());
        match dice.below(4) {
            0 => drop(bytes.splice(at..at, piece.iter().copied())),
            1 => drop(bytes.splice(at..end, piece.iter().copied())),
            2 => drop(bytes.drain(at..end)),
            _ => bytes[at] = dice.below(256) as u8,
        }
    }
    bytes
}

#[test]
fn the_proxy_and_the_backend_read_the_same() {
    let front = Front::start();
    let next = Mutex::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let seed = {
                        let mut next = next.lock().expect("next");
                        *next += 1;
                        *next
                    };
                    if seed > CONNECTIONS {
                        return;
                    }
                    // What is left unfinished is not waited for.
                    let outcome = front.try_one(&mutated(seed), Duration::from_millis(150));
                    outcomes.lock().expect("outcomes").push((seed, outcome));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("outcomes");
    let odd: Vec<_> =
        outcomes.iter().filter(|(_, (statuses, _))| statuses.iter().any(|s| ![200, 400, 404, 405, 431].contains(s))).collect();
    assert!(odd.is_empty(), "{odd:?}");
    let answered: usize = outcomes.iter().map(|(_, (statuses, _))| statuses.iter().filter(|&&status| status == 200).count()).sum();
    let open = outcomes.iter().filter(|(_, (_, closed))| !closed).count();
    let seen = front.survives();
    let reached = seen.requests.len() - 2;
    assert_eq!(seen.nonsense, Vec::<String>::new(), "the backend was sent what a strict parser refuses");
    // One that we did not wait for may have been answered after all.
    assert!((answered..=answered + 3 * open).contains(&reached), "{answered} answers, {open} left open, {reached} requests at the backend");
    assert!(answered > CONNECTIONS / 2, "the mutations are too wild: {answered} answers");
}
