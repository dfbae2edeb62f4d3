//! A daemon under fire, and what each attack came to.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::recorder::{Recorder, Seen};
use crate::site::{Haloyd, Site, eventually, route};

/// Longer than the proxy waits for the rest of a head.
const PATIENCE: Duration = Duration::from_secs(20);

/// Attacks in flight at one time: some of them end by a deadline of the proxy.
const ATTACKERS: usize = 8;

/// How much the daemon may grow in a volley, in KiB: pools and buffers, not what was thrown at it.
const GROWTH: u64 = 48 * 1024;

/// One connection's bytes. Every `@` in them becomes the attack's number, by which the backend's record
/// is searched.
pub struct Attack {
    bytes: Vec<u8>,
    expected: Expected,
    hangs_up: bool,
}

/// What must come of an attack. Every connection must be closed by the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// One answer with this status, and the backend saw nothing.
    Refused(u16),
    /// As above, but the backend may have seen the head and a part of the body.
    BrokenOff(u16),
    /// No answer at all, and the backend saw nothing.
    Cut,
    /// These answers, and the backend saw these requests (`METHOD target`) and no other.
    Answered(Vec<u16>, Vec<String>),
}

pub const BAD: Expected = Expected::Refused(400);

/// The backend got one request, `METHOD target`.
pub fn passed(request: &str) -> Expected {
    Expected::Answered(vec![200], vec![request.to_owned()])
}

pub fn attack(bytes: impl Into<Vec<u8>>, expected: Expected) -> Attack {
    Attack { bytes: bytes.into(), expected, hangs_up: false }
}

impl Attack {
    pub fn begins_with(&self, bytes: &[u8]) -> bool {
        self.bytes.starts_with(bytes)
    }

    /// The client ends its half of the connection after the last byte.
    pub fn and_hangs_up(self) -> Self {
        Self { hangs_up: true, ..self }
    }
}

pub struct Front {
    pub haloyd: Haloyd,
    pub recorder: Recorder,
    resident: u64,
    _site: Site,
}

/// What the client saw of one attack.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    statuses: Vec<u16>,
    closed: bool,
}

impl Front {
    pub fn start() -> Self {
        Self::start_with(Site::start)
    }

    /// With a daemon that is started in some other way.
    pub fn start_with(start: impl FnOnce(&Site) -> Haloyd) -> Self {
        let (site, recorder) = (Site::new(), Recorder::start());
        site.routes(&[route("plain.example", recorder.address, false), route("secure.example", recorder.address, true)]);
        let haloyd = start(&site);
        assert_eq!(haloyd.get("plain.example", "/before").status, 200);
        Self { resident: haloyd.resident(), haloyd, recorder, _site: site }
    }

    /// Fires everything, then compares with what was expected, and with what the backend received.
    #[track_caller]
    pub fn volley(self, attacks: Vec<Attack>) {
        let outcomes = self.fire(&attacks);
        let seen = self.survives();
        let mut wrong = Vec::new();
        for (number, (attack, outcome)) in attacks.iter().zip(&outcomes).enumerate() {
            if let Some(why) = judge(attack, outcome, &seen, number) {
                let shown = numbered(&attack.bytes, number);
                wrong.push(format!("{}\n   {why}", shown[..shown.len().min(300)].escape_ascii()));
            }
        }
        assert!(wrong.is_empty(), "{} of {} attacks:\n{}", wrong.len(), attacks.len(), wrong.join("\n"));
        assert_eq!(seen.nonsense, Vec::<String>::new(), "the backend was sent what a strict parser refuses");
    }

    fn fire(&self, attacks: &[Attack]) -> Vec<Outcome> {
        let queue: Mutex<VecDeque<usize>> = Mutex::new((0..attacks.len()).collect());
        let mut outcomes: Vec<(usize, Outcome)> = thread::scope(|scope| {
            let attacker = || {
                let mut outcomes = Vec::new();
                while let Some(number) = { queue.lock().expect("queue").pop_front() } {
                    outcomes.push((number, self.fire_one(&attacks[number], number)));
                }
                outcomes
            };
            let attackers: Vec<_> = (0..ATTACKERS).map(|_| scope.spawn(attacker)).collect();
            attackers.into_iter().flat_map(|attacker| attacker.join().expect("attacker")).collect()
        });
        outcomes.sort_by_key(|(number, _)| *number);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Fires one attack and gives up on the answer after a while: its statuses, and whether the proxy closed.
    pub fn try_one(&self, bytes: &[u8], patience: Duration) -> (Vec<u16>, bool) {
        let mut stream = TcpStream::connect(self.haloyd.http).expect("the proxy accepts");
        stream.set_read_timeout(Some(patience)).expect("timeout");
        // It may be refused before all is written.
        let _ = stream.write_all(bytes);
        let Outcome { statuses, closed } = answers(&stream);
        (statuses, closed)
    }

    fn fire_one(&self, attack: &Attack, number: usize) -> Outcome {
        let stream = TcpStream::connect(self.haloyd.http).expect("the proxy accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        thread::scope(|scope| {
            scope.spawn(|| {
                // It may be refused before all is written.
                let written = (&stream).write_all(&numbered(&attack.bytes, number));
                if written.is_ok() && attack.hangs_up {
                    let _ = stream.shutdown(Shutdown::Write);
                }
            });
            answers(&stream)
        })
    }

    /// It serves as before, is not bloated and did not panic. Returns what the backend received in all.
    #[track_caller]
    pub fn survives(self) -> Seen {
        assert_eq!(self.haloyd.get("plain.example", "/after").status, 200);
        assert_eq!(self.haloyd.engine(), "down", "the API answers");
        let (before, now) = (self.resident, self.haloyd.resident());
        assert!(now < before + GROWTH, "grown from {before} KiB to {now} KiB");
        self.haloyd.stops();
        // Without the proxy every connection to the backend is closed, and all of it was read.
        eventually(0, || self.recorder.open());
        self.recorder.take()
    }
}

/// What stands for an attack's number: 1 is not found in 11, nor in any address.
fn mark(number: usize) -> String {
    format!("~{number}~")
}

/// Every `@` replaced by the attack's mark.
fn numbered(bytes: &[u8], number: usize) -> Vec<u8> {
    let number = mark(number).into_bytes();
    bytes.iter().flat_map(|&byte| if byte == b'@' { number.clone() } else { vec![byte] }).collect()
}

/// Reads answers until the peer closes.
fn answers(stream: impl Read) -> Outcome {
    let mut reader = BufReader::new(stream);
    let mut statuses = Vec::new();
    loop {
        match answer(&mut reader) {
            Ok(Some(status)) => statuses.push(status),
            Ok(None) => return Outcome { statuses, closed: true },
            Err(error) => {
                let closed = error.kind() == std::io::ErrorKind::ConnectionReset;
                return Outcome { statuses, closed };
            }
        }
    }
}

/// One answer's status; none at the end of the stream. Bodies have a length here or last to the end.
fn answer(reader: &mut impl std::io::BufRead) -> std::io::Result<Option<u16>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(std::io::ErrorKind::InvalidData.into()) };
        }
    }
    let status = head.strip_prefix("HTTP/1.1 ").or(head.strip_prefix("HTTP/1.0 ")).and_then(|rest| rest.get(..3)?.parse().ok());
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    std::io::copy(&mut reader.take(length.unwrap_or(0)), &mut std::io::sink())?;
    status.map(Some).ok_or(std::io::ErrorKind::InvalidData.into())
}

/// What is wrong, if anything.
fn judge(attack: &Attack, outcome: &Outcome, seen: &Seen, number: usize) -> Option<String> {
    let mark = mark(number);
    let ours = |lines: &[String]| lines.iter().filter(|line| line.contains(&mark)).cloned().collect::<Vec<_>>();
    let (requests, heads) = (ours(&seen.requests), ours(&seen.heads));
    let (statuses, wanted) = match &attack.expected {
        Expected::Refused(status) if heads.is_empty() => (vec![*status], Vec::new()),
        Expected::BrokenOff(status) => (vec![*status], Vec::new()),
        Expected::Cut if heads.is_empty() => (Vec::new(), Vec::new()),
        Expected::Answered(statuses, wanted) => (statuses.clone(), wanted.iter().map(|request| request.replace('@', &mark)).collect()),
        Expected::Refused(_) | Expected::Cut => return Some(format!("{outcome:?}, and the backend was sent {heads:?}")),
    };
    let right = outcome.closed && outcome.statuses == statuses && requests == wanted;
    (!right).then(|| format!("{outcome:?}, the backend saw {requests:?}; expected {statuses:?} and {wanted:?}"))
}
