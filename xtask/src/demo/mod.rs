//! The product in a minute: a server in a temporary folder, an app built, deployed, redeployed and rolled back under load.

mod https;
mod load;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use https::Https;
use load::{Load, Tally};

const NAME: &str = "haloy-demo";
const DOMAIN: &str = "demo.localhost";
/// How long visitors go on after each step, to catch what a step breaks late.
const AFTERMATH: Duration = Duration::from_secs(2);

/// One step's line in the table.
struct Row {
    step: &'static str,
    tally: Tally,
    /// From the start of the command to the first answer of the version that it brought.
    switched: Option<Duration>,
}

/// `cargo xtask demo [--once] [--keep] [--haloy PATH]`.
pub fn main(mut words: Words) -> Outcome {
    let once = words.switch("--once");
    let keep = words.switch("--keep");
    let given = words.value("--haloy")?;
    words.end()?;
    let interrupted = interrupt_flag()?;

    setup::ready_for(Purpose::Demo)?;
    println!("demo: building haloy and the program of an app");
    let haloy = match &given {
        Some(path) => workspace::given_haloy(path)?,
        None => workspace::build_haloy(Profile::Dev)?,
    };
    app_image::build_binary()?;

    let folder = std::env::temp_dir().join(format!("haloy-demo-{}", std::process::id()));
    println!("demo: starting a server in {}", folder.display());
    let mut installation = Installation::start(&haloy, folder)?;
    let outcome = play(&mut installation, &interrupted, once || keep);
    if keep {
        installation.keep();
        return outcome;
    }
    if outcome.is_err() {
        eprintln!("\nthe daemon's last words:\n{}", installation.daemon_log());
    }
    println!("demo: cleaning up");
    let removed = installation.remove();
    command::succeeds(Command::new("docker").args(["image", "rm", &format!("{NAME}:latest")]));
    outcome.and(removed)
}

/// Raised by Ctrl-C and SIGTERM; we then end in order and leave nothing behind.
fn interrupt_flag() -> Outcome<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).attempt(|| "listen to Ctrl-C".to_owned())?;
    }
    Ok(flag)
}

/// Deploy, redeploy, roll back; then wait for Ctrl-C unless `brief`.
fn play(installation: &mut Installation, interrupted: &AtomicBool, brief: bool) -> Outcome {
    let https = Https::new(DOMAIN, installation.ports.https)?;
    let app = App { name: NAME.to_owned(), domain: DOMAIN.to_owned(), image: None, replicas: 2 };
    let mut rows = Vec::new();

    let config = installation.configure(&app)?;
    let folder = config.parent().ok_or_else(|| Failure::new("a configuration without a directory"))?;
    app_image::write_project(folder, "v1")?;
    let first = thread::spawn({
        let https = https.clone();
        move || first_success(&https, Instant::now())
    });
    haloy(installation, "deploy", &config)?;
    let switched = first.join().ok().flatten().ok_or_else(|| Failure::new("the app never answered"))?;
    let from = Instant::now();
    let load = Load::start(&https);
    println!("demo: {} visitors now ask for https://{DOMAIN}:{}/ without a pause", load.visitors(), installation.ports.https);
    thread::sleep(AFTERMATH);
    rows.push(Row { step: "deploy v1", tally: load.tally(from), switched: Some(switched) });

    for (step, verb, version) in [("deploy v2", "deploy", "v2"), ("roll back to v1", "rollback", "v1")] {
        stop_if(interrupted)?;
        if verb == "deploy" {
            app_image::write_project(folder, "v2")?;
        }
        let from = Instant::now();
        haloy(installation, verb, &config)?;
        thread::sleep(AFTERMATH);
        let switched = load.first_answer(version, from).map(|at| at - from);
        rows.push(Row { step, tally: load.tally(from), switched });
    }
    stop_if(interrupted)?;
    drop(load);
    print(&rows, installation);
    if !brief {
        println!("\nCtrl-C ends it and cleans up");
        while !interrupted.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(50));
        }
    }
    verdict(&rows)
}

/// Runs a command of the client in view of whoever watches.
fn haloy(installation: &Installation, verb: &str, config: &Path) -> Outcome {
    println!("\n$ haloy {verb}");
    command::run(installation.client().arg(verb).arg("--config").arg(config))
}

/// How long it took since `from` until the app answered; none when it does not within a minute.
fn first_success(https: &Https, from: Instant) -> Option<Duration> {
    let answers = || https.connect().and_then(|mut line| line.get("/")).is_ok_and(|answer| answer.status == 200);
    process::wait_until(Duration::from_secs(60), answers).then(|| from.elapsed())
}

fn stop_if(interrupted: &AtomicBool) -> Outcome {
    if interrupted.load(Ordering::SeqCst) { Err(Failure::new("interrupted")) } else { Ok(()) }
}

fn print(rows: &[Row], installation: &Installation) {
    let line = |step: &str, tally: &Tally, switched: &str| {
        println!("{step:<17}{:>9}{:>10}{:>9} ms{switched:>22}", tally.requests, tally.failures, tally.slowest.as_millis());
    };
    println!("\n{:<17}{:>9}{:>10}{:>12}{:>22}", "step", "requests", "failures", "slowest", "new version after");
    for row in rows {
        let switched = row.switched.map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
        line(row.step, &row.tally, &switched);
    }
    line("all", &total(rows), "");
    let ports = installation.ports;
    println!("\nthe app   https://{DOMAIN}:{} (self-signed)   http://{DOMAIN}:{}", ports.https, ports.http);
    println!("the API   http://127.0.0.1:{}/openapi.json", ports.api);
}

fn total(rows: &[Row]) -> Tally {
    rows.iter().fold(Tally::default(), |mut sum, row| {
        sum.requests += row.tally.requests;
        sum.failures += row.tally.failures;
        sum.slowest = sum.slowest.max(row.tally.slowest);
        sum.reasons.extend(row.tally.reasons.iter().cloned());
        sum.reasons.sort();
        sum.reasons.dedup();
        sum
    })
}

fn verdict(rows: &[Row]) -> Outcome {
    let total = total(rows);
    if total.failures > 0 {
        return Err(Failure::new(format!("{} of {} requests failed: {}", total.failures, total.requests, total.reasons.join("; "))));
    }
    match rows.iter().find(|row| row.switched.is_none()) {
        Some(row) => Err(Failure::new(format!("{}: the new version never answered", row.step))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(requests: usize, failures: usize, switched: Option<Duration>) -> Row {
        let reasons = vec!["status 502".to_owned(); failures];
        Row { step: "deploy v2", tally: Tally { requests, failures, slowest: Duration::ZERO, reasons }, switched }
    }

    #[test]
    fn one_failed_request_fails_the_demo() {
        let switched = Some(Duration::from_millis(400));
        assert!(verdict(&[row(10, 0, switched), row(20, 0, switched)]).is_ok());
        assert_eq!(verdict(&[row(10, 0, switched), row(20, 1, switched)]).unwrap_err().to_string(), "1 of 30 requests failed: status 502");
        assert_eq!(verdict(&[row(10, 0, None)]).unwrap_err().to_string(), "deploy v2: the new version never answered");
    }
}
