//! The key `image`: a string, or an object with its parts.

use super::field::Field;
use super::findings::Findings;
use crate::names::ImageRef;

/// The image that is to run.
pub fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<ImageRef> {
    if field.items().is_some() {
        findings.wrong_kind(field, "a string or an object").hint("write `image: ghcr.io/you/app:1.0`");
        return None;
    }
    if !field.is_object() {
        return findings.parse(field);
    }
    let Some(repository_field) = field.get("repository") else {
        findings.missing(field, "repository", "write `repository: ghcr.io/you/app`");
        return None;
    };
    let tag_field = field.get("tag");
    let repository: ImageRef = findings.parse(&repository_field)?;
    let Some(tag_field) = tag_field else { return Some(repository) };
    let tag = findings.word(&tag_field)?;
    if repository.as_str() != repository.repository() {
        findings.mistake(&tag_field, "the tag is written twice: `image.repository` has one already").hint("keep one of them");
        return None;
    }
    match format!("{repository}:{tag}").parse::<ImageRef>() {
        Ok(image) => Some(image),
        Err(_) => {
            let tag = findings.quoted(&tag_field, tag);
            findings.mistake(&tag_field, format!("{tag} is not a tag: it has 1 to 128 of letters, digits, `_`, `.` and `-`"));
            None
        }
    }
}
