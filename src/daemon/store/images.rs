//! What deployments have on the engine, until haloy takes it away again.

use rusqlite::params;

use super::{Store, StoreError, query};
use crate::names::{AppName, DeployId};

/// The image of a deployment, held on the engine by a tag of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldImage {
    pub deployment: DeployId,
    pub app: AppName,
    pub image_id: String,
    pub tag: String,
    /// The reference under which haloy pulled it, when the engine did not have it before.
    pub pulled: Option<String>,
}

impl Store {
    /// Notes that a deployment's image is held. A second time it changes nothing.
    pub async fn hold_image(&self, held: HeldImage) -> Result<(), StoreError> {
        self.write("note the image of a deployment", move |db| {
            db.execute(
                "INSERT INTO images (deployment, app, image_id, tag, pulled) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (deployment) DO UPDATE SET image_id = ?3, pulled = COALESCE(pulled, ?5)",
                params![held.deployment.number(), held.app.as_str(), held.image_id, held.tag, held.pulled],
            )
            .map(|_| ())
            .map_err(query("note the image of a deployment"))
        })
        .await
    }
}
