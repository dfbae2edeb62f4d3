//! The API: what clients and admin tools may ask of this server, as HTTP with JSON.
//!
//! It looks (store, overview, Docker's logs) and it writes wishes down (store, then a nudge to the
//! reconcile loop). It never changes a container, a route or a certificate itself, and it never
//! waits for a wish to come true: every change is answered as soon as it is durable, and its job
//! tells the rest.
//!
//! The same routes are served over TCP, where each request needs a token, and on a Unix socket that
//! only the daemon's own user can open, where none does. Environment values enter here, are sealed
//! before they are stored, and are in no answer, no error and no log line.

mod about;
mod admission;
mod apps;
mod audit;
mod auth;
mod body;
mod builds;
mod certificates;
mod changes;
mod disk;
mod jobs;
mod limits;
mod logs;
mod openapi;
mod parameters;
mod refusal;
mod registries;
mod requests;
mod sender;
mod serve;
mod status;
mod tags;
#[cfg(test)]
mod tests;
mod uses;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use auth::{Caller, Tokens};
pub use limits::RateLimits;
pub use serve::{serve_tcp, serve_unix};
pub use uses::Uses;

use super::certs::Desk;
use super::front::Front;
use super::overview::Overview;
use super::prune::Pruner;
use super::registry::Registry;
use super::store::Store;
use crate::config::tokens::Scope;
use crate::crypto;
use crate::docker::{ContainerId, Docker};
use crate::secret::Secret;

/// Everything that the API looks at and writes to.
pub struct Api {
    pub store: Store,
    pub docker: Docker,
    pub overview: watch::Receiver<Arc<Overview>>,
    /// Told after every accepted change.
    pub nudge: Arc<Notify>,
    /// Seals environment values.
    pub identity: crypto::Identity,
    /// The metrics in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Requests in flight in a container.
    pub in_flight: Arc<dyn Fn(&ContainerId) -> u64 + Send + Sync>,
    pub tokens: Arc<Tokens>,
    pub limits: RateLimits,
    /// By which the proxy is known.
    pub introduction: Secret,
    /// Served beside the API, in words of its own.
    pub registry: Registry,
    pub pruner: Pruner,
    pub certificates: Desk,
    /// Where the API is served through the proxy.
    pub front: watch::Receiver<Front>,
    /// Turns for builds on the engine.
    pub builds: Semaphore,
    /// Where visitors come in: HTTP and HTTPS.
    pub http_port: Option<u16>,
    pub https_port: Option<u16>,
}

/// What every handler gets: the API and the signal that ends its streams.
#[derive(Clone)]
struct Context {
    api: Arc<Api>,
    stop: CancellationToken,
}

/// Who may come in through a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Whoever brings a token.
    Tcp,
    /// Whoever could open the socket.
    Unix,
}

fn router(context: Context, door: Door) -> Router {
    let guarded =
        [(Scope::Read, reading()), (Scope::Deploy, deploying()), (Scope::Admin, administering())].map(|(scope, routes)| match door {
            Door::Tcp => routes.route_layer(from_fn_with_state((context.clone(), scope), auth::require_token)),
            Door::Unix => routes.route_layer(from_fn(auth::trust)),
        });
    let [reading, deploying, administering] = guarded;
    let changing = deploying.merge(administering).route_layer(from_fn_with_state(context.clone(), audit::note));
    let (router, _) = open().merge(reading).merge(changing).split_for_parts();
    let registry = context.api.registry.router(door == Door::Unix);
    let registry = registry.layer(from_fn_with_state(context.clone(), audit::note_registry));
    let router = router.fallback(refusal::unknown_route).method_not_allowed_fallback(refusal::wrong_method).with_state(context.clone());
    let router = router.merge(registry).layer(from_fn_with_state(context, sender::find));
    router.layer(from_fn(requests::identify))
}

/// What needs no token: nothing here tells of apps.
fn open() -> OpenApiRouter<Context> {
    OpenApiRouter::default().routes(routes!(about::health)).routes(routes!(openapi::document))
}

/// For every token.
fn reading() -> OpenApiRouter<Context> {
    OpenApiRouter::default()
        .routes(routes!(about::version))
        .routes(routes!(about::metrics))
        .routes(routes!(apps::list))
        .routes(routes!(apps::show))
        .routes(routes!(apps::deployments))
        .routes(routes!(apps::deployment))
        .routes(routes!(tags::list))
        .routes(routes!(logs::stream))
        .routes(routes!(certificates::list))
        .routes(routes!(certificates::show))
        .routes(routes!(registries::list))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::events))
}

/// For tokens that may change apps.
fn deploying() -> OpenApiRouter<Context> {
    OpenApiRouter::default()
        .routes(routes!(changes::deploy))
        .routes(routes!(changes::rollback))
        .routes(routes!(changes::restart))
        .routes(routes!(changes::stop))
        .routes(routes!(changes::start))
        .routes(routes!(builds::build))
        .routes(routes!(disk::room))
}

/// For tokens that may change what belongs to no app.
fn administering() -> OpenApiRouter<Context> {
    OpenApiRouter::default()
        .routes(routes!(audit::list))
        .routes(routes!(disk::prune))
        .routes(routes!(registries::login))
        .routes(routes!(registries::logout))
        .routes(routes!(certificates::bring))
        .routes(routes!(certificates::remove))
        .routes(routes!(certificates::renew))
}
