//! From settings to a proxy that serves: everything that must work before there is a control plane.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};

use jiff::Timestamp;

use super::certs::{self, AcmeError, Authority, Storage};
use super::settings::Settings;
use super::store::{Store, StoreError};
use crate::config::tokens;
use crate::crypto::{self, CryptoError, Identity};
use crate::docker::{Docker, DockerError};
use crate::env;
use crate::error::{self, Report};
use crate::files::{self, FileError};
use crate::paths::ServerPaths;
use crate::proxy::{self, Certificates, Listeners, Proxy, ProxyError, Snapshot};

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("could not prepare the directories of haloyd")]
    Directories(#[source] FileError),
    #[error("another haloyd uses the data directory `{}`", .0.display())]
    Locked(PathBuf),
    #[error("could not lock the data directory `{}`", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("could not read the server's age identity")]
    IdentityFile(#[source] FileError),
    #[error("the server's age identity `{}` is damaged", path.display())]
    Identity { path: PathBuf, source: CryptoError },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the Docker Engine's address is not usable")]
    Docker(#[source] DockerError),
    #[error("the certificate authority cannot be used")]
    Authority(#[source] AcmeError),
    #[error("could not start the proxy")]
    Proxy(#[source] ProxyError),
    #[error("could not open the API on {0}")]
    ApiAddress(SocketAddr, #[source] io::Error),
    #[error("could not open the API socket `{}`", path.display())]
    ApiSocket { path: PathBuf, source: io::Error },
    #[error("could not start the control runtime")]
    Runtime(#[source] io::Error),
}

impl Report for StartError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Directories(source) => {
                Some(format!("make `{}` writable for this user, or choose others with --config-dir and --data-dir", source.path.display()))
            }
            Self::Locked(_) => Some("stop the other one first, or give this one its own --data-dir".to_owned()),
            Self::Identity { .. } | Self::IdentityFile(_) => {
                Some("restore the file from a backup: without it stored environments cannot be opened".to_owned())
            }
            Self::Store(source) => source.hint(),
            Self::Docker(source) => source.hint(),
            Self::Proxy(source) => source.hint(),
            Self::Authority(source) => source.hint(),
            Self::ApiAddress(address, source) if source.kind() == io::ErrorKind::AddrInUse => {
                Some(format!("see who listens there with `ss -ltnp 'sport = :{}'`, or choose another with --api-addr", address.port()))
            }
            Self::ApiAddress(..) => Some("choose another address with --api-addr".to_owned()),
            Self::Lock { .. } | Self::ApiSocket { .. } | Self::Runtime(_) => None,
        }
    }
}

/// A data plane that serves, and what the control plane needs to begin.
pub struct Booted {
    pub proxy: Arc<Proxy>,
    pub certificates: Certificates,
    pub storage: Storage,
    pub authority: Authority,
    pub snapshot: Arc<Snapshot>,
    pub snapshot_file: PathBuf,
    pub store: Store,
    pub docker: Docker,
    pub identity: Identity,
    pub api_tcp: std::net::TcpListener,
    pub api_unix: UnixListener,
    pub paths: ServerPaths,
    pub http_port: Option<u16>,
    pub https_port: Option<u16>,
    /// Held as long as the process lives.
    pub _lock: File,
}

/// Opens everything in an order in which a failure leaves nothing behind.
pub fn boot(settings: Settings) -> Result<Booted, StartError> {
    raise_descriptor_limit();
    let paths = settings.paths;
    for directory in [&paths.config, &paths.data, &paths.certificates()] {
        files::private_dir(directory).map_err(StartError::Directories)?;
    }
    let lock = lock(&paths.data)?;
    let store = Store::open(&paths.database())?;
    let identity = identity(&paths, store.recipient().is_some())?;
    store.claim(&identity.recipient())?;
    if !tokens::path(&paths.config).exists() {
        tracing::warn!("there is no API token, so nobody can deploy: run `haloy admin init`");
    }
    let docker = Docker::new(settings.docker_host.as_deref(), store.instance()).map_err(StartError::Docker)?;

    let proxy_settings = proxy::Settings {
        workers: settings.workers,
        access_log: settings.access_log.then(|| paths.access_log()),
        ..proxy::Settings::default()
    };
    let listeners = Listeners::bind(&settings.http, &settings.https, proxy_settings.worker_count()).map_err(StartError::Proxy)?;
    tracing::info!(http = ?listeners.http_addrs(), https = ?listeners.https_addrs(), "listening");
    let port = |addresses: Vec<SocketAddr>| addresses.first().map(SocketAddr::port);
    let (http_port, https_port) = (port(listeners.http_addrs()), port(listeners.https_addrs()));
    let api_tcp = api_tcp(settings.api)?;
    let api_unix = api_unix(&paths.api_socket())?;

    let accounts = paths.certificates().join("accounts");
    let authority = Authority::new(settings.acme, accounts).map_err(StartError::Authority)?;
    let mut storage = Storage::new(paths.certificates());
    storage.scan();
    let chosen = certs::choose(storage.stored(), Timestamp::now());
    let certificates = Certificates { default: Some(default_certificate(&paths)?), ..chosen };
    let snapshot = Arc::new(last_known_good(&paths, &certificates));
    let proxy = Proxy::start(listeners, proxy_settings, Arc::clone(&snapshot)).map_err(StartError::Proxy)?;
    Ok(Booted {
        proxy: Arc::new(proxy),
        certificates,
        storage,
        authority,
        snapshot,
        snapshot_file: paths.snapshot(),
        store,
        docker,
        identity,
        api_tcp,
        api_unix,
        paths,
        http_port,
        https_port,
        _lock: lock,
    })
}

/// Every connection is a file descriptor; the customary soft limit of 1024 is there for programs that
/// use `select`. Where the system refuses, we serve as many as it lets us.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Two daemons on one data directory would undo each other's work.
fn lock(data: &Path) -> Result<File, StartError> {
    let path = data.join("haloyd.lock");
    let failed = |source| StartError::Lock { path: path.clone(), source };
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::Locked(data.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// From the environment, else from the file; a server that has none yet gets one.
fn identity(paths: &ServerPaths, is_needed: bool) -> Result<Identity, StartError> {
    let path = paths.age_identity();
    let unreadable = |source| StartError::Identity { path: path.clone(), source };
    if let Some(text) = env::read(env::AGE_IDENTITY) {
        return Identity::parse(&text).map_err(unreadable);
    }
    match files::read_optional(&path).map_err(StartError::IdentityFile)? {
        Some(text) => Identity::parse(&text).map_err(unreadable),
        None if is_needed => Err(StoreError::WrongIdentity.into()),
        None => {
            let identity = Identity::generate();
            files::write_private(&path, identity.to_file().expose().as_bytes()).map_err(StartError::Directories)?;
            Ok(identity)
        }
    }
}

fn api_tcp(address: SocketAddr) -> Result<std::net::TcpListener, StartError> {
    let failed = |source| StartError::ApiAddress(address, source);
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    tracing::info!(api = %listener.local_addr().map_err(failed)?, "listening");
    Ok(listener)
}

/// Only the daemon's own user may connect: the socket needs no token.
fn api_unix(path: &Path) -> Result<UnixListener, StartError> {
    let failed = |source| StartError::ApiSocket { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        // We hold the lock: whoever left it is gone.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// The self-signed certificate for names without their own; made once, kept in the certificate store.
fn default_certificate(paths: &ServerPaths) -> Result<Arc<rustls::sign::CertifiedKey>, StartError> {
    let path = paths.own_certificate();
    match read_certificate(&path) {
        Ok(Some(key)) => return Ok(key),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(error = error::chain(&*error), path = %path.display(), "the default certificate is damaged: making another")
        }
    }
    let made = proxy::self_signed(&[crypto::OWN_NAME]).map_err(StartError::Proxy)?;
    files::write_private(&path, made.pem.expose().as_bytes()).map_err(StartError::Directories)?;
    Ok(made.key)
}

fn read_certificate(path: &Path) -> Result<Option<Arc<rustls::sign::CertifiedKey>>, Box<dyn std::error::Error>> {
    let Some(pem) = files::read_optional(path)? else { return Ok(None) };
    Ok(Some(proxy::from_pem(&pem)?))
}

/// The table that was served last. A damaged file costs the time until Docker has answered, not the start.
fn last_known_good(paths: &ServerPaths, certificates: &Certificates) -> Snapshot {
    let loaded = Snapshot::load(&paths.snapshot()).unwrap_or_else(|error| {
        tracing::warn!(error = error::chain(&error), "the last routing table is damaged: starting without one");
        None
    });
    let mut snapshot = Snapshot { certificates: certificates.clone(), ..loaded.unwrap_or_default() };
    if is_another_boot(&paths.snapshot_boot()) {
        // The engine gives addresses out anew: what was one app's may be another's now.
        snapshot.routes.iter_mut().flat_map(|route| &mut route.groups).for_each(|group| group.backends.clear());
    }
    snapshot
}

/// Whether the machine was started since this was asked last.
fn is_another_boot(note: &Path) -> bool {
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else { return false };
    let before = files::read_optional(note).ok().flatten();
    if before.as_ref() != Some(&boot)
        && let Err(error) = files::write_private(note, boot.as_bytes())
    {
        tracing::warn!(error = error::chain(&error), "could not note which start of the machine this is");
    }
    before.is_some_and(|before| before != boot)
}

/// Tells systemd about the life cycle; without systemd it does nothing.
pub fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "could not notify systemd");
    }
}
