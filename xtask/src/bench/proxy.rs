//! haloy beside HAProxy and nginx: the same requests to each, on one core each, in one run.
//!
//! CPU time per request is the figure that matters and the one that holds on a busy machine. Throughput and
//! latency are those of a load generator and a backend that share the other core, so they are limited by it.

use std::path::Path;

use super::load::{self, Protocol, Report, Target};
use super::peers::{BODIES, Field, HOST, Peer};
use crate::failure::{Failure, Outcome};
use crate::process;
use crate::setup::{self, Purpose};

/// 27 cells of 8 s and their warm-ups take five minutes.
const DEFAULT_SECONDS: u64 = 8;
const WARM_UP_SECONDS: u64 = 1;
/// Bodies up to here are small: the cost is the request's, not the bytes'.
const SMALL_BYTES: usize = 100;

/// One proxy, one protocol, one body.
struct Cell {
    peer: &'static str,
    protocol: Protocol,
    bytes: usize,
    report: Report,
    cpu_micros: f64,
    resident_bytes: u64,
}

/// `cargo xtask bench proxy [--seconds N]`.
pub fn run(haloy: &Path, seconds: Option<u64>) -> Outcome {
    let seconds = seconds.unwrap_or(DEFAULT_SECONDS).max(1);
    let cpus = other_cpus()?;
    setup::ready_for(Purpose::Bench)?;
    let field = Field::start(haloy, &cpus)?;

    println!("Proxies: one thread on CPU 0, access log to a file and metrics on. Backend (nginx) and load generator: CPU {cpus}.");
    println!(
        "http, https: wrk, {} connections. h2: h2load, {} connections of {} streams. {seconds} s per row.\n",
        load::CONNECTIONS,
        load::H2_CONNECTIONS,
        load::STREAMS
    );
    println!("| protocol | body | proxy | CPU µs/request | requests/s | p50 ms | p99 ms | RSS MiB | failures |");
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|");
    let mut cells = Vec::new();
    for protocol in Protocol::ALL {
        for (body, bytes) in BODIES {
            // The proxies take turns within a row, so that a disturbance hits them alike.
            for peer in &field.peers {
                let cell = measure(peer, protocol, bytes, &cpus, &field, seconds)?;
                println!("{}", row(&cell, body));
                cells.push(cell);
            }
        }
    }
    drop(field);
    println!();
    verdict(&cells)
}

fn measure(peer: &Peer, protocol: Protocol, bytes: usize, cpus: &str, field: &Field, seconds: u64) -> Outcome<Cell> {
    let path = format!("/{bytes}");
    let target = Target { protocol, port: peer.port(protocol), host: HOST, path: &path, cpus, scratch: field.folder.path() };
    load::run(&target, WARM_UP_SECONDS)?;
    let before = process::usage(peer.pid());
    let report = load::run(&target, seconds)?;
    let after = process::usage(peer.pid());
    let cpu_micros = (after.cpu - before.cpu).as_secs_f64() * 1e6 / report.requests.max(1) as f64;
    Ok(Cell { peer: peer.name, protocol, bytes, report, cpu_micros, resident_bytes: after.resident_bytes })
}

fn row(cell: &Cell, body: &str) -> String {
    let Report { per_second, p50_ms, p99_ms, failures, .. } = cell.report;
    let resident = cell.resident_bytes as f64 / (1024.0 * 1024.0);
    format!(
        "| {} | {body} | {} | {:.1} | {per_second:.0} | {p50_ms:.2} | {p99_ms:.2} | {resident:.1} | {failures} |",
        cell.protocol.name(),
        cell.peer,
        cell.cpu_micros
    )
}

/// Says for each row of small bodies how haloy stands to HAProxy; fails when it is behind in one.
fn verdict(cells: &[Cell]) -> Outcome {
    let of = |peer: &str, protocol: Protocol| {
        cells.iter().find(|cell| cell.peer == peer && cell.protocol == protocol && cell.bytes <= SMALL_BYTES).map(|cell| cell.cpu_micros)
    };
    let mut behind = Vec::new();
    for protocol in Protocol::ALL {
        let (Some(haloy), Some(haproxy)) = (of("haloy", protocol), of("HAProxy", protocol)) else { continue };
        let percent = (haloy / haproxy - 1.0) * 100.0;
        println!("{}, small bodies: haloy {haloy:.1} µs, HAProxy {haproxy:.1} µs ({percent:+.0} %)", protocol.name());
        if haloy > haproxy {
            behind.push(protocol.name());
        }
    }
    let failed: u64 = cells.iter().filter(|cell| cell.peer == "haloy").map(|cell| cell.report.failures).sum();
    if failed > 0 {
        return Err(Failure::new(format!("haloy failed {failed} requests")));
    }
    if behind.is_empty() {
        println!("verdict: haloy is not behind HAProxy in any row of small bodies");
        return Ok(());
    }
    Err(Failure::new(format!("haloy is behind HAProxy with small bodies in {}", behind.join(", "))))
}

/// Every CPU but the first, as taskset(1) takes them.
fn other_cpus() -> Outcome<String> {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match count {
        1 => Err(Failure::new("this bench needs two CPUs: one for the proxy, one for the load")),
        2 => Ok("1".to_owned()),
        more => Ok(format!("1-{}", more - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(peer: &'static str, protocol: Protocol, cpu_micros: f64, failures: u64) -> Cell {
        let report = Report { requests: 1000, per_second: 100.0, p50_ms: 1.0, p99_ms: 2.0, failures };
        Cell { peer, protocol, bytes: 100, report, cpu_micros, resident_bytes: 1024 * 1024 }
    }

    #[test]
    fn the_verdict_is_about_haloy_and_haproxy() {
        let ahead =
            [cell("haloy", Protocol::Http, 10.0, 0), cell("HAProxy", Protocol::Http, 11.0, 0), cell("nginx", Protocol::Http, 9.0, 0)];
        assert!(verdict(&ahead).is_ok());
        let behind = [cell("haloy", Protocol::H2, 12.0, 0), cell("HAProxy", Protocol::H2, 11.0, 0)];
        assert_eq!(verdict(&behind).unwrap_err().to_string(), "haloy is behind HAProxy with small bodies in h2");
        assert!(verdict(&[cell("haloy", Protocol::Http, 1.0, 3)]).is_err());
    }

    #[test]
    fn a_row_is_markdown() {
        let text = row(&cell("nginx", Protocol::Https, 12.34, 0), "100 B");
        assert_eq!(text, "| https | 100 B | nginx | 12.3 | 100 | 1.00 | 2.00 | 1.0 | 0 |");
    }
}
