//! Logging of the daemon: facts for the journal, on stderr. The client and the admin tool talk to
//! people through `term` instead.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::env;

/// Starts logging. `HALOY_LOG` wins over `debug`; without either the level is info.
pub fn start(debug: bool) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let default = Targets::new().with_default(LevelFilter::WARN).with_target("haloy", level);
    let chosen = env::read(env::LOG).map(|filter| filter.parse::<Targets>().map_err(|error| (filter, error)));
    let (targets, refused) = match chosen {
        Some(Ok(targets)) => (targets, None),
        Some(Err(refused)) => (default, Some(refused)),
        None => (default, None),
    };
    let journal = env::read(env::JOURNAL_STREAM).is_some();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour());
    if journal {
        tracing_subscriber::registry().with(targets).with(format.without_time()).init();
    } else {
        tracing_subscriber::registry().with(targets).with(format).init();
    }
    if let Some((filter, error)) = refused {
        tracing::warn!(filter, %error, "{} is not understood and has no effect; write it like `info,haloy::proxy=debug`", env::LOG);
    }
}

fn colour() -> bool {
    std::io::stderr().is_terminal() && env::read(env::NO_COLOR).is_none()
}
