//! Reads fields of a document as the types that keys have, and collects every mistake on the way.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::sync::Arc;

use figment::value::Value;
use jiff::SignedDuration;

use super::document::{Document, Place};
use super::error::ConfigError;
use super::field::Field;
use super::layer::{Origin, OriginKind, Origins};
use super::mistake::Mistake;
use super::source::Site;
use super::spelling::nearest;

/// What was found in one document. A reader that returns `None` has noted why.
pub struct Findings<'a> {
    document: &'a Document,
    /// Of which target the fields are; none while the document itself is read.
    target: Option<Scope>,
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
}

/// Where the fields of a target are written.
struct Scope {
    at: String,
    origins: Origins,
    /// It is a part of targets: what is missing in it, and what does not go together, may be mended by them.
    partial: bool,
}

impl<'a> Findings<'a> {
    /// Begins with the document's mistakes of spelling.
    pub fn new(document: &'a Document) -> Self {
        Self { document, target: None, mistakes: document.mistakes.clone(), warnings: document.notes.clone() }
    }

    /// From now on fields are those of a target after inheritance.
    pub fn enter(&mut self, at: &str, origins: &Origins) {
        self.target = Some(Scope { at: at.to_owned(), origins: origins.clone(), partial: false });
    }

    /// From now on fields are those of a part of targets; only values that are wrong by themselves are noted.
    pub fn enter_part(&mut self, origins: &Origins) {
        self.target = Some(Scope { at: String::new(), origins: origins.clone(), partial: true });
    }

    pub fn is_partial(&self) -> bool {
        self.target.as_ref().is_some_and(|scope| scope.partial)
    }

    /// From now on fields are those of the document itself.
    pub fn leave(&mut self) {
        self.target = None;
    }

    /// A value of the document itself, wherever it is on its way to.
    pub fn at<'f>(&self, origin: &Origin, value: &'f Value) -> Option<Field<'f>> {
        self.document.place(&origin.path).map(|_| Field::at(origin.path.clone(), value))
    }

    /// A field's path in the document.
    pub fn document_path(&self, path: &str) -> String {
        match &self.target {
            None => path.to_owned(),
            Some(scope) if path.is_empty() => scope.at.clone(),
            Some(scope) => scope.origins.get(path).map_or_else(|| path.to_owned(), |origin| origin.path.clone()),
        }
    }

    /// Whether a target has the value from the root of the file.
    pub fn is_inherited(&self, field: &Field<'_>) -> bool {
        let Some(scope) = self.target.as_ref().filter(|scope| !scope.at.is_empty()) else { return false };
        !self.document_path(&field.path).strip_prefix(&scope.at).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    fn place(&self, field: &Field<'_>) -> Option<&'a Place> {
        self.document.place(&self.document_path(&field.path))
    }

    /// The key alone is what is written there, not the value.
    fn is_key(&self, path: &str) -> bool {
        let kind = self.target.as_ref().and_then(|scope| scope.origins.get(path)).map(|origin| origin.kind);
        kind == Some(OriginKind::Key)
    }

    /// Where a field's key begins, to sort by.
    pub fn key_start(&self, field: &Field<'_>) -> usize {
        self.place(field).map_or(0, |place| place.key.as_ref().unwrap_or(&place.value).start)
    }

    /// The warnings when there is no mistake, else the mistakes; both in the order of the file.
    pub fn finish(mut self) -> Result<Vec<Mistake>, ConfigError> {
        for found in [&mut self.mistakes, &mut self.warnings] {
            // What is wrong at the root is wrong in every target that inherits it.
            let mut seen = BTreeSet::new();
            found.retain(|mistake| seen.insert((mistake.start(), mistake.message.clone())));
        }
        self.warnings.sort_by_key(Mistake::start);
        self.warnings.truncate(super::error::SHOWN);
        if self.mistakes.is_empty() {
            Ok(self.warnings.into_iter().map(Mistake::placed).collect())
        } else {
            Err(ConfigError::invalid(self.mistakes))
        }
    }

    /// Notes what is wrong with a field's value.
    pub fn mistake(&mut self, field: &Field<'_>, message: impl Into<String>) -> &mut Mistake {
        let mistake = Mistake::new(self.site(field), Some(self.document_path(&field.path)), message);
        self.mistakes.push(mistake);
        self.mistakes.last_mut().expect("invariant: pushed above")
    }

    /// Notes what looks wrong and works all the same.
    pub fn warning(&mut self, field: &Field<'_>, message: impl Into<String>) -> &mut Mistake {
        let warning = Mistake::new(self.site(field), Some(self.document_path(&field.path)), message).warning();
        self.warnings.push(warning);
        self.warnings.last_mut().expect("invariant: pushed above")
    }

    /// Notes something that works and may surprise.
    pub fn note(&mut self, field: &Field<'_>, message: impl Into<String>) -> &mut Mistake {
        let note = Mistake::new(self.site(field), Some(self.document_path(&field.path)), message).note();
        self.warnings.push(note);
        self.warnings.last_mut().expect("invariant: pushed above")
    }

    /// Notes what was found elsewhere, with its own place.
    pub fn add(&mut self, mistake: Mistake) {
        if mistake.is_error() { &mut self.mistakes } else { &mut self.warnings }.push(mistake);
    }

    /// Notes that a word of a list that haloy knows is none of it.
    pub fn unknown_word<'w>(
        &mut self,
        field: &Field<'_>,
        message: String,
        word: &str,
        known: impl IntoIterator<Item = &'w str>,
        otherwise: &str,
    ) {
        let hint = nearest(word, known).map_or_else(|| otherwise.to_owned(), |meant| format!("did you mean `{meant}`?"));
        self.mistake(field, message).hint(hint);
    }

    /// Notes that a key is missing in an object; points at the object's own key. Quiet when a
    /// misspelled key was already reported that means this one.
    pub fn missing(&mut self, object: &Field<'_>, key: &str, hint: &str) {
        let empty = object.named(key);
        let message = if empty.is_some() { format!("`{key}` has no value") } else { format!("`{key}` is missing") };
        let object_path = self.document_path(&object.path);
        let path = if object_path.is_empty() { key.to_owned() } else { format!("{object_path}.{key}") };
        if self.is_partial() || self.document.is_meant(&path) || object.path.is_empty() && self.document.is_meant(key) {
            return;
        }
        let site = self.site(empty.as_ref().unwrap_or(object));
        let mut mistake = Mistake::new(site, Some(path), message);
        mistake.hint(hint);
        self.mistakes.push(mistake);
    }

    /// Where a field stands: its value, or its key when the value has no text of its own.
    pub fn site(&self, field: &Field<'_>) -> Site {
        Site { source: Arc::clone(&self.document.source), span: self.span(field) }
    }

    pub fn span(&self, field: &Field<'_>) -> Range<usize> {
        let Some(place) = self.place(field) else { return 0..0 };
        let has_text = (field.text().is_some() || field.is_bare()) && !self.is_key(&field.path);
        if has_text && !place.value.is_empty() { place.value.clone() } else { place.key.clone().unwrap_or_else(|| place.value.clone()) }
    }

    /// A number or boolean as it is written in the file.
    pub fn written(&self, field: &Field<'_>) -> Option<&'a str> {
        self.place(field).and_then(|place| place.written.as_deref())
    }

    /// Whether a message may quote the value in passing: it is shown in the file, and short.
    fn is_quotable(&self, field: &Field<'_>, text: &str) -> bool {
        !self.is_hidden(field) && text.len() <= 40
    }

    /// Whether the value is masked where the file is shown: no message may quote it.
    pub fn is_hidden(&self, field: &Field<'_>) -> bool {
        self.place(field).is_some_and(|place| place.hidden)
    }

    /// The value as a message may have it.
    pub fn quoted(&self, field: &Field<'_>, text: &str) -> String {
        if self.is_hidden(field) { "the value".to_owned() } else { format!("`{text}`") }
    }

    /// A string that is not empty.
    pub fn text<'f>(&mut self, field: &Field<'f>) -> Option<&'f str> {
        match field.text() {
            Some("") => self.mistake(field, format!("`{}` is empty", field.path)),
            Some(text) => return Some(text),
            None => self.wrong_kind(field, "a string"),
        };
        None
    }

    /// A string, or the text of a number or boolean as it is written: `1.10` stays `1.10`.
    pub fn literal<'f>(&mut self, field: &Field<'f>) -> Option<&'f str>
    where
        'a: 'f,
    {
        match self.written(field).filter(|_| field.is_bare()) {
            Some(written) => Some(written),
            None => self.text(field),
        }
    }

    /// A string on one line.
    pub fn word<'f>(&mut self, field: &Field<'f>) -> Option<&'f str> {
        let text = self.text(field)?;
        if text.contains('\n') || self.document.source.shown().get(self.span(field)).is_some_and(|shown| shown.trim_end().contains('\n')) {
            let message = format!("`{}` runs over more than one line", field.path);
            self.mistake(field, message).hint("check how the lines below it are indented");
            return None;
        }
        Some(text)
    }

    /// A word that another type understands; its refusal is the message.
    pub fn parse<T: FromStr<Err: Display>>(&mut self, field: &Field<'_>) -> Option<T> {
        match self.word(field)?.parse() {
            Ok(value) => Some(value),
            Err(_) if self.is_hidden(field) => {
                self.mistake(field, format!("`{}` is not valid", field.path)).hint("write its value on the line of the key");
                None
            }
            Err(refusal) => {
                self.mistake(field, refusal.to_string());
                None
            }
        }
    }

    /// A list's entries.
    pub fn list<'f>(&mut self, field: &Field<'f>) -> Vec<Field<'f>> {
        field.items().unwrap_or_else(|| {
            self.wrong_kind(field, "a list");
            Vec::new()
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, field: &Field<'_>, choices: &[(&'static str, T)]) -> Option<T> {
        let text = if field.text().is_some() { self.word(field)? } else { "" };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words = choices.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        let found = self.found(field);
        let mistake = self.mistake(field, format!("`{}` must be {words}, not {found}", field.path));
        if let Some(meant) = nearest(text, choices.iter().map(|(word, _)| *word)) {
            mistake.hint(format!("did you mean `{meant}`?"));
        }
        None
    }

    pub fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        let value = field.boolean();
        if value.is_none() {
            let meant = match field.text().map(str::to_ascii_lowercase).as_deref() {
                Some("yes" | "y" | "on" | "true" | "1") => Some("true"),
                Some("no" | "n" | "off" | "false" | "0") => Some("false"),
                _ => None,
            };
            let mistake = self.wrong_kind(field, "true or false");
            if let Some(meant) = meant {
                mistake.hint(format!("write `{meant}`, without quotes"));
            }
        }
        value
    }

    /// A whole number within a range, as a number or as a string of digits.
    pub fn number(&mut self, field: &Field<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let number = field.integer().or_else(|| field.text()?.parse().ok()).and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let found = self.found(field);
            let message = format!("`{}` must be a whole number from {} to {}, not {found}", field.path, range.start(), range.end());
            self.mistake(field, message);
        }
        number
    }

    /// A length of time in whole seconds: `90`, `"90s"`, `"1m30s"`.
    pub fn seconds(&mut self, field: &Field<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let written = || -> Option<i64> {
            let duration: SignedDuration = field.text()?.parse().ok()?;
            (duration.subsec_nanos() == 0).then_some(duration.as_secs())
        };
        let bare = || field.text()?.parse().ok();
        let seconds = field.integer().or_else(bare).or_else(written).and_then(|seconds| u32::try_from(seconds).ok());
        let seconds = seconds.filter(|seconds| range.contains(seconds));
        if seconds.is_none() {
            let found = self.found(field);
            let message = format!("`{}` must be {} to {} seconds, not {found}", field.path, range.start(), range.end());
            self.mistake(field, message).hint("write whole seconds, like `90`, or a time, like `\"90s\"` or `\"2m\"`");
        }
        seconds
    }

    /// The value itself when it is a short scalar, else what it is.
    fn found(&self, field: &Field<'_>) -> String {
        let text = field.text().or_else(|| self.written(field)).filter(|text| self.is_quotable(field, text));
        text.map_or_else(|| field.kind().to_owned(), |text| format!("`{text}`"))
    }

    /// Notes that a value is of another kind than its key wants.
    pub fn wrong_kind(&mut self, field: &Field<'_>, wanted: &str) -> &mut Mistake {
        let written = self.written(field).filter(|text| self.is_quotable(field, text)).map(str::to_owned);
        let message = match &written {
            None if field.is_empty() => format!("`{}` has no value", field.path),
            Some(written) => format!("`{}` must be {wanted}, not {} (`{written}`)", field.path, field.kind()),
            None => format!("`{}` must be {wanted}, not {}", field.path, field.kind()),
        };
        let text = field.text().filter(|text| !text.contains('"') && self.is_quotable(field, text));
        let mistake = self.mistake(field, message);
        match (written, text, wanted) {
            (Some(written), _, "a string") => mistake.hint(format!("quote it: `\"{written}\"`")),
            (_, Some(text), "a list") => mistake.hint(format!("write it as a list: `[\"{text}\"]`")),
            _ => mistake,
        }
    }
}
