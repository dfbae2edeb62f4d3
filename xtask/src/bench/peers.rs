//! The proxies that are compared, and the server behind them. Each proxy has one thread on CPU 0, logs every
//! request, counts metrics, forwards the same headers and keeps its connections to the backend open.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::load::Protocol;
use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::http::Line;
use crate::process::{self, Background};

pub const HOST: &str = "bench.test";
/// The one CPU that all proxies share; only one of them is loaded at a time.
const PROXY_CPU: &str = "0";
const START_LIMIT: Duration = Duration::from_secs(20);

/// The bodies that the backend serves, each under its size as path: `/100`.
pub const BODIES: [(&str, usize); 3] = [("100 B", 100), ("10 KB", 10_000), ("1 MB", 1_000_000)];

pub struct Peer {
    pub name: &'static str,
    process: Background,
    http: u16,
    https: u16,
}

impl Peer {
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn port(&self, protocol: Protocol) -> u16 {
        if protocol == Protocol::Http { self.http } else { self.https }
    }
}

/// Everything that runs during the bench. Dropping it ends it all and removes its folder.
pub struct Field {
    /// haloy first, then HAProxy and nginx.
    pub peers: Vec<Peer>,
    _backend: Background,
    pub folder: Folder,
}

/// A folder that is removed in the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Field {
    /// Starts the backend on `cpus`, the proxies on CPU 0, and waits until each proxy answers.
    pub fn start(haloy: &Path, cpus: &str) -> Outcome<Self> {
        let folder = Folder(std::env::temp_dir().join(format!("haloy-bench-{}", std::process::id())));
        let path = folder.path();
        fs::create_dir_all(path.join("bodies")).attempt(|| format!("create {}", path.display()))?;
        for (_, size) in BODIES {
            write(&path.join("bodies").join(size.to_string()), &"x".repeat(size))?;
        }
        let [backend, http, https, api, h_http, h_https, h_metrics, n_http, n_https] = process::free_ports()?;
        certificate(path)?;
        write(&path.join("backend.conf"), &backend_config(path, backend))?;
        write(&path.join("haproxy.cfg"), &haproxy_config(path, [h_http, h_https, h_metrics], backend))?;
        write(&path.join("nginx.conf"), &nginx_config(path, [n_http, n_https], backend))?;

        let start = |name: &str, command: &mut Command| Background::start(name, command, &path.join(format!("{name}.log")));
        let server = start("backend", &mut nginx(path, "backend.conf", cpus))?;
        let haloyd = start("haloy", &mut haloyd(haloy, path, [http, https], api, backend)?)?;
        let haproxy = start("haproxy", pinned(PROXY_CPU, "haproxy").arg("-db").arg("-f").arg(path.join("haproxy.cfg")))?;
        let nginx = start("nginx", &mut nginx(path, "nginx.conf", PROXY_CPU))?;

        let peers = vec![
            Peer { name: "haloy", process: haloyd, http, https },
            Peer { name: "HAProxy", process: haproxy, http: h_http, https: h_https },
            Peer { name: "nginx", process: nginx, http: n_http, https: n_https },
        ];
        let mut field = Self { peers, _backend: server, folder };
        field.wait()?;
        Ok(field)
    }

    fn wait(&mut self) -> Outcome {
        for peer in &mut self.peers {
            let ready = process::wait_until(START_LIMIT, || peer.process.check().is_err() || answers(peer.http));
            if !ready || peer.process.check().is_err() {
                let log = self.folder.path().join(format!("{}.log", peer.name.to_lowercase()));
                let log = fs::read_to_string(log).unwrap_or_default();
                return Err(Failure::new(format!("{} does not pass requests for {HOST} on to the backend\n{log}", peer.name)));
            }
        }
        Ok(())
    }
}

fn answers(port: u16) -> bool {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    stream.and_then(|stream| Line::new(stream, HOST).get("/100")).is_ok_and(|answer| answer.status == 200)
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).attempt(|| format!("write {}", path.display()))
}

/// A program that may use these CPUs only.
fn pinned(cpus: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cpus, program]).env("PATH", command::path_with_sbin());
    command
}

fn nginx(folder: &Path, config: &str, cpus: &str) -> Command {
    let mut command = pinned(cpus, "nginx");
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(folder.join(config));
    command
}

/// haloyd without Docker: it serves its last-known-good table, which we write. One thread, because it sees one CPU.
fn haloyd(haloy: &Path, folder: &Path, [http, https]: [u16; 2], api: u16, backend: u16) -> Outcome<Command> {
    let (config, data) = (folder.join("haloy-config"), folder.join("haloy-data"));
    let directories = |command: &mut Command| {
        command.arg("--config-dir").arg(&config).arg("--data-dir").arg(&data);
    };
    let mut init = Command::new(haloy);
    init.args(["admin", "init", "--local-install"]);
    directories(&mut init);
    command::output(&mut init)?;
    write(&data.join("proxy.json"), &table(backend))?;

    let mut daemon = pinned(PROXY_CPU, &haloy.to_string_lossy());
    daemon.arg("daemon").env("DOCKER_HOST", format!("unix://{}", folder.join("no-docker.sock").display()));
    directories(&mut daemon);
    for (flag, port) in [("--http-addr", http), ("--https-addr", https), ("--api-addr", api)] {
        daemon.arg(flag).arg(format!("127.0.0.1:{port}"));
    }
    Ok(daemon)
}

/// The proxy's table as the daemon keeps it (`proxy::Snapshot`), with one route.
fn table(backend: u16) -> String {
    format!(
        r#"{{"routes":[{{"name":"bench","hosts":["{HOST}"],"path_prefix":"/","policy":{{"redirect_to_https":false,"response_timeout":{{"secs":60,"nanos":0}}}},"groups":[{{"weight":1,"backends":[{{"id":"backend","address":"127.0.0.1:{backend}"}}]}}]}}],"redirects":{{}}}}"#
    )
}

/// A self-signed P-256 certificate, of the kind that haloyd makes for itself.
fn certificate(folder: &Path) -> Outcome {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]);
    openssl.args(["-subj", &format!("/CN={HOST}"), "-addext", &format!("subjectAltName=DNS:{HOST}")]);
    openssl.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("cert.pem"));
    command::output(&mut openssl)?;
    let read = |name: &str| fs::read_to_string(folder.join(name)).attempt(|| format!("read {name}"));
    write(&folder.join("bundle.pem"), &(read("cert.pem")? + &read("key.pem")?))
}

/// What both nginx configurations begin with. Root keeps its rights, or it could not read our folder.
fn nginx_head(folder: &Path, name: &str) -> String {
    let folder = folder.display();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {folder}/{name}-{kind};\n"))
        .collect();
    format!(
        "{user}worker_processes 1;\ndaemon off;\npid {folder}/{name}.pid;\nevents {{ worker_connections 4096; }}\nhttp {{\n{temporary}  \
         tcp_nodelay on;\n  keepalive_timeout 1h;\n  keepalive_requests 1000000000;\n"
    )
}

fn backend_config(folder: &Path, port: u16) -> String {
    let head = nginx_head(folder, "backend");
    let bodies = folder.join("bodies");
    format!(
        "{head}  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  open_file_cache max=16;\n  default_type application/octet-stream;\n  \
         server {{ listen 127.0.0.1:{port} backlog=4096; root {}; }}\n}}\n",
        bodies.display()
    )
}

/// The access log goes to a file, one line per request, in nginx's own format.
fn nginx_config(folder: &Path, [http, https]: [u16; 2], backend: u16) -> String {
    let head = nginx_head(folder, "nginx");
    let path = folder.display();
    format!(
        "{head}  access_log {path}/nginx-access.log combined;\n  upstream app {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}\n  \
         server {{\n    listen 127.0.0.1:{http} backlog=4096;\n    listen 127.0.0.1:{https} ssl http2 backlog=4096;\n    server_name {HOST};\n    \
         ssl_certificate {path}/cert.pem;\n    ssl_certificate_key {path}/key.pem;\n    ssl_protocols TLSv1.2 TLSv1.3;\n    \
         location /nginx-metrics {{ stub_status; }}\n    \
         location / {{\n      proxy_pass http://app;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      proxy_set_header Host $host;\n      \
         proxy_set_header X-Forwarded-For $remote_addr;\n      proxy_set_header X-Forwarded-Proto $scheme;\n      proxy_set_header X-Forwarded-Host $host;\n      \
         proxy_set_header X-Real-IP $remote_addr;\n      proxy_set_header X-Request-ID $request_id;\n      proxy_max_temp_file_size 0;\n    }}\n  }}\n}}\n"
    )
}

/// The access log goes to stdout, which is a file here, in HAProxy's own HTTP format.
fn haproxy_config(folder: &Path, [http, https, metrics]: [u16; 3], backend: u16) -> String {
    let bundle = folder.join("bundle.pem");
    format!(
        "global\n  nbthread 1\n  maxconn 4000\n  log stdout format raw local0\n  ssl-default-bind-options ssl-min-ver TLSv1.2\n\
         defaults\n  mode http\n  log global\n  option httplog\n  option forwardfor\n  http-reuse always\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend metrics\n  bind 127.0.0.1:{metrics}\n  http-request use-service prometheus-exporter\n  no log\n\
         frontend web\n  bind 127.0.0.1:{http} backlog 4096\n  bind 127.0.0.1:{https} ssl crt {} alpn h2,http/1.1 backlog 4096\n  \
         unique-id-format %[uuid()]\n  unique-id-header X-Request-ID\n  http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}\n  \
         http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}\n  http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  \
         http-request set-header X-Real-IP %[src]\n  use_backend app if {{ hdr(host) -i {HOST} }}\n\
         backend app\n  server app 127.0.0.1:{backend}\n",
        bundle.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_json_with_our_backend() {
        let table = table(9000);
        assert!(table.contains(r#""address":"127.0.0.1:9000""#) && table.contains(r#""hosts":["bench.test"]"#), "{table}");
        assert_eq!(table.matches('{').count(), table.matches('}').count());
    }
}
