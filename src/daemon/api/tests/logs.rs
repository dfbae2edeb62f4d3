//! Logs as a stream, from an engine that the test plays.

use super::engine::Engine;
use super::server::{Events, SOON, Sent, Server, app};
use crate::daemon::api::serve::Limits;
use crate::wire::{Code, LogLine};

const FIRST: u64 = 20251121090000;
const SECOND: u64 = 20251121100000;

/// An API with an engine behind it that has two containers of app `shop`, the first one stopped.
async fn shop() -> (tempfile::TempDir, Server, Engine) {
    let folder = tempfile::tempdir().expect("temporary directory");
    let (engine, instance) = Engine::start(folder.path());
    let server = Server::start_with(&engine.host(), Limits::DEFAULT).await;
    *instance.lock().expect("lock") = server.store.instance().to_owned();
    server.deploy_complete("shop").await;
    engine.add("a", FIRST, 1);
    engine.add("b", SECOND, 2);
    engine.say("a", "2025-11-21T09:00:01Z", "one");
    engine.say("a", "2025-11-21T09:00:03.5Z", "!three");
    engine.say("b", "2025-11-21T09:00:02Z", "two");
    engine.say("b", "2025-11-21T09:00:04Z", "four");
    engine.set_running("a", false);
    engine.show(&server);
    (folder, server, engine)
}

fn line(sent: &Sent) -> LogLine {
    assert_eq!(sent.name.as_deref(), Some("line"), "{sent:?}");
    serde_json::from_str(&sent.data).expect("line")
}

async fn texts(server: &Server, query: &str) -> Vec<String> {
    let events = Events::open(server, &format!("/v1/apps/shop/logs{query}"), None).await.rest().await;
    events.iter().map(|sent| line(sent).line).collect()
}

#[tokio::test]
async fn lines_of_all_containers_are_merged_by_time() {
    let (_folder, server, _engine) = shop().await;
    let events = Events::open(&server, "/v1/apps/shop/logs", None).await.rest().await;
    let lines: Vec<LogLine> = events.iter().map(line).collect();
    let told: Vec<_> = lines.iter().map(|l| (l.line.as_str(), l.container.as_str(), l.replica, l.stderr)).collect();
    let expected = [("one", "shop-a", 1, false), ("two", "shop-b", 2, false), ("!three", "shop-a", 1, true), ("four", "shop-b", 2, false)];
    assert_eq!(told, expected);
    assert_eq!(lines[2].at, Some("2025-11-21T09:00:03.5Z".parse().expect("time")));
    assert_eq!(lines[0].deployment.number(), FIRST);
}

#[tokio::test]
async fn tail_since_and_deployment_choose_lines() {
    let (_folder, server, engine) = shop().await;
    assert_eq!(texts(&server, "?tail=1").await, ["!three", "four"]);
    assert_eq!(texts(&server, "?tail=0").await, Vec::<String>::new());
    assert_eq!(texts(&server, "?since=2025-11-21T09:00:03.5Z").await, ["!three", "four"]);
    let second = "2025-11-21T09:00:03Z".parse::<jiff::Timestamp>().expect("time").as_second();
    assert_eq!(texts(&server, &format!("?since={second}")).await, ["!three", "four"]);
    assert_eq!(texts(&server, &format!("?deployment={FIRST}")).await, ["one", "!three"]);
    for number in 0..150 {
        engine.say("b", "2025-11-21T09:00:05Z", &number.to_string());
    }
    assert_eq!(texts(&server, "").await.len(), 102, "the last hundred of each");
    assert_eq!(texts(&server, "?tail=all").await.len(), 154);
    for query in ["tail=some", "since=yesterday", "deployment=1", "follow=perhaps"] {
        let problem = server.get(&format!("/v1/apps/shop/logs?{query}")).await.problem(400);
        let name = query.split('=').next().expect("name");
        assert!(problem.detail.is_some_and(|detail| detail.contains(name)), "{query}");
    }
}

#[tokio::test]
async fn following_tells_each_line_once_over_restarts_and_redeploys() {
    let (_folder, server, engine) = shop().await;
    let mut events = Events::open(&server, "/v1/apps/shop/logs?follow=true&tail=1", None).await;
    let mut next = async || line(&events.next().await.expect("line")).line;
    assert_eq!((next().await, next().await), ("!three".to_owned(), "four".to_owned()));

    engine.say("b", "2025-11-21T09:00:05Z", "five");
    assert_eq!(next().await, "five");
    // The stopped one comes back, and says nothing twice.
    engine.set_running("a", true);
    engine.say("a", "2025-11-21T09:00:06Z", "six");
    engine.show(&server);
    assert_eq!(next().await, "six");
    // The next deployment's container is told from its beginning, even when it is dead already.
    engine.add("c", SECOND + 1, 1);
    engine.say("c", "2025-11-21T09:00:07Z", "seven");
    engine.set_running("c", false);
    engine.show(&server);
    assert_eq!(next().await, "seven");
    engine.say("b", "2025-11-21T09:00:08Z", "eight");
    assert_eq!(next().await, "eight");
    assert_eq!(engine.lists(), 1, "only the beginning looks at the engine's containers");
}

#[tokio::test]
async fn following_a_quiet_container_tells_what_it_says_later() {
    let (_folder, server, engine) = shop().await;
    let mut events = Events::open(&server, "/v1/apps/shop/logs?follow=true&tail=0", None).await;
    // Containers that have told nothing are followed from the request on.
    let later = jiff::Timestamp::now() + std::time::Duration::from_secs(60);
    engine.say("b", &later.to_string(), "at last");
    assert_eq!(line(&events.next().await.expect("line")).line, "at last");
    server.stop.cancel();
    assert_eq!(events.next().await, None, "following ends with the daemon");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_reading() {
    let (_folder, server, engine) = shop().await;
    let mut events = Events::open(&server, "/v1/apps/shop/logs?follow=true&tail=0", None).await;
    engine.say("b", "2099-01-01T00:00:00Z", "it is read");
    events.next().await.expect("line");
    drop(events);
    tokio::time::timeout(SOON, engine.unread()).await.expect("reading ends in time");
}

#[tokio::test]
async fn without_an_engine_it_is_said() {
    let server = Server::start().await;
    server.deploy_complete("shop").await;
    let problem = server.get("/v1/apps/shop/logs").await.problem(503);
    assert_eq!(problem.code, Code::DockerUnavailable);
    assert!(problem.title.contains("/no/such/docker.sock") && problem.hint.is_some(), "{problem:?}");
    assert!(server.store.jobs(Some(app("shop")), 1).await.is_ok());
}
