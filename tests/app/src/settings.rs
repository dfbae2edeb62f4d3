//! What the environment tells the app to be: its version, its port and its faults.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `PORT`, 8080 by default.
    pub port: u16,
    /// `VERSION`, else `HALOY_VERSION`, else `unknown`.
    pub version: String,
    /// `HALOY_REPLICA_ID` or `HALOY_REPLICA`: sent back as `x-replica`.
    pub replica: String,
    /// `HALOY_DEPLOYMENT_ID` or `HALOY_DEPLOYMENT`: sent back as `x-deployment`.
    pub deployment: String,
    /// `MODE=worker` listens to nothing.
    pub mode: Mode,
    /// `START_DELAY_MS`: the port is opened only then.
    pub start_delay: Duration,
    /// `HEALTH_DELAY_MS`: the port is open, `/health` says 503 until then.
    pub health_delay: Duration,
    /// `HEALTH=fail`: `/health` says 503 for ever.
    pub healthy: bool,
    /// `CRASH_AFTER_MS`: exit code 3 after that long.
    pub crash_after: Option<Duration>,
    /// `EXIT_AT_START`: leave with this code before anything else.
    pub exit_at_start: Option<u8>,
    /// `IGNORE_TERM=1`: only SIGKILL ends it.
    pub ignore_term: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Web,
    Worker,
}

impl Settings {
    /// Reads the settings through `get`, which returns a variable's value.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let first = |names: &[&str]| names.iter().find_map(|name| get(name).filter(|value| !value.is_empty()));
        let text = |names: &[&str], default: &str| first(names).unwrap_or_else(|| default.to_owned());
        let millis = |name: &str| number::<u64>(name, first(&[name])).map(|ms| ms.map(Duration::from_millis));
        Ok(Self {
            port: number("PORT", first(&["PORT"]))?.unwrap_or(8080),
            version: text(&["VERSION", "HALOY_VERSION"], "unknown"),
            replica: text(&["HALOY_REPLICA_ID", "HALOY_REPLICA"], "0"),
            deployment: text(&["HALOY_DEPLOYMENT_ID", "HALOY_DEPLOYMENT"], "none"),
            mode: choice("MODE", first(&["MODE"]), &[("web", Mode::Web), ("worker", Mode::Worker)])?,
            start_delay: millis("START_DELAY_MS")?.unwrap_or_default(),
            health_delay: millis("HEALTH_DELAY_MS")?.unwrap_or_default(),
            healthy: choice("HEALTH", first(&["HEALTH"]), &[("ok", true), ("fail", false)])?,
            crash_after: millis("CRASH_AFTER_MS")?,
            exit_at_start: number("EXIT_AT_START", first(&["EXIT_AT_START"]))?,
            ignore_term: choice("IGNORE_TERM", first(&["IGNORE_TERM"]), &[("0", false), ("1", true)])?,
        })
    }
}

fn number<N: std::str::FromStr>(name: &str, value: Option<String>) -> Result<Option<N>, String> {
    value.map(|text| text.parse().map_err(|_| format!("{name}={text} is not a number that fits"))).transpose()
}

/// One of `choices`; the first is the default.
fn choice<T: Copy>(name: &str, value: Option<String>, choices: &[(&str, T)]) -> Result<T, String> {
    let Some(value) = value else { return Ok(choices[0].1) };
    let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
    choices.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| format!("{name}={value}: it is {}", words()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_and_faults() {
        let plain = read(&[]).unwrap();
        assert_eq!((plain.port, plain.version.as_str(), plain.mode, plain.healthy), (8080, "unknown", Mode::Web, true));
        let set = read(&[("PORT", "90"), ("HALOY_VERSION", "v9"), ("MODE", "worker"), ("HEALTH", "fail"), ("EXIT_AT_START", "7")]).unwrap();
        assert_eq!((set.port, set.version.as_str(), set.mode, set.healthy, set.exit_at_start), (90, "v9", Mode::Worker, false, Some(7)));
        assert_eq!(read(&[("PORT", "many")]).unwrap_err(), "PORT=many is not a number that fits");
        assert_eq!(read(&[("MODE", "cron")]).unwrap_err(), "MODE=cron: it is web or worker");
    }
}
