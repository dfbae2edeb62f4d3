//! The OpenAPI document: committed, complete, and true about tokens.

use std::path::Path;

use http::{Method, Request};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Value;

use super::server::{Answer, INTRODUCTION, SOON, Server};
use crate::config::tokens::{self, Scope, TokenRecord, Tokens};
use crate::daemon::api::openapi;
use crate::wire::Code;

/// Every operation of the document: method, path with its variables filled in, and the scope that it needs, if any.
fn operations(document: &Value) -> Vec<(Method, String, Option<String>)> {
    let paths = document["paths"].as_object().expect("paths");
    let of = |(path, item): (&String, &Value)| {
        let path = path
            .replace("{app}", "shop")
            .replace("{job}", "1")
            .replace("{server}", "ghcr.io")
            .replace("{name}", "a.com")
            .replace("{deployment}", "20261121093000");
        let item = item.as_object().expect("operations");
        item.iter()
            .map(|(method, operation)| {
                let method = method.to_uppercase().parse().expect("method");
                (method, path.clone(), operation["security"][0]["token"][0].as_str().map(str::to_owned))
            })
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

/// `HALOY_BLESS=1` writes the document anew; the change is then seen in the review.
#[test]
fn the_committed_document_is_the_present_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openapi.json");
    let present = openapi::text();
    if std::env::var_os("HALOY_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        std::fs::write(&path, &present).expect("write");
    }
    let committed = std::fs::read_to_string(&path).expect("tests/fixtures/openapi.json");
    assert!(committed == present, "the API changed: run the tests once with HALOY_BLESS=1 and review tests/fixtures/openapi.json");
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let text = openapi::text();
    let document: Value = serde_json::from_str(&text).expect("json");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let ids: Vec<&Value> = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .flat_map(|item| item.as_object().expect("item").values())
        .map(|operation| &operation["operationId"])
        .collect();
    assert!(ids.iter().enumerate().all(|(index, id)| !ids[..index].contains(id)), "{ids:?}");
    let references: Vec<&str> = text.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(references.len() > 20);
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let server = Server::start().await;
    let request = Request::get("/openapi.json").body(Full::default()).expect("request");
    let answer = Answer::read(server.send(request).await).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text, openapi::text());
}

#[tokio::test]
async fn every_guarded_route_wants_a_right_token() {
    let server = Server::start().await;
    server.deploy("shop").await;
    let document = serde_json::from_str(&openapi::text()).expect("json");
    let mut open = Vec::new();
    let mut guarded = 0;
    for (number, (method, path, scope)) in (1..).zip(operations(&document)) {
        let is_guarded = scope.is_some();
        for authorization in [None, Some("Bearer haloy_wrong"), Some("Basic aGFsb3k6aGFsb3k="), Some("Bearer ")] {
            // Each route from an address of its own: guesses are limited.
            let mut request = Request::builder().method(method.clone()).uri(&path);
            request = request.header("x-haloy-introduction", INTRODUCTION).header("x-forwarded-for", format!("192.0.2.{number}"));
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let response = server.send(request.body(Full::default()).expect("request")).await;
            if !is_guarded {
                assert_eq!(response.status(), 200, "{method} {path}");
                continue;
            }
            let answer = tokio::time::timeout(SOON, Answer::read(response)).await.expect("in time");
            let problem = answer.problem(401);
            assert_eq!(problem.code, Code::Unauthorized, "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            assert!(problem.hint.is_some_and(|hint| hint.contains("haloy admin api token") && hint.contains("haloy server add")));
            guarded += 1;
        }
        if !is_guarded {
            open.push(path);
        }
    }
    assert_eq!(open, ["/openapi.json", "/v1/health"]);
    assert!(guarded >= 14 * 4, "only {guarded} requests");
}

/// A token in the server's file.
fn token(server: &Server, name: &str, scope: Scope, app: Option<&str>, expires_at: Option<Timestamp>) -> String {
    let token = tokens::generate();
    let app = app.map(|app| app.parse().expect("a name"));
    let record = TokenRecord { scope, app, expires_at, ..TokenRecord::new(name, &token) };
    Tokens::add(server.dir.path(), record).expect("add");
    token.expose().to_owned()
}

#[tokio::test]
async fn every_route_wants_its_scope() {
    let server = Server::start().await;
    server.deploy("shop").await;
    let document = serde_json::from_str(&openapi::text()).expect("json");
    let over = token(&server, "over", Scope::Admin, None, Some(Timestamp::now()));
    let revoked = token(&server, "revoked", Scope::Admin, None, None);
    let id = TokenRecord::new("", &crate::secret::Secret::new(revoked.as_str())).id().to_owned();
    Tokens::revoke(server.dir.path(), &id).expect("revoked").expect("it was there");
    let scopes = [Scope::Read, Scope::Deploy, Scope::Admin].map(|scope| (scope, token(&server, "scoped", scope, None, None)));
    let other = token(&server, "other", Scope::Admin, Some("other"), None);
    let ask = async |method: &Method, path: &str, token: &str| {
        let request = Request::builder().method(method.clone()).uri(path).header("authorization", format!("Bearer {token}"));
        let response = server.send(request.body(Full::default()).expect("request")).await;
        (response.status().as_u16(), response)
    };
    let mut refused = 0;
    for (method, path, needed) in operations(&document) {
        let Some(needed) = needed else { continue };
        let (status, answer) = ask(&method, &path, &over).await;
        let problem = Answer::read(answer).await.problem(401);
        assert!(status == 401 && problem.title.contains("it ended on"), "{method} {path}: {problem:?}");
        assert_eq!(ask(&method, &path, &revoked).await.0, 401, "{method} {path}");
        for (scope, token) in &scopes {
            let (status, answer) = ask(&method, &path, token).await;
            let enough = scope.to_string() == needed || *scope == Scope::Admin || (needed == "read");
            assert_eq!(status != 403, enough, "{method} {path} with {scope}: {status}");
            assert_ne!(status, 401, "{method} {path}");
            if !enough {
                let problem = Answer::read(answer).await.problem(403);
                assert_eq!(problem.code, Code::Forbidden);
                assert!(problem.title.contains(&format!("this needs `{needed}`")), "{problem:?}");
                assert!(problem.hint.is_some_and(|hint| hint.contains("haloy admin api token --scope")));
                refused += 1;
            }
        }
        // A token of another app sees nothing of this one.
        let (status, answer) = ask(&method, &path, &other).await;
        if path.contains("shop") || path.contains("/jobs/") || !path.contains("/apps") && needed == "admin" {
            assert_eq!(status, 403, "{method} {path}");
        } else if status == 200 && ["/v1/apps", "/v1/jobs", "/v1/certificates"].contains(&path.as_str()) {
            assert_eq!(Answer::read(answer).await.text, "[]", "{method} {path}");
        }
    }
    assert!(refused > 10, "only {refused}");
}
