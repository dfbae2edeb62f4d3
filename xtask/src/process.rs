//! Processes that we start, watch and stop again; and small facts of the machine.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};

/// How long a process may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// A process in the background; dropping it ends it.
pub struct Background {
    name: String,
    child: Child,
    released: bool,
}

impl Background {
    /// Starts `command` with its output in the file `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Outcome<Self> {
        let out = File::create(log).attempt(|| format!("write {}", log.display()))?;
        let errors = out.try_clone().attempt(|| format!("write {}", log.display()))?;
        // A process group of its own, so that Ctrl-C reaches us alone and we end it in order.
        command.stdin(Stdio::null()).stdout(out).stderr(errors).process_group(0);
        let child = command.spawn().attempt(|| format!("start `{}`", command::line(command)))?;
        Ok(Self { name: name.to_owned(), child, released: false })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Complains when it has ended by itself.
    pub fn check(&mut self) -> Outcome {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Failure::new(format!("{} ended ({status})", self.name))),
            Err(error) => Err(Failure::new(format!("{} cannot be watched: {error}", self.name))),
        }
    }

    /// Lets it live on after us.
    pub fn release(mut self) {
        self.released = true;
    }

    /// SIGTERM, and SIGKILL when that does not help in time.
    pub fn stop(&mut self) -> Outcome {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return Ok(());
        }
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if wait_until(STOP_LIMIT, || !matches!(self.child.try_wait(), Ok(None))) {
            return Ok(());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        Err(Failure::new(format!("{} did not stop within {} s and was killed", self.name, STOP_LIMIT.as_secs())))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if !self.released {
            let _ = self.stop();
        }
    }
}

/// Asks `done` until it says yes; false when the limit passes first.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ports on 127.0.0.1 that nobody listens on now, all different.
pub fn free_ports<const N: usize>() -> Outcome<[u16; N]> {
    // All are held at once, or the same one could be given twice.
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).attempt(|| "find a free port".to_owned())?;
        *port = listener.local_addr().attempt(|| "find a free port".to_owned())?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// What a process and its children have cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    pub resident_bytes: u64,
}

/// Reads the usage of `pid` and its direct children (nginx's workers).
pub fn usage(pid: u32) -> Usage {
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = children.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let children = children.filter(|child| stat(*child).is_some_and(|fields| fields.parent == pid));
    std::iter::once(pid).chain(children).filter_map(stat).fold(Usage::default(), |sum, fields| Usage {
        cpu: sum.cpu + Duration::from_millis(fields.ticks * 1000 / TICKS_PER_SECOND),
        resident_bytes: sum.resident_bytes + fields.resident_pages * PAGE_BYTES,
    })
}

/// USER_HZ, the unit of /proc/PID/stat: 100 on every Linux architecture we run on.
const TICKS_PER_SECOND: u64 = 100;
const PAGE_BYTES: u64 = 4096;

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    ticks: u64,
    resident_pages: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// proc_pid_stat(5): the fields after the program's name, which may itself hold spaces and parentheses.
fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<_> = line[line.rfind(')')? + 2..].split(' ').collect();
    // `state` is field 3 in the manual and 0 here.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(field(4)?).ok()?, ticks: field(14)? + field(15)?, resident_pages: field(24)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_survive_strange_names() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 100 0 0 0 30 12 0 0 20 0 1 0 5 1000000 250 18446744073709551615 0";
        assert_eq!(parse_stat(line), Some(Stat { parent: 7, ticks: 42, resident_pages: 250 }));
    }

    #[test]
    fn ports_differ() {
        let [a, b, c] = free_ports::<3>().unwrap();
        assert!(a != b && b != c && a != c);
    }

    #[test]
    fn our_own_usage_is_seen() {
        assert!(usage(std::process::id()).resident_bytes > 100_000);
    }
}
