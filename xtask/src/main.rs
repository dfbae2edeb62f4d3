//! `cargo xtask`: everything that is done to this repository, in one word each.
//!
//! People and CI use the same words. Nothing here is part of the product; it may print.

mod app_image;
mod bench;
mod command;
mod demo;
mod failure;
mod fuzz;
mod http;
mod installation;
mod lint;
mod process;
mod setup;
mod testing;
mod words;
mod workspace;

use std::process::ExitCode;

use failure::{Failure, Outcome};
use words::Words;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  setup [--for test|demo|bench]  installs and starts what this machine lacks; says what it cannot
  lint                           formatting, clippy and the house rules
  test [FILTER] [ARGS…]          every test: units, tests/it, tests/e2e (needs Docker)
  sim --seeds N                  the planner's simulator over N seeds, in release mode
  demo [--once] [--keep]         deploys, redeploys and rolls back a small app under load
                                   --once  ends by itself; exit code 1 on any failed request
                                   --keep  leaves the server running
  bench proxy [--seconds N]      CPU per request, throughput, latency and memory beside HAProxy and nginx
  bench idle|size|startup        what the daemon and the binary cost
  bench config                   how long a configuration file of 500 lines takes to check
  fuzz [--seconds N] [FORMAT…]   damaged configuration files in every format, found by libFuzzer
  app-image TAG [--healthcheck]  builds the test app's image haloy-test-app:TAG

demo and bench take `--haloy PATH`: that binary is used and none is built.
";

fn main() -> ExitCode {
    let words = Words::new(std::env::args().skip(1));
    match dispatch(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut words: Words) -> Outcome {
    match words.next().as_deref() {
        Some("setup") => setup::main(words),
        Some("lint") => lint::main(words),
        Some("test") => testing::test(words),
        Some("sim") => testing::simulate(words),
        Some("demo") => demo::main(words),
        Some("bench") => bench::main(words),
        Some("fuzz") => fuzz::main(words),
        Some("app-image") => app_image::main(words),
        Some("help" | "--help" | "-h") | None => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(Failure::new(format!("there is no `cargo xtask {other}`\n\n{USAGE}"))),
    }
}
