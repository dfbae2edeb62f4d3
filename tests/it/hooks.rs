//! The commands that a configuration runs before and after a deploy: where, with what in their
//! environment, and what becomes of their output and their failures.

use std::time::Instant;

use serde_json::json;

use crate::fake_api::{Answer, End, FakeApi, TOKEN, accepted, phase};
use crate::program::{DEADLINE, Home, Running, binary, has, run};

const DEPLOY: &str = "POST /v1/apps/shop/deploy";

fn willing() -> FakeApi {
    let api = FakeApi::start();
    for (app, job) in [("shop", 7), ("blog", 8)] {
        api.on(&format!("POST /v1/apps/{app}/deploy"), [accepted(job, 0)]);
        api.on(&format!("GET /v1/jobs/{job}/events"), [Answer::Events(vec![phase(1, 0, "preparing"), phase(2, 1500, "done")], End::Close)]);
    }
    api.on("GET /v1/version", [Answer::Json(200, json!({ "version": "1", "api": 1, "docker": null }))]);
    api
}

fn home(api: &FakeApi, file: &str) -> Home {
    let home = Home::new();
    home.write("project/haloy.yaml", &file.replace("SERVER", &api.address));
    home.haloy(&["server", "add", &api.address, TOKEN]).ok();
    home
}

const DUMP: &str = "env | grep ^HALOY_ | sort > seen.$HALOY_STAGE";

#[test]
fn hooks_know_what_they_are_run_for() {
    let api = willing();
    let keys = ["global_pre_deploy", "pre_deploy", "post_deploy", "global_post_deploy"].map(|key| format!("{key}: ['{DUMP}']\n"));
    let home = home(&api, &format!("name: shop\nserver: SERVER\nimage: ghcr.io/ada/shop:v2\n{}", keys.concat()));
    let mut command = home.command(binary());
    command
        .args(["deploy", "project"])
        .env("HALOY_DEPLOYMENT_ID", "of an outer run")
        .env("HALOY_TARGETS", "outer")
        .env("HALOY_MINE", "stays");
    run(&mut command).ok();
    let seen = |stage: &str| home.read(&format!("project/seen.{stage}")).replace(&home.path().display().to_string(), "~");
    let about = format!("HALOY_PERFORMER=ada@laptop\nHALOY_SERVER={}\n", api.address);
    let common = "HALOY_CONFIG=~/project/haloy.yaml\n";
    let end = "HALOY_TARGET=shop\nHALOY_VERSION=v2\n";
    let pre = format!("HALOY_APP=shop\n{common}HALOY_MINE=stays\n{about}HALOY_STAGE=pre_deploy\n{end}");
    assert_eq!(seen("pre_deploy"), pre);
    let id = "HALOY_DEPLOYMENT_ID=20261121093000\n";
    let post = format!("HALOY_APP=shop\n{common}{id}HALOY_MINE=stays\n{about}HALOY_STAGE=post_deploy\n{end}");
    assert_eq!(seen("post_deploy"), post);
    for stage in ["global_pre_deploy", "global_post_deploy"] {
        let global = format!("{common}HALOY_MINE=stays\nHALOY_PERFORMER=ada@laptop\nHALOY_STAGE={stage}\nHALOY_TARGETS=shop\n");
        assert_eq!(seen(stage), global);
    }
}

#[test]
fn a_commit_and_a_digest_are_told() {
    let api = willing();
    let digest = format!("sha256:{}", "0".repeat(64));
    let file = format!("name: shop\nserver: SERVER\nimage: shop@{digest}\npre_deploy: ['{DUMP}']\n");
    let home = home(&api, &file);
    let git = |args: &[&str]| run(home.command("git").current_dir(home.path().join("project")).args(args)).ok();
    git(&["init", "-q"]);
    git(&["-c", "user.name=ada", "-c", "user.email=ada@example.com", "commit", "-q", "--allow-empty", "-m", "first"]);
    home.haloy(&["deploy", "project"]).ok();
    let commit = git(&["rev-parse", "HEAD"]);
    has(&home.read("project/seen.pre_deploy"), &[&format!("HALOY_GIT_COMMIT={commit}"), &format!("HALOY_VERSION={digest}\n")]);
}

/// Two targets on one server.
fn two(more: &str) -> String {
    format!("image: shop:v2\nserver: SERVER\ntargets:\n  shop:\n    pre_deploy: ['echo building; echo twice >&2']\n  blog: {{}}\n{more}")
}

#[test]
fn hooks_of_several_targets_run_in_their_order() {
    let api = willing();
    let log = |key: &str| format!("{key}: ['echo $HALOY_STAGE $HALOY_APP$HALOY_TARGETS >> order']\n");
    let home = home(&api, &two(&["global_pre_deploy", "post_deploy", "global_post_deploy"].map(log).concat()));
    let deploy = home.haloy(&["deploy", "project", "--all"]);
    has(
        &deploy.stderr,
        &[
            "global_pre_deploy: echo",
            "shop | pre_deploy: echo building",
            "shop | building\n",
            "shop |    0.0 s",
            "TARGET",
            "global_post_deploy: ",
        ],
    );
    has(&deploy.stderr, &["shop | twice\n"]);
    assert_eq!(deploy.ok(), "");
    let expected = "global_pre_deploy shop,blog\npost_deploy shop\npost_deploy blog\nglobal_post_deploy shop,blog\n";
    assert_eq!(home.read("project/order"), expected);

    home.haloy(&["deploy", "project", "--all", "--skip-hooks"]).ok();
    assert_eq!(home.read("project/order"), expected, "none was run again");
    home.haloy(&["deploy", "project", "-t", "blog"]).ok();
    has(&home.read("project/order"), &[expected, "global_pre_deploy blog\npost_deploy blog\nglobal_post_deploy blog\n"]);
    let detached = home.haloy(&["deploy", "project", "-t", "blog", "--detach"]);
    let unwatched = "commands were not run, because nobody waited for the verdict";
    has(&detached.stderr, &["accepted as job 8", &format!("`post_deploy` {unwatched}"), &format!("`global_post_deploy` {unwatched}")]);
}

#[test]
fn a_failing_hook_stops_its_target_and_those_behind_it() {
    let api = willing();
    let home = home(&api, &two("").replace("echo building;", "exit 4;"));
    let error = home.haloy(&["deploy", "project", "--all"]).fails(1);
    has(
        &error,
        &[
            "shop | error: `pre_deploy` command `exit 4; echo twice >&2` failed with exit code 4\n",
            "blog | not started: `shop` failed before it on the same server",
            "✗  shop",
        ],
    );
    assert!(api.received().iter().all(|request| request.line.starts_with("GET ")), "nothing was changed");
    let list = home.haloy(&["deploy", "project", "--all", "--json"]).json();
    has(list[0]["error"].as_str().unwrap_or_default(), &["`pre_deploy` command"]);
    home.write("project/haloy.yaml", &two("global_pre_deploy: ['false']\n").replace("SERVER", &api.address));
    let error = home.haloy(&["deploy", "project", "--all"]).fails(1);
    assert_eq!(error, "global_pre_deploy: false\nerror: `global_pre_deploy` command `false` failed with exit code 1\n");
    home.write("project/haloy.yaml", &two("global_post_deploy: ['false']\n").replace("SERVER", &api.address));
    let late = home.haloy(&["deploy", "project", "--all", "--detach"]);
    assert_eq!(late.code, Some(0));
    let late = home.haloy(&["deploy", "project", "--all"]);
    has(&late.fails(1), &["✓  blog", "error: `global_post_deploy` command `false` failed"]);
}

/// Starts a deploy whose hook says `ready` and then waits, together with a child of its own.
fn waiting(home: &Home, args: &[&str]) -> Running {
    let mut deploy = home.start(&[&["deploy", "project"], args].concat());
    deploy.says("ready\n");
    deploy
}

#[test]
fn ctrl_c_ends_a_hook_and_everything() {
    let api = willing();
    let hook = "pre_deploy: ['sleep 300 & echo $! > child; echo ready >&2; wait', 'touch never']\n";
    let home = home(&api, &format!("name: shop\nserver: SERVER\nimage: shop:v2\n{hook}"));
    let deploy = waiting(&home, &[]);
    deploy.interrupt();
    let error = deploy.end().fails(130);
    has(&error, &["error: interrupted during `pre_deploy` command `sleep 300", "nothing was changed\n"]);
    assert!(api.received_on(DEPLOY).is_empty() && !home.path().join("project/never").exists());
    let child = home.read("project/child");
    let deadline = Instant::now() + DEADLINE;
    let runs = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).is_ok_and(|stat| !stat.contains(") Z "));
    while runs() {
        assert!(Instant::now() < deadline, "what it started in the background ends, too");
        std::thread::yield_now();
    }

    let (shop, two) = (format!("  shop:\n    {hook}"), two(""));
    let text = two.replacen("  shop:\n    pre_deploy: ['echo building; echo twice >&2']\n", &shop, 1);
    home.write("project/haloy.yaml", &text.replace("SERVER", &api.address));
    let deploy = waiting(&home, &["--all"]);
    deploy.interrupt();
    has(&deploy.end().fails(130), &["shop | error: interrupted during `pre_deploy`", "blog | not started: "]);
    assert!(api.received().iter().all(|request| request.line.starts_with("GET ")), "nothing was changed");
}

#[test]
fn hooks_find_what_is_in_env_files() {
    let api = willing();
    let dump = |key: &str| format!("{key}: ['env | grep ^SHOP_ | sort > {key}; env | grep -c ^HALOY_API_TOKEN_ >> {key}; true']\n");
    let targets = "targets:\n  shop: {}\n";
    let keys = ["global_pre_deploy", "pre_deploy", "post_deploy"].map(dump).concat();
    let home = home(&api, &format!("image: shop:v2\nserver: SERVER\n{keys}{targets}"));
    home.write("project/.env.shop", "SHOP_OWN=hunter1\n");
    home.write("project/.env", "SHOP_OWN=none\nSHOP_ALL='hunter two'\nSHOP_SET=hunter3\nHALOY_STAGE=mine\n");
    let mut command = home.command(binary());
    let deploy = run(command.args(["deploy", "project"]).env("SHOP_SET", "of the process"));
    assert!(!deploy.stderr.contains("hunter"), "{}", deploy.stderr);
    deploy.ok();
    let common = "SHOP_ALL=hunter two\n";
    for key in ["pre_deploy", "post_deploy"] {
        assert_eq!(home.read(&format!("project/{key}")), format!("{common}SHOP_OWN=hunter1\nSHOP_SET=of the process\n0\n"));
    }
    assert_eq!(home.read("project/global_pre_deploy"), format!("{common}SHOP_OWN=none\nSHOP_SET=of the process\n0\n"));

    home.write("project/.env", "SHOP_ALL=hunter two\n");
    let before = api.received_on(DEPLOY).len();
    let refused = home.haloy(&["deploy", "project"]).fails(2);
    has(&refused, &["project/.env`, line 1 is not `NAME=value`", "in single quotes"]);
    assert!(!refused.contains("hunter"), "{refused}");
    assert_eq!(api.received_on(DEPLOY).len(), before, "found out before anything is done");
    home.haloy(&["deploy", "project", "--skip-hooks"]).ok();
}

#[test]
fn no_hook_begins_after_ctrl_c() {
    let api = willing();
    let file = "name: shop\nserver: SERVER\nimage: shop:v2\ndomains: [shop.example.com]\npost_deploy: ['touch never']\n";
    let home = home(&api, file);
    // Asked for the ports of the app's addresses, between the verdict and the hook.
    api.on("GET /v1/version", [Answer::Events(Vec::new(), End::Hang)]);
    let mut deploy = home.start(&["deploy", "project"]);
    deploy.says("`shop` is deployed");
    deploy.interrupt();
    has(&deploy.end().fails(130), &["error: interrupted during `post_deploy` command `touch never`"]);
    assert!(!home.path().join("project/never").exists());
}

#[test]
fn what_a_hook_leaves_running_delays_nobody() {
    let api = willing();
    let home = home(&api, &two("").replace("echo building;", "sleep 20 & echo $! > child; printf unfinished;"));
    let run = home.haloy(&["deploy", "project", "--all"]);
    has(&run.stderr, &["shop | unfinished\n", "✓  shop"]);
    run.ok();
    let pid = home.read("project/child").trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is still running");
}

#[test]
fn who_deploys_is_known_without_the_environment() {
    let api = willing();
    let home = home(&api, &format!("name: shop\nserver: SERVER\nimage: shop:v2\npre_deploy: ['{DUMP}']\n"));
    let mut command = home.command(binary());
    run(command.args(["deploy", "project", "--detach"]).env_remove("USER").env_remove("LOGNAME").env_remove("USERNAME")).ok();
    let seen = home.read("project/seen.pre_deploy");
    let performer = seen.lines().find_map(|line| line.strip_prefix("HALOY_PERFORMER=")).expect("a performer");
    assert!(performer.ends_with("@laptop") && performer.len() > "@laptop".len(), "{performer}");
}
