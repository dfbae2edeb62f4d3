//! Job events as a stream: each once, also after a broken connection.

use super::server::{Events, Sent, Server, app};
use crate::wire::{Event, EventKind, Failure, JobId, Phase};

fn event(sent: &Sent) -> Event {
    let event: Event = serde_json::from_str(&sent.data).expect("event");
    assert_eq!(sent.id, Some(event.seq));
    event
}

async fn note(server: &Server, job: JobId, number: usize) {
    server.store.note(job, format!("note {number}")).await.expect("note");
}

#[tokio::test]
async fn events_come_as_they_happen_and_end_with_the_job() {
    let server = Server::start().await;
    let accepted = server.deploy("shop").await;
    let path = format!("/v1/jobs/{}/events", accepted.job);
    let mut events = Events::open(&server, &path, None).await;
    assert_eq!(event(&events.next().await.expect("queued")).kind, EventKind::Phase { phase: Phase::Queued });
    server.store.activate_jobs().await.expect("activate");
    assert_eq!(event(&events.next().await.expect("preparing")).kind, EventKind::Phase { phase: Phase::Preparing });
    let failure = Failure { reason: "no such image".to_owned(), hint: None, container: None };
    server.store.fail(app("shop"), accepted.job, failure.clone()).await.expect("fail");
    assert_eq!(event(&events.next().await.expect("failure")).kind, EventKind::Failure(failure));
    assert_eq!(event(&events.next().await.expect("failed")).kind, EventKind::Phase { phase: Phase::Failed });
    assert_eq!(events.next().await, None);

    let again = Events::open(&server, &path, None).await.rest().await;
    assert_eq!(again.len(), 4, "a finished job is told whole and ends");
    assert_eq!(Events::open(&server, &path, Some(4)).await.rest().await, []);
}

#[tokio::test]
async fn a_resumed_stream_tells_each_event_once() {
    let server = Server::start().await;
    let job = server.deploy("shop").await.job;
    server.store.activate_jobs().await.expect("activate");
    let path = format!("/v1/jobs/{job}/events");
    let writer = {
        let store = server.store.clone();
        tokio::spawn(async move {
            for number in 0..200 {
                store.note(job, format!("note {number}")).await.expect("note");
            }
            store.finish(app("shop"), job).await.expect("finish");
        })
    };
    // The connection breaks after every few events, and the client comes back with the last id.
    let mut seen: Vec<u64> = Vec::new();
    'job: loop {
        let mut events = Events::open(&server, &path, seen.last().copied()).await;
        for _ in 0..17 {
            match events.next().await {
                Some(sent) => seen.push(event(&sent).seq),
                None => break 'job,
            }
        }
    }
    writer.await.expect("writer");
    assert_eq!(seen, (1..=203).collect::<Vec<u64>>(), "queued, preparing, 200 notes, done");
}

#[tokio::test]
async fn after_is_outranked_by_the_header() {
    let server = Server::start().await;
    let accepted = server.deploy("shop").await;
    for number in 0..3 {
        note(&server, accepted.job, number).await;
    }
    server.complete("shop", &accepted).await;
    let path = format!("/v1/jobs/{}/events?after=2", accepted.job);
    assert_eq!(event(&Events::open(&server, &path, None).await.next().await.expect("event")).seq, 3);
    assert_eq!(event(&Events::open(&server, &path, Some(3)).await.next().await.expect("event")).seq, 4);
    let mut request = super::server::request(http::Method::GET, &path, "");
    request.headers_mut().insert("last-event-id", "three".parse().expect("header"));
    assert_eq!(server.send(request).await.status(), 400);
    server.get(&format!("/v1/jobs/{}/events?after=-1", accepted.job)).await.problem(400);
}

#[tokio::test]
async fn streams_end_when_the_daemon_stops() {
    let mut server = Server::start().await;
    let job = server.deploy("shop").await.job;
    let mut events = Events::open(&server, &format!("/v1/jobs/{job}/events"), None).await;
    events.next().await.expect("queued");
    server.stop.cancel();
    assert_eq!(events.next().await, None, "the stream ends in order");
    for served in server.served.drain(..) {
        tokio::time::timeout(super::server::SOON, served).await.expect("stopped in time").expect("no panic");
    }
}
