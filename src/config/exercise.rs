//! Everything that is ever done with a configuration file, done at once: what the fuzzer calls.

use std::path::Path;

use super::document::Document;
use super::source::Format;
use super::{ConfigError, app, keys};
use crate::error::Report as _;
use crate::wire::AppSpec;

/// Reads a text as the file `name` and shows all there is to show. Panics when a promise is broken, for whatever text.
pub fn exercise(name: &str, text: &str) {
    let path = Path::new(name);
    let Ok(format) = Format::of(path) else { return };
    match Document::parse(path, format, text, &keys::APP).and_then(|document| app::read(&document)) {
        Ok(app) => {
            let shown: usize = app.warnings.iter().map(|warning| warning.render(true).len() + warning.render(false).len()).sum();
            assert!(shown > 0 || app.warnings.is_empty(), "a warning says nothing");
            assert!(!app.targets.is_empty(), "a valid file has a target");
            for target in &app.targets {
                let sent = serde_json::to_vec(&target.spec).expect("invariant: a spec is JSON");
                let received: AppSpec = serde_json::from_slice(&sent).expect("invariant: a spec reads what it wrote");
                assert_eq!(received, target.spec, "a spec changes on its way to the server");
                assert_eq!(target.spec.env.len(), target.env.len(), "each variable has an origin");
            }
        }
        Err(error) => explained(&error),
    }
}

fn explained(error: &ConfigError) {
    let reports = [true, false].map(|colour| error.all_mistakes(colour));
    assert!(reports.iter().all(Option::is_some), "a text has mistakes, nothing else: {error}");
    assert!(!error.mistakes().is_empty() && error.exit_code() == crate::error::MISUSE);
    for mistake in error.mistakes() {
        assert!(mistake.line > 0 && mistake.column > 0 && !mistake.message.is_empty());
    }
}
