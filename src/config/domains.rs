//! The key `domains`: names that are routed to the app, and names that redirect to those.

use std::collections::BTreeMap;
use std::ops::Range;

use super::field::Field;
use super::findings::Findings;
use crate::names::Domain;
use crate::wire::DomainSpec;

/// A list of `{domain, aliases}` or of plain names. A name may stand once in the whole list.
pub fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<DomainSpec> {
    let mut seen = BTreeMap::new();
    let items = findings.list(field);
    items.iter().filter_map(|item| read_one(item, &mut seen, findings)).collect()
}

fn read_one(item: &Field<'_>, seen: &mut BTreeMap<Domain, Range<usize>>, findings: &mut Findings<'_>) -> Option<DomainSpec> {
    if !item.is_object() {
        return Some(DomainSpec { domain: read_name(item, seen, findings)?, aliases: Vec::new() });
    }
    let domain = match item.get("domain") {
        Some(field) => read_name(&field, seen, findings),
        None => {
            findings.missing(item, "domain", "write `domain: app.example.com`");
            None
        }
    };
    let aliases = item.get("aliases").map(|field| findings.list(&field)).unwrap_or_default();
    let aliases = aliases.iter().filter_map(|alias| read_name(alias, seen, findings)).collect();
    Some(DomainSpec { domain: domain?, aliases })
}

fn read_name(field: &Field<'_>, seen: &mut BTreeMap<Domain, Range<usize>>, findings: &mut Findings<'_>) -> Option<Domain> {
    let domain: Domain = findings.parse(field)?;
    if let Some(first) = seen.get(&domain).cloned() {
        findings.mistake(field, format!("the domain `{domain}` is written twice")).other(first, "first written here");
        return None;
    }
    seen.insert(domain.clone(), findings.span(field));
    Some(domain)
}
