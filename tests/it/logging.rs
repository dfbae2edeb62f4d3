//! What the daemon logs, and what it says about a wish that it does not understand.

use crate::program::has;
use crate::site::{Haloyd, Site};

#[test]
fn a_filter_that_is_not_understood_is_told() {
    let site = Site::new();
    let haloyd = Haloyd::start(site.haloyd().env("HALOY_LOG", "haloy=loud"));
    has(&haloyd.log(), &["WARN", "HALOY_LOG is not understood", "haloy=loud", "haloyd serves"]);
    haloyd.stops();
}

#[test]
fn a_filter_that_is_understood_holds() {
    let site = Site::new();
    let haloyd = Haloyd::start(site.haloyd().env("HALOY_LOG", "off,haloy=info"));
    assert!(!haloyd.log().contains("HALOY_LOG"), "{}", haloyd.log());
    haloyd.stops();
}
