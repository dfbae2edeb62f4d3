//! `haloyd`: the one place where the parts meet.
//!
//! ```text
//! api ──commit──► store (intent) ──nudge──► reconcile ──publish──► proxy (own threads)
//!                                              │  ▲
//!                                   steps ─────▼──┴── events, health
//!                                            docker
//! ```
//!
//! Two planes: the proxy's threads carry traffic and know one table; the control runtime decides
//! about that table and may stall, fail or be restarted without a request noticing. Start-up goes
//! from traffic to control: what was served before is served before Docker has been asked anything.

mod api;
mod boot;
mod certs;
mod clock;
mod disk;
mod front;
mod logins;
mod overview;
mod prune;
mod publisher;
mod reconcile;
mod registry;
mod settings;
mod store;
mod tags;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::api::{Api, RateLimits, Tokens, Uses};
use self::boot::{Booted, StartError};
use self::certs::{Keeper, Trust};
use self::front::FrontKeeper;
use self::overview::Overview;
use self::prune::Pruner;
use self::publisher::Publisher;
use self::reconcile::{Executor, OwnRegistry, Reconciler};
use self::registry::{Access, Registry};
use self::settings::Settings;
use crate::config::tokens::Scope;
use crate::docker::{Docker, Login};
use crate::proxy::{BackendId, Proxy};
use crate::secret::Secret;
use crate::wire::EngineStatus;
use crate::{crypto, error, log};

/// How long requests in flight may go on after SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs the daemon until it is told to stop.
pub fn main(program: &str, args: Vec<OsString>) -> ExitCode {
    let settings = match Settings::parse(program, args) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    log::start(settings.debug);
    match run(settings) {
        Ok(code) => code,
        Err(error) => {
            error::report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(settings: Settings) -> Result<ExitCode, StartError> {
    let booted = boot::boot(settings)?;
    // Small on purpose: everything here waits for others most of the time.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let code = runtime.block_on(control(booted));
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(code)
}

/// The control plane: starts its tasks, waits for a signal or a failure, ends in order.
async fn control(booted: Booted) -> ExitCode {
    // First of all: one that comes before we listen would kill the process in the middle of something.
    let mut signals = Signals::listen();
    let stop = CancellationToken::new();
    let nudge = Arc::new(Notify::new());
    let nothing = Overview { engine: EngineStatus::Down, engine_version: None, platform: None, replicas: Default::default() };
    let (overview, seen) = watch::channel(Arc::new(nothing));
    let uses = Arc::new(Uses::default());
    let tokens = Arc::new(Tokens::new(&booted.paths.config, Arc::clone(&uses)));
    let introduction = Secret::new(crypto::hex(&crypto::random::<32>()));
    let registry = match open_registry(&booted, Arc::clone(&tokens)).await {
        Ok(registry) => registry,
        Err(error) => {
            tracing::error!(error = error::chain(&*error), "the registry cannot be opened");
            return ExitCode::FAILURE;
        }
    };
    let pruner = Pruner::new(booted.store.clone(), booted.docker.clone(), registry.clone(), booted.paths.data.clone());
    let publisher = Arc::new(Publisher::new(Arc::clone(&booted.proxy), booted.snapshot_file, booted.snapshot));
    let api_address = match booted.api_tcp.local_addr() {
        Ok(address) => address,
        Err(error) => {
            tracing::error!(%error, "the API's address is not known");
            return ExitCode::FAILURE;
        }
    };
    let front =
        FrontKeeper::new(booted.paths.haloyd_yaml(), api_address, introduction.clone(), Arc::clone(&publisher), booted.store.clone());
    let trust = Trust::new(Arc::clone(&publisher), booted.certificates);
    let keeper = Keeper::new(booted.store.clone(), booted.storage, trust, booted.authority, front.watch());
    let api = Arc::new(Api {
        pruner: pruner.clone(),
        store: booted.store.clone(),
        docker: booted.docker.clone(),
        overview: seen,
        nudge: Arc::clone(&nudge),
        identity: booted.identity.clone(),
        metrics: Arc::new({
            let proxy = Arc::downgrade(&booted.proxy);
            move || proxy.upgrade().map_or_else(String::new, |proxy| proxy.metrics())
        }),
        in_flight: Arc::new({
            let proxy = Arc::downgrade(&booted.proxy);
            move |id| proxy.upgrade().map_or(0, |proxy| proxy.in_flight(&BackendId(id.0.as_str().into())))
        }),
        tokens,
        limits: RateLimits::default(),
        introduction,
        registry: registry.clone(),
        certificates: keeper.desk(),
        front: front.watch(),
        builds: Semaphore::new(1),
        http_port: booted.http_port,
        https_port: booted.https_port,
    });
    let host = api_address.to_string();
    let (username, password) = registry.engine_login();
    let executor = Executor {
        docker: booted.docker.clone(),
        store: booted.store.clone(),
        identity: booted.identity.clone(),
        pruner: pruner.clone(),
        registry: OwnRegistry { login: Login { server: host.clone(), username: Secret::new(username), password }, host },
    };

    let mut tasks: JoinSet<&'static str> = JoinSet::new();
    let events = watch_events(booted.docker.clone(), Arc::clone(&nudge), stop.clone());
    tasks.spawn(named("docker-events", events));
    let reconciler = Reconciler::new(executor, publisher, overview, nudge);
    tasks.spawn(named("prune", pruner.run(stop.clone())));
    let (data, stopped) = (booted.paths.data.clone(), stop.clone());
    tasks.spawn(named("token-uses", async move { uses.run(&data, stopped).await }));
    tasks.spawn(named("front", front.run(stop.clone())));
    tasks.spawn(named("certificates", keeper.run(stop.clone())));
    tasks.spawn(named("reconcile", reconciler.run(stop.clone())));
    match (tokio::net::TcpListener::from_std(booted.api_tcp), tokio::net::UnixListener::from_std(booted.api_unix)) {
        (Ok(tcp), Ok(unix)) => {
            tasks.spawn(named("api-tcp", api::serve_tcp(tcp, Arc::clone(&api), stop.clone())));
            tasks.spawn(named("api-unix", api::serve_unix(unix, api, stop.clone())));
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "the API's sockets cannot be used");
            return ExitCode::FAILURE;
        }
    }

    boot::tell_systemd(&[sd_notify::NotifyState::Ready]);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "haloyd serves");
    let code = wait_for_the_end(&mut tasks, &mut signals).await;

    boot::tell_systemd(&[sd_notify::NotifyState::Stopping]);
    stop.cancel();
    tokio::select! {
        () = wind_down(tasks, booted.proxy) => code,
        () = signals.told() => {
            tracing::warn!("told twice: stopping now");
            ExitCode::FAILURE
        }
    }
}

/// The server's own registry, whose login is the API's.
async fn open_registry(booted: &Booted, tokens: Arc<Tokens>) -> Result<Registry, Box<dyn std::error::Error>> {
    let allows = Arc::new(move |token: &str| {
        let caller = tokens.caller(token).ok()?;
        Some(Access { pushes: caller.scope >= Scope::Deploy, app: caller.app })
    });
    let registry = Registry::open(booted.store.clone(), booted.paths.blobs(), allows)?;
    registry.sweep().await?;
    Ok(registry)
}

/// A task that ends before it was told to is a failure of the daemon.
async fn wait_for_the_end(tasks: &mut JoinSet<&'static str>, signals: &mut Signals) -> ExitCode {
    tokio::select! {
        () = signals.told() => {
            tracing::info!("told to stop: finishing the requests in flight");
            ExitCode::SUCCESS
        }
        ended = tasks.join_next() => {
            match ended {
                Some(Ok(name)) => tracing::error!(task = name, "an essential task ended"),
                Some(Err(error)) => tracing::error!(%error, "an essential task failed"),
                None => tracing::error!("no task is left"),
            }
            ExitCode::FAILURE
        }
    }
}

/// First the control plane, so that nothing changes the table any more; then the traffic.
async fn wind_down(mut tasks: JoinSet<&'static str>, proxy: Arc<Proxy>) {
    while tasks.join_next().await.is_some() {}
    if let Some(proxy) = Arc::into_inner(proxy) {
        let drained = tokio::task::spawn_blocking(move || proxy.stop(DRAIN)).await;
        if let Err(error) = drained {
            tracing::error!(%error, "the proxy did not stop in order");
        }
    }
    tracing::info!("stopped");
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Docker's events carry nothing but "look again".
async fn watch_events(docker: Docker, nudge: Arc<Notify>, stop: CancellationToken) {
    let mut events = std::pin::pin!(docker.events());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => match event {
                Some(()) => nudge.notify_one(),
                None => return,
            },
        }
    }
}

/// SIGTERM and SIGINT; none is lost between two looks. Where the system refuses to tell us, only SIGKILL
/// ends the process: better that than ending by itself.
struct Signals(Vec<Signal>);

impl Signals {
    fn listen() -> Self {
        Self([SignalKind::terminate(), SignalKind::interrupt()].map(signal).into_iter().flatten().collect())
    }

    /// Resolves for each signal.
    async fn told(&mut self) {
        let received = std::future::poll_fn(|cx| {
            if self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) { Poll::Ready(()) } else { Poll::Pending }
        });
        received.await;
    }
}
