//! A tiny web app that is deployed by the demo, the benches and the end-to-end tests.
//!
//! It is the only process of a `FROM scratch` image, so it is static and handles SIGTERM itself: it stops
//! accepting, finishes the requests in flight and exits 0. Environment variables (see [`settings`]) make it slow,
//! broken or crash in every way that a deployment has to survive. `--healthcheck` asks a running instance in
//! the same container, because the image has no shell that could; `script` stands in for other programs of an image.

mod endpoints;
mod health;
mod http;
mod in_flight;
mod script;
mod server;
mod settings;
mod websocket;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use settings::{Mode, Settings};

/// How often a waiting loop looks at the stop flag. A signal interrupts no std call, so somebody has to look.
pub const GLANCE: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let born = Instant::now();
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => Arc::new(settings),
        Err(complaint) => return fail(&complaint),
    };
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("--healthcheck") => return health::ask(&settings),
        Some("script") => return script::run(words),
        _ => {}
    }
    if let Some(code) = settings.exit_at_start {
        say(&format!("exiting with code {code} as told"));
        return ExitCode::from(code);
    }
    let stop = match stop_flag(&settings) {
        Ok(stop) => stop,
        Err(error) => return fail(&format!("cannot handle SIGTERM: {error}")),
    };
    if let Some(after) = settings.crash_after {
        thread::spawn(move || crash(after));
    }
    match settings.mode {
        Mode::Worker => work(&settings, &stop),
        Mode::Web => server::run(&settings, &stop, born),
    }
}

/// A flag that SIGTERM and SIGINT raise. As process 1 of a container we would otherwise not be ended by them at all.
fn stop_flag(settings: &Settings) -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let heard = if settings.ignore_term { Arc::new(AtomicBool::new(false)) } else { Arc::clone(&stop) };
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&heard))?;
    }
    Ok(stop)
}

fn crash(after: Duration) {
    thread::sleep(after);
    say("crashing as told");
    std::process::exit(3);
}

/// The worker: no port, a sign of life each second.
fn work(settings: &Settings, stop: &AtomicBool) -> ExitCode {
    let mut next = Instant::now();
    let mut ticks = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        if Instant::now() >= next {
            ticks += 1;
            say(&format!("version {} works, tick {ticks}", settings.version));
            next += Duration::from_secs(1);
        }
        thread::sleep(GLANCE);
    }
    say("stopped");
    ExitCode::SUCCESS
}

/// A line on stdout, there at once: stdout is a pipe here, and the next thing may be the end.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody is left to tell when stdout is gone.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn fail(complaint: &str) -> ExitCode {
    say(&format!("error: {complaint}"));
    ExitCode::from(2)
}
