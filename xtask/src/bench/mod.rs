//! What haloy costs: beside other proxies, at rest, on disk, at start. Always the release build.
//!
//! Each bench ends with a verdict; its exit code says whether the promised figure was kept.

mod config;
mod images;
mod load;
mod peers;
mod proxy;
mod relay;

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::app_image;
use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::installation::{App, Installation};
use crate::process;
use crate::setup::{self, Purpose};
use crate::words::Words;
use crate::workspace::{self, Profile};

const MAX_BINARY_BYTES: u64 = 16 * 1024 * 1024;
const MAX_STARTUP: Duration = Duration::from_millis(10);
const MAX_IDLE_BYTES: u64 = 25 * 1024 * 1024;
/// Of one core.
const MAX_IDLE_CPU_PERCENT: f64 = 0.2;
const IDLE_APPS: usize = 10;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// `cargo xtask bench proxy|idle|size|startup|config|images [--haloy PATH]`.
pub fn main(mut words: Words) -> Outcome {
    let given = words.value("--haloy")?;
    let bench = words.next();
    let seconds = words.number("--seconds")?;
    words.end()?;
    let haloy = || match &given {
        Some(path) => workspace::given_haloy(path),
        None => workspace::build_haloy(Profile::Release),
    };
    match bench.as_deref() {
        Some("proxy") => proxy::run(&haloy()?, seconds),
        Some("idle") => idle(&haloy()?),
        Some("size") => size(&haloy()?),
        Some("startup") => startup(&haloy()?),
        Some("config") => config::run(&haloy()?),
        Some("images") => images::run(&haloy()?),
        _ => Err(Failure::new("which bench? proxy, idle, size, startup, config or images")),
    }
}

fn size(haloy: &Path) -> Outcome {
    let bytes = haloy.metadata().attempt(|| format!("look at {}", haloy.display()))?.len();
    judge(bytes <= MAX_BINARY_BYTES, &format!("binary: {}, at most {}", mebibytes(bytes), mebibytes(MAX_BINARY_BYTES)))
}

/// The median of `haloy --version`, from fork to exit.
fn startup(haloy: &Path) -> Outcome {
    let mut times = Vec::new();
    for _ in 0..51 {
        let began = Instant::now();
        command::output(Command::new(haloy).arg("--version"))?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let text = format!("haloy --version: median {median:.1?}, slowest {slowest:.1?}, at most {MAX_STARTUP:.0?}");
    judge(median <= MAX_STARTUP, &text)
}

/// Memory and CPU time of a daemon that looks after ten healthy apps and gets no request.
fn idle(haloy: &Path) -> Outcome {
    setup::ready_for(Purpose::Demo)?;
    let image = app_image::build("v1", false)?;
    let folder = std::env::temp_dir().join(format!("haloy-bench-{}", std::process::id()));
    let mut installation = Installation::start(haloy, folder)?;
    for number in 1..=IDLE_APPS {
        let (name, domain) = (format!("haloy-bench-{number}"), format!("bench{number}.localhost"));
        let config = installation.configure(&App { name, domain, image: Some(image.clone()), replicas: 1 })?;
        command::output(installation.client().args(["deploy", "--config"]).arg(config))?;
        println!("bench: app {number} of {IDLE_APPS} is deployed");
    }
    let pid = installation.daemon_pid().ok_or_else(|| Failure::new("the daemon is gone"))?;
    // What the last deploy left to do, like draining, is not rest.
    thread::sleep(Duration::from_secs(5));
    println!("bench: watching the daemon for {} s", IDLE_TIME.as_secs());
    let before = process::usage(pid);
    thread::sleep(IDLE_TIME);
    let after = process::usage(pid);
    installation.remove()?;

    let percent = (after.cpu - before.cpu).as_secs_f64() / IDLE_TIME.as_secs_f64() * 100.0;
    let memory = format!("idle with {IDLE_APPS} apps: {} resident, at most {}", mebibytes(after.resident_bytes), mebibytes(MAX_IDLE_BYTES));
    let cpu = format!("idle with {IDLE_APPS} apps: {percent:.2} % CPU, at most {MAX_IDLE_CPU_PERCENT} %");
    let memory = judge(after.resident_bytes <= MAX_IDLE_BYTES, &memory);
    let cpu = judge(percent <= MAX_IDLE_CPU_PERCENT, &cpu);
    memory.and(cpu)
}

fn judge(kept: bool, figure: &str) -> Outcome {
    println!("{figure}: {}", if kept { "kept" } else { "BROKEN" });
    if kept { Ok(()) } else { Err(Failure::new("a promised figure is not kept")) }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}
