//! `init`: directories, settings, identity and the first token; all of them or none.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use crate::config::daemon::DaemonSettings;
use crate::config::tokens::{self, TokenRecord, Tokens};
use crate::crypto::Identity;
use crate::env;
use crate::files;
use crate::names::Domain;
use crate::paths::ServerPaths;
use crate::pin::Pin;
use crate::secret::Secret;
use crate::term::{self, Terminal};

use super::error::AdminError;
use super::first_contact::{self, with_pin};
use super::undo::Undo;
use super::{Outcome, Place, quoted};

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Make this machine a server: directories, settings, identity, first API token
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sudo haloy admin init                Directories /etc/haloy and /var/lib/haloy
  haloy admin init --local-install     Directories of this user, no root needed
  sudo haloy admin init --api-domain haloy.example.com --acme-email you@example.com")]
pub struct Init {
    #[command(flatten)]
    place: Place,
    /// Domain of the API, with a certificate; can be set later with `haloy admin api domain`
    #[arg(long, value_name = "DOMAIN")]
    api_domain: Option<Domain>,
    /// Whom certificate authorities write to
    #[arg(long, value_name = "EMAIL", value_parser = super::api_domain::email)]
    acme_email: Option<String>,
    /// Write the settings anew where there are some; identity, data and tokens stay
    #[arg(long = "override")]
    overwrite: bool,
    /// Print one JSON value: the token and the directories
    #[arg(long)]
    pub json: bool,
}

impl Init {
    pub fn run(self, program: &str) -> Outcome {
        let paths = self.place.paths();
        if paths.haloyd_yaml().exists() && !self.overwrite {
            return Err(AdminError::AlreadyThere { path: paths.haloyd_yaml(), token: self.place.command(program, "api token") });
        }
        let settings = DaemonSettings { api_domain: self.api_domain.clone(), acme_email: self.acme_email.clone(), ..settings() };
        let (token, pin) = self.make(&paths, &settings).map_err(|error| self.explain(error))?;
        let (token, host) = (with_pin(&token, pin), first_contact::host(&settings));
        warn_of_missing_docker();
        warn_of_taken_ports(&settings);
        if self.json {
            term::json(
                &serde_json::json!({ "token": token.expose(), "pin": pin.to_string(), "host": host, "config_dir": paths.config, "data_dir": paths.data }),
            );
        } else {
            self.show(&paths, &settings);
            first_contact::show(&token, &host);
            show_next(&self.daemon_command(&paths, program), &host);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Everything that a daemon needs to start. Leaves nothing behind when it fails.
    fn make(&self, paths: &ServerPaths, settings: &DaemonSettings) -> Result<(Secret, Pin), AdminError> {
        let mut undo = Undo::default();
        let database = paths.database();
        let folders = [paths.config.as_path(), paths.data.as_path(), &paths.certificates(), database.parent().unwrap_or(&paths.data)];
        folders.iter().try_for_each(|folder| undo.directory(folder))?;

        write_identity(&paths.age_identity(), &mut undo)?;
        let pin = first_contact::pin(&paths.own_certificate(), &mut undo)?;
        let token = tokens::generate();
        undo.file(&tokens::path(&paths.config))?;
        Tokens::add(&paths.config, TokenRecord::new("init", &token))?;
        // Last: its presence says that the set-up is complete.
        undo.file(&paths.haloyd_yaml())?;
        settings.write(&paths.haloyd_yaml())?;
        undo.keep();
        Ok((token, pin))
    }

    fn explain(&self, error: AdminError) -> AdminError {
        match error {
            AdminError::File(error) => AdminError::of_file(error, self.place.local_install),
            other => other,
        }
    }

    fn show(&self, paths: &ServerPaths, settings: &DaemonSettings) {
        let terminal = Terminal::detect();
        term::words(&format!("{} this machine is set up", terminal.green("✓")));
        term::words(&format!("  configuration  {}\n  data           {}\n", paths.config.display(), paths.data.display()));
        if let (Some(http), Some(https)) = (settings.http_addr, settings.https_addr) {
            let why = "because this user may not use the ports 80 and 443";
            term::words(&format!("HTTP is served on port {} and HTTPS on {}, {why}\n", http.port(), https.port()));
        }
        term::words("API token, shown this once:");
    }

    /// The daemon's command line, for whoever typed `program` to get here.
    fn daemon_command(&self, paths: &ServerPaths, program: &str) -> String {
        let daemon = program.strip_suffix(" admin").map_or_else(|| "haloyd".to_owned(), |client| format!("{client} daemon"));
        let standard = ServerPaths { config: "/etc/haloy".into(), data: "/var/lib/haloy".into() };
        if *paths == standard {
            return format!("sudo {daemon}");
        }
        format!("{daemon} --config-dir {} --data-dir {}", quoted(&paths.config), quoted(&paths.data))
    }
}

/// The token stands on stdout alone, so that `init > file` keeps it out of terminals and logs.
fn show_next(daemon: &str, host: &str) {
    term::words("\nStart the daemon:");
    term::words(&format!("  {daemon}"));
    term::words(
        "Make the server known to the client on your own machine; it asks for the token, and on this machine the host is localhost:",
    );
    term::words(&format!("  haloy server add {host} --token-stdin"));
}

/// Keeps an identity that is there: what it sealed can be opened with no other.
fn write_identity(path: &Path, undo: &mut Undo) -> Result<(), AdminError> {
    if let Some(text) = files::read_optional(path)? {
        return Identity::parse(&text).map(|_| ()).map_err(|source| AdminError::Identity { path: path.to_owned(), source });
    }
    undo.file(path)?;
    Ok(files::write_private(path, Identity::generate().to_file().expose().as_bytes())?)
}

/// The daemon starts without Docker and waits for it; whoever sets a server up should know at once.
#[cfg(unix)]
fn warn_of_missing_docker() {
    let host = env::read(env::DOCKER_HOST).unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
    let Some(socket) = host.strip_prefix("unix://") else { return };
    if let Err(error) = std::os::unix::net::UnixStream::connect(socket) {
        let text = format!("warning: Docker cannot be reached at `{socket}` ({error}); install it, or join the group `docker`");
        term::words(&Terminal::detect().yellow(&text));
    }
}

#[cfg(not(unix))]
fn warn_of_missing_docker() {}

/// The daemon's own choices, and other ports for a user who may not use those of the web.
fn settings() -> DaemonSettings {
    let refused = bind(HTTP_PORT).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let unprivileged = |port| refused.then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    DaemonSettings { http_addr: unprivileged(8080), https_addr: unprivileged(8443), ..DaemonSettings::default() }
}

/// A web server that runs here already would keep the daemon from its ports.
fn warn_of_taken_ports(settings: &DaemonSettings) {
    let port = |address: Option<SocketAddr>, standard| address.map_or(standard, |address| address.port());
    for port in [port(settings.http_addr, HTTP_PORT), port(settings.https_addr, HTTPS_PORT)] {
        if bind(port).is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
            let text = format!("warning: port {port} is in use; stop what listens there before you start the daemon");
            term::words(&Terminal::detect().yellow(&text));
        }
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
}
