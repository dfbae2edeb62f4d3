//! Room on the server, and what is removed to make some.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::super::disk::size;
use super::super::prune::{NoRoom, PruneError};
use super::Context;
use super::body::JsonBody;
use super::refusal::Refusal;
use crate::wire::{Code, PruneReport, PruneRequest, Room, RoomRequest};

/// Remove images that no app and no history needs
///
/// Never an image that haloy did not bring. With `dry_run` it says what would go.
#[utoipa::path(post, path = "/v1/prune", operation_id = "prune", request_body = Option<PruneRequest>, responses((status = 200, body = PruneReport)))]
pub async fn prune(State(context): State<Context>, JsonBody(request): JsonBody<PruneRequest>) -> Result<Json<PruneReport>, Refusal> {
    let pruner = context.api.pruner.clone();
    // It is carried out whether the client waits or not.
    let pruned = tokio::spawn(async move { pruner.prune(request.keep, request.dry_run).await });
    Ok(Json(pruned.await??))
}

/// Ask whether there is room for layers on their way
///
/// Prunes what nothing needs when that helps; refused with status 507 when there is no room all the same.
#[utoipa::path(post, path = "/v1/room", operation_id = "ask_for_room", request_body = RoomRequest, responses((status = 200, body = Room)))]
pub async fn room(State(context): State<Context>, JsonBody(request): JsonBody<RoomRequest>) -> Result<Json<Room>, Refusal> {
    let (free_bytes, pruned_bytes) = context.api.pruner.make_room(request.bytes, request.bytes).await?;
    Ok(Json(Room { free_bytes, pruned_bytes }))
}

impl From<NoRoom> for Refusal {
    fn from(NoRoom { disk, would_free }: NoRoom) -> Self {
        let title = format!(
            "there is no room on the server: {} are needed on the disk of `{}`, {} are free",
            size(disk.needed),
            disk.path.display(),
            size(disk.free)
        );
        let refusal = Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::NoRoom, title);
        if would_free > 0 {
            let refusal = refusal.detail(format!("keeping only what serves would free up to {}", size(would_free)));
            return refusal.hint("make room with `haloy prune --keep 1`, or lower `history.count` in haloy.yaml");
        }
        refusal.hint("haloy has nothing to remove: see `docker system df` on the server")
    }
}

impl From<PruneError> for Refusal {
    fn from(error: PruneError) -> Self {
        match error {
            PruneError::Store(error) => error.into(),
            PruneError::Docker(error) => error.into(),
            PruneError::Registry(error) => Self::internal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), &error),
        }
    }
}
