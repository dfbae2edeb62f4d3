//! `config docs`: the reference, as a list of all keys, one key in full, or a document.

use std::process::ExitCode;

use crate::config::reference::{self, Entry, Group, Line};
use crate::term::{self, Terminal};

use super::super::Outcome;
use super::super::subject::Globals;

/// Print what the keys of haloy.yaml mean: all in short, or one in full
#[derive(clap::Args)]
#[command(args = super::super::hidden(&["config", "server"]), after_help = "\
Examples:
  haloy config docs                           All keys
  haloy config docs image.registry.username   One key, its default and an example
  haloy config docs --markdown > keys.md      Everything, as a document")]
pub struct Docs {
    /// A key, or the path of one: image.build_config, env, targets
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Print one JSON value: the key, or groups of keys
    #[arg(long, conflicts_with = "markdown")]
    pub json: bool,
    /// Print Markdown, with all keys below
    #[arg(long)]
    markdown: bool,
}

impl Docs {
    pub fn run(self, globals: &Globals) -> Outcome {
        let page = Page { terminal: globals.terminal.for_data(), width: term::width(), program: &globals.program };
        match (&self.key, self.json, self.markdown) {
            (Some(key), true, _) => term::json(&reference::find(key)?),
            (None, true, _) => term::json(&reference::overview()),
            (Some(key), _, true) => reference::with_all_below(key)?.iter().for_each(|entry| term::data(&markdown(entry))),
            (None, _, true) => term::data(&document(&reference::everything())),
            (Some(key), ..) => term::data(&page.entry(&reference::find(key)?)),
            (None, ..) => term::data(&page.overview(&reference::overview())),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How text is laid out.
struct Page<'a> {
    terminal: Terminal,
    width: usize,
    program: &'a str,
}

impl Page<'_> {
    fn overview(&self, groups: &[Group]) -> String {
        let mut text = String::new();
        for group in groups {
            text += &format!("{}\n", self.terminal.bold(group.title));
            let rows = group.keys.iter().map(|entry| match entry.superseded {
                Some(today) => (entry.name, entry.kind.as_str(), format!("write {today}")),
                None => (entry.name, entry.kind.as_str(), gist(entry.about)),
            });
            text += &self.keys(rows);
            text.push('\n');
        }
        text + &format!("`{} config docs KEY` says more: its type, its default, an example.\n", self.program)
    }

    fn entry(&self, entry: &Entry) -> String {
        let mut text = format!("{}  {}\n\n", self.terminal.bold(&entry.path), self.terminal.dim(&kind(entry)));
        text += &self.paragraph(entry.about);
        if let Some(today) = entry.superseded {
            text += &self.paragraph(&format!("It is of an earlier generation: write {today}."));
        }
        text.push('\n');
        for (name, value) in facts(entry) {
            text += &self.row(name, &value, 12);
        }
        if let Some(example) = entry.example {
            let lines: String = example.lines().map(|line| format!("  {line}\n")).collect();
            text += &format!("\n{}\n{lines}", self.terminal.bold("Example"));
        }
        let below = entry.keys.iter().filter(|line| !line.superseded);
        if below.clone().next().is_some() {
            text += &format!("\n{}\n", self.terminal.bold("Keys"));
            text += &self.keys(below.map(|line: &Line| (line.name, line.kind.as_str(), gist(line.about))));
        }
        text
    }

    /// Names, and beside them what they take and mean.
    fn keys<'a>(&self, keys: impl Iterator<Item = (&'a str, &'a str, String)> + Clone) -> String {
        let names = keys.clone().map(|(name, ..)| name.len()).max().unwrap_or_default();
        let kinds = keys.clone().map(|(_, kind, _)| kind.len()).max().unwrap_or_default();
        keys.map(|(name, kind, about)| self.row(&format!("{name:<names$}  {kind:<kinds$}"), &about, names + kinds + 4)).collect()
    }

    fn row(&self, name: &str, text: &str, column: usize) -> String {
        let lines = term::wrapped(text, self.width.saturating_sub(column + 2).max(20));
        let mut row = format!("  {name:<column$}");
        for (index, line) in lines.iter().enumerate() {
            let indent = if index == 0 { 0 } else { column + 2 };
            row += &format!("{:indent$}{line}\n", "");
        }
        row
    }

    fn paragraph(&self, text: &str) -> String {
        term::wrapped(text, self.width).join("\n") + "\n"
    }
}

fn kind(entry: &Entry) -> String {
    let required = if entry.required { ", required" } else { "" };
    format!("{}{required}", entry.r#type)
}

fn facts(entry: &Entry) -> Vec<(&'static str, String)> {
    let spellings: Vec<&str> = entry.camel_case.as_deref().into_iter().collect();
    let mut facts = Vec::new();
    facts.extend(entry.default.map(|default| ("default", default.to_owned())));
    facts.extend((!spellings.is_empty()).then(|| ("also", spellings.join(", "))));
    facts.extend((!entry.former.is_empty()).then(|| ("formerly", entry.former.join(", "))));
    facts.push(("in targets", if entry.in_targets { "yes" } else { "no, once for a file" }.to_owned()));
    facts
}

/// What a key is about, without the details behind it.
fn gist(about: &str) -> String {
    let end = [". ", ": ", "; "].iter().filter_map(|mark| about.find(mark)).min().unwrap_or(about.len());
    about[..end].trim_end_matches('.').to_owned()
}

fn document(groups: &[Group]) -> String {
    let mut text = "# The keys of haloy.yaml\n\nKeys are written in snake_case; camelCase is accepted everywhere.\n".to_owned();
    for group in groups {
        text += &format!("\n## {}\n", group.title);
        group.keys.iter().for_each(|entry| text += &format!("\n{}", markdown(entry)));
    }
    text
}

fn markdown(entry: &Entry) -> String {
    let mut text = format!("### `{}`\n\n{}\n\n- type: {}\n", entry.path, entry.about, kind(entry));
    if let Some(today) = entry.superseded {
        text += &format!("- of an earlier generation: write {today}\n");
    }
    facts(entry).into_iter().for_each(|(name, value)| text += &format!("- {name}: {value}\n"));
    if let Some(example) = entry.example {
        text += &format!("\n```yaml\n{example}\n```\n");
    }
    text
}
