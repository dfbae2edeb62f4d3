//! `config show`: every value of every target after inheritance, and where it comes from.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::reference::{self, Entry};
use crate::config::settings::{self, Setting, SettingOrigin, TargetSettings};
use crate::config::{self, MASK, yaml_text};
use crate::term::{self, Terminal};

use super::super::Outcome;
use super::super::error::ClientError;
use super::super::subject::{self, Globals};
use super::super::targets::{self, Names};

/// Show the configuration of each target as it is in the end, secrets masked
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy config show
  haloy config show --target production
  haloy config show --why replicas")]
pub struct Show {
    /// Configuration file or its directory
    #[arg(value_name = "CONFIG")]
    file: Option<String>,
    /// These targets of the configuration only
    #[arg(short, long, visible_alias = "target", value_name = "NAME,…", value_delimiter = ',')]
    targets: Vec<String>,
    /// Where one value comes from, and what it wins over: replicas, web.replicas for one target
    #[arg(long, value_name = "KEY")]
    why: Option<String>,
    /// Print one JSON value, a list of targets
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct ShownTarget<'a> {
    target: Option<&'a str>,
    settings: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    /// null for what may be a secret, and for what is not written.
    value: Option<&'a str>,
    masked: bool,
    /// `file`, `preset`, `target` (its key is the name) or `default`.
    origin: &'static str,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    /// The line at which the root has another value.
    overridden: Option<usize>,
    /// What holds because nothing is written, in words.
    default: Option<&'a str>,
}

impl Show {
    pub fn run(self, globals: &Globals) -> Outcome {
        let path = config::find(subject::chosen_path(globals, self.file.as_deref())?.as_deref())?;
        let known = settings::read(&path)?;
        let mut targets = chosen(&known, &self.targets, &path)?;
        let (of, typed) = self.why.as_deref().map_or(Ok((None, "")), |why| addressed(why, &known, &path))?;
        targets.retain(|target| of.is_none_or(|of| std::ptr::eq(of, *target)));
        let wanted = Some(typed).filter(|key| !key.is_empty()).map(reference::find).transpose()?;
        let page = Page { path: &path, terminal: globals.terminal.for_data() };
        if self.json {
            let shown: Vec<ShownTarget<'_>> = targets.iter().map(|target| page.json(target, wanted.as_ref(), typed)).collect();
            term::json(&shown);
            return Ok(ExitCode::SUCCESS);
        }
        for (index, target) in targets.iter().enumerate() {
            let space = if index > 0 { "\n" } else { "" };
            let title = target.name.as_ref().map(|name| format!("{}\n", page.terminal.bold(&format!("# {name}")))).unwrap_or_default();
            let body = match &wanted {
                Some(key) => page.why(target, key, typed),
                None => page.settings(target),
            };
            term::data(&format!("{space}{title}{body}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The targets of these names; all when none is named.
fn chosen<'a>(known: &'a [TargetSettings], words: &[String], path: &Path) -> Result<Vec<&'a TargetSettings>, ClientError> {
    if words.is_empty() {
        return Ok(known.iter().collect());
    }
    let names: Vec<Names<'_>> = known.iter().map(names).collect();
    let chosen = targets::named(&names, words, path)?;
    Ok(known.iter().zip(chosen).filter_map(|(target, chosen)| chosen.then_some(target)).collect())
}

/// A path without the target that it begins with, and that target: `targets.web.replicas`, `web.replicas`,
/// `apps[0].replicas`. Nothing is left of a target's own path: it stands for all that the target has.
fn addressed<'a, 'k>(
    typed: &'k str,
    known: &'a [TargetSettings],
    path: &Path,
) -> Result<(Option<&'a TargetSettings>, &'k str), ClientError> {
    if let Some((place, rest)) = typed.strip_prefix("apps[").and_then(|rest| rest.split_once(']')) {
        let target = place.parse::<usize>().ok().and_then(|index| known.get(index));
        return Ok((target, target.map_or(typed, |_| rest.trim_start_matches('.'))));
    }
    // `NAME` as the reference writes it.
    let below = typed.strip_prefix("targets.").map(|below| below.strip_prefix("NAME.").unwrap_or(below));
    let word = below.unwrap_or(typed);
    let rest_after = |name: &str| word.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('.'));
    let found = known.iter().find_map(|target| Some((target, rest_after(target.name.as_deref()?)?)));
    let first = word.split(['.', '[']).next().unwrap_or_default();
    match found {
        Some((target, rest)) if below.is_some() || !reference::is_root(first) => Ok((Some(target), rest.trim_start_matches('.'))),
        None if below.is_some() && !reference::is_root(first) => {
            let names: Vec<Names<'_>> = known.iter().map(names).collect();
            targets::named(&names, &[first.to_owned()], path).map(|_| (None, typed))
        }
        // Every target's own.
        _ => Ok((None, word)),
    }
}

fn names(target: &TargetSettings) -> Names<'_> {
    let app = target.settings.iter().find(|setting| setting.key == "name").and_then(|setting| setting.value.as_deref());
    Names { target: target.name.as_deref(), app: app.unwrap_or_default() }
}

/// The settings that a key leads to: those of the path as it was typed, else every place of the key.
fn about<'a>(target: &'a TargetSettings, key: &Entry, typed: &str) -> Vec<&'a Setting> {
    let below = |path: &str, above: &str| path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let all = || target.settings.iter();
    let exact: Vec<&Setting> = all().filter(|setting| below(&setting.key, typed)).collect();
    if exact.is_empty() { all().filter(|setting| below(&without_places(&setting.key), &key.path)).collect() } else { exact }
}

/// `env[1].name` as `env[].name`.
fn without_places(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| format!("{path}[{}", part.trim_start_matches(|c: char| c.is_ascii_digit())))
}

struct Page<'a> {
    path: &'a Path,
    terminal: Terminal,
}

impl Page<'_> {
    /// A line for each value, which is YAML for what is not in a list.
    fn settings(&self, target: &TargetSettings) -> String {
        let lines: Vec<(String, String)> =
            ordered(target).into_iter().map(|setting| (format!("{}: {}", setting.key, value(setting)), self.origin(setting))).collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or_default();
        let mut text = String::new();
        for (line, origin) in &lines {
            text += &format!("{line:<width$}  {}\n", self.terminal.dim(&format!("# {origin}")));
        }
        for (entry, default) in defaults(target) {
            text += &self.terminal.dim(&format!("# {}: {default}  # default", entry.name));
            text.push('\n');
        }
        text
    }

    fn why(&self, target: &TargetSettings, key: &Entry, typed: &str) -> String {
        let found = about(target, key, typed);
        if found.is_empty() {
            return not_written(key);
        }
        let mut text = String::new();
        for setting in found {
            text += &format!("{}: {}\n  {}\n", setting.key, value(setting), self.origin(setting));
            if let Some(line) = setting.overridden {
                text += &format!("  it wins over {}:{line}, at the root of the file\n", self.path.display());
            }
        }
        text
    }

    fn origin(&self, setting: &Setting) -> String {
        let place = format!("{}:{}", self.path.display(), setting.line);
        match setting.origin {
            SettingOrigin::File => place,
            SettingOrigin::TargetKey => format!("{place}, the target's key"),
            SettingOrigin::Preset => format!("{place}, by the preset"),
        }
    }

    fn json<'a>(&self, target: &'a TargetSettings, wanted: Option<&'a Entry>, typed: &str) -> ShownTarget<'a> {
        let found = wanted.map_or_else(|| ordered(target), |key| about(target, key, typed));
        let mut settings: Vec<Shown<'a>> = found.into_iter().map(|setting| self.shown(setting)).collect();
        match wanted {
            Some(key) if settings.is_empty() => settings.push(by_default(&key.path, key.default)),
            Some(_) => {}
            None => settings.extend(defaults(target).into_iter().map(|(entry, default)| by_default(entry.name, Some(default)))),
        }
        ShownTarget { target: target.name.as_deref(), settings }
    }

    fn shown<'a>(&self, setting: &'a Setting) -> Shown<'a> {
        let origin = match setting.origin {
            SettingOrigin::File => "file",
            SettingOrigin::TargetKey => "target",
            SettingOrigin::Preset => "preset",
        };
        Shown {
            key: &setting.key,
            value: setting.value.as_deref(),
            masked: setting.value.is_none(),
            origin,
            file: Some(self.path.display().to_string()),
            line: Some(setting.line),
            column: Some(setting.column),
            overridden: setting.overridden,
            default: None,
        }
    }
}

fn by_default<'a>(key: &'a str, default: Option<&'a str>) -> Shown<'a> {
    Shown { key, value: None, masked: false, origin: "default", file: None, line: None, column: None, overridden: None, default }
}

fn not_written(key: &Entry) -> String {
    match key.default {
        _ if !key.in_targets => format!("{}: it is once for the file, and no target's\n", key.path),
        Some(default) => format!("{}: not written\n  default: {default}\n", key.path),
        None => format!("{}: not written\n", key.path),
    }
}

/// In the order of the reference.
fn ordered(target: &TargetSettings) -> Vec<&Setting> {
    let groups = reference::overview();
    let names: Vec<&str> = groups.iter().flat_map(|group| group.keys.iter().map(|entry| entry.name)).collect();
    let mut settings: Vec<&Setting> = target.settings.iter().collect();
    // Stable: what stands below one key stays in its order.
    settings.sort_by_key(|setting| names.iter().position(|name| *name == root_key(setting)));
    settings
}

fn root_key(setting: &Setting) -> &str {
    setting.key.split(['.', '[']).next().unwrap_or_default()
}

/// What holds when nothing else is written: `rolling` of `rolling; replace with a preset`.
fn alone(default: &'static str) -> &'static str {
    default.split("; ").next().unwrap_or(default)
}

/// The keys that are not written, and what holds in their place.
fn defaults(target: &TargetSettings) -> Vec<(Entry, &'static str)> {
    let written = |entry: &Entry| target.settings.iter().any(|setting| root_key(setting) == entry.name);
    let keys = reference::overview().into_iter().flat_map(|group| group.keys);
    keys.filter(|entry| entry.in_targets && !written(entry))
        .filter_map(|entry| entry.default.map(|default| (entry, alone(default))))
        .collect()
}

/// On one line, as YAML has it.
fn value(setting: &Setting) -> String {
    let Some(text) = setting.value.as_deref() else { return MASK.to_owned() };
    if matches!(text, "{}" | "[]") { text.to_owned() } else { yaml_text::scalar(text) }
}
