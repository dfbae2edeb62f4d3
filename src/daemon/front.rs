//! The API's own domain: read from haloyd.yaml, there and whenever the file changes, and served through the proxy like
//! an app, with its certificate.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::publisher::Publisher;
use super::store::{AppIntent, RunState, Store};
use crate::config::daemon::DaemonSettings;
use crate::error::chain;
use crate::names::Domain;
use crate::proxy::{Backend, BackendId, Group, Policy, Route};
use crate::secret::Secret;

/// The file is looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// For an image that is pruned, built or sent: the API has deadlines of its own.
const PATIENCE: Duration = Duration::from_secs(3600);
/// No app can be called so.
const NAME: &str = "haloyd/api";

/// What haloyd.yaml says of the outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Front {
    /// Where the API is served through the proxy.
    pub domain: Option<Domain>,
    /// Whom certificate authorities write to about those that name nobody.
    pub email: Option<String>,
}

/// Tells two contents of the file apart.
type Version = Option<(SystemTime, u64)>;

/// Follows the file.
pub struct FrontKeeper {
    file: PathBuf,
    /// None before the first look.
    seen: Option<Version>,
    api: SocketAddr,
    introduction: Secret,
    publisher: Arc<Publisher>,
    store: Store,
    front: watch::Sender<Front>,
}

impl FrontKeeper {
    /// `api`: where the API listens; `introduction`: by which it knows the proxy.
    pub fn new(file: PathBuf, api: SocketAddr, introduction: Secret, publisher: Arc<Publisher>, store: Store) -> Self {
        Self { file, seen: None, api, introduction, publisher, store, front: watch::channel(Front::default()).0 }
    }

    pub fn watch(&self) -> watch::Receiver<Front> {
        self.front.subscribe()
    }

    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.look().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// A file that cannot be used changes nothing, and is told of once.
    async fn look(&mut self) {
        let version = version(&self.file);
        if self.seen == Some(version) {
            return;
        }
        self.seen = Some(version);
        let mut settings = match DaemonSettings::load(&self.file) {
            Ok(settings) => settings,
            Err(error) => return tracing::warn!(error = chain(&error), "haloyd.yaml cannot be used; the API's domain stays as it is"),
        };
        if let Some(domain) = &settings.api_domain
            && let Some(app) = self.app_at(domain).await
        {
            tracing::error!(%domain, app, "the API's domain in haloyd.yaml is an app's; it is not taken");
            settings.api_domain = None;
        }
        let front = Front { domain: settings.api_domain, email: settings.acme_email };
        self.publisher.front(routes(front.domain.clone(), self.api, &self.introduction));
        if let Some(domain) = front.domain.as_ref().filter(|domain| self.front.borrow().domain.as_ref() != Some(*domain)) {
            tracing::info!(%domain, "the API is served at its domain");
        }
        self.front.send_replace(front);
    }

    async fn app_at(&self, domain: &Domain) -> Option<String> {
        let intents = self.store.intents().await.unwrap_or_default();
        intents.iter().find(|intent| has(intent, domain)).map(|intent| intent.app.to_string())
    }
}

fn has(intent: &AppIntent, domain: &Domain) -> bool {
    let releases = [&intent.serving, &intent.rollout].into_iter().flatten();
    let domains = releases.flat_map(|release| &release.spec.domains);
    let names: BTreeSet<&Domain> = domains.flat_map(|domain| domain.aliases.iter().chain([&domain.domain])).collect();
    intent.run != RunState::Removed && names.contains(domain)
}

/// At its domain, and without one at every address of the server, for clients that know the server's own key.
fn routes(domain: Option<Domain>, api: SocketAddr, introduction: &Secret) -> Vec<Route> {
    let named = domain.map(|domain| route(vec![domain], "/", api, introduction));
    named.into_iter().chain(["/v1", "/v2"].map(|path| route(Vec::new(), path, api, introduction))).collect()
}

fn route(hosts: Vec<Domain>, path_prefix: &str, api: SocketAddr, introduction: &Secret) -> Route {
    Route {
        name: NAME.to_owned(),
        hosts,
        path_prefix: path_prefix.to_owned(),
        policy: Policy {
            redirect_to_https: true,
            introduction: Some(introduction.clone()),
            response_timeout: PATIENCE,
            ..Policy::default()
        },
        groups: vec![Group { weight: 1, backends: vec![Backend { id: BackendId(NAME.into()), address: api }] }],
    }
}

fn version(path: &Path) -> Version {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
