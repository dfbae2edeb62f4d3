//! The deploys of several targets: what waits for what, what is seen of each, and what is left of them at the end.

use serde_json::json;

use crate::fake_api::{Answer, End, FakeApi, event, phase};
use crate::program::{binary, has};
use crate::targets::{asked, config, deploy, events, home, job, willing};
use crate::terminal_support::OnTerminal;

fn failed() -> Answer {
    let failure = json!({ "type": "failure", "reason": "the image is missing", "hint": "push it first", "container": null });
    Answer::Events(vec![phase(1, 0, "preparing"), event(2, 100, failure), phase(3, 100, "failed")], End::Close)
}

#[test]
fn each_target_is_seen_by_its_name_and_summed_up() {
    let (near, far) = willing();
    let run = home(&near, &far, "").haloy(&["deploy", "--all"]);
    for (target, app) in [("eu  ", "eu"), ("us  ", "shop-us"), ("asia", "asia")] {
        let line = |text: &str| format!("{target} | {text}");
        let deployed = line(&format!("✓ `{app}` is deployed as 20261121093000 in "));
        has(&run.stderr, &[&line("   0.0 s  preparing"), &line("   0.4 s  checking health\n"), &deployed]);
    }
    has(
        &run.stderr,
        &[
            "\n\n   TARGET  APP      SERVER",
            "\n✓  eu      eu       127.0.0.1:",
            "  20261121093000  deployed in ",
            "\n✓  us      shop-us  127.0.0.1:",
            "\n✓  asia    asia     127.0.0.1:",
        ],
    );
    assert_eq!(run.ok(), "");
    assert_eq!(asked(&near), [deploy("eu"), deploy("shop-us")], "one after the other");
    let versions = near.received_on("GET /v1/version").len();
    assert_eq!(versions, 2, "one for `server add`, one before anything changed");
}

#[test]
fn servers_do_not_wait_for_each_other() {
    let (near, far) = willing();
    near.on(&events(7), [Answer::Events(vec![phase(1, 0, "checking")], End::Hang)]);
    let home = home(&near, &far, "");
    let mut run = home.start(&["deploy", "--all"]);
    run.says("asia | ✓ `asia` is deployed");
    run.says("eu   |    0.0 s  checking health");
    assert_eq!(asked(&near), [deploy("eu")], "the next one of a server waits");
    run.interrupt();
    let error = run.end().fails(130);
    has(
        &error,
        &[
            "eu   | detached, job 7 goes on",
            "eu   | hint: watch it again with `haloy attach 7 -t eu`",
            "us   | not started: you left",
            "…  eu ",
            "job 7 goes on",
            "✗  us ",
            "not started",
            "✓  asia ",
        ],
    );
    assert_eq!(asked(&near), [deploy("eu")]);
}

/// A program that reads the list learns of every target, and of the jobs that go on.
#[test]
fn what_was_left_has_a_value_too() {
    let (near, far) = willing();
    near.on(&events(7), [Answer::Events(vec![phase(1, 0, "checking")], End::Hang)]);
    let home = home(&near, &far, "global_post_deploy: ['true']\n");
    let mut run = home.start(&["deploy", "--all", "--json"]);
    run.says("asia | ✓ `asia` is deployed");
    while near.received_on(&events(7)).is_empty() {
        std::thread::yield_now();
    }
    run.interrupt();
    let run = run.end();
    let list = run.json();
    let about = |index: usize| (list[index]["target"].clone(), list[index]["job"].clone(), list[index]["phase"].clone());
    assert_eq!(about(0), (json!("eu"), json!(7), json!(null)), "as with --detach");
    has(list[1]["error"].as_str().unwrap_or_default(), &["not started: you left"]);
    assert_eq!(list[2]["phase"], json!("done"));
    run.fails(130);
}

#[test]
fn a_failure_stops_what_comes_after_it_on_its_server_alone() {
    let (near, far) = willing();
    near.on(&events(7), [failed()]).on("GET /v1/jobs/7", [job(7, "eu", "failed")]);
    let home = home(&near, &far, "global_post_deploy: ['touch after']\n");
    let error = home.haloy(&["deploy", "--all"]).fails(1);
    has(&error, &["asia | ✓ `asia` is deployed"]);
    has(
        &error,
        &[
            "eu   | error: deployment of `eu` (job 7) failed: the image is missing\n",
            "eu   | hint: push it first\n",
            "us   | not started: `eu` failed before it on the same server\n",
            "✗  eu  ",
            "20261121093000  failed after ",
            "✗  us  ",
            "not started",
            "✓  asia  ",
            "warning: `global_post_deploy` commands were not run, because not all targets were deployed",
        ],
    );
    assert_eq!((asked(&near), asked(&far).len()), (vec![deploy("eu")], 1));
    assert!(!home.path().join("after").exists());

    let run = home.haloy(&["deploy", "--all", "--json"]);
    let list = run.json();
    assert_eq!(list.as_array().map(Vec::len), Some(3), "{list}");
    assert_eq!((&list[0]["target"], &list[0]["phase"], &list[0]["app"]), (&json!("eu"), &json!("failed"), &json!("eu")));
    assert_eq!((&list[1]["target"], &list[1]["exit_code"]), (&json!("us"), &json!(1)));
    has(list[1]["error"].as_str().unwrap_or_default(), &["not started: `eu` failed before it"]);
    assert_eq!((&list[2]["target"], &list[2]["phase"]), (&json!("asia"), &json!("done")));
    run.fails(1);
}

#[test]
fn all_that_is_missing_is_told_before_anything_changes() {
    let (near, far) = willing();
    let env = |name: &str| format!("    env:\n      - name: KEY\n        from:\n          env: {name}\n");
    let text = config(&near, &far, &env("ASIA_KEY"));
    let text = text.replacen("  us:\n", &format!("{}  us:\n", env("EU_KEY")), 1);
    let home = home(&near, &far, "");
    home.write("haloy.yaml", &format!("{text}global_pre_deploy: ['touch before']\n"));
    let error = home.haloy(&["deploy", "--all"]).fails(2);
    has(&error, &["`EU_KEY` is empty or not set", "`ASIA_KEY` is empty or not set", "error: the configuration has 2 mistakes"]);
    home.write(".env.eu", "EU_KEY=1\n");
    home.write(".env.asia", "ASIA_KEY=2\n");
    home.haloy(&["deploy", "--all", "--skip-hooks"]).ok();
    let sent = |api: &FakeApi, app: &str| api.received_on(&deploy(app))[0].body["env"][0]["value"].clone();
    assert_eq!((sent(&near, "eu"), sent(&far, "asia")), (json!("1"), json!("2")));
    assert!(!home.path().join("before").exists());
}

#[test]
fn what_all_targets_lack_is_told_once() {
    let (near, far) = willing();
    let home = home(&near, &far, "env:\n  - name: KEY\n    from:\n      env: SHOP_KEY\n");
    let error = home.haloy(&["deploy", "--all"]).fails(2);
    has(&error, &["`SHOP_KEY` is empty or not set", "error: the configuration has 1 mistake\n"]);
}

#[test]
fn a_wrong_token_for_one_server_stops_all() {
    let (near, far) = willing();
    let home = home(&near, &far, "global_pre_deploy: ['touch before']\n");
    home.haloy(&["server", "add", &far.address, "haloy_wrong", "--force"]).ok();
    has(&home.haloy(&["deploy", "--all"]).fails(1), &[&format!("error: `{}` refused the token", far.address)]);
    assert!(asked(&near).is_empty() && !home.path().join("before").exists());
    home.haloy(&["deploy", "-t", "eu,us"]).ok();
}

#[test]
fn detached_targets_say_how_to_come_back() {
    let (near, far) = willing();
    let home = home(&near, &far, "");
    let run = home.haloy(&["deploy", "--all", "--detach"]);
    has(&run.stderr, &["us   | deployment of `shop-us` is accepted as job 8\n", "us   | hint: watch it with `haloy attach 8 -t us`\n"]);
    has(&run.stderr, &["✓  eu ", "accepted as job 7", "✓  asia ", "accepted as job 9"]);
    run.ok();
    let list = home.haloy(&["deploy", "-t", "eu,asia", "--detach", "--json"]).json();
    assert_eq!((&list[0]["job"], &list[1]["job"], &list[1]["target"]), (&json!(7), &json!(9), &json!("asia")));
    has(&home.haloy(&["attach", "9", "-t", "asia"]).stderr, &["job 9: deployment of `asia`", "`asia` is deployed"]);
    has(&home.haloy(&["attach", "--all"]).fails(2), &["this is about one app, and several are chosen", "hint: choose it with"]);
    has(&home.haloy(&["attach", "9"]).fails(2), &["several servers", "hint:"]);
}

#[test]
fn lines_of_several_do_not_move_on_a_terminal() {
    let (near, far) = willing();
    let home = home(&near, &far, "");
    let (code, screen) = OnTerminal::start(home.command(binary()).args(["deploy", "--all"]).env("NO_COLOR", "1")).end();
    has(&screen, &["us   |    0.0 s  preparing image, network and volumes\r\n", "us   | ✓ `shop-us` is deployed"]);
    assert!(!screen.contains('\u{1b}'), "{screen:?}");
    assert_eq!(code, Some(0));
}

#[test]
fn every_token_is_tried_before_anything_changes() {
    let (near, far) = willing();
    let text = config(&near, &far, "").replacen("  us:\n", "  us:\n    api_token: {value: haloy_wrong}\n", 1);
    let home = home(&near, &far, "global_pre_deploy: ['touch before']\n");
    home.write("haloy.yaml", &text);
    has(&home.haloy(&["deploy", "--all"]).fails(1), &["refused the token from `api_token` in `haloy.yaml`"]);
    assert!(asked(&near).is_empty() && asked(&far).is_empty());
}
