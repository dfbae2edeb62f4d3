//! Pull: blobs and manifests that are there, parts of them, and those that are not.

use axum::body::Body;
use axum::http::Request;

use super::{OCI_MANIFEST, Server, TOKEN, digest, noise};

#[tokio::test]
async fn the_base_says_the_version_to_whoever_may_come_in() {
    let server = Server::start().await;
    assert_eq!(server.get("/v2/").await.is(200).header("docker-distribution-api-version"), "registry/2.0");
    for (authorization, status) in [
        (None, 401),
        (Some("Bearer wrong".to_owned()), 401),
        (Some("Bearer ".to_owned()), 401),
        (Some("Basic ????".to_owned()), 401),
        (Some("Digest x".to_owned()), 401),
        (Some(format!("bearer {TOKEN}")), 200),
        // `me:haloy_test`, as docker login sends it
        (Some("Basic bWU6aGFsb3lfdGVzdA==".to_owned()), 200),
    ] {
        let mut request = Request::get("/v2/");
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        let answer = server.send(request.body(Body::empty()).unwrap()).await.is(status);
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"haloy\"", "{authorization:?}");
            assert!(answer.refused(401, "UNAUTHORIZED").contains("haloy admin api token"));
        }
    }
}

#[tokio::test]
async fn the_engine_may_pull_and_not_push() {
    let server = Server::start().await;
    server.image("shop", "1", &[b"layer"]).await;
    let (_, password) = server.registry.engine_login();
    let as_engine = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", password.expose()));
        server.send(request.body(Body::empty()).unwrap()).await
    };
    as_engine("GET", "/v2/shop/manifests/1").await.is(200);
    as_engine("HEAD", &format!("/v2/shop/blobs/{}", digest(b"layer"))).await.is(200);
    for (method, path) in [("POST", "/v2/shop/blobs/uploads/"), ("PUT", "/v2/shop/manifests/2"), ("DELETE", "/v2/shop/manifests/1")] {
        as_engine(method, path).await.refused(403, "DENIED");
    }
}

#[tokio::test]
async fn blobs_whole_and_in_part() {
    let server = Server::start().await;
    let content = noise(1_500_000, 1);
    let digest = server.blob("shop", &content).await;
    let path = format!("/v2/shop/blobs/{digest}");
    let head = server.ask("HEAD", &path, &[], Body::empty()).await.is(200);
    assert_eq!((head.header("content-length"), head.header("docker-content-digest")), ("1500000", digest.to_string().as_str()));
    assert!(head.body.is_empty());
    assert_eq!(server.get(&path).await.is(200).body, content);
    // Blobs are shared: another repository finds it, too.
    server.ask("HEAD", &format!("/v2/other/blobs/{digest}"), &[], Body::empty()).await.is(200);
    for (range, first, last) in [
        ("bytes=0-9", 0, 9),
        ("bytes=1499990-", 1_499_990, 1_499_999),
        ("bytes=-10", 1_499_990, 1_499_999),
        ("bytes=5-99999999", 5, 1_499_999),
    ] {
        let part = server.ask("GET", &path, &[("range", range)], Body::empty()).await.is(206);
        assert_eq!(part.body, content[first..=last], "{range}");
        assert_eq!(part.header("content-range"), format!("bytes {first}-{last}/1500000"));
    }
    let beyond = server.ask("GET", &path, &[("range", "bytes=1500000-")], Body::empty()).await;
    assert_eq!(beyond.header("content-range"), "bytes */1500000");
    beyond.refused(416, "SIZE_INVALID");
    server.get(&format!("/v2/shop/blobs/{}", super::digest(b"other"))).await.refused(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn manifests_by_tag_and_by_digest() {
    let server = Server::start().await;
    let digest = server.image("shop/web", "1.0", &[b"a", b"b"]).await;
    for reference in ["1.0".to_owned(), digest.to_string()] {
        let path = format!("/v2/shop/web/manifests/{reference}");
        let answer = server.get(&path).await.is(200);
        assert_eq!((answer.header("content-type"), answer.header("docker-content-digest")), (OCI_MANIFEST, digest.to_string().as_str()));
        assert_eq!(super::digest(&answer.body), digest);
        let head = server.ask("HEAD", &path, &[], Body::empty()).await.is(200);
        assert_eq!(head.header("content-length"), answer.body.len().to_string());
    }
    assert!(server.get("/v2/shop/web/manifests/2.0").await.refused(404, "MANIFEST_UNKNOWN").contains("no tag `2.0`"));
    // Manifests are their repository's own.
    server.get(&format!("/v2/shop/manifests/{digest}")).await.refused(404, "MANIFEST_UNKNOWN");
}
