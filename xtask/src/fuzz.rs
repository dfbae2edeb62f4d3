//! Feeds the reader of configuration files with damaged ones, guided by the code that they reach (libFuzzer).
//!
//! It runs on stable Rust: the coverage is LLVM's and needs no sanitizer, which would have little to find in a
//! program without `unsafe`. What fails is a panic, a broken promise (see `src/config/exercise.rs`), a hang or a flood of memory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::words::Words;
use crate::workspace;

const FORMATS: [&str; 3] = ["yaml", "toml", "json"];
const SECONDS: u64 = 600;
/// A text takes longer than this only when something has gone wrong: it has no more than `MAX_BYTES`.
const HANG_SECONDS: u64 = 10;
const MAX_BYTES: u64 = 16 * 1024;
const MAX_MEBIBYTES: u64 = 1024;

/// What makes LLVM count which edges and comparisons an input reaches, as `cargo fuzz` asks for it.
const COVERAGE: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=4",
];

/// `cargo xtask fuzz [--seconds N] [FORMAT…]`: N seconds, divided among the formats.
pub fn main(mut words: Words) -> Outcome {
    let seconds = words.number("--seconds")?.unwrap_or(SECONDS);
    let wanted = words.rest();
    if let Some(stranger) = wanted.iter().find(|word| !FORMATS.contains(&word.as_str())) {
        return Err(Failure::new(format!("`{stranger}` is no format: yaml, toml or json")));
    }
    let formats: Vec<&str> = FORMATS.into_iter().filter(|format| wanted.is_empty() || wanted.iter().any(|word| word == format)).collect();
    let programs = build()?;
    let each = (seconds / formats.len() as u64).max(1);
    for format in formats {
        run(&programs.join(format), format, each)?;
    }
    Ok(())
}

/// Where the fuzzer's files are.
fn folder() -> PathBuf {
    workspace::target().join("fuzz")
}

/// Builds the programs and returns the folder that they are in.
fn build() -> Outcome<PathBuf> {
    let root = workspace::root();
    let package = root.join("tests/fuzz");
    // The same versions as the product's.
    let lock = package.join("Cargo.lock");
    fs::copy(root.join("Cargo.lock"), &lock).attempt(|| format!("write {}", lock.display()))?;
    // With a target of its own, cargo leaves build scripts and macros without coverage.
    let triple = workspace::host_triple()?;
    let mut cargo = workspace::cargo();
    cargo.current_dir(&package).args(["build", "--release", "--target", &triple]);
    cargo.env("CARGO_TARGET_DIR", folder()).env("RUSTFLAGS", COVERAGE.join(" "));
    command::run(&mut cargo)?;
    Ok(folder().join(triple).join("release"))
}

fn run(program: &Path, format: &str, seconds: u64) -> Outcome {
    let corpus = folder().join("corpus").join(format);
    let found = folder().join("found");
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).attempt(|| format!("create {}", folder.display()))?;
    }
    let fixtures = fixtures(format)?;
    for (name, text) in &fixtures {
        let path = corpus.join(name);
        fs::write(&path, text).attempt(|| format!("write {}", path.display()))?;
    }
    let dictionary = folder().join(format!("{format}.dict"));
    fs::write(&dictionary, dictionary_of(fixtures.iter().map(|(_, text)| text.as_str())))
        .attempt(|| format!("write {}", dictionary.display()))?;
    println!("fuzz: {format} for {seconds} s, beginning with {} fixtures", fixtures.len());
    let mut fuzzer = Command::new(program);
    fuzzer.arg(&corpus).arg(format!("-dict={}", dictionary.display()));
    fuzzer.arg(format!("-artifact_prefix={}/{format}-", found.display())).arg(format!("-max_total_time={seconds}"));
    fuzzer.arg(format!("-timeout={HANG_SECONDS}")).arg(format!("-max_len={MAX_BYTES}")).arg(format!("-rss_limit_mb={MAX_MEBIBYTES}"));
    fuzzer.args(["-print_final_stats=1", "-verbosity=1"]);
    command::run(&mut fuzzer)
}

/// The fixtures of one format, valid and invalid, by name.
fn fixtures(format: &str) -> Outcome<Vec<(String, String)>> {
    let mut fixtures = Vec::new();
    for kind in ["valid", "invalid", "seeds"] {
        let folder = workspace::root().join("tests/fixtures/config").join(kind);
        let entries = fs::read_dir(&folder).attempt(|| format!("read {}", folder.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(&format!(".{format}")) {
                fixtures.push((format!("{kind}-{name}"), fs::read_to_string(&path).attempt(|| format!("read {}", path.display()))?));
            }
        }
    }
    Ok(fixtures)
}

/// The words of the fixtures, in libFuzzer's form.
fn dictionary_of<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<&str> =
        texts.flat_map(|text| text.split(move |c| !is_part(c))).filter(|word| (3..=24).contains(&word.len())).collect();
    words.iter().map(|word| format!("\"{word}\"\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_fixtures_to_begin_with() {
        for format in FORMATS {
            let fixtures = fixtures(format).unwrap();
            assert!(fixtures.len() >= 10, "{format}: {}", fixtures.len());
        }
    }

    #[test]
    fn the_dictionary_has_each_word_once() {
        assert_eq!(dictionary_of(["name: shop\nserver: a", "{\"name\": 1}"].into_iter()), "\"name\"\n\"server\"\n\"shop\"\n");
    }
}
