//! How the app's containers are created: the keys that Docker has words for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use super::field::Field;
use super::findings::Findings;
use super::keys::target::PIDS;
use super::object::Object;
use super::size::{self, KIB};
use super::spelling::nearest;
use crate::kernel::{CAPABILITIES, LEAST_CPU, LEAST_MEMORY, LIMITS, SIGNALS, TMPFS_FLAGS, TMPFS_VALUES, is_tmpfs_option, signal};
use crate::names::{OWN_LABELS, is_container_path, is_host_name, is_label_name, is_plain, is_user, is_working_dir};
use crate::wire::{ContainerOptions, ExtraHost, Logging, Resources, Tmpfs, Ulimit};

/// One page: who writes less has forgotten the unit.
const LEAST_SHM: u64 = 4 * KIB;
/// In thousandths; no machine has more.
const CPUS: (u32, u32) = (LEAST_CPU, 10_000_000);
/// Drivers that every engine has.
const LOGGING_DRIVERS: [&str; 10] = ["json-file", "local", "journald", "syslog", "none", "gelf", "fluentd", "awslogs", "splunk", "gcplogs"];
const DEFAULT_DRIVER: &str = "json-file";

/// The keys of one target that say how its containers are created.
pub fn read(root: &Field<'_>, findings: &mut Findings<'_>) -> ContainerOptions {
    let mut target = Object::new(root, findings);
    ContainerOptions {
        command: target.words("command"),
        entrypoint: target.words("entrypoint"),
        user: target.read("user", read_user),
        working_dir: target.read("working_dir", read_working_dir),
        labels: target.read("labels", read_labels).unwrap_or_default(),
        resources: target.read("resources", read_resources).unwrap_or_default(),
        stop_signal: target.read("stop_signal", read_signal),
        shm_size: target.read("shm_size", |field, findings| size::read(field, LEAST_SHM, findings)),
        ulimits: target.read("ulimits", read_ulimits).unwrap_or_default(),
        cap_add: target.all("cap_add", read_capabilities),
        cap_drop: target.all("cap_drop", read_capabilities),
        read_only: target.boolean("read_only").unwrap_or_default(),
        tmpfs: target.all("tmpfs", read_tmpfs),
        extra_hosts: target.all("extra_hosts", read_extra_hosts),
        logging: target.read("logging", read_logging),
    }
}

fn read_user(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let user = findings.literal(field)?;
    if !is_user(user) {
        let found = findings.quoted(field, user);
        findings
            .mistake(field, format!("{found} is not a user"))
            .hint("write a name or number, and a group behind a colon: `\"1000:1000\"`");
        return None;
    }
    Some(user.to_owned())
}

fn read_working_dir(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let path = findings.word(field)?;
    if !is_working_dir(path) {
        findings.mistake(field, format!("`{}` must be an absolute path in the container", field.path)).hint("write it like `/app`");
        return None;
    }
    Some(path.to_owned())
}

fn read_labels(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<BTreeMap<String, String>> {
    let entries = read_texts(field, findings)?;
    let mut labels = BTreeMap::new();
    for (name, field, value) in entries {
        if name.starts_with(OWN_LABELS) {
            findings
                .mistake(&field, format!("labels that begin with `{OWN_LABELS}` are haloy's own"))
                .hint("choose a name of your own, like `com.example.team`");
        } else if !is_label_name(&name) {
            findings.mistake(&field, "the label's name is not valid: it has no spaces and no `=`");
        } else {
            labels.insert(name, value);
        }
    }
    Some(labels)
}

/// An object of texts, which may be empty, under names of the user's choice.
fn read_texts<'f>(field: &Field<'f>, findings: &mut Findings<'_>) -> Option<Vec<(String, Field<'f>, String)>> {
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `name: value` on lines of their own below it");
        return None;
    }
    let mut texts = Vec::new();
    for (name, value) in field.entries() {
        let text = if value.text() == Some("") { Some("") } else { findings.literal(&value) };
        texts.extend(text.map(|text| (name.to_owned(), value.clone(), text.to_owned())));
    }
    Some(texts)
}

fn read_resources(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Resources> {
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `memory: 512m` and the like below it");
        return None;
    }
    let mut resources = Object::new(field, findings);
    let memory: Option<NonZeroU64> = resources.read("memory", |field, findings| size::read(field, LEAST_MEMORY, findings));
    let cpus = resources.read("cpus", read_cpus);
    let pids = resources.number("pids", PIDS).and_then(NonZeroU32::new);
    Some(Resources { memory, cpus, pids })
}

/// Thousandths of a processor.
fn read_cpus(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<NonZeroU32> {
    let written = findings.literal(field)?;
    let thousandths = thousandths(written).filter(|cpus| (CPUS.0..=CPUS.1).contains(cpus));
    if thousandths.is_none() {
        let found = findings.quoted(field, written);
        findings
            .mistake(
                field,
                format!("`{}` must be a number from 0.01 to {} with at most three decimals, not {found}", field.path, CPUS.1 / 1000),
            )
            .hint("write how many processors, like `0.5` or `2`");
    }
    thousandths.and_then(NonZeroU32::new)
}

/// `1.5` → 1500.
fn thousandths(written: &str) -> Option<u32> {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 3 {
        return None;
    }
    let fraction: u32 = format!("{fraction:0<3}").parse().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(fraction)
}

fn read_signal(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let written = findings.literal(field)?;
    let found = signal(written);
    if found.is_none() {
        let message = format!("{} is not a signal", findings.quoted(field, written));
        let name = written.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        let hint = nearest(name, SIGNALS)
            .map_or_else(|| "write it like `SIGQUIT`, or a number from 1 to 64".to_owned(), |meant| format!("did you mean `SIG{meant}`?"));
        findings.mistake(field, message).hint(hint);
    }
    found
}

fn read_ulimits(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<Ulimit>> {
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `nofile: 65536` and the like below it");
        return None;
    }
    let entries = field.entries();
    Some(entries.iter().filter_map(|(name, limit)| read_ulimit(name, limit, findings)).collect())
}

fn read_ulimit(name: &str, field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Ulimit> {
    if !LIMITS.contains(&name) {
        let shown = if name.len() <= 40 { format!("`{name}`") } else { "this".to_owned() };
        let known = format!("the limits are {}", LIMITS.map(|limit| format!("`{limit}`")).join(", "));
        findings.unknown_word(field, format!("{shown} is not a limit of processes"), name, LIMITS, &known);
        return None;
    }
    if !field.is_object() {
        let limit = read_limit(field, findings)?;
        return Some(Ulimit { name: name.to_owned(), soft: limit, hard: limit });
    }
    let mut limit = |key: &str| match field.get(key) {
        Some(limit) => read_limit(&limit, findings),
        None => {
            findings.missing(field, key, &format!("write `{key}: …`, or one number for both: `{name}: 1024`"));
            None
        }
    };
    let (soft, hard) = (limit("soft"), limit("hard"));
    let (soft, hard) = (soft?, hard?);
    if hard != -1 && (soft == -1 || soft > hard) {
        findings
            .mistake(field, format!("the soft limit of `{name}` is higher than the hard one"))
            .hint("`soft` holds, `hard` is how far it can be raised");
        return None;
    }
    Some(Ulimit { name: name.to_owned(), soft, hard })
}

fn read_limit(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<i64> {
    let number = field.integer().or_else(|| field.text()?.parse().ok()).filter(|number| *number >= -1);
    if number.is_none() {
        let found = field.text().or_else(|| findings.written(field)).filter(|text| text.len() <= 40);
        let found = found.map_or_else(|| field.kind().to_owned(), |text| findings.quoted(field, text));
        findings.mistake(field, format!("`{}` must be a whole number, not {found}", field.path)).hint("-1 is unlimited");
    }
    number
}

fn read_capabilities(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<String> {
    let mut capabilities: Vec<String> = Vec::new();
    for item in findings.list(field) {
        let Some(written) = findings.word(&item) else { continue };
        let upper = written.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if !CAPABILITIES.contains(&name) {
            let message = format!("{} is not a capability of Linux", findings.quoted(&item, written));
            findings.unknown_word(&item, message, name, CAPABILITIES, "write it like `NET_ADMIN`; `ALL` is every one");
        } else if !capabilities.iter().any(|known| known == name) {
            capabilities.push(name.to_owned());
        }
    }
    capabilities
}

fn read_tmpfs(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<Tmpfs> {
    let items = findings.list(field);
    items.iter().filter_map(|item| read_one_tmpfs(item, findings)).collect()
}

fn read_one_tmpfs(item: &Field<'_>, findings: &mut Findings<'_>) -> Option<Tmpfs> {
    let written = findings.word(item)?;
    let (path, options) = written.split_once(':').map_or((written, None), |(path, options)| (path, Some(options)));
    if !is_container_path(path) {
        let message = format!("`{}` must begin with an absolute path below `/`, without `..`", item.path);
        findings.mistake(item, message).hint("write it like `/tmp`, or `/tmp:size=64m`");
        return None;
    }
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        if !is_tmpfs_option(option) {
            let name = option.split('=').next().unwrap_or_default();
            let message = format!("the file system at `{path}` has the unknown option `{option}`");
            let words = TMPFS_FLAGS.into_iter().chain(TMPFS_VALUES).filter(|word| *word != name);
            findings.unknown_word(
                item,
                message,
                name,
                words,
                "options are `size=64m`, `mode=1777`, `noexec` and the like, separated by commas",
            );
            return None;
        }
    }
    Some(Tmpfs { path: path.trim_end_matches('/').to_owned(), options: options.map(str::to_owned) })
}

fn read_extra_hosts(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<ExtraHost> {
    const HINT: &str = "write it like `db.internal:10.0.0.7`; the address `host-gateway` is the server";
    if field.is_object() {
        findings.wrong_kind(field, "a list").hint(HINT);
        return Vec::new();
    }
    let mut hosts = Vec::new();
    for item in findings.list(field) {
        let Some(written) = findings.word(&item) else { continue };
        match extra_host(written) {
            Some(host) => hosts.push(host),
            None => {
                findings.mistake(&item, format!("`{}` must be a name and an address, with a colon between them", item.path)).hint(HINT);
            }
        }
    }
    hosts
}

/// `name:address` or `name=address`; an address of IPv6 may stand in brackets.
fn extra_host(written: &str) -> Option<ExtraHost> {
    let (name, address) = written.split_once(['=', ':'])?;
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let is_address = bare == "host-gateway" || bare.parse::<IpAddr>().is_ok();
    (is_host_name(name) && is_address).then(|| ExtraHost { name: name.to_owned(), address: bare.to_owned() })
}

fn read_logging(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Logging> {
    if !field.is_object() {
        findings.wrong_kind(field, "an object").hint("write `driver: journald` below it");
        return None;
    }
    let driver = match field.get("driver") {
        Some(driver) => read_driver(&driver, findings),
        None => Some(DEFAULT_DRIVER.to_owned()),
    };
    let options = field.get("options").and_then(|options| read_texts(&options, findings)).unwrap_or_default();
    for (_, option, _) in options.iter().filter(|(name, ..)| !is_plain(name)) {
        findings.mistake(option, "the option's name is not valid: it has no spaces");
    }
    Some(Logging { driver: driver?, options: options.into_iter().map(|(name, _, value)| (name, value)).collect() })
}

/// Plugins bring drivers of their own, so an unknown one is no mistake.
fn read_driver(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let driver = findings.word(field)?;
    if !is_plain(driver) {
        findings.mistake(field, "a logging driver's name has no spaces");
        return None;
    }
    if driver == "none" {
        findings
            .warning(field, "nothing that the app prints is kept: `haloy logs` and failed deployments have nothing to show")
            .hint("leave `logging` out: three files of 10 MB are kept");
    } else if !LOGGING_DRIVERS.contains(&driver) && !driver.contains(['/', ':']) {
        let found = findings.quoted(field, driver);
        let hint = nearest(driver, LOGGING_DRIVERS)
            .map_or_else(|| "a plugin of this name must be installed on the server".to_owned(), |meant| format!("did you mean `{meant}`?"));
        findings.warning(field, format!("{found} is not a logging driver that every engine has")).hint(hint);
    }
    Some(driver.to_owned())
}
