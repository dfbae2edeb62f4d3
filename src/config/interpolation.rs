//! `${NAME}` in the values of `env`: the value of the variable of that name in the same list.
//!
//! Only values that are written in the file are looked through: what comes from the environment or from a
//! secret provider is taken as it is. The order of the list means nothing, and what was put in is not
//! looked at again. A name that is not in the list stays as it is written. `$${NAME}` is the text
//! `${NAME}` itself.

use std::collections::{BTreeMap, BTreeSet};

use super::spelling::nearest;
use crate::names::is_env_name;
use crate::secret::Secret;

/// Bytes of all values together: a few lines that stand in each other ten times over would fill any memory.
pub const LIMIT: usize = 1024 * 1024;

/// Why values cannot be put together. Variables are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Each of these needs the next, and the last the first.
    Circle(Vec<usize>),
    /// With this one the values are larger than [`LIMIT`].
    TooLarge(usize),
}

/// One entry of the list.
pub struct Variable {
    pub name: String,
    pub value: Secret,
    /// It is written in the file and may hold names of others.
    pub is_template: bool,
}

impl Variable {
    fn pieces<'a>(&'a self, names: &BTreeMap<&str, usize>) -> Vec<Piece<'a>> {
        let text = self.value.expose();
        if self.is_template { cut(text, names) } else { vec![Piece::Text(text)] }
    }
}

/// A part of a value.
enum Piece<'a> {
    Text(&'a str),
    Variable(usize),
}

/// The values with those of each other put in, in their order. Names are unique.
pub fn expand(variables: &[Variable]) -> Result<Vec<Secret>, Vec<Refusal>> {
    let names: BTreeMap<&str, usize> = variables.iter().enumerate().map(|(index, variable)| (variable.name.as_str(), index)).collect();
    let pieces: Vec<Vec<Piece<'_>>> = variables.iter().map(|variable| variable.pieces(&names)).collect();
    let needs: Vec<BTreeSet<usize>> = pieces.iter().map(|pieces| needed(pieces)).collect();
    let order = order(&needs).map_err(|rest| circles(&needs, &rest))?;
    let mut values: Vec<Option<Secret>> = vec![None; variables.len()];
    let mut total = 0;
    for index in order {
        let parts = || {
            pieces[index].iter().map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Variable(other) => values[*other].as_ref().map_or("", Secret::expose),
            })
        };
        let length: usize = parts().map(str::len).sum();
        total += length;
        if total > LIMIT {
            return Err(vec![Refusal::TooLarge(index)]);
        }
        let mut text = String::with_capacity(length);
        parts().for_each(|part| text.push_str(part));
        values[index] = Some(Secret::new(text));
    }
    Ok(values.into_iter().flatten().collect())
}

/// Values that hold a `${NAME}` of no variable, each with the variable that is likely to be meant.
pub fn strangers(variables: &[Variable]) -> Vec<(usize, Option<String>)> {
    let names: BTreeSet<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
    let mut found = Vec::new();
    for (index, variable) in variables.iter().enumerate().filter(|(_, variable)| variable.is_template) {
        let text = variable.value.expose();
        let begins = text.match_indices("${").map(|(at, _)| at).filter(|at| !text[..*at].ends_with('$'));
        let Some(name) = begins.filter_map(|at| reference(&text[at..])).find(|name| !names.contains(name)) else { continue };
        found.push((index, nearest(name, names.iter().copied()).map(str::to_owned)));
    }
    found
}

/// A value in pieces.
fn cut<'a>(text: &'a str, names: &BTreeMap<&str, usize>) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        let escaped = text[dollar + 1..].starts_with("${");
        let begin = dollar + usize::from(escaped);
        let Some(name) = reference(&text[begin..]) else {
            at = dollar + 1;
            continue;
        };
        at = begin + name.len() + "${}".len();
        if escaped {
            pieces.push(Piece::Text(&text[start..dollar]));
            start = begin;
        } else if let Some(index) = names.get(name) {
            pieces.extend([Piece::Text(&text[start..dollar]), Piece::Variable(*index)]);
            start = at;
        }
    }
    pieces.push(Piece::Text(&text[start..]));
    pieces
}

/// The name in a text that begins with `${NAME}`.
fn reference(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("${")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let name = &rest[..end];
    (rest[end..].starts_with('}') && is_env_name(name)).then_some(name)
}

fn needed(pieces: &[Piece<'_>]) -> BTreeSet<usize> {
    pieces.iter().filter_map(|piece| if let Piece::Variable(index) = piece { Some(*index) } else { None }).collect()
}

/// The variables so that each comes after those it needs, or those for which there is no such order.
fn order(needs: &[BTreeSet<usize>]) -> Result<Vec<usize>, BTreeSet<usize>> {
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut needed_by = vec![Vec::new(); needs.len()];
    for (index, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| needed_by[*need].push(index));
    }
    let mut order: Vec<usize> = (0..needs.len()).filter(|index| open[*index] == 0).collect();
    let mut next = 0;
    while let Some(done) = order.get(next).copied() {
        next += 1;
        for index in &needed_by[done] {
            open[*index] -= 1;
            if open[*index] == 0 {
                order.push(*index);
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err((0..needs.len()).filter(|index| open[*index] > 0).collect()) }
}

/// The circles among `rest`, of which each needs another of them.
fn circles(needs: &[BTreeSet<usize>], rest: &BTreeSet<usize>) -> Vec<Refusal> {
    let mut visited = BTreeSet::new();
    let mut circles = Vec::new();
    for start in rest {
        let mut way = Vec::new();
        let mut at = Some(*start);
        while let Some(index) = at.filter(|index| visited.insert(*index)) {
            way.push(index);
            at = needs[index].iter().find(|need| rest.contains(need)).copied();
        }
        if let Some(begin) = at.and_then(|index| way.iter().position(|passed| *passed == index)) {
            circles.push(Refusal::Circle(way.split_off(begin)));
        }
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(variables: &[(&str, &str)]) -> Result<Vec<String>, Vec<Refusal>> {
        let template = |(name, value): &(&str, &str)| Variable { name: (*name).to_owned(), value: Secret::new(*value), is_template: true };
        expand(&variables.iter().map(template).collect::<Vec<_>>())
            .map(|values| values.iter().map(|value| value.expose().to_owned()).collect())
    }

    /// The value of `X` beside `A` = `1`, `B` = `two` and an empty `E`.
    fn x(value: &str) -> String {
        expanded(&[("X", value), ("A", "1"), ("B", "two"), ("E", "")]).expect("no circle").remove(0)
    }

    #[test]
    fn names_stand_for_values() {
        assert_eq!(expanded(&[]), Ok(Vec::new()));
        for (value, expected) in [
            ("plain", "plain"),
            ("${A}", "1"),
            ("a${A}b${B}c${A}", "a1btwoc1"),
            ("${A}${B}", "1two"),
            ("-${E}-", "--"),
            ("${NONE}/${A}", "${NONE}/1"),
            ("$A ${} ${1A} ${A-B} $ ${A ${A", "$A ${} ${1A} ${A-B} $ ${A ${A"),
            ("$${A}", "${A}"),
            ("$${NONE} $$${A} $${} $$", "${NONE} $${A} $${} $$"),
            ("ä${A}ö$", "ä1ö$"),
        ] {
            assert_eq!(x(value), expected, "{value}");
        }
    }

    #[test]
    fn order_means_nothing_and_what_was_put_in_is_not_looked_at_again() {
        let reversed = expanded(&[("A", "${B}!"), ("B", "<${C}>"), ("C", "c")]);
        assert_eq!(reversed, Ok(["<c>!", "<c>", "c"].map(str::to_owned).to_vec()));
        let literal = expanded(&[("A", "${B}"), ("B", "$${C}"), ("C", "c")]);
        assert_eq!(literal, Ok(["${C}", "${C}", "c"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_is_not_written_in_the_file_is_taken_as_it_is() {
        let variable = |name: &str, value: &str, is_template| Variable { name: name.to_owned(), value: Secret::new(value), is_template };
        let variables = [variable("PASSWORD", "a${URL}$${URL}", false), variable("URL", "db:${PASSWORD}", true)];
        let values: Vec<String> = expand(&variables).expect("no circle").iter().map(|value| value.expose().to_owned()).collect();
        assert_eq!(values, ["a${URL}$${URL}", "db:a${URL}$${URL}"]);
    }

    #[test]
    fn circles_are_found_and_only_their_members_named() {
        assert_eq!(expanded(&[("A", "x${A}")]), Err(vec![Refusal::Circle(vec![0])]));
        assert_eq!(expanded(&[("A", "${B}"), ("B", "${A}")]), Err(vec![Refusal::Circle(vec![0, 1])]));
        let outsiders = [("IN", "${A}"), ("A", "${B}"), ("B", "${C}${D}"), ("C", "${A}"), ("D", "d"), ("S", "${S}")];
        assert_eq!(expanded(&outsiders), Err(vec![Refusal::Circle(vec![1, 2, 3]), Refusal::Circle(vec![5])]));
    }

    #[test]
    fn ten_times_ten_times_ten_is_refused_and_a_long_chain_is_not() {
        let names: Vec<String> = (0..30).map(|n| format!("V{n}")).collect();
        let values: Vec<String> = (0..30).map(|n| if n == 0 { "x".repeat(10) } else { format!("${{V{}}}", n - 1).repeat(10) }).collect();
        let bomb: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        assert_eq!(expanded(&bomb), Err(vec![Refusal::TooLarge(5)]));
        let names: Vec<String> = (0..20_000).map(|n| format!("V{n}")).collect();
        let values: Vec<String> = (0..20_000).map(|n| if n == 0 { "x".to_owned() } else { format!("${{V{}}}", n - 1) }).collect();
        let chain: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        assert_eq!(expanded(&chain).map(|values| values[19_999].clone()), Ok("x".to_owned()));
    }
}
