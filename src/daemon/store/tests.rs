//! The store through its own doors: what was accepted is there after a reopen.

use super::*;
use crate::wire::{DeploymentState, EventKind, Failure, JobKind, Phase, StopRequest};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = Store::open(&dir.path().join("db/haloy.db")).expect("open");
    (dir, store)
}

fn app(name: &str) -> AppName {
    name.parse().expect("app name")
}

fn new(name: &str, image: &str, domain: &str) -> NewDeployment {
    let spec = serde_json::json!({ "name": name, "image": image, "replicas": 1, "domains": [{ "domain": domain }] });
    NewDeployment {
        spec: serde_json::from_value(spec).expect("spec"),
        env: vec![1, 2],
        performer: None,
        git_commit: None,
        login: None,
        image_of: None,
    }
}

fn failure(reason: &str) -> Failure {
    Failure { reason: reason.to_owned(), hint: None, container: None }
}

/// Deploys and carries the job through to `done`.
async fn complete(store: &Store, name: &str, image: &str) -> DeployId {
    let accepted = store.accept_deploy(new(name, image, &format!("{name}.example.com"))).await.expect("accept");
    store.activate_jobs().await.expect("activate");
    let id = accepted.deployment.expect("deployment");
    let prepared = Prepared { image_id: format!("sha256:{image}"), port: 8080.try_into().expect("port"), digest: None };
    store.prepared(id, prepared).await.expect("prepared");
    store.promote(app(name), id, Some(accepted.job)).await.expect("promote");
    store.finish(app(name), accepted.job).await.expect("finish");
    id
}

async fn phases(store: &Store, job: JobId) -> Vec<Phase> {
    let (events, _) = store.events(job, 0).await.expect("events");
    events.iter().filter_map(|e| if let EventKind::Phase { phase } = e.kind { Some(phase) } else { None }).collect()
}

#[tokio::test]
async fn a_note_is_taken_once() {
    let (_dir, store) = store();
    let job = store.accept_deploy(new("shop", "shop:1", "shop.example.com")).await.expect("accept").job;
    for message in ["pulling `shop:1`", "pulling `shop:1`", "routing to port 80"] {
        store.note(job, message.to_owned()).await.expect("note");
    }
    let (events, _) = store.events(job, 0).await.expect("events");
    let notes: Vec<_> =
        events.iter().filter_map(|e| if let EventKind::Note { message } = &e.kind { Some(message) } else { None }).collect();
    assert_eq!(notes, ["pulling `shop:1`", "routing to port 80"]);
}

#[tokio::test]
async fn a_deploy_goes_from_queued_to_done_and_survives_a_reopen() {
    let (dir, store) = store();
    let accepted = store.accept_deploy(new("shop", "shop:1", "shop.example.com")).await.expect("accept");
    assert_eq!(accepted.queued_behind, 0);
    assert!(store.intents().await.expect("intents").is_empty(), "a queued job is not yet intent");

    store.activate_jobs().await.expect("activate");
    let intent = store.intents().await.expect("intents").remove(0);
    assert_eq!(intent.rollout.as_ref().map(|r| Some(r.id)), Some(accepted.deployment));
    assert!(intent.serving.is_none() && intent.rollout.expect("rollout").prepared.is_none());

    let id = accepted.deployment.expect("id");
    let prepared = Prepared { image_id: "sha256:1".to_owned(), port: 8080.try_into().expect("port"), digest: None };
    store.prepared(id, prepared.clone()).await.expect("prepared");
    store.progress(accepted.job, Phase::Starting, None).await.expect("progress");
    store.progress(accepted.job, Phase::Starting, None).await.expect("a repeated phase is no event");
    store.promote(app("shop"), id, Some(accepted.job)).await.expect("promote");
    store.finish(app("shop"), accepted.job).await.expect("finish");

    drop(store);
    let store = Store::open(&dir.path().join("db/haloy.db")).expect("reopen");
    let intent = store.intents().await.expect("intents").remove(0);
    assert_eq!(intent.serving.and_then(|r| r.prepared), Some(prepared));
    assert!(intent.rollout.is_none() && intent.job.is_none());
    assert_eq!(phases(&store, accepted.job).await, [Phase::Queued, Phase::Preparing, Phase::Starting, Phase::Switching, Phase::Done]);
    assert_eq!(store.sealed_env(id).await.expect("env"), [1, 2]);
}

#[tokio::test]
async fn jobs_of_one_app_queue_and_other_apps_do_not_wait() {
    let (_dir, store) = store();
    let first = store.accept_deploy(new("shop", "shop:1", "shop.example.com")).await.expect("accept");
    let second = store.accept_deploy(new("shop", "shop:2", "shop.example.com")).await.expect("accept");
    let other = store.accept_deploy(new("blog", "blog:1", "blog.example.com")).await.expect("accept");
    assert_eq!((second.queued_behind, other.queued_behind), (1, 0));
    assert!(first.deployment < second.deployment && second.deployment < other.deployment, "ids grow and are unique");

    store.activate_jobs().await.expect("activate");
    let active: Vec<_> = store.intents().await.expect("intents").iter().filter_map(|i| i.job.map(|j| j.id)).collect();
    assert_eq!(active, [other.job, first.job]);

    store.fail(app("shop"), first.job, failure("no such image")).await.expect("fail");
    store.activate_jobs().await.expect("activate");
    let shop = store.intents().await.expect("intents").remove(1);
    assert_eq!(shop.job.map(|j| j.id), Some(second.job), "the next one begins");
    let failed = store.job(first.job).await.expect("job");
    assert_eq!((failed.phase, failed.failure.map(|f| f.reason)), (Phase::Failed, Some("no such image".to_owned())));
}

#[tokio::test]
async fn a_failed_rollout_leaves_what_serves() {
    let (_dir, store) = store();
    let good = complete(&store, "shop", "shop:1").await;
    let bad = store.accept_deploy(new("shop", "shop:2", "shop.example.com")).await.expect("accept");
    store.activate_jobs().await.expect("activate");
    store.fail(app("shop"), bad.job, failure("crashed")).await.expect("fail");
    let intent = store.intents().await.expect("intents").remove(0);
    assert_eq!((intent.serving.map(|r| r.id), intent.rollout.map(|r| r.id)), (Some(good), None));
    let history = store.deployments(app("shop")).await.expect("history");
    let states: Vec<_> = history.iter().map(|d| (d.state, d.current)).collect();
    assert_eq!(states, [(DeploymentState::Failed, false), (DeploymentState::Complete, true)]);
}

#[tokio::test]
async fn rollback_goes_back_one_version_and_then_another() {
    let (_dir, store) = store();
    let one = complete(&store, "shop", "shop:1").await;
    complete(&store, "shop", "shop:2").await;
    complete(&store, "shop", "shop:3").await;

    let back = async || {
        let to = store.rollback_target(app("shop"), None).await?;
        let accepted = store.accept_rollback(app("shop"), to, None, None).await?;
        store.activate_jobs().await?;
        let id = accepted.deployment.expect("deployment");
        let image = store.intents().await?.remove(0).rollout.expect("rollout").spec.image.to_string();
        store.promote(app("shop"), id, Some(accepted.job)).await?;
        store.finish(app("shop"), accepted.job).await?;
        Ok::<_, StoreError>(image)
    };
    assert_eq!(back().await.expect("first"), "shop:2");
    assert_eq!(back().await.expect("second"), "shop:1");
    assert!(matches!(back().await, Err(StoreError::NothingToRollBackTo(_))));

    let restart = store.accept_restart(app("shop"), None).await.expect("restart");
    store.activate_jobs().await.expect("activate");
    store.finish(app("shop"), restart.job).await.expect("finish");
    assert_eq!(store.deployments(app("shop")).await.expect("history")[0].repeats, Some(one), "a restart of a rollback repeats the origin");
    let unknown = store.rollback_target(app("shop"), Some(DeployId::from_number(20200101000000))).await;
    assert!(matches!(unknown, Err(StoreError::UnknownDeployment { .. })));
}

#[tokio::test]
async fn a_domain_belongs_to_one_app_until_its_containers_are_removed() {
    let (_dir, store) = store();
    complete(&store, "shop", "shop:1").await;
    let taken = store.accept_deploy(new("other", "other:1", "shop.example.com")).await;
    assert!(matches!(taken, Err(StoreError::DomainTaken { .. })));
    assert!(store.jobs(Some(app("other")), 10).await.expect("jobs").is_empty(), "nothing half done is left");

    let stop = StopRequest { remove_containers: true, ..StopRequest::default() };
    let stopped = store.accept_stop(app("shop"), stop).await.expect("stop");
    store.activate_jobs().await.expect("activate");
    assert_eq!(store.intents().await.expect("intents")[0].run, RunState::Removed);
    store.finish(app("shop"), stopped.job).await.expect("finish");
    store.accept_deploy(new("other", "other:1", "shop.example.com")).await.expect("the domain is free");
}

#[tokio::test]
async fn a_verdict_that_comes_too_late_changes_nothing() {
    let (_dir, store) = store();
    let first = store.accept_deploy(new("shop", "shop:1", "shop.example.com")).await.expect("accept");
    let second = store.accept_deploy(new("shop", "shop:2", "shop.example.com")).await.expect("accept");
    store.activate_jobs().await.expect("activate");
    store.fail(app("shop"), first.job, failure("first")).await.expect("fail");
    store.activate_jobs().await.expect("activate the second");
    store.fail(app("shop"), first.job, failure("again")).await.expect("ignored");
    let intent = store.intents().await.expect("intents").remove(0);
    assert_eq!(intent.rollout.map(|r| Some(r.id)), Some(second.deployment), "the second goes on");
    let (events, _) = store.events(first.job, 0).await.expect("events");
    assert!(matches!(events.last().map(|e| &e.kind), Some(EventKind::Phase { phase: Phase::Failed })), "nothing follows the verdict");

    let id = second.deployment.expect("id");
    store.promote(app("shop"), id, Some(second.job)).await.expect("promote");
    store.fail(app("shop"), second.job, failure("late")).await.expect("ignored");
    assert_eq!(store.deployments(app("shop")).await.expect("history")[0].state, DeploymentState::Complete);
    store.promote(app("shop"), first.deployment.expect("id"), Some(first.job)).await.expect("ignored");
    assert_eq!(store.intents().await.expect("intents")[0].serving.as_ref().map(|r| r.id), Some(id));
}

#[tokio::test]
async fn a_restart_that_waited_repeats_what_serves_then() {
    let (_dir, store) = store();
    complete(&store, "shop", "shop:1").await;
    let deploy = store.accept_deploy(new("shop", "shop:2", "shop.example.com")).await.expect("accept");
    let restart = store.accept_restart(app("shop"), None).await.expect("restart");
    store.activate_jobs().await.expect("activate");
    store.promote(app("shop"), deploy.deployment.expect("id"), Some(deploy.job)).await.expect("promote");
    store.finish(app("shop"), deploy.job).await.expect("finish");
    store.activate_jobs().await.expect("activate the restart");
    let rollout = store.intents().await.expect("intents").remove(0).rollout.expect("rollout");
    assert_eq!(rollout.spec.image.as_str(), "shop:2");
    let history = store.deployments(app("shop")).await.expect("history");
    assert_eq!((Some(history[0].id), history[0].repeats), (restart.deployment, deploy.deployment));
}

#[tokio::test]
async fn failures_and_restarts_do_not_crowd_versions_out_of_the_history() {
    let (_dir, store) = store();
    let version = complete(&store, "shop", "shop:1").await;
    for _ in 0..40 {
        let bad = store.accept_deploy(new("shop", "shop:2", "shop.example.com")).await.expect("accept");
        store.activate_jobs().await.expect("activate");
        store.fail(app("shop"), bad.job, failure("crashed")).await.expect("fail");
    }
    let history = store.deployments(app("shop")).await.expect("history");
    assert_eq!((history.len(), history.last().map(|d| d.id)), (31, Some(version)));
}

#[tokio::test]
async fn a_removed_app_does_not_come_back_to_a_domain_that_another_took() {
    let (_dir, store) = store();
    complete(&store, "shop", "shop:1").await;
    let stop = StopRequest { remove_containers: true, ..StopRequest::default() };
    let stopped = store.accept_stop(app("shop"), stop).await.expect("stop");
    store.activate_jobs().await.expect("activate");
    store.finish(app("shop"), stopped.job).await.expect("finish");
    store.accept_deploy(new("other", "other:1", "shop.example.com")).await.expect("the domain is free");
    assert!(matches!(store.accept_start(app("shop")).await, Err(StoreError::DomainTaken { .. })));
    assert!(matches!(store.accept_restart(app("shop"), None).await, Err(StoreError::DomainTaken { .. })));
}

#[tokio::test]
async fn stop_and_start_need_an_app() {
    let (_dir, store) = store();
    assert!(matches!(store.accept_stop(app("shop"), StopRequest::default()).await, Err(StoreError::UnknownApp(_))));
    assert!(matches!(store.accept_start(app("shop")).await, Err(StoreError::UnknownApp(_))));
    assert!(matches!(store.accept_restart(app("shop"), None).await, Err(StoreError::UnknownApp(_))));
    complete(&store, "shop", "shop:1").await;
    let job = store.accept_start(app("shop")).await.expect("start").job;
    assert_eq!(store.job(job).await.expect("job").kind, JobKind::Start);
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("haloy.db");
    Connection::open(&path).and_then(|db| db.pragma_update(None, "user_version", 999)).expect("newer database");
    assert!(matches!(Store::open(&path), Err(StoreError::Newer { found: 999, .. })));
}

#[test]
fn an_identity_that_sealed_nothing_here_is_refused() {
    let (dir, store) = store();
    assert_eq!(store.recipient(), None);
    store.claim("age1ours").expect("the first one is noted");
    drop(store);
    let store = Store::open(&dir.path().join("db/haloy.db")).expect("reopen");
    store.claim("age1ours").expect("the same again");
    assert!(matches!(store.claim("age1other"), Err(StoreError::WrongIdentity)));
}

#[tokio::test]
async fn a_protected_app_is_removed_only_by_those_who_say_so_twice() {
    let (_dir, store) = store();
    complete(&store, "shop", "shop:1").await;
    let mut new = new("shop", "shop:2", "shop.example.com");
    new.spec.protected = true;
    let queued = store.accept_deploy(new).await.expect("accept");
    let stop = |remove_containers, remove_volumes, include_protected| {
        store.accept_stop(app("shop"), StopRequest { remove_containers, remove_volumes, include_protected })
    };
    assert!(matches!(stop(true, false, false).await, Err(StoreError::Protected(_))), "it will be protected once the job is done");
    store.activate_jobs().await.expect("activate");
    store.promote(app("shop"), queued.deployment.expect("deployment"), Some(queued.job)).await.expect("promote");
    store.finish(app("shop"), queued.job).await.expect("finish");
    assert!(matches!(stop(true, false, false).await, Err(StoreError::Protected(_))));
    assert!(matches!(stop(false, true, false).await, Err(StoreError::Protected(_))));
    stop(false, false, false).await.expect("stopping alone removes nothing");
    stop(true, true, true).await.expect("it was said twice");
}

fn held(deployment: DeployId, image: &str) -> HeldImage {
    let tag = format!("haloy/shop:{deployment}");
    HeldImage { deployment, app: app("shop"), image_id: format!("sha256:{image}"), tag, pulled: None }
}

#[tokio::test]
async fn only_what_is_kept_can_be_gone_back_to() {
    let (_dir, store) = store();
    let mut versions = Vec::new();
    for image in ["shop:1", "shop:2", "shop:3"] {
        let id = complete(&store, "shop", image).await;
        store.hold_image(held(id, image), None).await.expect("hold");
        versions.push(id);
    }
    let kept = async || {
        let history = store.deployments(app("shop")).await.expect("history");
        history.into_iter().filter(|deployment| deployment.image_kept).map(|deployment| deployment.id).collect::<Vec<_>>()
    };
    assert_eq!(kept().await, [versions[2], versions[1], versions[0]]);
    let (all, surplus) = store.held_images(Some(2)).await.expect("held");
    assert_eq!((all.len(), surplus.into_iter().collect::<Vec<_>>()), (3, vec![versions[0]]));
    store.release_image(versions[1]).await.expect("release");
    assert_eq!(kept().await, [versions[2], versions[0]]);
    assert_eq!(store.rollback_target(app("shop"), None).await.expect("target"), versions[0], "the newest that is kept");
    let gone = store.rollback_target(app("shop"), Some(versions[1])).await;
    assert!(matches!(gone, Err(StoreError::ImageNotKept { .. })));
}

#[tokio::test]
async fn a_rollback_that_waits_keeps_the_image_that_it_goes_to() {
    let (_dir, store) = store();
    let mut versions = Vec::new();
    for image in ["shop:1", "shop:2"] {
        let id = complete(&store, "shop", image).await;
        let image_id = store.deployments(app("shop")).await.expect("history")[0].image_id.clone();
        store.hold_image(HeldImage { image_id: image_id.expect("known"), ..held(id, image) }, None).await.expect("hold");
        versions.push(id);
    }
    let surplus = async || store.held_images(Some(1)).await.expect("held").1.into_iter().collect::<Vec<_>>();
    assert_eq!(surplus().await, [versions[0]]);
    store.accept_rollback(app("shop"), versions[0], None, None).await.expect("accept");
    assert_eq!(surplus().await, [], "its turn is still to come");
}

#[tokio::test]
async fn a_name_that_was_pulled_once_is_ours_until_the_last_one_goes() {
    let (_dir, store) = store();
    let (one, two) = (complete(&store, "shop", "shop:1").await, complete(&store, "shop", "shop:2").await);
    let first = HeldImage { pulled: Some("nginx:1".to_owned()), ..held(one, "shop:1") };
    store.hold_image(first, Some("nginx:1".to_owned())).await.expect("hold");
    store.hold_image(held(two, "shop:2"), Some("nginx:1".to_owned())).await.expect("hold");
    let (all, _) = store.held_images(None).await.expect("held");
    assert_eq!(all.iter().map(|image| image.pulled.as_deref()).collect::<Vec<_>>(), [Some("nginx:1"); 2]);
}

#[tokio::test]
async fn an_app_without_history_has_no_way_back() {
    let (_dir, store) = store();
    complete(&store, "shop", "shop:1").await;
    let mut last = new("shop", "shop:2", "shop.example.com");
    last.spec.history = crate::wire::History::None;
    let accepted = store.accept_deploy(last).await.expect("accept");
    store.activate_jobs().await.expect("activate");
    store.promote(app("shop"), accepted.deployment.expect("deployment"), Some(accepted.job)).await.expect("promote");
    assert!(matches!(store.rollback_target(app("shop"), None).await, Err(StoreError::NoHistory(_))));
}

#[tokio::test]
async fn todays_configuration_runs_an_earlier_image() {
    let (_dir, store) = store();
    let one = complete(&store, "shop", "shop:1").await;
    complete(&store, "shop", "shop:2").await;
    let mut today = new("shop", "shop:3", "shop.example.com");
    (today.spec.replicas, today.image_of) = (7, Some(one));
    store.accept_deploy(today).await.expect("accept");
    store.activate_jobs().await.expect("activate");
    let rollout = store.intents().await.expect("intents").remove(0).rollout.expect("rollout");
    assert_eq!((rollout.spec.image.as_str(), rollout.spec.replicas), ("shop:1", 7));
    assert_eq!((rollout.image_id.as_deref(), rollout.repeats), (Some("sha256:shop:1"), false));
}

#[tokio::test]
async fn a_tag_of_the_registry_is_a_version_when_it_fits() {
    let (_dir, store) = store();
    let mut new = new("shop", "ghcr.io/ada/shop:v2", "shop.example.com");
    new.spec.history = crate::wire::History::Registry { count: 5, pattern: "v*".to_owned() };
    let accepted = store.accept_deploy(new).await.expect("accept");
    store.activate_jobs().await.expect("activate");
    store.promote(app("shop"), accepted.deployment.expect("deployment"), Some(accepted.job)).await.expect("promote");
    store.finish(app("shop"), accepted.job).await.expect("finish");
    let serving = store.serving_deployment(app("shop")).await.expect("serving");
    assert!(matches!(store.accept_tag(app("shop"), "latest".to_owned(), serving, None, None).await, Err(StoreError::NoSuchTag { .. })));
    store.accept_tag(app("shop"), "v1".to_owned(), serving, None, None).await.expect("accept");
    store.activate_jobs().await.expect("activate");
    let rollout = store.intents().await.expect("intents").remove(0).rollout.expect("rollout");
    assert_eq!((rollout.spec.image.as_str(), rollout.image_id, rollout.repeats), ("ghcr.io/ada/shop:v1", None, false));
}
