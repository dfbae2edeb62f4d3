//! One mistake in a file, and its report in the style of a compiler.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::source::Site;
use crate::term::Terminal;

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
}

impl Mistake {
    pub fn new(site: Site, key: Option<String>, message: impl Into<String>) -> Self {
        let (line, column) = site.position();
        let file = site.source.path.display().to_string();
        Self { file, line, column, key, message: message.into(), hint: None, kind: Kind::Error, site, other: None }
    }

    /// The same as a warning: the file can be used.
    pub fn warning(mut self) -> Self {
        self.kind = Kind::Warning;
        self
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

    /// The report, without a newline at its end; coloured when stderr is a terminal.
    pub fn render(&self) -> String {
        self.render_with(if Terminal::detect().colour { Renderer::styled() } else { Renderer::plain() })
    }

    fn render_with(&self, renderer: Renderer) -> String {
        let level = match self.kind {
            Kind::Error => Level::ERROR,
            Kind::Warning => Level::WARNING,
        };
        let text = self.site.source.shown();
        let title = level.primary_title(self.message.as_str());
        let mut group: Group<'_> = if text.trim().is_empty() || self.site.span.is_empty() && self.key.is_some() {
            // A key that is missing has no line to show.
            title.element(Origin::path(self.file.as_str()))
        } else {
            let primary = AnnotationKind::Primary.span(visible(text, &self.site.span));
            let other = self.other.as_ref().map(|(span, label)| AnnotationKind::Context.span(visible(text, span)).label(*label));
            title.element(Snippet::source(text).path(self.file.as_str()).annotation(primary).annotations(other))
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

/// The part of a span on its first line.
fn visible(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line_end = text[start..end].find(['\n', '\r']).map_or(end, |newline| start + newline);
    start..line_end
}
