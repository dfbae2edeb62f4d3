//! Load generators: wrk speaks HTTP/1.1, h2load HTTP/2. Their reports become one shape.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};

/// Connections that are open all the time; with HTTP/2 each carries [`STREAMS`] requests at once.
pub const CONNECTIONS: u32 = 64;
pub const H2_CONNECTIONS: u32 = 16;
pub const STREAMS: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Https,
    H2,
}

impl Protocol {
    pub const ALL: [Protocol; 3] = [Protocol::Http, Protocol::Https, Protocol::H2];

    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::H2 => "h2",
        }
    }
}

/// What a generator saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    pub requests: u64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Requests without a 2xx answer.
    pub failures: u64,
}

/// Where and what to ask.
pub struct Target<'a> {
    pub protocol: Protocol,
    pub port: u16,
    pub host: &'a str,
    pub path: &'a str,
    /// CPUs that the generator may use, as taskset(1) takes them.
    pub cpus: &'a str,
    pub scratch: &'a Path,
}

/// Loads the target for `seconds`.
pub fn run(target: &Target, seconds: u64) -> Outcome<Report> {
    match target.protocol {
        Protocol::H2 => h2load(target, seconds),
        Protocol::Http | Protocol::Https => wrk(target, seconds),
    }
}

fn wrk(target: &Target, seconds: u64) -> Outcome<Report> {
    let scheme = target.protocol.name();
    let mut command = Command::new("taskset");
    command.args(["-c", target.cpus, "wrk", "--latency", "--threads", "1", "--timeout", "10s"]);
    command.args(["--connections", &CONNECTIONS.to_string(), "--duration", &format!("{seconds}s")]);
    command.args(["--header", &format!("Host: {}", target.host), &format!("{scheme}://127.0.0.1:{}{}", target.port, target.path)]);
    let text = command::output(&mut command)?;
    parse_wrk(&text).ok_or_else(|| Failure::new(format!("wrk said something unexpected:\n{text}")))
}

fn h2load(target: &Target, seconds: u64) -> Outcome<Report> {
    // h2load knows no percentiles; its log has a line for each request.
    let log = target.scratch.join("h2load.log");
    let _ = fs::remove_file(&log);
    let mut command = Command::new("taskset");
    command.args(["-c", target.cpus, "h2load", "--threads", "1", "--log-file"]).arg(&log);
    command.args(["--clients", &H2_CONNECTIONS.to_string(), "--max-concurrent-streams", &STREAMS.to_string()]);
    command.args(["--duration", &seconds.to_string(), "--connect-to", &format!("127.0.0.1:{}", target.port)]);
    let text = command::output(command.arg(format!("https://{}{}", target.host, target.path)))?;
    let lines = fs::read_to_string(&log).attempt(|| format!("read {}", log.display()))?;
    parse_h2load(&text, &lines, seconds).ok_or_else(|| Failure::new(format!("h2load said something unexpected:\n{text}")))
}

fn parse_wrk(text: &str) -> Option<Report> {
    let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label).map(str::trim));
    let requests = text.lines().find(|line| line.contains(" requests in "))?.split_whitespace().next()?.parse().ok()?;
    // "Socket errors: connect 0, read 0, write 0, timeout 0", present only when there were some.
    let broken = after("Socket errors:").map_or(0, |counts| counts.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum());
    let refused = after("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.parse::<u64>().ok())?;
    Some(Report {
        requests,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p50_ms: milliseconds(after("50%")?)?,
        p99_ms: milliseconds(after("99%")?)?,
        failures: broken + refused,
    })
}

/// wrk's times: `812.00us`, `1.23ms`, `2.50s`, `1.10m`.
fn milliseconds(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..unit].parse().ok()?;
    match &text[unit..] {
        "us" => Some(number / 1000.0),
        "ms" => Some(number),
        "s" => Some(number * 1000.0),
        "m" => Some(number * 60_000.0),
        _ => None,
    }
}

/// `text` is h2load's report, `lines` its log: start in µs, status, duration in µs, separated by tabs.
fn parse_h2load(text: &str, lines: &str, seconds: u64) -> Option<Report> {
    let line = text.lines().find(|line| line.starts_with("requests: "))?;
    let count = |label: &str| {
        line.split(", ").find_map(|part| part.trim_start_matches("requests: ").strip_suffix(label)?.trim().parse::<u64>().ok())
    };
    let (done, succeeded) = (count("done")?, count("succeeded")?);
    let mut times: Vec<u64> = lines.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    times.sort_unstable();
    let percentile =
        |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).map(|us| *us as f64 / 1000.0);
    Some(Report {
        requests: succeeded,
        per_second: succeeded as f64 / seconds as f64,
        p50_ms: percentile(50)?,
        p99_ms: percentile(99)?,
        failures: done - succeeded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_reports() {
        let text = "Running 2s test @ http://127.0.0.1:9000/100\n  1 threads and 64 connections\n  Latency Distribution\n     50%  812.00us\n     75%    1.00ms\n     99%    1.25s\n  50000 requests in 2.00s, 10MB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 4\nRequests/sec:  25000.50\nTransfer/sec:      5.00MB\n";
        let expected = Report { requests: 50_000, per_second: 25_000.5, p50_ms: 0.812, p99_ms: 1250.0, failures: 7 };
        assert_eq!(parse_wrk(text), Some(expected));
        assert_eq!(parse_wrk("unable to connect"), None);
    }

    #[test]
    fn h2load_reports() {
        let text =
            "finished in 2.00s, 2.00 req/s, 1KB/s\nrequests: 0 total, 6 started, 5 done, 4 succeeded, 1 failed, 1 errored, 0 timeout\n";
        let lines = "100\t200\t1000\n101\t200\t2000\n102\t200\t3000\n103\t200\t9000\n";
        let expected = Report { requests: 4, per_second: 2.0, p50_ms: 3.0, p99_ms: 9.0, failures: 1 };
        assert_eq!(parse_h2load(text, lines, 2), Some(expected));
    }
}
