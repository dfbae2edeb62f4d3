//! Changes through the API: accepted, refused, written down.

use serde_json::json;

use super::server::{SECRET, Server, app, deploy_request};
use crate::names::DeployId;
use crate::wire::{Accepted, AppState, AppStatus, Code, Deployment, Job, JobKind, Phase};

/// Waits until the loop was told.
async fn nudged(server: &Server) {
    tokio::time::timeout(super::server::SOON, server.nudge.notified()).await.expect("a nudge");
}

#[tokio::test]
async fn a_deploy_is_stored_sealed_and_nudged() {
    let server = Server::start().await;
    let accepted = server.deploy("shop").await;
    nudged(&server).await;
    assert_eq!((accepted.job, accepted.queued_behind), (1, 0));

    let id = accepted.deployment.expect("deployment");
    let sealed = server.store.sealed_env(id).await.expect("env");
    let opened = server.identity.open(&sealed).expect("open");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&opened).expect("json"), json!([["PASSWORD", SECRET]]));

    let status: AppStatus = server.get("/v1/apps/shop").await.json(200);
    assert_eq!((status.state, status.job.map(|job| job.phase)), (AppState::Starting, Some(Phase::Queued)));
    server.complete("shop", &accepted).await;
    let history: Vec<Deployment> = server.get("/v1/apps/shop/deployments").await.json(200);
    assert_eq!((history[0].performer.as_deref(), history[0].git_commit.as_deref()), (Some("kim"), Some("abc123")));
    assert!(history[0].current);
}

#[tokio::test]
async fn no_environment_value_reaches_a_file() {
    let server = Server::start().await;
    server.deploy_complete("shop").await;
    let mut broken = deploy_request("shop");
    broken["spec"]["replicas"] = json!(0);
    server.post("/v1/apps/shop/deploy", broken).await.problem(400);
    let mut files = 0;
    for entry in std::fs::read_dir(server.dir.path().join("db")).expect("folder") {
        let bytes = std::fs::read(entry.expect("entry").path()).expect("read");
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
        files += usize::from(!bytes.is_empty());
    }
    assert!(files >= 2, "the database and its log were looked at");
}

#[tokio::test]
async fn deploys_that_break_a_rule_leave_nothing() {
    let server = Server::start().await;
    let other = server.post("/v1/apps/blog/deploy", deploy_request("shop")).await.problem(400);
    assert_eq!(other.title, "the request is for app `blog` and its spec for app `shop`");

    let mut request = deploy_request("shop");
    request["spec"]["replicas"] = json!(0);
    request["env"] = json!([]);
    let problem = server.post("/v1/apps/shop/deploy", request).await.problem(400);
    assert_eq!((problem.code, problem.title.as_str()), (Code::InvalidRequest, "the spec is not valid"));
    let detail = problem.detail.expect("detail");
    assert!(detail.contains("`spec.replicas`: 1 to 100") && detail.contains("0 values for the 1 entries"), "{detail}");

    let jobs: Vec<Job> = server.get("/v1/jobs").await.json(200);
    assert!(jobs.is_empty());
}

#[tokio::test]
async fn malformed_bodies_name_the_field() {
    let server = Server::start().await;
    let problem = server.post("/v1/apps/shop/deploy", r#"{"spec": {"name": "shop", "image": 5}}"#).await.problem(400);
    assert_eq!(problem.title, "`spec.image` in the request's body is not valid");
    let problem = server.post("/v1/apps/shop/deploy", r#"{"spec": {"#).await.problem(400);
    assert!(problem.detail.is_some_and(|detail| detail.contains("line 1 column 10")));
    let problem = server.post("/v1/apps/shop/deploy", "").await.problem(400);
    assert!(problem.detail.is_some_and(|detail| detail.contains("missing field `spec`")));
    let problem = server.post("/v1/apps/shop/rollback", r#"{"deployment": "yesterday"}"#).await.problem(400);
    assert_eq!(problem.title, "`deployment` in the request's body is not valid");
    let problem = server.post("/v1/apps/Shop!/restart", "").await.problem(400);
    assert!(problem.detail.is_some_and(|detail| detail.contains("only lower-case letters")));
}

#[tokio::test]
async fn every_other_change_makes_its_job() {
    let server = Server::start().await;
    let first = server.deploy_complete("shop").await;
    server.deploy_complete("shop").await;
    let kinds = [
        ("rollback", json!({ "deployment": first }).to_string(), JobKind::Rollback),
        ("rollback", String::new(), JobKind::Rollback),
        ("restart", String::new(), JobKind::Restart),
        ("stop", json!({ "remove_volumes": true }).to_string(), JobKind::Stop),
        ("stop", "null".to_owned(), JobKind::Stop),
        ("start", String::new(), JobKind::Start),
    ];
    nudged(&server).await;
    for (queued_behind, (verb, body, kind)) in kinds.into_iter().enumerate() {
        let accepted: Accepted = server.post(&format!("/v1/apps/shop/{verb}"), body).await.json(202);
        nudged(&server).await;
        assert_eq!(accepted.queued_behind as usize, queued_behind);
        let job: Job = server.get(&format!("/v1/jobs/{}", accepted.job)).await.json(200);
        assert_eq!((job.kind, job.phase, job.app), (kind, Phase::Queued, app("shop")));
    }
}

#[tokio::test]
async fn who_asked_is_kept() {
    let server = Server::start().await;
    server.deploy_complete("shop").await;
    let mut request = super::server::request(http::Method::POST, "/v1/apps/shop/restart", "");
    request.headers_mut().insert("x-haloy-performer", "robin".parse().expect("header"));
    assert_eq!(server.send(request).await.status(), 202);
    let history: Vec<Deployment> = server.get("/v1/apps/shop/deployments").await.json(200);
    assert_eq!(history[0].performer.as_deref(), Some("robin"));
}

#[tokio::test]
async fn what_the_store_refuses_has_its_status_code_and_hint() {
    let server = Server::start().await;
    for verb in ["stop", "start"] {
        let problem = server.post(&format!("/v1/apps/shop/{verb}"), "").await.problem(404);
        assert_eq!((problem.code, problem.title.as_str()), (Code::NotFound, "there is no app `shop` on this server"));
        assert!(problem.hint.is_some_and(|hint| hint.contains("haloy deploy")));
    }
    assert_eq!(server.post("/v1/apps/shop/restart", "").await.problem(404).code, Code::NotFound);
    assert_eq!(server.post("/v1/apps/shop/rollback", "").await.problem(404).code, Code::NotFound);

    server.deploy_complete("shop").await;
    let nowhere = json!({ "deployment": DeployId::from_number(20200101000000) });
    let problem = server.post("/v1/apps/shop/rollback", nowhere).await.problem(404);
    assert!(problem.hint.is_some_and(|hint| hint.contains("rollback-targets")));

    let mut request = deploy_request("blog");
    request["spec"]["domains"][0]["domain"] = json!("shop.example.com");
    let problem = server.post("/v1/apps/blog/deploy", request).await.problem(409);
    assert_eq!(problem.title, "domain `shop.example.com` already belongs to app `shop`");
}
