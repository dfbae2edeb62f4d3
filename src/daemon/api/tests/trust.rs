//! Tokens, and where environment values must never appear.

use http::{Method, Request};
use http_body_util::Full;

use super::server::{Answer, Server, TOKEN, deploy_request};
use crate::wire::{Accepted, AppStatus};

#[tokio::test]
async fn the_unix_socket_needs_no_token() {
    let server = Server::start().await;
    let body = Full::from(deploy_request("shop").to_string());
    let request = Request::post("/v1/apps/shop/deploy").body(body).expect("request");
    let accepted: Accepted = Answer::read(server.send_unix(request).await).await.json(202);
    assert_eq!(accepted.job, 1);
    let request = Request::get("/v1/apps").body(Full::default()).expect("request");
    let apps: Vec<AppStatus> = Answer::read(server.send_unix(request).await).await.json(200);
    assert_eq!(apps.len(), 1);
    let request = Request::get("/nowhere").body(Full::default()).expect("request");
    Answer::read(server.send_unix(request).await).await.problem(404);
}

#[tokio::test]
async fn a_refused_body_does_not_cost_the_answer() {
    let server = Server::start().await;
    let body = Full::from(vec![b' '; 900 * 1024]);
    let request = Request::post("/v1/apps/shop/deploy").header("authorization", "Bearer wrong").body(body).expect("request");
    let problem = Answer::read(server.send(request).await).await.problem(401);
    assert_eq!(problem.title, "the API token is not valid on this server");
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let server = Server::start().await;
    assert_eq!(server.get("/v1/apps").await.status, 200);
    crate::files::write_private(&server.dir.path().join("tokens.json"), b"[]").expect("write");
    server.get("/v1/apps").await.problem(401);
}

#[tokio::test]
async fn a_token_in_the_address_counts_for_nothing() {
    let server = Server::start().await;
    let request = Request::builder().method(Method::GET).uri(format!("/v1/apps?token={TOKEN}")).body(Full::default()).expect("request");
    assert_eq!(Answer::read(server.send(request).await).await.problem(401).title, "an API token is needed");
}
