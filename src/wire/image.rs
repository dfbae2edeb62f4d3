//! Images: which content is meant, how long it is kept, who may pull it, and what is pruned.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::app::AppSpec;
use super::status::Deployment;
use crate::names::{AppName, DeployId, Digest};
use crate::secret::{self, Secret};

/// The content that is meant, settled before the deploy: a tag may mean another one by now, this may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// A manifest in the server's own registry, under the app's name: the client uploaded it.
    Uploaded(Digest),
    /// A manifest in the image's registry: the client pushed it.
    Pushed(Digest),
    /// The id of an image on the server's engine: it was built there.
    Built(Digest),
}

/// Where the images of earlier deployments are, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum History {
    /// On the server; `count` versions, the serving one included.
    Local { count: u16 },
    /// In the registry, `count` of those whose tags `pattern` matches (`*` stands for any characters).
    Registry { count: u16, pattern: String },
    /// Nowhere: there is no way back.
    None,
}

impl History {
    /// How many versions are kept of an app that does not say.
    pub const DEFAULT_COUNT: u16 = 5;
}

impl Default for History {
    fn default() -> Self {
        Self::Local { count: Self::DEFAULT_COUNT }
    }
}

/// A login to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistryLogin {
    /// Host, with a port perhaps; `docker.io` for Docker Hub.
    pub server: String,
    #[serde(with = "secret::exposed")]
    #[schema(value_type = String)]
    pub username: Secret,
    #[serde(with = "secret::exposed")]
    #[schema(value_type = String)]
    pub password: Secret,
}

/// A login that the server keeps, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredLogin {
    /// Host, with a port perhaps; `docker.io` for Docker Hub.
    pub server: String,
    pub username: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A deployment with its snapshot: what a rollback repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentDetails {
    pub deployment: Deployment,
    /// With the origins of its environment, never the values.
    pub spec: AppSpec,
}

/// A tag of the app's image in its registry that a rollback may go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagCandidate {
    pub tag: String,
    /// The newest complete deployment with this tag, if there was one.
    pub deployment: Option<DeployId>,
    /// It serves now.
    pub current: bool,
}

/// Whether there is room for so many bytes of images that are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomRequest {
    /// Uncompressed bytes of the layers that the server lacks.
    pub bytes: u64,
}

/// There is room: a request that finds none is refused, with what is missing and what would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Room {
    /// Bytes that are free on the fullest of the disks concerned.
    pub free_bytes: u64,
    /// Bytes that were pruned to make room.
    pub pruned_bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneRequest {
    /// Keep so many versions of each app, in place of what its history says; the serving one always stays.
    #[serde(default)]
    pub keep: Option<u16>,
    /// Say what would be removed, and remove nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneReport {
    /// Nothing was removed: it is what would be.
    #[serde(default)]
    pub dry_run: bool,
    pub items: Vec<Pruned>,
    /// What the items take on disk; what they share with images that stay is counted too.
    pub bytes: u64,
    /// Bytes that are free where the engine keeps its images, after all that.
    pub free_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pruned {
    pub kind: PrunedKind,
    pub app: Option<AppName>,
    /// The image's tag, the digest of a manifest or blob, the id of an upload.
    pub name: String,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrunedKind {
    /// An image on the engine that a deployment brought.
    Image,
    /// A manifest in the server's own registry.
    Manifest,
    /// A layer or configuration in the server's own registry.
    Blob,
    /// An upload that was never finished.
    Upload,
}

/// What the server's engine builds: the request's header `x-haloy-build`, as base64 of this as JSON. The body is
/// the build context, a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildRequest {
    pub app: AppName,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    #[serde(default)]
    pub platform: Option<String>,
    /// The stage; the last when absent.
    #[serde(default)]
    pub target: Option<String>,
    #[serde(default)]
    pub args: Vec<super::app::EnvValue>,
}

/// One event of a build on the server; the stream ends with `built` or `failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BuildEvent {
    /// What the build printed.
    Output {
        line: String,
    },
    Built {
        /// The image's id on the server's engine.
        image: Digest,
    },
    Failed {
        reason: String,
    },
}
