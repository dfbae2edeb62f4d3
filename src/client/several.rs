//! The same command for several apps, one after the other.

use std::process::ExitCode;

use serde_json::Value;

use crate::error::{FAILED, Report as _, chain, render};
use crate::term;

use super::Outcome;
use super::change::INTERRUPTED;
use super::error::ClientError;
use super::output::Output;
use super::subject::Subject;

/// An app that a command acts on, alone or with what the action needs.
pub trait OnSubject {
    fn subject(&self) -> &Subject;
}

impl OnSubject for Subject {
    fn subject(&self) -> &Subject {
        self
    }
}

/// Acts on each of `subjects`, in their order. An app alone is as if there were no others; of several
/// each has its turn whatever became of those before, until the user leaves. With `json` their values
/// are printed as one list.
pub async fn in_order<S: OnSubject>(subjects: &[S], json: bool, act: impl AsyncFn(&S) -> Outcome) -> Outcome {
    if let [subject] = subjects {
        return act(subject).await;
    }
    let mut end = ExitCode::SUCCESS;
    for (index, subject) in subjects.iter().enumerate() {
        let code = match act(subject).await {
            Ok(code) => code,
            Err(error) => told(&subject.subject().output, &error, json),
        };
        if code == ExitCode::from(INTERRUPTED) {
            subjects[index + 1..].iter().for_each(|subject| left(&subject.subject().output, json));
            end = code;
            break;
        }
        if code != ExitCode::SUCCESS {
            end = ExitCode::from(FAILED);
        }
    }
    if json {
        print(subjects.iter().map(|subject| &subject.subject().output));
    }
    Ok(end)
}

/// Tells what went wrong with one of several, in words and as its JSON value unless it has one.
pub fn told(output: &Output, error: &ClientError, json: bool) -> ExitCode {
    output.words(&render(error));
    if json && !error.follows_data() {
        output.json(&serde_json::json!({ "error": chain(error), "hint": error.hint(), "exit_code": error.exit_code() }));
    }
    ExitCode::from(error.exit_code())
}

fn left(output: &Output, json: bool) {
    if let Some(target) = output.target() {
        term::words(&format!("`{target}` is left as it is"));
    }
    if json {
        not_started(output, "you left");
    }
}

/// The JSON value of one of several that nothing was done about.
pub fn not_started(output: &Output, why: &str) {
    output.json(&serde_json::json!({ "error": format!("not started: {why}"), "hint": null, "exit_code": FAILED }));
}

/// The values that were kept, as one list.
pub fn print<'a>(outputs: impl Iterator<Item = &'a Output>) {
    let values: Vec<Value> = outputs.filter_map(Output::kept).collect();
    term::json(&values);
}
