//! What the API shows of the world.

use crate::daemon::overview::Watched;
use crate::docker::ContainerId;
use std::sync::Arc;

use super::server::{Server, app};
use crate::daemon::overview::Overview;
use crate::wire::{AppState, AppStatus, Code, Deployment, EngineStatus, Health, Job, Replica, ReplicaHealth, Version, routes};

fn watched(deployment: crate::names::DeployId, number: u16) -> Watched {
    Watched { id: ContainerId(format!("c{number}")), replica: replica(deployment, number) }
}

fn replica(deployment: crate::names::DeployId, number: u16) -> Replica {
    Replica {
        container: format!("c{number}"),
        deployment,
        number,
        health: ReplicaHealth::Healthy,
        detail: None,
        routed: true,
        requests_in_flight: 0,
        restarts: 0,
        address: None,
        started_at: None,
    }
}

#[tokio::test]
async fn health_and_version_follow_the_engine() {
    let server = Server::start().await;
    let health: Health = server.get("/v1/health").await.json(200);
    assert_eq!((health.status.as_str(), health.engine), ("ok", EngineStatus::Down));
    let version: Version = server.get("/v1/version").await.json(200);
    assert_eq!((version.version.as_str(), version.api, version.docker), (env!("CARGO_PKG_VERSION"), routes::API_VERSION, None));

    let up = Overview {
        engine: EngineStatus::Up,
        engine_version: Some("28.1".to_owned()),
        platform: Some("linux/arm64".to_owned()),
        replicas: Default::default(),
    };
    server.overview.send_replace(Arc::new(up));
    assert_eq!(server.get("/v1/health").await.json::<Health>(200).engine, EngineStatus::Up);
    assert_eq!(server.get("/v1/version").await.json::<Version>(200).docker.as_deref(), Some("28.1"));
}

#[tokio::test]
async fn apps_are_intent_beside_what_was_seen() {
    let server = Server::start().await;
    assert!(server.get("/v1/apps").await.json::<Vec<AppStatus>>(200).is_empty());
    let id = server.deploy_complete("shop").await;
    server.deploy("blog").await;

    let apps: Vec<AppStatus> = server.get("/v1/apps").await.json(200);
    let states: Vec<_> = apps.iter().map(|status| (status.name.as_str(), status.state)).collect();
    assert_eq!(states, [("blog", AppState::Starting), ("shop", AppState::Down)], "one is queued, nothing was seen of the other");

    let mut seen = Overview { engine: EngineStatus::Up, engine_version: None, platform: None, replicas: Default::default() };
    seen.replicas.insert(app("shop"), vec![watched(id, 1)]);
    server.overview.send_replace(Arc::new(seen.clone()));
    let status: AppStatus = server.get("/v1/apps/shop").await.json(200);
    assert_eq!((status.state, status.deployment, status.replicas_wanted), (AppState::Degraded, Some(id), 2));
    assert_eq!(status.replicas[0].requests_in_flight, 7, "counted at this moment");
    assert_eq!(status.job.map(|job| job.id), Some(1));

    seen.replicas.insert(app("shop"), vec![watched(id, 1), watched(id, 2)]);
    server.overview.send_replace(Arc::new(seen));
    assert_eq!(server.get("/v1/apps/shop").await.json::<AppStatus>(200).state, AppState::Running);
}

#[tokio::test]
async fn jobs_are_listed_newest_first() {
    let server = Server::start().await;
    for name in ["shop", "blog", "shop"] {
        server.deploy(name).await;
    }
    let ids = async |query: &str| {
        let jobs: Vec<Job> = server.get(&format!("/v1/jobs{query}")).await.json(200);
        jobs.iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(ids("").await, [3, 2, 1]);
    assert_eq!(ids("?app=shop").await, [3, 1]);
    assert_eq!(ids("?app=shop&limit=1").await, [3]);
    assert_eq!(server.get("/v1/jobs/2").await.json::<Job>(200).app, app("blog"));
    let problem = server.get("/v1/jobs?limit=many").await.problem(400);
    assert!(problem.detail.is_some_and(|detail| detail.contains("limit")));
    assert!(server.get("/v1/jobs?app=My%20App").await.problem(400).detail.is_some_and(|detail| detail.contains("app")));
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let server = Server::start().await;
    for path in ["/v1/apps/shop", "/v1/apps/shop/deployments", "/v1/apps/shop/logs", "/v1/jobs/9", "/v1/jobs/9/events"] {
        assert_eq!(server.get(path).await.problem(404).code, Code::NotFound, "{path}");
    }
    let problem = server.get("/v0/apps").await.problem(404);
    assert_eq!(problem.title, "there is no `/v0/apps` in this API");
    let wrong = server.post("/v1/apps", "").await;
    assert_eq!(wrong.problem(405).code, Code::InvalidRequest);
    assert_eq!(wrong.header("allow"), "GET,HEAD");
    assert_eq!(server.get("/v1/jobs/first").await.problem(400).code, Code::InvalidRequest);
    let history: Vec<Deployment> = {
        server.deploy_complete("shop").await;
        server.get("/v1/apps/shop/deployments").await.json(200)
    };
    assert_eq!(history.len(), 1);
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let server = Server::start().await;
    let answer = server.get("/metrics").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "haloy_up 1\n"));
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
}

#[tokio::test]
async fn requests_have_ids() {
    let server = Server::start().await;
    let (first, second) = (server.get("/v1/health").await, server.get("/v1/nothing").await);
    assert!(first.header("x-request-id").len() == 16 && first.header("x-request-id") != second.header("x-request-id"));
    for (brought, kept) in [("from-the-proxy_1", true), ("two words", false)] {
        let mut request = super::server::request(http::Method::GET, "/v1/health", "");
        request.headers_mut().insert("x-request-id", brought.parse().expect("header"));
        let id = server.send(request).await.headers()["x-request-id"].clone();
        assert_eq!(id == brought, kept, "{id:?}");
    }
}
