//! Where settings come from: flags, then haloyd.yaml, then the environment's directories.

use std::net::TcpListener;

use crate::program::has;
use crate::site::{Haloyd, SOON, Site};

fn output(command: &mut std::process::Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

#[test]
fn the_file_holds_where_no_flag_is_given() {
    let site = Site::new();
    let (in_file, by_flag) = (free_port(), free_port());
    site.write(
        "config/haloyd.yaml",
        format!(
            "http_addr: \"127.0.0.1:{in_file}\"\nhttps_addr: \"127.0.0.1:0\"\napi_addr: \"127.0.0.1:0\"\naccess_log: false\ndebug: true\n"
        ),
    );
    let mut command = site.bare();
    command.arg("--config-dir").arg(site.config()).arg("--data-dir").arg(site.data());
    let haloyd = Haloyd::start(&mut command);
    assert_eq!(haloyd.http.port(), in_file);
    assert_eq!(haloyd.get("x.example", "/").status, 404);
    haloyd.stops();
    assert!(!site.data().join("logs/access.log").exists(), "access_log: false");

    command.args(["--http-addr", &format!("127.0.0.1:{by_flag}")]);
    let haloyd = Haloyd::start(&mut command);
    assert_eq!(haloyd.http.port(), by_flag, "the flag wins over the file");
    haloyd.stops();
}

#[test]
fn the_directories_come_from_the_environment_unless_a_flag_names_them() {
    let site = Site::new();
    let addresses = ["--http-addr", "127.0.0.1:0", "--https-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0"];
    let mut command = site.bare();
    command.args(addresses).env("HALOY_CONFIG_DIR", site.path().join("ec")).env("HALOY_DATA_DIR", site.path().join("ed"));
    Haloyd::start(&mut command).stops();
    assert!(site.path().join("ec/age_identity.txt").exists() && site.path().join("ed/db/haloy.db").exists());

    command.arg("--data-dir").arg(site.path().join("fd"));
    Haloyd::start(&mut command).stops();
    assert!(site.path().join("fd/db/haloy.db").exists() && !site.config().exists());
}

#[test]
fn nobody_else_may_read_what_it_keeps() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new();
    let haloyd = site.start();
    let mode = |name: &str| {
        std::fs::metadata(site.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode() & 0o777
    };
    for name in ["config", "data", "data/db", "data/cert-storage"] {
        assert_eq!(mode(name), 0o700, "{name}");
    }
    for name in ["config/age_identity.txt", "data/cert-storage/default.pem", "data/api.sock"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    haloyd.stops();
}

#[test]
fn help_and_misuse_name_the_program_as_typed() {
    let site = Site::new();
    for (name, words, program) in [
        ("haloyd", &[][..], "haloyd"),
        ("/opt/bin/haloyd", &[], "haloyd"),
        ("haloy", &["daemon"], "haloy daemon"),
        ("haloy-1.2.0-linux-amd64", &["daemon"], "haloy-1.2.0-linux-amd64 daemon"),
    ] {
        let (code, stdout, stderr) = output(site.program(name).args(words).arg("--help"));
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        has(
            &stdout,
            &[&format!("Usage: {program} [OPTIONS]"), "--config-dir", "--data-dir", "--http-addr", "--https-addr", "--api-addr", "--debug"],
        );

        let (code, stdout, _) = output(site.program(name).args(words).arg("--version"));
        assert_eq!((code, stdout), (Some(0), format!("{program} {}\n", env!("CARGO_PKG_VERSION"))));

        for wrong in [
            &["--nonsense"][..],
            &["word"],
            &["--http-addr"],
            &["--http-addr", "nonsense"],
            &["--http-addr", "127.0.0.1:70000"],
            &["--workers", "-1"],
        ] {
            let (code, stdout, stderr) = output(site.program(name).args(words).args(wrong));
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{wrong:?}: {stderr}");
            has(&stderr, &["error: ", "For more information, try '--help'."]);
            assert!(!stderr.contains("Usage: ") || stderr.contains(&format!("Usage: {program} ")), "{stderr}");
        }
    }
    assert!(!site.config().exists() && !site.data().exists(), "nothing was made");
}

#[test]
fn it_starts_fast() {
    let site = Site::new();
    site.start().stops();
    let begin = std::time::Instant::now();
    site.start().stops();
    assert!(begin.elapsed() < SOON / 3, "{:?}", begin.elapsed());
}
