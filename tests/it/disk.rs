//! A full disk: changes are refused with the reason, traffic flows, nothing is half written, and with
//! space again it goes on without a restart. The data directory is a small tmpfs of the daemon's own.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use crate::daemon::deploy_body;
use crate::program::has;
use crate::recorder::Recorder;
use crate::site::{End, Haloyd, Site, eventually, route};

struct Small {
    site: Site,
    haloyd: Haloyd,
    token: String,
    _backend: Recorder,
}

impl Small {
    fn start() -> Self {
        let (site, backend) = (Site::new(), Recorder::start());
        site.routes(&[route("plain.example", backend.address, false)]);
        fs::rename(site.data(), site.path().join("seed")).expect("move");
        fs::create_dir(site.data()).expect("create");
        let token = site.token();
        let data = site.data().display().to_string();
        let script = format!("mount -t tmpfs -o size=8m tmpfs '{data}'; cp '{}/seed/proxy.json' '{data}'", site.path().display());
        let haloyd = Haloyd::start(&mut site.haloyd_after(&script));
        Self { site, haloyd, token, _backend: backend }
    }

    /// The data directory as the daemon sees it.
    fn data(&self) -> PathBuf {
        let data = self.site.data();
        PathBuf::from(format!("/proc/{}/root{}", self.haloyd.pid(), data.display()))
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let mut file = fs::File::create(self.data().join("filler")).expect("create");
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.data().join("filler")).expect("remove");
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("list").flatten() {
                let path = entry.path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> crate::site::Answer {
        self.haloyd.ask(method, path, Some(&self.token), body)
    }

    fn apps(&self) -> Vec<String> {
        let listed = self.ask("GET", "/v1/apps", "").json();
        let names = listed.as_array().expect("a list").iter().map(|app| app["name"].as_str().expect("a name").to_owned());
        names.collect()
    }

    /// `haloy deploy` as a person runs it.
    fn deploy(&self) -> std::process::Output {
        let address = self.haloyd.api;
        self.site.write(
            "project/haloy.yaml",
            "name: shop\nimage: shop:1\nserver: SERVER\ndomains:\n  - domain: shop.example\n".replace("SERVER", &address.to_string()),
        );
        let mut command = self.site.program("haloy");
        command.env("HALOY_CONFIG_DIR", self.site.path().join("client")).env("HALOY_API_TOKEN", &self.token);
        let added = command.args(["server", "add", &address.to_string(), &self.token, "--force"]).output().expect("runs");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let mut command = self.site.program("haloy");
        command.env("HALOY_CONFIG_DIR", self.site.path().join("client")).current_dir(self.site.path().join("project"));
        command.args(["deploy", "--detach"]).output().expect("runs")
    }
}

#[test]
fn changes_are_refused_traffic_flows_and_space_mends_it() {
    let small = Small::start();
    assert_eq!(small.haloyd.get("plain.example", "/").status, 200);
    small.fill();

    // Small writes may still fit into pages that the database has: the disk is full when it says so.
    let refusal = (0..200)
        .map(|n| {
            small.ask("POST", &format!("/v1/apps/fill{n}/deploy"), &deploy_body(&format!("fill{n}"), "shop:1", &format!("fill{n}.example")))
        })
        .find(|answer| answer.status != 202)
        .expect("the disk is full at some time");
    assert_eq!(refusal.status, 507, "{refusal:?}");
    let problem = refusal.json();
    assert!(problem["title"].as_str().is_some_and(|title| title.contains("the server's disk is full")), "{problem}");
    assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("docker system df")), "{problem}");

    let output = small.deploy();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    has(&stderr, &["error: ", "disk is full", "hint: ", "docker system df"]);

    // Nothing is half there: no app of that name, no leftover of a write.
    assert_eq!(small.ask("GET", "/v1/apps/shop", "").status, 404);
    let leftovers: Vec<_> = small.files().into_iter().filter(|path| path.to_string_lossy().ends_with(".tmp")).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");

    // Reading works, and traffic flows, although its log cannot be written.
    assert_eq!(small.ask("GET", "/v1/apps", "").status, 200);
    for _ in 0..500 {
        assert_eq!(small.haloyd.get("plain.example", "/full").status, 200);
    }
    small.haloyd.says("the access log cannot be written");
    let accepted = small.apps();

    small.free();
    let output = small.deploy();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(small.ask("GET", "/v1/apps/shop", "").status, 200);
    let apps = small.apps();
    assert!(accepted.iter().all(|app| apps.contains(app)), "what was accepted before is gone: {accepted:?} {apps:?}");
    assert_eq!(small.haloyd.get("plain.example", "/again").status, 200);
    let log = || fs::read_to_string(small.data().join("logs/access.log")).expect("read");
    eventually(true, || log().contains("/again"));
    for line in log().lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "a torn line stayed in the access log: {line}");
    }
    assert!(small.haloyd.log().lines().count() < 60, "it says so, and not once for each request:\n{}", small.haloyd.log());
    small.haloyd.stops();
}

/// The disk has room for a part of the content; 512 MiB of it are everything else's.
#[test]
fn an_upload_that_fills_the_disk_is_refused_and_leaves_room() {
    let site = Site::new();
    fs::create_dir_all(site.data()).expect("create");
    let token = site.token();
    let data = site.data().display().to_string();
    let haloyd = Haloyd::start(&mut site.haloyd_after(&format!("mount -t tmpfs -o size=560m tmpfs '{data}'")));
    let ask = |method: &str, path: &str, body: &str| haloyd.ask(method, path, Some(&token), body);
    let begun = ask("POST", "/v2/shop/blobs/uploads/", "");
    let location = |answer: &crate::site::Answer| {
        let line = answer.head.lines().find_map(|line| line.strip_prefix("location: ")).expect("a location");
        line.to_owned()
    };
    let path = location(&begun);
    let piece = "x".repeat(8 << 20);
    let refused = (0..20).map(|_| ask("PATCH", &path, &piece)).find(|answer| answer.status != 202).expect("no room at some time");
    assert_eq!(refused.status, 507, "{refused:?}");
    let message = refused.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
    has(&message, &["no room", "haloy prune"]);
    // What arrived is given up, and there is room again.
    assert_eq!(ask("GET", &path, "").status, 404);
    let uploads = PathBuf::from(format!("/proc/{}/root{data}/blobs/uploads", haloyd.pid()));
    assert_eq!(fs::read_dir(uploads).expect("list").count(), 0);
    let path = location(&ask("POST", "/v2/shop/blobs/uploads/", ""));
    assert_eq!(ask("PATCH", &path, &piece).status, 202);
    assert_eq!(ask("DELETE", &path, "").status, 204);

    let room = ask("POST", "/v1/room", r#"{"bytes": 1000000000}"#);
    assert_eq!(room.status, 507, "{room:?}");
    let problem = room.json();
    has(problem["title"].as_str().unwrap_or_default(), &["no room on the server", "1.5 GB are needed", "MB are free"]);
    assert_eq!((&problem["code"], problem["hint"].is_string()), (&"no_room".into(), true));
    assert_eq!(ask("POST", "/v1/room", r#"{"bytes": 1000000}"#).status, 200);
    haloyd.stops();
}

#[test]
fn a_daemon_that_starts_on_a_full_disk_says_so() {
    let site = Site::new();
    fs::create_dir_all(site.data()).expect("create");
    let data = site.data().display().to_string();
    let script = format!("mount -t tmpfs -o size=256k tmpfs '{data}'; dd if=/dev/zero of='{data}/filler' 2>/dev/null || true");
    let End { code, log } = Haloyd::spawn(site.haloyd_after(&script)).ends();
    assert_eq!(code, Some(1), "{log}");
    has(&log, &["error: could not", "caused by: ", "hint: "]);
    assert!(log.contains("full") || log.contains("No space left"), "{log}");
    assert!(!log.contains("panicked") && !log.contains("haloyd serves"), "{log}");
}
