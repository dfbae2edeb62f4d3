//! A configuration file: finding it, reading it, and showing lines of it without its secrets.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use crate::files;

/// No person writes more than this; what is larger is not a configuration file.
pub const SIZE_LIMIT: u64 = 1024 * 1024;

/// The names looked for in a directory.
const NAMES: [&str; 4] = ["haloy.yaml", "haloy.yml", "haloy.json", "haloy.toml"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Json,
    Toml,
}

impl Format {
    /// The format that the file's ending names.
    pub fn of(path: &Path) -> Result<Self, ConfigError> {
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("yaml" | "yml") => Ok(Self::Yaml),
            Some("json") => Ok(Self::Json),
            Some("toml") => Ok(Self::Toml),
            _ => Err(ConfigError::UnknownFormat { path: path.to_owned() }),
        }
    }

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "YAML",
            Self::Json => "JSON",
            Self::Toml => "TOML",
        }
    }
}

/// A file as it may be shown: every value that could be a secret is masked, byte for byte, so that
/// spans of the original text fit.
pub struct Source {
    pub path: PathBuf,
    shown: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// A place in a file.
#[derive(Debug, Clone)]
pub struct Site {
    pub source: Arc<Source>,
    pub span: Range<usize>,
}

impl Source {
    /// Masks `secrets` (spans of `text`) for good; the text itself is not kept.
    pub fn new(path: &Path, text: &str, secrets: &[Range<usize>]) -> Self {
        let mut shown = text.as_bytes().to_vec();
        for span in secrets {
            let end = span.end.min(shown.len());
            let start = span.start.min(end);
            shown[start..end].iter_mut().filter(|byte| !matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b'*');
        }
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let lines = std::iter::once(0).chain(shown.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { path: path.to_owned(), shown, lines }
    }

    /// The text with masks.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// The path alone: a source is part of values that end up in logs.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl Site {
    /// Line and column, both from 1, the column in characters.
    pub fn position(&self) -> (usize, usize) {
        let line = self.source.lines.partition_point(|start| *start <= self.span.start);
        let start = self.source.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.source.shown.get(start..self.span.start).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

/// `file:line:column`.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        write!(f, "{}:{line}:{column}", self.source.path.display())
    }
}

/// The configuration file that is meant: `given` when it is a file, the one file in it when it is a
/// directory, the one in the current directory when nothing is given.
pub fn find(given: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let place = given.unwrap_or(Path::new(""));
    let is_directory = place.as_os_str().is_empty() || place.is_dir();
    if !is_directory {
        return if place.exists() { Ok(place.to_owned()) } else { Err(ConfigError::NotFound { tried: vec![place.to_owned()] }) };
    }
    let tried: Vec<PathBuf> = NAMES.iter().map(|name| place.join(name)).collect();
    let mut found: Vec<PathBuf> = tried.iter().filter(|path| path.is_file()).cloned().collect();
    match found.len() {
        0 => Err(ConfigError::NotFound { tried }),
        1 => Ok(found.remove(0)),
        _ => Err(ConfigError::Ambiguous { found }),
    }
}

/// The file's text without a byte order mark; refused when it is too large or not UTF-8.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let refuse = |source| ConfigError::File(files::FileError { action: "read", path: path.to_owned(), source });
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refuse)?;
    // The limit holds for pipes and devices too, whose size nobody knows before.
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(refuse)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes).map_err(|_| ConfigError::NotText { path: path.to_owned() })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The character at a line and column, both from 1, the column in characters. Past the end of a
/// line it is the empty place there.
pub fn at(text: &str, line: usize, column: usize) -> Range<usize> {
    let start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let content = text[start..].split(['\n', '\r']).next().unwrap_or_default();
    let within = content.char_indices().nth(column.saturating_sub(1)).map_or(content.len(), |(byte, _)| byte);
    char_at(text, start + within)
}

/// The character that covers a byte, never a line's end.
pub fn char_at(text: &str, byte: usize) -> Range<usize> {
    let mut start = byte.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let length = text[start..].chars().next().filter(|c| !matches!(c, '\n' | '\r')).map_or(0, char::len_utf8);
    start..start + length
}
