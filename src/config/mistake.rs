//! One mistake in a file, and its report in the style of a compiler.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::source::Site;

/// What is wrong at which place. Serialised it is what `--json` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Mistake {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The key as a path: `env[1].from.env`. None for a text that is not of its format.
    pub key: Option<String>,
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    #[serde(skip)]
    kind: Kind,
    #[serde(skip)]
    site: Site,
    /// Another place that explains it, with its label.
    #[serde(skip)]
    other: Option<(Range<usize>, &'static str)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Error,
    Warning,
    Note,
}

impl Mistake {
    pub fn new(site: Site, key: Option<String>, message: impl Into<String>) -> Self {
        let file = site.source.path.display().to_string();
        Self { file, line: 1, column: 1, key, message: message.into(), hint: None, kind: Kind::Error, site, other: None }
    }

    /// Finds out line and column, which takes a look at the whole text.
    pub fn placed(mut self) -> Self {
        (self.line, self.column) = self.site.position();
        self
    }

    /// The same as a warning: the file can be used.
    pub fn warning(mut self) -> Self {
        self.kind = Kind::Warning;
        self
    }

    /// The file cannot be used.
    pub fn is_error(&self) -> bool {
        self.kind == Kind::Error
    }

    /// The same as a remark: the file can be used and does what it says.
    pub fn note(mut self) -> Self {
        self.kind = Kind::Note;
        self
    }

    /// Nothing needs to be done about it.
    pub fn is_note(&self) -> bool {
        self.kind == Kind::Note
    }

    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Points at a second place of the same file.
    pub fn other(&mut self, span: Range<usize>, label: &'static str) -> &mut Self {
        self.other = Some((span, label));
        self
    }

    /// Where it stands, to sort by.
    pub fn start(&self) -> usize {
        self.site.span.start
    }

    /// The report, without a newline at its end.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.kind {
            Kind::Error => Level::ERROR,
            Kind::Warning => Level::WARNING,
            Kind::Note => Level::NOTE,
        };
        let text = self.site.source.shown();
        let title = level.primary_title(self.message.as_str());
        let mut group: Group<'_> = if text.trim().is_empty() || self.site.span.is_empty() && self.key.is_some() {
            // A key that is missing has no line to show.
            title.element(Origin::path(self.file.as_str()))
        } else {
            let other = self.other.as_ref().map(|(span, _)| span.clone()).unwrap_or(self.site.span.clone());
            let (lines, first) = lines(text, &self.site.span, &other);
            let within = |span: &Range<usize>| visible(&text[lines.clone()], &(span.start - lines.start..span.end - lines.start));
            let primary = AnnotationKind::Primary.span(within(&self.site.span));
            let other = self.other.as_ref().map(|(span, label)| AnnotationKind::Context.span(within(span)).label(*label));
            let snippet = Snippet::source(&text[lines.clone()]).line_start(first).path(self.file.as_str());
            title.element(snippet.annotation(primary).annotations(other))
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

/// The lines from the first of two spans to the last, and the number of the first.
fn lines(text: &str, one: &Range<usize>, other: &Range<usize>) -> (Range<usize>, usize) {
    let (from, to) = (one.start.min(other.start).min(text.len()), one.end.max(other.end).min(text.len()));
    let start = text[..from].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[to..].find('\n').map_or(text.len(), |newline| to + newline + 1);
    (start..end, text[..start].matches('\n').count() + 1)
}

/// The part of a span on its first line.
fn visible(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line_end = text[start..end].find(['\n', '\r']).map_or(end, |newline| start + newline);
    start..line_end
}
