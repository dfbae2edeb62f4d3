//! The keys of one object, each of which may be absent.

use std::ops::RangeInclusive;

use super::command_words;
use super::field::Field;
use super::findings::Findings;

/// Reads keys of `field`; what cannot be read is noted and counts as absent.
pub struct Object<'o, 'f, 'd> {
    pub field: &'o Field<'f>,
    pub findings: &'o mut Findings<'d>,
}

impl<'o, 'f, 'd> Object<'o, 'f, 'd> {
    pub fn new(field: &'o Field<'f>, findings: &'o mut Findings<'d>) -> Self {
        Self { field, findings }
    }

    pub fn get(&self, key: &str) -> Option<Field<'f>> {
        self.field.get(key)
    }

    /// A key by a reader of its own.
    pub fn read<T>(&mut self, key: &str, read: impl FnOnce(&Field<'f>, &mut Findings<'d>) -> Option<T>) -> Option<T> {
        let field = self.field.get(key)?;
        read(&field, self.findings)
    }

    /// The same for readers of lists, which have no way to fail but to be empty.
    pub fn all<T>(&mut self, key: &str, read: impl FnOnce(&Field<'f>, &mut Findings<'d>) -> Vec<T>) -> Vec<T> {
        self.field.get(key).map(|field| read(&field, self.findings)).unwrap_or_default()
    }

    /// A string on one line; of a number the text that is written.
    pub fn literal(&mut self, key: &str) -> Option<String> {
        let field = self.field.get(key)?;
        if field.is_bare() {
            return self.findings.literal(&field).map(str::to_owned);
        }
        self.findings.word(&field).map(str::to_owned)
    }

    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        self.read(key, |field, findings| findings.boolean(field))
    }

    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&'static str, T)]) -> Option<T> {
        self.read(key, |field, findings| findings.choice(field, choices))
    }

    pub fn number(&mut self, key: &str, limits: (u32, u32)) -> Option<u32> {
        self.read(key, |field, findings| findings.number(field, range(limits)))
    }

    pub fn seconds(&mut self, key: &str, limits: (u32, u32)) -> Option<u32> {
        self.read(key, |field, findings| findings.seconds(field, range(limits)))
    }

    /// A program with its arguments.
    pub fn words(&mut self, key: &str) -> Option<Vec<String>> {
        self.read(key, command_words::read)
    }

    /// A list of single values.
    pub fn literals(&mut self, key: &str) -> Vec<String> {
        self.all(key, |field, findings| {
            let items = findings.list(field);
            items.iter().filter_map(|item| findings.literal(item).map(str::to_owned)).collect()
        })
    }
}

fn range((least, most): (u32, u32)) -> RangeInclusive<u32> {
    least..=most
}
