//! Every change of an app under the load of every kind of visitor: no request fails, no stream is cut.

use std::time::{Duration, Instant};

use crate::app::{App, image};
use crate::haloyd::Haloyd;
use crate::load::Load;

/// Long enough for every stream that the visitors ask for, except WebSockets.
const DRAIN: Duration = Duration::from_secs(3);

/// A haloy.yaml of a version of the app.
fn web(version: &str, rest: &str) -> String {
    format!("image: {}\ndrain_timeout: {}s\nenv:\n  - name: VERSION\n    value: {version}\n{rest}", image("v1"), DRAIN.as_secs())
}

#[test]
fn ten_redeploys() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "redeploys");
    app.configure_web(&web("r0", "")).haloy(&["deploy"]).ok();
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);
    for number in 1..=10 {
        let version = format!("r{number}");
        let began = Instant::now();
        let said = app.configure_web(&web(&version, "")).haloy(&["deploy"]).ok();
        load.wait_for_version(&version);
        let switched = load.first_answer(&version, began).expect("it answers") - began;
        println!("{version}: traffic switched after {switched:?}, done after {:?}", said.took);
    }
    println!("{}", load.finish());
}
