//! sops: it prints every format as JSON. Files of other formats hold no keys, or none that JSON can show.

use crate::config::secrets::SopsFormat;

use super::document::{self, Contents, Value};
use super::dotenv;
use super::error::{Problem, Unreadable};

/// The format is named when the configuration names it; else sops knows it by the ending as we do.
pub fn arguments(file: &str, format: Option<SopsFormat>) -> Result<Vec<String>, Problem> {
    if format_of(file, format).is_none() {
        return Err(Problem::SopsFormat);
    }
    let mut words = vec!["decrypt".to_owned()];
    if let Some(format) = format {
        words.extend(["--input-type".to_owned(), name(format).to_owned()]);
    }
    // A name that begins with a dash would be taken for an option.
    let file = if file.starts_with('-') { format!("./{file}") } else { file.to_owned() };
    words.extend(["--output-type".to_owned(), "json".to_owned(), file]);
    Ok(words)
}

pub fn format_of(file: &str, format: Option<SopsFormat>) -> Option<SopsFormat> {
    let by_ending = [(".yaml", SopsFormat::Yaml), (".yml", SopsFormat::Yaml), (".json", SopsFormat::Json), (".env", SopsFormat::Dotenv)];
    format.or_else(|| by_ending.iter().find(|(ending, _)| file.ends_with(ending)).map(|(_, format)| *format))
}

fn name(format: SopsFormat) -> &'static str {
    match format {
        SopsFormat::Yaml => "yaml",
        SopsFormat::Json => "json",
        SopsFormat::Dotenv => "dotenv",
    }
}

/// sops keeps the quotes of dotenv as a part of the values.
pub fn read(output: &[u8], format: Option<SopsFormat>) -> Result<Contents, Unreadable> {
    let values = document::json(output)?;
    match values {
        Value::Object(entries) if format == Some(SopsFormat::Dotenv) => {
            let plain = |value: Value| value.text().map(|text| Value::Text(dotenv::unquoted(text))).unwrap_or(value);
            Ok(Contents::keys(entries.into_iter().map(|(name, value)| (name, plain(value))).collect()))
        }
        Value::Text(_) => Err(Unreadable::Shape("a JSON object")),
        values => Ok(Contents::keys(values)),
    }
}
