//! Content management: what is deleted is gone, and what is needed is not deleted.

use axum::body::Body;

use super::{Server, digest};

#[tokio::test]
async fn tags_manifests_and_blobs_are_deleted_in_this_order() {
    let server = Server::start().await;
    let image = server.image("shop", "1", &[b"layer"]).await;
    let delete = async |path: &str| server.ask("DELETE", path, &[], Body::empty()).await;
    let layer = digest(b"layer");
    let said = delete(&format!("/v2/shop/blobs/{layer}")).await.refused(409, "DENIED");
    assert!(said.contains(&image.to_string()), "{said}");

    delete("/v2/shop/manifests/1").await.is(202);
    server.get("/v2/shop/manifests/1").await.refused(404, "MANIFEST_UNKNOWN");
    server.get(&format!("/v2/shop/manifests/{image}")).await.is(200);
    delete(&format!("/v2/shop/manifests/{image}")).await.is(202);
    delete(&format!("/v2/shop/manifests/{image}")).await.refused(404, "MANIFEST_UNKNOWN");
    delete(&format!("/v2/shop/blobs/{layer}")).await.is(202);
    server.get(&format!("/v2/shop/blobs/{layer}")).await.refused(404, "BLOB_UNKNOWN");
    delete(&format!("/v2/shop/blobs/{layer}")).await.refused(404, "BLOB_UNKNOWN");
    assert_eq!(server.files(), [digest(b"{}").hex()]);
}

#[tokio::test]
async fn a_manifest_goes_with_its_tags() {
    let server = Server::start().await;
    let image = server.image("shop", "1", &[]).await;
    server.image("shop", "2", &[]).await;
    server.ask("DELETE", &format!("/v2/shop/manifests/{image}"), &[], Body::empty()).await.is(202);
    server.get("/v2/shop/tags/list").await.refused(404, "NAME_UNKNOWN");
}
