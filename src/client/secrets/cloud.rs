//! Secrets of clouds: one text each, which may be a JSON object of many. A reference without a key means the text.

use super::document::{self, Contents};
use super::error::Unreadable;

/// AWS wraps the text; what is not text is in `SecretBinary` instead.
pub fn aws(output: &[u8]) -> Result<Contents, Unreadable> {
    let answer = document::object(output)?;
    let text = answer.named("SecretString").and_then(|text| text.text()).ok_or(Unreadable::Shape("an answer with `SecretString`"))?;
    Ok(Contents::text(text.clone()))
}

/// Google prints the secret itself. The end of the last line is that of the file from which many were made.
pub fn gcp(output: &[u8]) -> Result<Contents, Unreadable> {
    document::text(output).map(Contents::text)
}
