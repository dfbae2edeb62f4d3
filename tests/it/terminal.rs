//! What only a person at a terminal sees: colour, moving progress, questions.

use crate::deploy::home;
use crate::fake_api::{Answer, End, FakeApi, TOKEN, accepted, phase};
use crate::program::{Home, binary, has};
use crate::terminal_support::OnTerminal;

const STOP: &str = "POST /v1/apps/shop/stop";
const EVENTS: &str = "GET /v1/jobs/7/events";

fn start(home: &Home, args: &[&str]) -> OnTerminal {
    OnTerminal::start(home.command(binary()).args(args))
}

fn done() -> Answer {
    Answer::Events(vec![phase(1, 0, "preparing"), phase(2, 1200, "checking"), phase(3, 1500, "done")], End::Close)
}

#[test]
fn progress_moves_and_leaves_a_line_for_each_phase() {
    let api = FakeApi::start();
    api.on("POST /v1/apps/shop/deploy", [accepted(7, 0)]).on(EVENTS, [done()]);
    let (code, screen) = start(&home(&api, ""), &["deploy"]).end();
    has(
        &screen,
        &[
            "\u{1b}[32m✓\u{1b}[0m preparing image, network and volumes \u{1b}[2m1.2 s",
            "✓\u{1b}[0m checking health \u{1b}[2m0.3 s",
            "`shop` is deployed",
        ],
    );
    assert_eq!(code, Some(0));
}

#[test]
fn ci_and_no_color_are_honoured_on_a_terminal() {
    let api = FakeApi::start();
    api.on("POST /v1/apps/shop/deploy", [accepted(7, 0)]).on(EVENTS, [done()]);
    let home = home(&api, "");
    let mut command = home.command(binary());
    let (code, screen) = OnTerminal::start(command.arg("deploy").env("CI", "true").env("NO_COLOR", "1")).end();
    has(&screen, &["0.0 s  preparing image", "1.2 s  checking health", "✓ `shop` is deployed"]);
    assert!(!screen.contains('\u{1b}'), "{screen:?}");
    assert_eq!(code, Some(0));
    let mut command = home.command(binary());
    let (_, screen) = OnTerminal::start(command.arg("deploy").env("NO_COLOR", "1")).end();
    has(&screen, &["✓ preparing image, network and volumes 1.2 s", "✓ `shop` is deployed"]);
    assert!(!screen.contains("\u{1b}[32m") && !screen.contains("\u{1b}[2m"), "{screen:?}");
}

#[test]
fn data_is_removed_only_after_its_name_was_typed() {
    let api = FakeApi::start();
    api.on(STOP, [accepted(7, 0)]).on(EVENTS, [done()]);
    let home = home(&api, "");
    for (typed, code) in [("yes\n", 1), ("\n", 1), ("shop\n", 0)] {
        let mut stop = start(&home, &["stop", "--remove-volumes"]);
        stop.shows("Type the app's name to go on:");
        assert!(api.received_on(STOP).is_empty());
        stop.types(typed);
        let (ended, screen) = stop.end();
        assert_eq!(ended, Some(code), "{typed:?}: {screen}");
        assert_eq!(screen.contains("error: not confirmed, nothing was changed"), code == 1, "{screen}");
    }
    assert_eq!(api.received_on(STOP).len(), 1);
}

#[test]
fn help_is_coloured_on_a_terminal_alone() {
    let home = Home::new();
    let (code, screen) = start(&home, &["--help"]).end();
    assert!(code == Some(0) && screen.contains('\u{1b}'), "{screen}");
    let (code, screen) = OnTerminal::start(home.command(binary()).arg("--help").env("NO_COLOR", "1")).end();
    assert!(code == Some(0) && !screen.contains('\u{1b}'), "{screen}");
}

#[test]
fn a_token_is_asked_for() {
    let home = Home::new();
    let api = FakeApi::start();
    for more in [&[][..], &["--token-stdin", "--force"]] {
        let mut add = start(&home, &[&["server", "add", &api.address], more].concat());
        add.shows("API token:");
        add.types(&format!("{TOKEN}\n"));
        let (code, screen) = add.end();
        assert_eq!(code, Some(0), "{screen}");
        assert!(!screen.contains(TOKEN), "a token is not shown: {screen}");
    }
    has(&home.read(".config/haloy/.env"), &["HALOY_API_TOKEN_127_0_0_1_", &format!("={TOKEN}\n")]);
}
