//! Who changed what, and how much is taken from one client.

use http::{Method, Request};
use http_body_util::Full;
use tokio::io::AsyncWriteExt as _;

use super::server::{Answer, SOON, Server, TOKEN, deploy_request};
use crate::config::tokens::{Scope, TokenRecord, Tokens};
use crate::secret::Secret;
use crate::wire::{AuditEntry, Code};

fn with(method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Request<Full<bytes::Bytes>> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Full::from(body)).expect("request")
}

async fn entries(server: &Server, path: &str) -> Vec<AuditEntry> {
    server.get(path).await.json(200)
}

#[tokio::test]
async fn every_change_is_noted_with_who_and_from_where_and_what_came_of_it() {
    let server = Server::start().await;
    let reader = Secret::new("haloy_reader");
    Tokens::add(server.dir.path(), TokenRecord { scope: Scope::Read, ..TokenRecord::new("reader", &reader) }).expect("add");
    let authorization = format!("Bearer {TOKEN}");
    let deploy = |headers: &[(&str, &str)]| {
        with(
            Method::POST,
            "/v1/apps/shop/deploy",
            &[&[("authorization", authorization.as_str())], headers].concat(),
            deploy_request("shop").to_string(),
        )
    };
    // Whoever claims to be the proxy and is not is not believed.
    let spoofed = [("x-forwarded-for", "6.6.6.6"), ("x-haloy-introduction", "guessed")];
    Answer::read(server.send(deploy(&spoofed)).await).await.json::<serde_json::Value>(202);
    let through_the_proxy = [("x-forwarded-for", "203.0.113.9"), ("x-haloy-introduction", "of this start")];
    Answer::read(server.send(deploy(&through_the_proxy)).await).await.json::<serde_json::Value>(202);
    server.get("/v1/apps").await.json::<serde_json::Value>(200);
    let refused = with(Method::POST, "/v1/apps/shop/stop", &[("authorization", "Bearer haloy_reader")], String::new());
    Answer::read(server.send(refused).await).await.problem(403);
    let stranger = with(Method::POST, "/v1/apps/shop/stop", &[("authorization", "Bearer haloy_guess")], String::new());
    Answer::read(server.send(stranger).await).await.problem(401);
    Answer::read(server.send_unix(with(Method::POST, "/v1/apps/shop/restart", &[], String::new())).await).await.problem(404);

    let told = |entry: &AuditEntry| {
        let AuditEntry { token, address, request, status, job, .. } = entry.clone();
        (token.unwrap_or_default(), address.unwrap_or_default(), request, status, job)
    };
    let all = entries(&server, "/v1/audit").await;
    let owned =
        |token: &str, address: &str, request: &str, status, job| (token.to_owned(), address.to_owned(), request.to_owned(), status, job);
    assert_eq!(
        all.iter().map(told).collect::<Vec<_>>(),
        [
            owned("", "", "POST /v1/apps/shop/restart", 404, None),
            owned("reader", "127.0.0.1", "POST /v1/apps/shop/stop", 403, None),
            owned("test", "203.0.113.9", "POST /v1/apps/shop/deploy", 202, Some(2)),
            owned("test", "127.0.0.1", "POST /v1/apps/shop/deploy", 202, Some(1)),
        ]
    );
    assert!(all[1].reason.as_deref().is_some_and(|reason| reason.contains("this needs `deploy`")), "{:?}", all[1]);
    assert_eq!(entries(&server, "/v1/audit?app=shop&limit=1").await[0].id, all[0].id);
    assert_eq!(entries(&server, "/v1/audit?app=other").await, []);
}

#[tokio::test]
async fn guesses_are_limited_and_cost_nobody_with_a_token_anything() {
    let server = Server::start().await;
    let mut limited = None;
    for _ in 0..200 {
        let response = server.send(with(Method::GET, "/v1/apps", &[("authorization", "Bearer haloy_guess")], String::new())).await;
        if response.status() == 429 {
            limited = Some(response);
            break;
        }
    }
    let limited = limited.expect("it ends");
    assert!(limited.headers().get("retry-after").is_some());
    let problem = Answer::read(limited).await.problem(429);
    assert!(problem.code == Code::TooManyRequests && problem.hint.is_some_and(|hint| hint.contains("try again in")));
    assert_eq!(server.get("/v1/apps").await.status, 200);
    // The registry's door is the same.
    let basic = with(Method::GET, "/v2/", &[("authorization", "Basic YTpiYWQ=")], String::new());
    assert_eq!(server.send(basic).await.status(), 429);
    assert_eq!(server.send(with(Method::GET, "/v2/", &[], String::new())).await.status(), 401, "how standard clients ask for the way in");
}

#[tokio::test]
async fn nobody_keeps_a_change_out_of_the_log_by_leaving() {
    let server = Server::start().await;
    let body = deploy_request("shop").to_string();
    let request = format!(
        "POST /v1/apps/shop/deploy HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let jobs: Vec<crate::wire::Job> = server.get("/v1/jobs").await.json(200);
        let noted: Vec<_> = entries(&server, "/v1/audit").await.into_iter().filter_map(|entry| entry.job).collect();
        // Some leave before their request is read: those change nothing.
        if jobs.is_empty() {
            let mut connection = server.tcp().await;
            connection.write_all(request.as_bytes()).await.expect("send");
        } else if jobs.iter().all(|job| noted.contains(&job.id)) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{} jobs, {} entries", jobs.len(), noted.len());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
