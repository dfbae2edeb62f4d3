//! The words of a command line, taken one by one.

use crate::failure::{Failure, Outcome};

pub struct Words(Vec<String>);

impl Words {
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Takes the first word.
    pub fn next(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Takes the switch `name`; whether it was there.
    pub fn switch(&mut self, name: &str) -> bool {
        let place = self.0.iter().position(|word| word == name);
        place.inspect(|&place| drop(self.0.remove(place))).is_some()
    }

    /// Takes `name VALUE` or `name=VALUE`.
    pub fn value(&mut self, name: &str) -> Outcome<Option<String>> {
        let joined = format!("{name}=");
        if let Some(place) = self.0.iter().position(|word| word.starts_with(&joined)) {
            return Ok(Some(self.0.remove(place)[joined.len()..].to_owned()));
        }
        let Some(place) = self.0.iter().position(|word| word == name) else { return Ok(None) };
        self.0.remove(place);
        if place == self.0.len() {
            return Err(Failure::new(format!("{name} needs a value")));
        }
        Ok(Some(self.0.remove(place)))
    }

    /// Takes the whole number behind `name`.
    pub fn number(&mut self, name: &str) -> Outcome<Option<u64>> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Failure::new(format!("{name} {text}: not a whole number")))
    }

    /// All that is left.
    pub fn rest(self) -> Vec<String> {
        self.0
    }

    /// Complains about words that nobody took.
    pub fn end(self) -> Outcome {
        match self.0.first() {
            None => Ok(()),
            Some(word) => Err(Failure::new(format!("`{word}` means nothing here; see `cargo xtask help`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        Words::new(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn switches_and_values_are_taken_wherever_they_stand() {
        let mut line = words("proxy --once --seconds 5 --seeds=7");
        assert!(line.switch("--once") && !line.switch("--once"));
        assert_eq!(line.number("--seconds").unwrap(), Some(5));
        assert_eq!(line.number("--seeds").unwrap(), Some(7));
        assert_eq!(line.next().as_deref(), Some("proxy"));
        assert!(line.end().is_ok());
    }

    #[test]
    fn what_nobody_takes_is_an_error() {
        assert!(words("--what").end().is_err());
        assert!(words("--seconds").number("--seconds").is_err());
        assert!(words("--seconds x").number("--seconds").is_err());
    }
}
