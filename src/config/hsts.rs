//! The key `hsts`: whether browsers are told to come over HTTPS only.

use super::field::Field;
use super::findings::Findings;
use super::keys::target::HSTS_MAX_AGE;
use super::object::Object;
use crate::wire::Hsts;

pub fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Hsts> {
    if !field.is_object() {
        let is_wanted = findings.boolean(field)?;
        return is_wanted.then_some(Hsts { max_age: Hsts::YEAR, include_subdomains: false, preload: false });
    }
    let mut hsts = Object::new(field, findings);
    Some(Hsts {
        max_age: hsts.seconds("max_age", HSTS_MAX_AGE).unwrap_or(Hsts::YEAR),
        include_subdomains: hsts.boolean("include_subdomains").unwrap_or_default(),
        preload: hsts.boolean("preload").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use crate::config::tests::spec;

    #[test]
    fn what_is_written_is_what_browsers_are_told() {
        for (written, expected) in [
            ("true", Some("max-age=31536000")),
            ("false", None),
            ("{}", Some("max-age=31536000")),
            ("{max_age: 0}", Some("max-age=0")),
            ("{maxAge: 48h, includeSubdomains: true}", Some("max-age=172800; includeSubDomains")),
            ("{include_subdomains: true, preload: true}", Some("max-age=31536000; includeSubDomains; preload")),
        ] {
            let spec = spec(&format!("name: a\nimage: b\ndomains: [a.example.com]\nhsts: {written}\n"));
            assert_eq!(spec.hsts.map(|hsts| hsts.to_string()).as_deref(), expected, "{written}");
        }
    }
}
