//! Runs every test there is, and the planner's simulator on its own.

use crate::app_image;
use crate::command;
use crate::failure::{Failure, Outcome};
use crate::setup::{self, Purpose};
use crate::words::Words;
use crate::workspace::cargo;

/// `cargo xtask test [FILTER] [ARGS…]`: the arguments go to cargo-nextest where it is installed, else to `cargo test`.
pub fn test(words: Words) -> Outcome {
    setup::ready_for(Purpose::Test)?;
    // Built before the tests run: cargo inside a test would wait for a lock or compile within the test's time limit.
    for (tag, healthcheck) in [("v1", false), ("v2", false), ("healthcheck", true)] {
        app_image::build(tag, healthcheck)?;
    }
    let nextest = command::succeeds(cargo().args(["nextest", "--version"]));
    let runner: &[&str] = if nextest { &["nextest", "run"] } else { &["test"] };
    let profile: &[&str] = if nextest && std::env::var_os("CI").is_some() { &["--profile", "ci"] } else { &[] };
    command::run(cargo().args(runner).arg("--workspace").args(profile).args(words.rest()))
}

/// `cargo xtask sim --seeds N`: the simulator reads HALOY_SIM_SEEDS. An optimised build of everything
/// takes longer than the 20,000 seeds that it would speed up.
pub fn simulate(mut words: Words) -> Outcome {
    let seeds = words.number("--seeds")?.ok_or_else(|| Failure::new("how many? like `cargo xtask sim --seeds 20000`"))?;
    let mut run = cargo();
    run.args(["test", "--package", "haloy", "--lib", "sim", "--", "--nocapture"]).args(words.rest());
    command::run(run.env("HALOY_SIM_SEEDS", seeds.to_string()))
}
