//! Garbage collection: what is needed stays, however it is needed.

use std::time::Duration;

use axum::body::Body;

use super::{OCI_INDEX, Server, descriptor, digest};
use crate::daemon::store::NewDeployment;
use crate::wire::PrunedKind;

/// Everything is old enough.
const AT_ONCE: Duration = Duration::ZERO;

async fn collect(server: &Server, dry_run: bool) -> Vec<(PrunedKind, String)> {
    // What was stored in this millisecond is not older than now.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let mut pruned: Vec<_> =
        server.registry.collect_older_than(AT_ONCE, dry_run).await.unwrap().into_iter().map(|item| (item.kind, item.name)).collect();
    pruned.sort_by(|a, b| a.1.cmp(&b.1));
    pruned
}

#[tokio::test]
async fn tagged_images_stay_and_what_nobody_names_goes() {
    let server = Server::start().await;
    let kept = server.image("shop", "1", &[b"kept"]).await;
    let moved = server.image("shop", "moving", &[b"old"]).await;
    server.image("shop", "moving", &[b"new"]).await;
    let stray = server.blob("shop", b"stray").await;
    let location = server.upload("shop").await;
    server.ask("PATCH", &location, &[], "unfinished").await.is(202);

    let expected = collect(&server, true).await;
    let names: Vec<&str> = expected.iter().map(|(_, name)| name.as_str()).collect();
    assert!(names.contains(&moved.to_string().as_str()) && names.contains(&stray.to_string().as_str()), "{expected:?}");
    server.get(&format!("/v2/shop/blobs/{stray}")).await.is(200);
    assert_eq!(collect(&server, false).await, expected, "a dry run says what will be done");
    server.get(&format!("/v2/shop/blobs/{}", digest(b"stray"))).await.refused(404, "BLOB_UNKNOWN");
    server.get(&format!("/v2/shop/manifests/{moved}")).await.refused(404, "MANIFEST_UNKNOWN");
    server.get(&location).await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    server.get(&format!("/v2/shop/manifests/{kept}")).await.is(200);
    server.get(&format!("/v2/shop/blobs/{}", digest(b"kept"))).await.is(200);
    assert_eq!(collect(&server, false).await, []);
}

#[tokio::test]
async fn parts_of_an_index_and_what_refers_to_it_stay() {
    let server = Server::start().await;
    let part = server.image("shop", "part", &[b"layer"]).await;
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(&part, 1)] }).to_string();
    server.manifest("shop", "all", OCI_INDEX, &index).await.is(201);
    let signature = serde_json::json!({
        "schemaVersion": 2, "mediaType": super::OCI_MANIFEST, "config": descriptor(&digest(b"{}"), 2), "layers": [],
        "subject": descriptor(&digest(index.as_bytes()), 1),
    });
    server
        .manifest("shop", &digest(signature.to_string().as_bytes()).to_string(), super::OCI_MANIFEST, &signature.to_string())
        .await
        .is(201);
    server.ask("DELETE", "/v2/shop/manifests/part", &[], Body::empty()).await.is(202);
    assert_eq!(collect(&server, false).await, []);
}

#[tokio::test]
async fn what_a_deployment_runs_stays() {
    let server = Server::start().await;
    let image = server.image("shop", "1", &[b"layer"]).await;
    server.ask("DELETE", "/v2/shop/manifests/1", &[], Body::empty()).await.is(202);
    let spec = serde_json::json!({ "name": "shop", "image": "shop", "replicas": 1, "pin": { "uploaded": image } });
    let new = NewDeployment {
        spec: serde_json::from_value(spec).unwrap(),
        env: Vec::new(),
        performer: None,
        git_commit: None,
        login: None,
        image_of: None,
    };
    server.store.accept_deploy(new).await.unwrap();
    assert_eq!(collect(&server, false).await, [], "its job is open");
    assert!(server.registry.manifest_exists("shop", &image).await.unwrap());
}

#[tokio::test]
async fn what_was_asked_for_lately_stays() {
    let server = Server::start().await;
    let digest = server.blob("shop", b"layer").await;
    let hour = Duration::from_secs(3600);
    assert_eq!(server.registry.collect_older_than(hour, false).await.unwrap(), []);
    server.ask("HEAD", &format!("/v2/shop/blobs/{digest}"), &[], Body::empty()).await.is(200);
    server.get(&format!("/v2/shop/blobs/{digest}")).await.is(200);
}

#[tokio::test]
async fn an_image_may_take_longer_than_the_grace_to_come_in() {
    let server = Server::start().await;
    let grace = Duration::from_millis(500);
    let first = server.blob("shop", b"first layer").await;
    let location = server.upload("shop").await;
    for _ in 0..6 {
        tokio::time::sleep(grace / 4).await;
        server.ask("PATCH", &location, &[], "a slow layer").await.is(202);
    }
    assert_eq!(server.registry.collect_older_than(grace, false).await.unwrap(), [], "its push goes on");
    tokio::time::sleep(grace + Duration::from_millis(10)).await;
    let gone = server.registry.collect_older_than(grace, false).await.unwrap();
    assert!(gone.iter().any(|item| item.name == first.to_string()), "nobody came back: {gone:?}");
}

#[tokio::test]
async fn a_blob_whose_file_is_gone_can_be_pushed_again() {
    let server = Server::start().await;
    let digest = server.blob("shop", b"layer").await;
    let hex = digest.hex().to_owned();
    std::fs::remove_file(server.dir.path().join("blobs/sha256").join(&hex[..2]).join(&hex)).unwrap();
    let server = server.restart().await;
    server.get(&format!("/v2/shop/blobs/{digest}")).await.refused(404, "BLOB_UNKNOWN");
    assert_eq!(server.blob("shop", b"layer").await, digest);
    server.get(&format!("/v2/shop/blobs/{digest}")).await.is(200);
}

#[tokio::test]
async fn files_without_a_row_go_at_the_start() {
    let server = Server::start().await;
    let digest = server.blob("shop", b"layer").await;
    let stray = server.dir.path().join("blobs/sha256/ff").join("f".repeat(64));
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, b"left by a crash").unwrap();
    let server = server.restart().await;
    assert_eq!(server.files(), [digest.hex()]);
    server.get(&format!("/v2/shop/blobs/{digest}")).await.is(200);
}
