//! The keys `health_check` and `health_check_path`: how the app's health is found out.

use std::num::{NonZeroU16, NonZeroU32};

use super::field::Field;
use super::findings::Findings;
use super::keys::target::{PORT, PROBE_RETRIES, PROBE_TIME};
use super::object::Object;
use crate::names::{is_http_host, is_url_path};
use crate::wire::{HealthCheck, HttpProbe, Probe, StatusRange};

/// Ways to ask, each with the keys that belong to it alone.
const HTTP: [&str; 3] = ["path", "host", "status"];

/// `path`: what `health_check_path` says.
pub fn read(field: &Field<'_>, path: Option<&str>, findings: &mut Findings<'_>) -> Option<HealthCheck> {
    if !field.is_object() {
        let hint = match field.text() {
            Some(path) if path.starts_with('/') => "write `health_check_path: …`, or `health_check:` with `path: …` below it",
            _ => "write `health_check:` with `path: /health` below it",
        };
        findings.wrong_kind(field, "an object").hint(hint);
        return None;
    }
    let mut check = Object::new(field, findings);
    let probe = read_probe(&mut check, path);
    let interval = check.seconds("interval", PROBE_TIME).and_then(NonZeroU32::new);
    let timeout = check.seconds("timeout", PROBE_TIME).and_then(NonZeroU32::new);
    let retries = check.number("retries", PROBE_RETRIES).and_then(|n| u16::try_from(n).ok()).and_then(NonZeroU16::new);
    let probe = probe?;
    if probe == Probe::None {
        for key in ["interval", "timeout", "retries"] {
            let Some(unused) = field.get(key) else { continue };
            findings.warning(&unused, format!("`{key}` does nothing with `none: true`")).hint("leave it out");
        }
    }
    let says_nothing = probe == Probe::Standard && interval.is_none() && timeout.is_none() && retries.is_none();
    (!says_nothing).then_some(HealthCheck { probe, interval, timeout, retries })
}

/// A path as it stands in a URL, with a query perhaps.
pub fn read_path(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let path = findings.word(field)?;
    if !path.starts_with('/') {
        findings.mistake(field, format!("`{}` must begin with `/`", field.path)).hint("write the path alone, like `/health`");
        return None;
    }
    if !is_url_path(path) {
        findings
            .mistake(field, format!("`{}` must be a path as it stands in a URL", field.path))
            .hint("write other characters as `%20` and the like");
        return None;
    }
    Some(path.to_owned())
}

fn read_probe(check: &mut Object<'_, '_, '_>, app_path: Option<&str>) -> Option<Probe> {
    let is_on = |check: &mut Object<'_, '_, '_>, key| check.boolean(key).unwrap_or_default();
    let (tcp, none) = (is_on(check, "tcp"), is_on(check, "none"));
    let command = check.words("command");
    let path = check.read("path", read_path);
    let host = check.read("host", read_host);
    let status = check.read("status", read_status);
    let port = check.number("port", PORT).and_then(|n| u16::try_from(n).ok()).and_then(NonZeroU16::new);
    refuse_mixture(check, tcp, none)?;
    let is_http = port.is_some() || HTTP.iter().any(|key| check.get(key).is_some());
    Some(match command {
        Some(words) => Probe::Command(words),
        // What was wrong with it is noted.
        None if check.get("command").is_some() => return None,
        None if none => Probe::None,
        None if tcp => Probe::Tcp { port },
        None if is_http => {
            let path = path.or_else(|| app_path.map(str::to_owned)).unwrap_or_else(|| "/".to_owned());
            Probe::Http(HttpProbe { path, port, host, status })
        }
        None => Probe::Standard,
    })
}

/// Two ways to ask at once are a mistake that names them.
fn refuse_mixture(check: &mut Object<'_, '_, '_>, tcp: bool, none: bool) -> Option<()> {
    let ways = [("none", none), ("command", check.get("command").is_some()), ("tcp", tcp)];
    let mut chosen = ways.iter().filter(|(_, chosen)| *chosen).map(|(way, _)| *way);
    let Some(way) = chosen.next() else { return Some(()) };
    let goes_with_port = way == "tcp";
    let port = (!goes_with_port).then_some("port");
    let other = chosen.next().or_else(|| HTTP.into_iter().chain(port).find(|key| check.get(key).is_some()));
    let Some((other, field)) = other.and_then(|other| Some((other, check.get(other)?))) else { return Some(()) };
    check.findings.mistake(&field, format!("`{way}` and `{other}` exclude each other: there is one way to check")).hint("keep one of them");
    None
}

fn read_host(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let host = findings.word(field)?;
    if !is_http_host(host) {
        let found = findings.quoted(field, host);
        findings.mistake(field, format!("{found} is not a host")).hint("write the name alone, like `shop.example.com`");
        return None;
    }
    Some(host.to_owned())
}

/// `200`, or `200-299`.
fn read_status(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<StatusRange> {
    let written = findings.literal(field)?;
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let (first, last) = written.split_once('-').unwrap_or((written, written));
    match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => Some(StatusRange { first, last }),
        _ => {
            let found = findings.quoted(field, written);
            findings
                .mistake(field, format!("`{}` must be status codes from 100 to 599, not {found}", field.path))
                .hint("write one, like `200`, or a range, like `200-299`");
            None
        }
    }
}
