//! What the daemon is told when it starts: flags, then `haloyd.yaml`, then defaults.

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::config::daemon::{Acme, DaemonSettings};
use crate::paths::{Install, ServerPaths};
use crate::{command_line, env, error};

/// Runs haloyd: the API, the reconcile loop and the reverse proxy
#[derive(Debug, Parser)]
#[command(version, after_help = "Settings of the same names in haloyd.yaml (http_addr, …) hold where no flag is given.")]
struct Flags {
    /// Directory of haloyd.yaml [default: /etc/haloy]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// Directory of database, certificates and logs [default: /var/lib/haloy]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where plain HTTP is served [default: [::]:80]
    #[arg(long, value_name = "ADDRESS")]
    http_addr: Option<SocketAddr>,
    /// Where HTTPS is served [default: [::]:443]
    #[arg(long, value_name = "ADDRESS")]
    https_addr: Option<SocketAddr>,
    /// Where the API is served without TLS [default: 127.0.0.1:9999]
    #[arg(long, value_name = "ADDRESS")]
    api_addr: Option<SocketAddr>,
    /// Threads of the proxy [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Log more
    #[arg(long)]
    debug: bool,
}

/// The API speaks without TLS here: nobody else may listen in.
#[derive(Debug, thiserror::Error)]
#[error("the API cannot be opened on {0}: tokens and values would cross the network in clear")]
struct NotLoopback(SocketAddr);

impl error::Report for NotLoopback {
    fn hint(&self) -> Option<String> {
        Some(format!("keep `--api-addr 127.0.0.1:{0}` and reach it with `ssh -N -L {0}:127.0.0.1:{0} SERVER`", self.0.port()))
    }
}

/// All that the daemon needs to know.
#[derive(Debug)]
pub struct Settings {
    pub paths: ServerPaths,
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    pub api: SocketAddr,
    pub workers: usize,
    pub access_log: bool,
    pub docker_host: Option<String>,
    pub debug: bool,
    pub acme: Acme,
}

impl Settings {
    /// Reads flags and file. Help, version and mistakes are printed here; the exit code says which.
    pub fn parse(program: &str, args: Vec<OsString>) -> Result<Self, ExitCode> {
        let flags: Flags = command_line::parse(program, args)?;
        let paths = ServerPaths::resolve(Install::System, flags.config_dir.clone(), flags.data_dir.clone());
        let file = DaemonSettings::load(&paths.haloyd_yaml()).map_err(|mistakes| {
            error::report(&mistakes);
            ExitCode::from(error::Report::exit_code(&mistakes))
        })?;
        let api = flags.api_addr.or(file.api_addr).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9999)));
        if !api.ip().is_loopback() {
            error::report(&NotLoopback(api));
            return Err(ExitCode::from(error::MISUSE));
        }
        Ok(Self {
            http: flags.http_addr.or(file.http_addr).map_or_else(|| everywhere(80), |address| vec![address]),
            https: flags.https_addr.or(file.https_addr).map_or_else(|| everywhere(443), |address| vec![address]),
            api,
            workers: flags.workers.or(file.workers).map_or(0, usize::from),
            access_log: file.access_log.unwrap_or(true),
            docker_host: file.docker_host.or_else(|| env::read(env::DOCKER_HOST)),
            debug: flags.debug || file.debug.unwrap_or(false),
            acme: file.acme,
            paths,
        })
    }
}

/// IPv4 and IPv6 on their own sockets: a host without IPv6 still gets the other.
fn everywhere(port: u16) -> Vec<SocketAddr> {
    let mut addresses = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
    if std::path::Path::new("/proc/net/if_inet6").exists() {
        addresses.push(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    }
    addresses
}
