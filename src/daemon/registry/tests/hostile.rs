//! Damage and malice: refused in clear words, nothing half stored, and the registry goes on.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::{OCI_INDEX, OCI_MANIFEST, Server, descriptor, digest, image_manifest, noise};

#[tokio::test]
async fn a_content_that_is_not_what_it_says_is_refused_and_gone() {
    let server = Server::start().await;
    let wanted = digest(b"good");
    let said =
        server.ask("POST", &format!("/v2/shop/blobs/uploads/?digest={wanted}"), &[], "tampered").await.refused(400, "DIGEST_INVALID");
    assert!(said.contains("damaged on its way"), "{said}");
    let location = server.upload("shop").await;
    server.ask("PATCH", &location, &[], "tampered").await.is(202);
    server.ask("PUT", &location, &[], Body::empty()).await.refused(400, "DIGEST_INVALID");
    server.ask("PUT", &format!("{location}?digest=sha256:zz"), &[], Body::empty()).await.refused(400, "DIGEST_INVALID");
    server.ask("PUT", &format!("{location}?digest={wanted}"), &[], Body::empty()).await.refused(400, "DIGEST_INVALID");
    server.get(&location).await.refused(404, "BLOB_UPLOAD_UNKNOWN");
    server.get(&format!("/v2/shop/blobs/{wanted}")).await.refused(404, "BLOB_UNKNOWN");
    assert_eq!(server.files(), [""; 0]);
}

/// The connection breaks in the middle of a piece: what arrived counts, and the client goes on behind it.
#[tokio::test]
async fn a_truncated_upload_is_resumed() {
    let server = Server::start().await;
    let content = noise(2_000_000, 4);
    let location = server.upload("shop").await;
    let pieces = vec![Ok(Bytes::copy_from_slice(&content[..1_200_000])), Err(std::io::Error::other("cut"))];
    let said = server.ask("PATCH", &location, &[], Body::from_stream(stream::iter(pieces))).await.refused(400, "BLOB_UPLOAD_INVALID");
    assert!(said.contains("broke off"), "{said}");
    let range = server.get(&location).await.is(204).header("range").to_owned();
    let arrived = range.trim_start_matches("0-").parse::<usize>().unwrap() + 1;
    assert!(arrived <= 1_200_000, "{arrived}");
    let first = if arrived == 1 { 0 } else { arrived };
    let digest = digest(&content);
    server.ask("PUT", &format!("{location}?digest={digest}"), &[], content[first..].to_vec()).await.is(201);
    assert!(server.get(&format!("/v2/shop/blobs/{digest}")).await.is(200).body == content);
}

#[tokio::test]
async fn compressed_bombs_and_nonsense_are_refused() {
    let server = Server::start().await;
    let location = server.upload("shop").await;
    let zstd = [("content-encoding", "zstd")];
    server.ask("PATCH", &location, &zstd, "this is not zstd").await.refused(400, "BLOB_UPLOAD_INVALID");
    // A window of 128 MiB would be the decoder's memory.
    let mut wide = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    wide.set_parameter(zstd::stream::raw::CParameter::WindowLog(27)).unwrap();
    std::io::Write::write_all(&mut wide, &noise(9_000_000, 5)).unwrap();
    server.ask("PATCH", &location, &zstd, wide.finish().unwrap()).await.refused(400, "BLOB_UPLOAD_INVALID");
    // One that lies about where it ends.
    let frame = zstd::encode_all(&b"content"[..], 1).unwrap();
    let lie = [("content-encoding", "zstd"), ("content-range", "0-99")];
    server.ask("PATCH", &location, &lie, frame).await.refused(400, "BLOB_UPLOAD_INVALID");
    server.get(&location).await.is(204);
}

#[tokio::test]
async fn names_lead_nowhere_else() {
    let server = Server::start().await;
    for path in [
        "/v2/../../etc/passwd/manifests/1",
        "/v2/shop/../other/manifests/1",
        "/v2/shop/%2e%2e/%2e%2e/manifests/1",
        "/v2/shop%2fother/manifests/1",
        "/v2/Shop/manifests/1",
        "/v2/shop/blobs/..%2f..%2fhaloy.db",
    ] {
        let answer = server.get(path).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404 | 405), "{path}: {}", answer.status);
    }
    let manifest = image_manifest(&digest(b"{}"), &[]);
    server.blob("shop", b"{}").await;
    for tag in ["..", ".hidden", "-x", "a b", &"t".repeat(129), "%2e%2e%2fx"] {
        let answer = server.manifest("shop", &tag.replace(' ', "%20"), OCI_MANIFEST, &manifest).await;
        answer.refused(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(server.files(), [digest(b"{}").hex()]);
}

#[tokio::test]
async fn a_manifest_names_only_what_is_here() {
    let server = Server::start().await;
    let config = server.blob("shop", b"{}").await;
    let missing = digest(b"missing");
    let manifest = image_manifest(&config, &[descriptor(&missing, 7)]);
    let said = server.manifest("shop", "1", OCI_MANIFEST, &manifest).await.refused(400, "MANIFEST_BLOB_UNKNOWN");
    assert!(said.contains(&missing.to_string()), "{said}");
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(&missing, 7)] }).to_string();
    server.manifest("shop", "1", OCI_INDEX, &index).await.refused(400, "MANIFEST_BLOB_UNKNOWN");
    let good = image_manifest(&config, &[]);
    server.manifest("shop", &missing.to_string(), OCI_MANIFEST, &good).await.refused(400, "DIGEST_INVALID");
    server.manifest("shop", "1", OCI_MANIFEST, "{").await.refused(400, "MANIFEST_INVALID");
    server.manifest("shop", "1", OCI_MANIFEST, &" ".repeat(5 << 20)).await.refused(413, "SIZE_INVALID");
    server.get("/v2/shop/tags/list").await.refused(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn a_hundred_uploads_at_once() {
    let server = Arc::new(Server::start().await);
    let uploads = (0..100_u64).map(|number| {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            // Every tenth brings the same content as nine others.
            let content = noise(200_000, 100 + number / 10 * 2);
            let location = server.upload("shop").await;
            server.ask("PATCH", &location, &[], content[..100_000].to_vec()).await.is(202);
            let digest = digest(&content);
            server.ask("PUT", &format!("{location}?digest={digest}"), &[], content[100_000..].to_vec()).await.is(201);
            digest
        })
    });
    let mut digests: Vec<String> = Vec::new();
    for upload in uploads.collect::<Vec<_>>() {
        digests.push(upload.await.unwrap().hex().to_owned());
    }
    digests.sort();
    digests.dedup();
    assert_eq!((server.files(), digests.len()), (digests.clone(), 10));
}

#[tokio::test]
async fn one_request_works_on_an_upload_at_a_time() {
    let server = Arc::new(Server::start().await);
    let location = server.upload("shop").await;
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = Body::from_stream(stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive))));
    let (first, path) = (Arc::clone(&server), location.clone());
    let first = tokio::spawn(async move { first.ask("PATCH", &path, &[], body).await });
    send.send(Ok(Bytes::from_static(b"a"))).await.unwrap();
    // The first one has the upload as soon as it reads.
    send.send(Ok(Bytes::from_static(b"b"))).await.unwrap();
    let said = server.ask("PATCH", &location, &[], "c").await.refused(409, "BLOB_UPLOAD_INVALID");
    assert!(said.contains("try again"), "{said}");
    drop(send);
    first.await.unwrap().is(202);
    assert_eq!(server.get(&location).await.is(204).header("range"), "0-1");
}
