//! Content discovery: tags and referrers.

use super::{OCI_INDEX, OCI_MANIFEST, Server, digest};

#[tokio::test]
async fn tags_are_listed_in_their_order_and_in_pages() {
    let server = Server::start().await;
    server.get("/v2/shop/tags/list").await.refused(404, "NAME_UNKNOWN");
    for tag in ["b", "a", "C", "1.10", "1.9"] {
        server.image("shop", tag, &[b"layer"]).await;
    }
    let tags = async |query: &str| server.get(&format!("/v2/shop/tags/list{query}")).await.is(200);
    assert_eq!(tags("").await.json(), serde_json::json!({ "name": "shop", "tags": ["1.10", "1.9", "C", "a", "b"] }));
    let page = tags("?n=2").await;
    assert_eq!(page.json()["tags"], serde_json::json!(["1.10", "1.9"]));
    assert_eq!(page.header("link"), "</v2/shop/tags/list?n=2&last=1.9>; rel=\"next\"");
    let last = tags("?n=3&last=1.9").await;
    assert_eq!((last.json()["tags"].clone(), last.headers.get("link")), (serde_json::json!(["C", "a", "b"]), None));
    assert_eq!(tags("?n=0").await.json()["tags"], serde_json::json!([]));
    server.get("/v2/shop/tags/list?n=many").await.refused(400, "UNSUPPORTED");
}

#[tokio::test]
async fn what_refers_to_a_manifest_is_found_by_its_type() {
    let server = Server::start().await;
    let subject = server.image("shop", "1", &[b"layer"]).await;
    let path = format!("/v2/shop/referrers/{subject}");
    let none = server.get(&path).await.is(200);
    assert_eq!((none.header("content-type"), none.json()["manifests"].clone()), (OCI_INDEX, serde_json::json!([])));

    let artifact = |kind: &str| {
        serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind, "annotations": { "made": "by hand" },
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2 }, "layers": [],
            "subject": { "mediaType": OCI_MANIFEST, "digest": subject, "size": 1 },
        })
        .to_string()
    };
    for kind in ["application/vnd.example.sbom+json", "application/vnd.example.signature"] {
        let pushed = server.manifest("shop", &digest(artifact(kind).as_bytes()).to_string(), OCI_MANIFEST, &artifact(kind)).await.is(201);
        assert_eq!(pushed.header("oci-subject"), subject.to_string());
    }
    assert_eq!(server.get(&path).await.is(200).json()["manifests"].as_array().unwrap().len(), 2);
    let filtered = server.get(&format!("{path}?artifactType=application%2Fvnd.example.sbom%2Bjson")).await.is(200);
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    let found = &filtered.json()["manifests"];
    assert_eq!((found.as_array().unwrap().len(), &found[0]["annotations"]["made"]), (1, &serde_json::json!("by hand")));
    assert_eq!(found[0]["artifactType"], "application/vnd.example.sbom+json");
}
