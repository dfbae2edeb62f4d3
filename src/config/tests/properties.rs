//! What holds for every file, whatever is in it.

use proptest::prelude::*;

use super::*;

/// Valid files, with the ending that says their format.
fn valid_files() -> Vec<(String, String)> {
    let paths = fixtures("valid").into_iter().chain(fixtures("seeds"));
    paths
        .map(|path| (path.extension().expect("an ending").to_string_lossy().into_owned(), fs::read_to_string(&path).expect("a text")))
        .collect()
}

/// The character that begins at a place, or before it.
fn boundary(text: &str, at: prop::sample::Index) -> usize {
    let at = at.index(text.len() + 1);
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// At most a dozen bytes behind `from`.
fn boundary_after(text: &str, from: usize, to: usize) -> usize {
    (from..=to.min(from + 12)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(from)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}", name in prop::sample::select(vec!["haloy.yaml", "haloy.json", "haloy.toml"])) {
        if let Err(error) = read_text(name, &text) {
            plain(&error);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), ending in prop::sample::select(vec!["yaml", "json", "toml"])) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join(format!("haloy.{ending}"));
        fs::write(&path, bytes).expect("write");
        if let Err(error) = load(&path) {
            plain(&error);
        }
    }

    /// A piece of a valid file is put in another place, or over another piece.
    #[test]
    fn damaged_examples_keep_every_promise(
        (ending, text) in prop::sample::select(valid_files()),
        ends in any::<[prop::sample::Index; 4]>(),
        seldom in any::<bool>(),
    ) {
        let [mut from, mut to, mut start, mut end] = ends.map(|end| boundary(&text, end));
        (from, to) = (from.min(to), from.max(to));
        (start, end) = (start.min(end), start.max(end));
        // Mostly a few characters: the rest of the file is then still read.
        if !seldom {
            to = boundary_after(&text, from, to);
            end = boundary_after(&text, start, end);
        }
        let mut damaged = text.clone();
        damaged.replace_range(start..end, &text[from..to]);
        exercise(&format!("haloy.{ending}"), &damaged);
    }

    /// Files that are nearly right: lines of the language in any order, with a piece cut out.
    #[test]
    fn damaged_files_never_panic_and_never_show_a_secret(
        lines in prop::collection::vec(prop::sample::select(LINES.to_vec()), 0..16),
        cut in any::<prop::sample::Index>(),
        length in 0_usize..4,
    ) {
        let mut text: String = lines.concat();
        if !text.is_empty() {
            let start = cut.index(text.len());
            text.replace_range(start..(start + length).min(text.len()), "");
        }
        let whole = text.contains(SECRET);
        if let Err(error) = read_text("haloy.yaml", &text) {
            let report = plain(&error);
            prop_assert!(!whole || !report.contains(SECRET), "{text}\n{report}");
        }
    }
}

const LINES: [&str; 26] = [
    "name: shop\n",
    "name: 1.10\n",
    "image:\n",
    "  repository: nginx\n",
    "  tag: 1.27\n",
    "image: nginx:1\n",
    "env:\n",
    "  - name: KEY\n",
    "    value: hunter2\n",
    "    value: \"hunter2\"\n",
    "    value: 'a hunter2 b'\n",
    "    value: |\n      hunter2\n",
    "    from: {env: KEY}\n",
    "  - {name: A, value: hunter2}\n",
    "env:\n  - KEY=hunter2\n",
    "env:\n  KEY: hunter2\n",
    "domains: [a.example.com, {domain: b.example.com, aliases: [c.example.com]}]\n",
    "replicas: 3\n",
    "port: \"8080\"\n",
    "volumes: [data:/data]\n",
    "api_token: hunter2\n",
    "api_token: {value: hunter2}\n",
    "pre_deploy: [make]\n",
    "x-a: &a {value: hunter2}\n",
    "  <<: *a\n",
    "# comment\n",
];
