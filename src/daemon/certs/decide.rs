//! What to do about one certificate: a pure function of what is wanted, what is served, what was tried and the time.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::daemon::store::{AppIntent, CertificateRecord, RunState};
use crate::names::{AppName, Domain};
use crate::wire::Tls;
use crate::x509::Leaf;

/// After so many failures in a row: this long until the next try, and the last one for all after it.
const PAUSES: [Duration; 7] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(4 * 3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(24 * 3600),
];

/// Names under which no public authority vouches for anybody (RFC 6761, RFC 8375, RFC 9476 and ICANN's `internal`).
const PRIVATE: &[&str] = &["alt", "example", "home.arpa", "internal", "invalid", "local", "localhost", "onion", "test"];

/// A certificate that somebody relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    pub domain: Domain,
    /// With the domain itself.
    pub names: BTreeSet<Domain>,
    pub email: Option<String>,
    pub app: Option<AppName>,
}

/// The certificates of all apps whose TLS ends here, and of the API's domain. Traffic comes first: an app that never
/// served wants none yet.
pub fn wants(intents: &[AppIntent], api: Option<&Domain>) -> Vec<Want> {
    let serving = intents.iter().filter(|intent| intent.run != RunState::Removed).filter_map(|intent| {
        let release = intent.serving.as_ref()?;
        (release.spec.tls == Tls::Auto).then_some((&intent.app, &release.spec))
    });
    let wants = serving.flat_map(|(app, spec)| {
        spec.domains.iter().map(|domain| Want {
            domain: domain.domain.clone(),
            names: domain.aliases.iter().chain([&domain.domain]).cloned().collect(),
            email: spec.acme_email.clone(),
            app: Some(app.clone()),
        })
    });
    let of_api = |domain: &Domain| Want { domain: domain.clone(), names: BTreeSet::from([domain.clone()]), email: None, app: None };
    wants.chain(api.map(of_api)).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Order a certificate for these names.
    Order(BTreeSet<Domain>),
    /// Nothing until then.
    Wait(Timestamp),
    /// The authority vouches for public names only, and this is none.
    NotPublic,
}

/// `private`: the authority is somebody's own and may vouch for any name.
pub fn decide(want: &Want, served: Option<&Leaf>, record: Option<&CertificateRecord>, private: bool, now: Timestamp) -> Decision {
    if !private && !is_public(&want.domain) {
        return Decision::NotPublic;
    }
    let names: BTreeSet<Domain> = want.names.iter().filter(|name| private || is_public(name)).cloned().collect();
    // What was tried for other names says nothing about these.
    let tried = record.filter(|record| record.names == names);
    let left_out = tried.map_or(&[][..], |record| &record.left_out);
    let is_left_out = |name: &Domain| left_out.iter().any(|left_out| left_out.name == *name);
    let complete = served
        .filter(|leaf| leaf.not_before <= now && now < leaf.not_after && names.iter().all(|name| is_left_out(name) || leaf.covers(name)));
    let retry = tried.and_then(|record| record.problem.as_ref()).map(|problem| problem.next_attempt);
    let due = match complete {
        None => now,
        Some(leaf) if record.is_some_and(|record| record.fingerprint.as_ref() == Some(&leaf.fingerprint)) => {
            let renewal = record.and_then(|record| record.renew_at).unwrap_or(leaf.renewal());
            if left_out.is_empty() { renewal } else { retry.unwrap_or(renewal).min(renewal) }
        }
        // Somebody brought it: theirs to renew, but nobody is left without one.
        Some(leaf) => leaf.not_after,
    };
    match retry.map_or(due, |retry| due.max(retry)) {
        at if at <= now => Decision::Order(names),
        at => Decision::Wait(at),
    }
}

/// When to renew a certificate that its authority wants renewed between two moments: some time between them, which
/// `dice`, from 0 to 1, chooses; the moment of before when it is between them already.
pub fn within(from: Timestamp, to: Timestamp, before: Option<Timestamp>, dice: f64) -> Timestamp {
    if let Some(before) = before.filter(|before| from <= *before && *before <= to) {
        return before;
    }
    let seconds = (to.as_second() - from.as_second()) as f64 * dice;
    Timestamp::from_second(from.as_second() + seconds as i64).unwrap_or(from)
}

fn is_public(name: &Domain) -> bool {
    !PRIVATE.iter().any(|ending| name.as_str() == *ending || name.as_str().strip_suffix(ending).is_some_and(|rest| rest.ends_with('.')))
}

/// How long to wait after so many failures in a row. `dice`, from 0 to 255, spreads it by a fifth in both directions:
/// servers that failed together do not come back together.
pub fn pause(failures: u32, dice: u8) -> Duration {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
    PAUSES[index].mul_f64(0.8 + 0.4 * f64::from(dice) / 255.0)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::wire::{CertificateProblem, LeftOut};

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn now() -> Timestamp {
        "2026-11-27T12:00:00Z".parse().expect("a time")
    }

    fn names(text: &str) -> BTreeSet<Domain> {
        text.split_whitespace().map(|name| name.parse().expect("a domain")).collect()
    }

    fn want(text: &str) -> Want {
        let domain = text.split_whitespace().next().expect("a name").parse().expect("a domain");
        Want { domain, names: names(text), email: None, app: None }
    }

    /// A certificate of 90 days that began so many days ago.
    fn leaf(text: &str, days: i32) -> Leaf {
        Leaf {
            names: text.split_whitespace().map(str::to_owned).collect(),
            not_before: now() - DAY * days,
            not_after: now() + DAY * (90 - days),
            issuer: String::new(),
            fingerprint: "ours".to_owned(),
        }
    }

    fn record(text: &str) -> CertificateRecord {
        let Want { domain, names, .. } = want(text);
        CertificateRecord { fingerprint: Some("ours".to_owned()), ..CertificateRecord::new(domain, names) }
    }

    fn problem(in_minutes: i64) -> Option<CertificateProblem> {
        let next_attempt = now() + SignedDuration::from_mins(in_minutes);
        Some(CertificateProblem { reason: String::new(), hint: None, failures: 1, next_attempt })
    }

    fn order(text: &str) -> Decision {
        Decision::Order(names(text))
    }

    #[test]
    fn a_certificate_is_ordered_once_and_renewed_with_a_third_of_its_life_left() {
        let want = want("a.com www.a.com");
        assert_eq!(decide(&want, None, None, false, now()), order("a.com www.a.com"));
        let ours = record("a.com www.a.com");
        assert_eq!(decide(&want, Some(&leaf("a.com www.a.com", 59)), Some(&ours), false, now()), Decision::Wait(now() + DAY));
        assert_eq!(decide(&want, Some(&leaf("a.com www.a.com", 60)), Some(&ours), false, now()), order("a.com www.a.com"));
        // The authority's own wish wins.
        let asked = CertificateRecord { renew_at: Some(now()), ..ours.clone() };
        assert_eq!(decide(&want, Some(&leaf("a.com www.a.com", 3)), Some(&asked), false, now()), order("a.com www.a.com"));
        // Another name is ordered at once; the same in another order is the same.
        let more = self::want("a.com b.com www.a.com");
        assert_eq!(decide(&more, Some(&leaf("a.com www.a.com", 3)), Some(&ours), false, now()), order("a.com b.com www.a.com"));
        assert_eq!(self::want("a.com www.a.com b.com"), more);
    }

    #[test]
    fn failures_wait_and_a_name_that_failed_does_not_hold_the_others_up() {
        let want = want("a.com www.a.com");
        let failed = CertificateRecord { fingerprint: None, problem: problem(5), ..record("a.com www.a.com") };
        assert_eq!(decide(&want, None, Some(&failed), false, now()), Decision::Wait(now() + SignedDuration::from_mins(5)));
        assert_eq!(decide(&self::want("a.com"), None, Some(&failed), false, now()), order("a.com"), "other names, another try");
        let left_out = vec![LeftOut { name: "www.a.com".parse().expect("a domain"), reason: String::new() }];
        let partly = CertificateRecord { left_out, problem: problem(15), ..record("a.com www.a.com") };
        let served = leaf("a.com", 1);
        assert_eq!(decide(&want, Some(&served), Some(&partly), false, now()), Decision::Wait(now() + SignedDuration::from_mins(15)));
        let partly = CertificateRecord { problem: problem(0), ..partly };
        assert_eq!(decide(&want, Some(&served), Some(&partly), false, now()), order("a.com www.a.com"));
    }

    #[test]
    fn what_somebody_brought_is_theirs_until_it_ends() {
        let want = want("a.com");
        let brought = Leaf { fingerprint: "theirs".to_owned(), ..leaf("*.com a.com", 80) };
        assert_eq!(decide(&want, Some(&brought), None, false, now()), Decision::Wait(now() + DAY * 10));
        assert_eq!(decide(&want, Some(&brought), Some(&record("a.com")), false, now()), Decision::Wait(now() + DAY * 10));
        let ended = Leaf { fingerprint: "theirs".to_owned(), ..leaf("a.com", 90) };
        assert_eq!(decide(&want, Some(&ended), None, false, now()), order("a.com"));
    }

    #[test]
    fn a_public_authority_is_not_asked_about_private_names() {
        for name in ["shop.localhost", "shop.internal", "a.b.test", "shop.home.arpa"] {
            assert_eq!(decide(&want(name), None, None, false, now()), Decision::NotPublic, "{name}");
            assert_eq!(decide(&want(name), None, None, true, now()), order(name));
        }
        assert_eq!(decide(&want("a.com a.internal"), None, None, false, now()), order("a.com"));
        assert_eq!(decide(&want("mytest.com"), None, None, false, now()), order("mytest.com"));
    }

    #[test]
    fn an_authoritys_window_is_kept_to() {
        let (from, to) = (now(), now() + DAY);
        assert_eq!((within(from, to, None, 0.0), within(from, to, None, 1.0)), (from, to));
        let noon = from + DAY / 2;
        assert_eq!(within(from, to, Some(noon), 0.1), noon, "the same window changes nothing");
        assert_eq!(within(from, to, Some(to + DAY), 0.5), noon, "another one does");
    }

    #[test]
    fn pauses_grow_and_are_spread() {
        assert_eq!(pause(1, 128).as_secs(), 60);
        assert!(pause(1, 0).as_secs() == 48 && pause(1, 255).as_secs() == 72);
        assert_eq!((pause(7, 255), pause(u32::MAX, 255)), (pause(8, 255), pause(9, 255)));
    }
}
