//! Push: whole, in pieces, compressed on the way, mounted, resumed; then the manifests.

use axum::body::Body;

use super::{OCI_INDEX, OCI_MANIFEST, Server, descriptor, digest, image_manifest, noise};

#[tokio::test]
async fn a_blob_in_one_request_or_two() {
    let server = Server::start().await;
    server.blob("shop", b"in one").await;
    let location = server.upload("shop").await;
    let digest = digest(b"in two");
    let answer = server.ask("PUT", &format!("{location}?digest={}", digest.to_string().replace(':', "%3A")), &[], "in two").await.is(201);
    assert_eq!(answer.header("location"), format!("/v2/shop/blobs/{digest}"));
    assert_eq!(server.get(answer.header("location")).await.is(200).body, b"in two");
    server.ask("GET", &location, &[], Body::empty()).await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    let empty = super::digest(b"");
    server.ask("POST", &format!("/v2/shop/blobs/uploads/?digest={empty}"), &[], Body::empty()).await.is(201);
    assert_eq!(server.get(&format!("/v2/shop/blobs/{empty}")).await.is(200).body, b"");
}

#[tokio::test]
async fn pieces_come_in_their_order_and_survive_a_restart() {
    let mut server = Server::start().await;
    let content = noise(300_000, 2);
    let location = server.upload("shop").await;
    let status = server.get(&location).await.is(204);
    assert_eq!(status.header("range"), "0-0");
    let first = server.ask("PATCH", &location, &[("content-range", "0-99999")], content[..100_000].to_vec()).await.is(202);
    assert_eq!((first.header("range"), first.header("location")), ("0-99999", location.as_str()));
    let out_of_order = server.ask("PATCH", &location, &[("content-range", "150000-199999")], content[150_000..200_000].to_vec()).await;
    assert_eq!(out_of_order.header("range"), "0-99999");
    out_of_order.refused(416, "BLOB_UPLOAD_INVALID");
    server = server.restart().await;
    assert_eq!(server.get(&location).await.is(204).header("range"), "0-99999");
    // Without `Content-Range` it goes on where it is.
    server.ask("PATCH", &location, &[], content[100_000..200_000].to_vec()).await.is(202);
    let digest = digest(&content);
    let last = [("content-range", "200000-299999")];
    server.ask("PUT", &format!("{location}?digest={digest}"), &last, content[200_000..].to_vec()).await.is(201);
    assert_eq!(server.get(&format!("/v2/shop/blobs/{digest}")).await.is(200).body, content);
    assert_eq!(server.files(), [digest.hex()]);
}

/// A frame for each piece, so that the file is one content however often the connection breaks.
#[tokio::test]
async fn pieces_may_come_compressed_and_rest_so() {
    let mut server = Server::start().await;
    let content = [noise(400_000, 3), vec![7; 600_000]].concat();
    let frame = |range: std::ops::Range<usize>| zstd::encode_all(&content[range], 1).unwrap();
    let zstd = |range: &'static str| [("content-encoding", "zstd"), ("content-range", range)];
    let location = server.upload("shop").await;
    let first = server.ask("PATCH", &location, &zstd("0-499999"), frame(0..500_000)).await.is(202);
    assert_eq!(first.header("range"), "0-499999", "what counts is the content");
    let two = [frame(500_000..700_000), frame(700_000..900_000)].concat();
    server.ask("PATCH", &location, &zstd("500000-899999"), two).await.is(202);
    let said = server.ask("PATCH", &location, &[], content[900_000..].to_vec()).await.refused(400, "BLOB_UPLOAD_INVALID");
    assert!(said.contains("all compressed"), "{said}");
    server = server.restart().await;
    assert_eq!(server.get(&location).await.is(204).header("range"), "0-899999");
    // A frame that breaks off does not count.
    let last = frame(900_000..1_000_000);
    let half = last[..last.len() / 2].to_vec();
    server.ask("PATCH", &location, &zstd("900000-999999"), half).await.refused(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(server.get(&location).await.is(204).header("range"), "0-899999");
    server.ask("PATCH", &location, &zstd("900000-999999"), last).await.is(202);
    let digest = digest(&content);
    server.ask("PUT", &format!("{location}?digest={digest}"), &[], Body::empty()).await.is(201);

    let path = format!("/v2/shop/blobs/{digest}");
    let whole = server.get(&path).await.is(200);
    assert_eq!((whole.header("content-length"), whole.body == content), ("1000000", true));
    let part = server.ask("GET", &path, &[("range", "bytes=450000-650000")], Body::empty()).await.is(206);
    assert!(part.body == content[450_000..=650_000]);
    assert_eq!(server.files(), [format!("{}.zst", digest.hex())]);
    let stored = std::fs::metadata(server.registry.0.files.path(&digest, super::super::files::Encoding::Zstd)).unwrap().len();
    assert!(stored < 450_000, "{stored} bytes on the disk");
}

#[tokio::test]
async fn blobs_of_other_repositories_are_mounted() {
    let server = Server::start().await;
    let digest = server.blob("base", b"shared").await;
    let mounted = server.ask("POST", &format!("/v2/shop/blobs/uploads/?mount={digest}&from=base"), &[], Body::empty()).await.is(201);
    assert_eq!(mounted.header("location"), format!("/v2/shop/blobs/{digest}"));
    let unknown = super::digest(b"unknown");
    let begun = server.ask("POST", &format!("/v2/shop/blobs/uploads/?mount={unknown}&from=base"), &[], Body::empty()).await.is(202);
    assert!(begun.header("location").starts_with("/v2/shop/blobs/uploads/"));
    server
        .ask("POST", &format!("/v2/shop/blobs/uploads/?mount={unknown}&from=..%2Fbase"), &[], Body::empty())
        .await
        .refused(400, "NAME_INVALID");
}

#[tokio::test]
async fn an_upload_that_is_cancelled_leaves_nothing() {
    let server = Server::start().await;
    let location = server.upload("shop").await;
    server.ask("PATCH", &location, &[], "some").await.is(202);
    server.ask("DELETE", &location, &[], Body::empty()).await.is(204);
    server.get(&location).await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(server.files(), [""; 0]);
}

#[tokio::test]
async fn manifests_are_pushed_by_tag_and_digest_and_a_tag_may_move() {
    let server = Server::start().await;
    let one = server.image("shop", "latest", &[b"one"]).await;
    let two = server.image("shop", "latest", &[b"two"]).await;
    assert_eq!(server.get("/v2/shop/manifests/latest").await.is(200).header("docker-content-digest"), two.to_string());
    server.get(&format!("/v2/shop/manifests/{one}")).await.is(200);

    let manifest = image_manifest(&digest(b"{}"), &[descriptor(&digest(b"one"), 3)]);
    let by_digest = server.manifest("shop", &digest(manifest.as_bytes()).to_string(), OCI_MANIFEST, &manifest).await.is(201);
    assert_eq!(by_digest.header("location"), format!("/v2/shop/manifests/{}", digest(manifest.as_bytes())));
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(&one, 1), descriptor(&two, 1)] });
    server.manifest("shop", "all", OCI_INDEX, &index.to_string()).await.is(201);
    assert_eq!(server.get("/v2/shop/manifests/all").await.is(200).header("content-type"), OCI_INDEX);
}
