//! Several targets of one file: which of them a command is about, and what is seen of them.

use serde_json::{Value, json};

use crate::fake_api::{Answer, End, FakeApi, TOKEN, accepted, phase, problem};
use crate::program::{Home, binary, has};
use crate::terminal_support::OnTerminal;

/// A file with the targets `eu`, `us` (of one server) and `asia` (of another).
pub fn config(near: &FakeApi, far: &FakeApi, more: &str) -> String {
    format!(
        "image: ghcr.io/ada/shop:v2\ntargets:\n  eu:\n    server: {0}\n  us:\n    server: {0}\n    name: shop-us\n  asia:\n    server: {1}\n{more}",
        near.address, far.address
    )
}

pub fn home(near: &FakeApi, far: &FakeApi, more: &str) -> Home {
    let home = Home::new();
    home.write("haloy.yaml", &config(near, far, more));
    for api in [near, far] {
        home.haloy(&["server", "add", &api.address, TOKEN, "--force"]).ok();
    }
    home
}

pub fn deploy(app: &str) -> String {
    format!("POST /v1/apps/{app}/deploy")
}

pub fn events(job: u64) -> String {
    format!("GET /v1/jobs/{job}/events")
}

fn done() -> Answer {
    Answer::Events(vec![phase(1, 0, "preparing"), phase(2, 400, "checking"), phase(3, 1500, "done")], End::Close)
}

pub fn job(id: u64, app: &str, phase: &str) -> Answer {
    let mut job = crate::fake_api::job(id, "deploy", phase);
    job["app"] = json!(app);
    Answer::Json(200, job)
}

/// Both servers take deploys of all apps: jobs 7 and 8 of the near one, 9 of the far one.
pub fn willing() -> (FakeApi, FakeApi) {
    let (near, far) = (FakeApi::start(), FakeApi::start());
    let version = || Answer::Json(200, json!({ "version": "1", "api": 1, "docker": null }));
    for (api, app, id) in [(&near, "eu", 7), (&near, "shop-us", 8), (&far, "asia", 9)] {
        api.on(&deploy(app), [accepted(id, 0)]).on(&events(id), [done()]).on("GET /v1/version", [version()]);
        api.on(&format!("GET /v1/jobs/{id}"), [job(id, app, "done")]);
    }
    (near, far)
}

pub fn asked(api: &FakeApi) -> Vec<String> {
    api.received().into_iter().map(|request| request.line).filter(|line| line.starts_with("POST")).collect()
}

fn status(app: &str) -> Value {
    json!({
        "name": app, "state": "running", "deployment": "20261121093000", "image": "ghcr.io/ada/shop:v2", "domains": [],
        "replicas_wanted": 1, "replicas": [], "job": null,
    })
}

#[test]
fn without_a_terminal_the_targets_are_named_and_none_is_taken() {
    let (near, far) = willing();
    let home = home(&near, &far, "");
    for command in ["deploy", "status", "logs", "rollback", "rollback-targets", "stop", "start", "restart", "attach"] {
        let error = home.haloy(&[command]).fails(2);
        let expected = "error: `haloy.yaml` has several targets and none is chosen: `eu`, `us`, `asia`\n\n\
                        hint: choose with `--targets NAME`, or take them all with `--all`\n";
        assert!(error.ends_with(expected), "{command}: {error}");
    }
    assert_eq!((near.received().len(), far.received().len()), (1, 1), "but for `server add`, nobody was asked");
}

#[test]
fn targets_are_chosen_by_their_names_or_their_apps_names() {
    let (near, far) = willing();
    let home = home(&near, &far, "");
    for (flags, near_apps, far_apps) in [
        (&["-t", "eu"][..], &["eu"][..], 0),
        (&["--target", "us"], &["shop-us"], 0),
        (&["--targets", "shop-us"], &["shop-us"], 0),
        (&["--targets", "asia, eu"], &["eu"], 1),
        (&["-t", "us", "-t", "eu", "-t", "us"], &["eu", "shop-us"], 0),
        (&["-a"], &["eu", "shop-us"], 1),
        (&["haloy.yaml", "--all"], &["eu", "shop-us"], 1),
    ] {
        let before = (asked(&near).len(), asked(&far).len());
        home.haloy(&[&["deploy", "--detach"], flags].concat()).ok();
        let expected: Vec<String> = near_apps.iter().map(|app| deploy(app)).collect();
        assert_eq!(asked(&near)[before.0..], expected, "{flags:?}");
        assert_eq!(asked(&far).len() - before.1, far_apps, "{flags:?}");
    }
    let before = asked(&near).len() + asked(&far).len();
    let error = home.haloy(&["deploy", "-t", "ue,asia"]).fails(2);
    has(&error, &["error: `haloy.yaml` has no target `ue`", "hint: did you mean `eu`? the targets are `eu`, `us`, `asia`"]);
    has(&home.haloy(&["stop", "-t", "moon,mars"]).fails(2), &["no target `moon`, `mars`\n", "hint: the targets are `eu`"]);
    has(&home.haloy(&["deploy", "-t", "eu", "--all"]).fails(2), &["cannot be used with"]);
    assert_eq!(asked(&near).len() + asked(&far).len(), before);
}

#[test]
fn a_file_with_one_target_needs_no_flag() {
    let (near, _) = willing();
    let home = Home::new();
    home.write("haloy.yaml", &format!("image: shop\ntargets:\n  eu:\n    server: {}\n", near.address));
    home.haloy(&["server", "add", &near.address, TOKEN]).ok();
    for flags in [&[][..], &["-t", "eu"], &["--all"]] {
        has(&home.haloy(&[&["deploy"], flags].concat()).stderr, &["0.0 s  preparing", "✓ `eu` is deployed as 20261121093000 in "]);
    }
    home.write("haloy.yaml", &format!("name: eu\nimage: shop\nserver: {}\n", near.address));
    for flags in [&["-t", "eu"][..], &["--all"]] {
        home.haloy(&[&["deploy"], flags].concat()).ok();
    }
    has(&home.haloy(&["deploy", "-t", "us"]).fails(2), &["no target `us`", "the targets are `eu`"]);
    assert_eq!(asked(&near).len(), 5);
}

#[test]
fn an_app_is_still_found_by_its_name() {
    let (near, far) = willing();
    let home = home(&near, &far, "");
    near.on("POST /v1/apps/shop-us/restart", [accepted(8, 0)]).on("POST /v1/apps/other/restart", [accepted(8, 0)]);
    far.on("POST /v1/apps/asia/restart", [accepted(9, 0)]).on("POST /v1/apps/other/restart", [accepted(9, 0)]);
    for word in ["shop-us", "us"] {
        has(&home.haloy(&["restart", word]).stderr, &["✓ `shop-us` is restarted"]);
    }
    has(&home.haloy(&["restart", "asia"]).stderr, &["✓ `asia` is restarted"]);
    has(&home.haloy(&["restart", "other", "-s", &far.address]).stderr, &["✓ `other` is restarted"]);
    has(&home.haloy(&["restart", "other"]).fails(2), &["several servers are configured and none is chosen"]);
    has(&home.haloy(&["restart", "other", "--all"]).fails(2), &["no configuration here describes `other`", "hint: leave `--targets`"]);
    has(&home.haloy(&["restart", "asia", "-t", "eu"]).fails(2), &["no target `eu`", "the targets are `asia`"]);
}

#[test]
fn the_server_of_the_command_line_is_for_all_targets() {
    let (near, far) = willing();
    far.on(&deploy("eu"), [accepted(9, 0)]).on(&deploy("shop-us"), [accepted(9, 0)]);
    home(&near, &far, "").haloy(&["deploy", "--all", "--server", &far.address]).ok();
    assert_eq!(asked(&far), [deploy("eu"), deploy("shop-us"), deploy("asia")]);
    assert!(asked(&near).is_empty());
}

#[test]
fn a_terminal_is_asked_which_targets() {
    let (near, far) = willing();
    let home = home(&near, &far, "");
    let ask = |typed: &str| {
        let mut deploy = OnTerminal::start(home.command(binary()).args(["deploy", "--detach"]));
        deploy.shows("Which ones? Numbers or names, or `all`:");
        assert!(asked(&near).is_empty() && asked(&far).is_empty() || !typed.is_empty());
        deploy.types(typed);
        deploy.end()
    };
    let (code, screen) = ask("\n");
    has(
        &screen,
        &[
            "`haloy.yaml` has 3 targets:\r\n",
            &format!("  1  eu    {}\r\n", near.address),
            "  2  us    ",
            &format!("  3  asia  {}\r\n", far.address),
            "error: no target is chosen, nothing was done",
        ],
    );
    assert_eq!((code, asked(&near).len()), (Some(2), 0));
    for (typed, near_asked, far_asked) in [("1\n", 1, 0), ("us 3\n", 1, 1), ("shop-us,eu\n", 2, 0), ("all\n", 2, 1)] {
        let before = (asked(&near).len(), asked(&far).len());
        assert_eq!(ask(typed).0, Some(0), "{typed:?}");
        assert_eq!((asked(&near).len() - before.0, asked(&far).len() - before.1), (near_asked, far_asked), "{typed:?}");
    }
    for typed in ["4\n", "0\n", "uss eu\n"] {
        let (code, screen) = ask(typed);
        has(&screen, &["error: `haloy.yaml` has no target `"]);
        assert_eq!(code, Some(2), "{typed:?}");
    }
}

#[test]
fn status_of_several_has_a_part_for_each() {
    let (near, far) = willing();
    near.on("GET /v1/apps/eu", [Answer::Json(200, status("eu"))]);
    far.on("GET /v1/apps/asia", [Answer::Json(200, status("asia"))]);
    near.on("GET /v1/apps/shop-us", [problem(404, "not_found", "there is no app `shop-us`", Some("deploy it"))]);
    let home = home(&near, &far, "");
    let run = home.haloy(&["status", "--all"]);
    has(
        &run.stdout,
        &[&format!("eu on {}\neu  running  0/1 replicas healthy\n", near.address), &format!("\n\nasia on {}\nasia  running", far.address)],
    );
    assert_eq!(run.fails(1), "us   | error: there is no app `shop-us`\nus   | hint: deploy it\n");
    let list = home.haloy(&["status", "--all", "--json"]).json();
    assert_eq!((&list[0]["target"], &list[0]["state"]), (&json!("eu"), &json!("running")));
    assert_eq!((&list[1]["target"], &list[1]["error"]), (&json!("us"), &json!("there is no app `shop-us`")));
    assert_eq!((&list[2]["target"], &list[2]["name"]), (&json!("asia"), &json!("asia")));
    let one = home.haloy(&["status", "-t", "asia", "--json"]).json();
    assert_eq!((&one["name"], &one["target"]), (&json!("asia"), &Value::Null), "one target is as ever");
}

#[test]
fn logs_of_several_are_side_by_side() {
    let (near, far) = willing();
    let line = |text: &str| crate::fake_api::log_line(1, text);
    near.on("GET /v1/apps/eu", [Answer::Json(200, status("eu"))]);
    far.on("GET /v1/apps/asia", [Answer::Json(200, status("asia"))]);
    near.on("GET /v1/apps/eu/logs", [Answer::Events(vec![line("from europe")], End::Close)]);
    far.on("GET /v1/apps/asia/logs", [Answer::Events(vec![line("from asia")], End::Close)]);
    let home = home(&near, &far, "");
    assert_eq!(home.haloy(&["logs", "-t", "eu,asia"]).ok(), "eu   | from europe\nasia | from asia\n");
    assert_eq!(home.haloy(&["logs", "-t", "eu"]).ok(), "from europe\n");
    let json = home.haloy(&["logs", "-t", "eu,asia", "--json"]).ok();
    let targets: Vec<Value> = json.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["target"].clone()).collect();
    assert_eq!(targets, ["eu", "asia"]);

    near.on("GET /v1/apps/eu/logs", [Answer::Events(vec![line("from europe")], End::Hang)]);
    far.on("GET /v1/apps/asia/logs", [Answer::Events(vec![line("from asia")], End::Hang)]);
    let mut follow = home.start(&["logs", "-t", "eu,asia", "--follow"]);
    follow.prints("eu   | from europe\n");
    follow.prints("asia | from asia\n");
}

#[test]
fn each_of_several_is_stopped_and_rolled_back_in_its_turn() {
    let (near, far) = willing();
    near.on("POST /v1/apps/eu/stop", [problem(409, "conflict", "a job is under way", None)]);
    near.on("POST /v1/apps/shop-us/stop", [accepted(8, 0)]);
    far.on("POST /v1/apps/asia/stop", [accepted(9, 0)]);
    let home = home(&near, &far, "");
    let error = home.haloy(&["stop", "--all"]).fails(1);
    has(&error, &["eu   | error: a job is under way", "us   | ✓ `shop-us` is stopped in 1.5 s", "asia | ✓ `asia` is stopped in 1.5 s"]);

    let deployment = |id: &str, current: bool| {
        json!({
            "id": id, "state": "complete", "image": "shop:v1", "image_id": null, "created_at": "2026-11-21T09:30:00Z",
            "performer": null, "git_commit": null, "repeats": null, "current": current,
        })
    };
    let list = json!([deployment("20261101000000", false), deployment("20261102000000", true)]);
    near.on("GET /v1/apps/eu/deployments", [Answer::Json(200, list.clone())]).on("POST /v1/apps/eu/rollback", [accepted(7, 0)]);
    far.on("GET /v1/apps/asia/deployments", [Answer::Json(200, list)]).on("POST /v1/apps/asia/rollback", [accepted(9, 0)]);
    let run = home.haloy(&["rollback", "-t", "asia,eu"]);
    has(
        &run.stderr,
        &[
            "eu   | going back to 20261101000000 (shop:v1)\n",
            "eu   | ✓ `eu` is rolled back to 20261101000000",
            "asia | ✓ `asia` is rolled back to 20261101000000",
        ],
    );
    run.ok();
    home.haloy(&["rollback", "-t", "eu", "20261101000000"]).ok();
    let run = home.haloy(&["rollback-targets", "-t", "eu,asia"]);
    has(&run.stdout, &["eu on ", "DEPLOYMENT", "20261102000000", "\n\nasia on ", "DEPLOYMENT"]);
    has(&run.stderr, &["eu   | hint: go back with `haloy rollback 20261101000000 -t eu`"]);
    let list = home.haloy(&["rollback-targets", "-t", "eu,asia", "--json"]).json();
    assert_eq!((&list[1]["target"], &list[1]["deployments"][0]["id"]), (&json!("asia"), &json!("20261102000000")));
}

#[test]
fn protected_targets_are_for_those_who_mean_them() {
    let (near, far) = willing();
    let text = config(&near, &far, "    protected: true\n");
    let home = home(&near, &far, "");
    home.write("haloy.yaml", &text);
    near.on("POST /v1/apps/eu/stop", [accepted(7, 0)]).on("POST /v1/apps/shop-us/stop", [accepted(8, 0)]);
    far.on("POST /v1/apps/asia/stop", [accepted(9, 0)]).on("GET /v1/apps/asia", [Answer::Json(200, status("asia"))]);
    let left_out = "protected and left out: `asia` (`--include-protected` takes them, too)\n";
    let run = home.haloy(&["deploy", "--all", "--detach"]);
    assert!(run.stderr.starts_with(left_out), "{}", run.stderr);
    run.ok();
    assert!(asked(&far).is_empty());
    home.haloy(&["deploy", "--all", "--include-protected"]).ok();
    home.haloy(&["deploy", "-t", "asia"]).ok();
    assert_eq!(asked(&far), [deploy("asia"), deploy("asia")]);
    has(&home.haloy(&["stop", "--all"]).stderr, &[left_out, "`eu` is stopped", "`shop-us` is stopped"]);
    has(&home.haloy(&["status", "-a"]).stdout, &["asia on "]);

    let before = asked(&far).len();
    for removal in [&["--remove-containers"][..], &["--remove-volumes", "--yes"]] {
        let error = home.haloy(&[&["stop", "-t", "eu,asia"], removal].concat()).fails(2);
        assert_eq!(error, "error: `asia` is protected, nothing of it was removed\n\nhint: add `--include-protected` if you mean it\n");
    }
    assert_eq!((asked(&far).len(), near.received_on("POST /v1/apps/eu/stop").len()), (before, 1), "nothing was removed anywhere");
    home.haloy(&["stop", "-t", "asia"]).ok();
    home.haloy(&["stop", "-t", "asia", "--remove-containers", "--include-protected"]).ok();
    let bodies: Vec<Value> = far.received_on("POST /v1/apps/asia/stop").into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[0]["include_protected"], json!(false));
    assert_eq!(bodies[1], json!({ "remove_containers": true, "remove_volumes": false, "include_protected": true }));

    home.write("haloy.yaml", &format!("name: db\nimage: postgres:17\nserver: {}\nprotected: true\n", near.address));
    has(&home.haloy(&["stop", "--all"]).fails(2), &["error: all targets of `haloy.yaml` are protected", "hint: ", "--include-protected"]);
}

#[test]
fn the_volumes_of_each_target_are_confirmed_before_any_is_removed() {
    let (near, far) = willing();
    near.on("POST /v1/apps/eu/stop", [accepted(7, 0)]);
    far.on("POST /v1/apps/asia/stop", [accepted(9, 0)]);
    let home = home(&near, &far, "");
    let mut stop = OnTerminal::start(home.command(binary()).args(["stop", "-t", "eu,asia", "--remove-volumes"]));
    stop.shows("volumes of `eu` with all their data. Type the app's name to go on:");
    stop.types("eu\n");
    stop.shows("volumes of `asia` with all their data. Type the app's name to go on:");
    stop.types("no\n");
    assert_eq!(stop.end().0, Some(1));
    assert!(asked(&near).is_empty() && asked(&far).is_empty());
}

#[test]
fn who_leaves_leaves_the_rest_as_it_is() {
    let (near, far) = willing();
    near.on("POST /v1/apps/eu/restart", [accepted(7, 0)]).on(&events(7), [Answer::Events(vec![phase(1, 0, "checking")], End::Hang)]);
    let home = home(&near, &far, "");
    let mut restart = home.start(&["restart", "--all"]);
    restart.says("eu   |    0.0 s  checking health");
    restart.interrupt();
    let said = restart.end().fails(130);
    has(&said, &["eu   | detached, job 7 goes on", "`haloy attach 7 -t eu`", "`us` is left as it is\n`asia` is left as it is\n"]);
    assert_eq!((asked(&near).len(), asked(&far).len()), (1, 0));

    let restart = home.start(&["restart", "--all", "--json"]);
    while near.received_on(&events(7)).len() < 2 {
        std::thread::yield_now();
    }
    restart.interrupt();
    let run = restart.end();
    let list = run.json();
    assert_eq!((&list[0]["target"], &list[0]["job"]), (&json!("eu"), &json!(7)));
    for (index, target) in [(1, "us"), (2, "asia")] {
        assert_eq!((&list[index]["target"], &list[index]["exit_code"]), (&json!(target), &json!(1)));
        has(list[index]["error"].as_str().unwrap_or_default(), &["not started: you left"]);
    }
    run.fails(130);
}

/// Two deployments of each app; the earlier one has the snapshot that the app was deployed with.
fn with_history(api: &FakeApi, app: &str) {
    let deployment = |id: &str, current: bool| {
        json!({
            "id": id, "state": "complete", "image": "shop:v1", "image_id": null, "created_at": "2026-11-21T09:30:00Z",
            "performer": null, "git_commit": null, "repeats": null, "current": current,
        })
    };
    let spec = api.received_on(&deploy(app))[0].body["spec"].clone();
    let earlier = deployment("20261101000000", false);
    let list = json!([earlier, deployment("20261102000000", true)]);
    api.on(&format!("GET /v1/apps/{app}/deployments"), [Answer::Json(200, list)]);
    let details = json!({ "deployment": earlier, "spec": spec });
    api.on(&format!("GET /v1/apps/{app}/deployments/20261101000000"), [Answer::Json(200, details)]);
}

#[test]
fn a_rollback_takes_values_from_where_its_own_target_does() {
    let (near, far) = willing();
    let home = home(&near, &far, "env:\n  - {name: KEY, from: {env: SHOP_KEY}}\n");
    let config = home.read("haloy.yaml").replace("  asia:\n", "  asia:\n    name: eu\n");
    home.write("haloy.yaml", &config);
    home.write(".env.eu", "SHOP_KEY=of-eu\n");
    home.write(".env.asia", "SHOP_KEY=of-asia\n");
    for (api, id) in [(&near, 7), (&far, 9)] {
        api.on(&deploy("eu"), [accepted(id, 0)]).on("POST /v1/apps/eu/rollback", [accepted(id, 0)]);
        api.on(&format!("GET /v1/jobs/{id}"), [job(id, "eu", "done")]);
    }
    home.haloy(&["deploy", "-t", "eu,asia"]).ok();
    with_history(&near, "eu");
    with_history(&far, "eu");
    home.haloy(&["rollback", "-t", "eu,asia"]).ok();
    let sent = |api: &FakeApi| api.received_on("POST /v1/apps/eu/rollback").pop().expect("a rollback").body["env"].clone();
    assert_eq!(sent(&near), json!([{ "name": "KEY", "value": "of-eu" }]));
    assert_eq!(sent(&far), json!([{ "name": "KEY", "value": "of-asia" }]));

    let list = home.haloy(&["rollback", "--current-config", "-t", "eu,asia", "--json"]).json();
    let targets: Vec<&Value> = list.as_array().expect("a list").iter().map(|entry| &entry["target"]).collect();
    assert_eq!(targets, ["eu", "asia"]);
    assert_eq!(near.received_on(&deploy("eu")).pop().expect("a deploy").body["image_of"], "20261101000000");

    // A directory that describes other apps has nothing to say about this one.
    home.write("haloy.yaml", &format!("name: other\nserver: {}\nimage: other:1\n", near.address));
    home.write(".env", "SHOP_KEY=of-the-other\n");
    let run = home.haloy(&["rollback", "eu", "20261101000000", "--server", &near.address]);
    has(&run.stderr, &["warning: `KEY` cannot be looked up here and keep the values"]);
    run.ok();
    assert_eq!(sent(&near), json!([]));
}
