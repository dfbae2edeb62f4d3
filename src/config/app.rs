//! `haloy.yaml` as a whole: its targets, and what it says once for all of them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::document::Document;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::mistake::Mistake;
use super::secrets::SecretProviders;
use super::target::{self, Target};
use super::targets::{self, Merged};
use crate::names::{AppName, Domain};

/// A valid file.
#[derive(Debug)]
pub struct App {
    /// In the order of the file; never empty.
    pub targets: Vec<Target>,
    pub secret_providers: SecretProviders,
    pub global_pre_deploy: Vec<String>,
    pub global_post_deploy: Vec<String>,
    pub warnings: Vec<Mistake>,
}

/// Reads every key as its type and notes every mistake.
pub fn read(document: &Document) -> Result<App, ConfigError> {
    let mut findings = Findings::new(document);
    let values = targets::values(document);
    let root = Field::root(&values);
    let secret_providers = root.get("secret_providers").map(|field| SecretProviders::read(&field, &mut findings)).unwrap_or_default();
    let global_pre_deploy = root.get("global_pre_deploy").map(|field| target::read_commands(&field, &mut findings)).unwrap_or_default();
    let global_post_deploy = root.get("global_post_deploy").map(|field| target::read_commands(&field, &mut findings)).unwrap_or_default();
    let merged = targets::inherit(document, &mut findings);
    for part in targets::parts(document) {
        findings.enter_part(&part.origins);
        target::read(&Field::root(&part.values), None, &secret_providers, &mut findings);
    }
    let mut targets = Vec::new();
    let mut together = Together::default();
    for merged in &merged {
        findings.enter(&merged.at, &merged.origins);
        let target = target::read(&Field::root(&merged.values), merged.name.clone(), &secret_providers, &mut findings);
        if let Some(target) = &target {
            together.check(merged, target, &mut findings);
        }
        targets.push(target);
    }
    findings.leave();
    let warnings = findings.finish()?;
    let targets = targets.into_iter().map(|target| target.expect("invariant: a target is missing only after a mistake")).collect();
    Ok(App { targets, secret_providers, global_pre_deploy, global_post_deploy, warnings })
}

/// What no two targets of one server may share. A target that names no server goes to the only one there is.
#[derive(Default)]
struct Together {
    names: BTreeMap<(Option<String>, AppName), Range<usize>>,
    domains: BTreeMap<(Option<String>, Domain), (String, Range<usize>)>,
}

impl Together {
    fn check(&mut self, merged: &Merged, target: &Target, findings: &mut Findings<'_>) {
        let root = Field::root(&merged.values);
        if let Some(name) = root.get("name") {
            let span = findings.span(&name);
            let first = self.names.insert((target.server.clone(), target.spec.name.clone()), span.clone());
            if let Some(first) = first {
                let message = format!("two targets of one server are called `{}`", target.spec.name);
                let mistake = findings.mistake(&name, message);
                mistake.other(first, "first called so here").hint("give one of them another `name`");
            }
        }
        for field in root.get("domains").iter().flat_map(names_of) {
            let Some(domain) = field.text().and_then(|text| text.parse::<Domain>().ok()) else { continue };
            let span = findings.span(&field);
            let mine = (target.spec.name.to_string(), span.clone());
            let Some((other, first)) = self.domains.insert((target.server.clone(), domain.clone()), mine) else { continue };
            let message =
                format!("the domain `{domain}` belongs to `{other}` and to `{}`: one server serves it for one app", target.spec.name);
            let warning = findings.warning(&field, message);
            if first != span {
                warning.other(first, "first written here");
            }
        }
    }
}

/// Every name of the key `domains`, aliases too.
fn names_of<'f>(domains: &Field<'f>) -> Vec<Field<'f>> {
    let of_item = |item: &Field<'f>| -> Vec<Field<'f>> {
        let aliases = item.get("aliases").and_then(|aliases| aliases.items()).unwrap_or_default();
        if item.is_object() { item.get("domain").into_iter().chain(aliases).collect() } else { vec![item.clone()] }
    };
    domains.items().iter().flatten().flat_map(of_item).collect()
}
