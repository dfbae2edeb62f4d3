//! The report of a failed job: everything that the server saw, in the order in which one looks.

use std::fmt::Write as _;

use crate::wire::{ContainerReport, Failure};

/// `what` is the job in words; `logs` the command that shows more, the hint when the server has none.
pub fn report(what: &str, failure: &Failure, logs: &str) -> String {
    let mut text = format!("error: {what} failed: {}\n", failure.reason);
    if let Some(container) = &failure.container {
        text.push_str(&describe(container));
    }
    let more = || format!("run `{logs}` for the whole log");
    let hint = failure.hint.clone().or_else(|| failure.container.as_ref().map(|_| more()));
    if let Some(hint) = hint {
        let _ = writeln!(text, "\nhint: {hint}");
    }
    text
}

fn describe(container: &ContainerReport) -> String {
    let mut text = String::new();
    let mut fact = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<13} {value}");
    };
    fact("container", &container.name);
    fact("state", &state(container));
    if container.restarts > 0 {
        fact("restarts", &container.restarts.to_string());
    }
    // One that has ended listens nowhere: that would say nothing.
    if container.exit_code.is_none() || !container.listening_ports.is_empty() {
        fact("listens on", &ports(&container.listening_ports));
    }
    if let Some(probe) = &container.probe {
        fact("health check", &format!("{} → {}", probe.target, probe.answer));
    }
    match container.log_tail.as_slice() {
        [] => fact("log", "empty"),
        lines => {
            fact("last lines", "");
            text = text.trim_end().to_owned() + "\n";
            lines.iter().for_each(|line| {
                let _ = writeln!(text, "    {line}");
            });
        }
    }
    text
}

fn state(container: &ContainerReport) -> String {
    let memory = if container.out_of_memory { ", killed because it was out of memory" } else { "" };
    match container.exit_code {
        Some(code) => format!("exited with code {code}{}{memory}", signal(code)),
        None => format!("running{memory}"),
    }
}

/// A code above 128 says which signal ended the process.
fn signal(code: i64) -> &'static str {
    match code {
        134 => " (SIGABRT)",
        137 => " (SIGKILL)",
        139 => " (SIGSEGV)",
        143 => " (SIGTERM)",
        _ => "",
    }
}

fn ports(ports: &[u16]) -> String {
    if ports.is_empty() {
        return "no TCP port".to_owned();
    }
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    format!("TCP port {}", ports.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ProbeReport;

    #[test]
    fn all_that_was_seen_is_said() {
        let failure = Failure {
            reason: "replica 1 did not become healthy within 120 s".to_owned(),
            hint: Some("set `port: 3000`".to_owned()),
            container: Some(ContainerReport {
                name: "shop-20261121093000-1".to_owned(),
                exit_code: Some(137),
                out_of_memory: true,
                restarts: 2,
                listening_ports: vec![3000, 9229],
                probe: Some(ProbeReport { target: "GET http://172.18.0.5:8080/".to_owned(), answer: "connection refused".to_owned() }),
                log_tail: vec!["listening on 3000".to_owned(), "killed".to_owned()],
            }),
        };
        let expected = "\
error: deployment of `shop` failed: replica 1 did not become healthy within 120 s
  container     shop-20261121093000-1
  state         exited with code 137 (SIGKILL), killed because it was out of memory
  restarts      2
  listens on    TCP port 3000, 9229
  health check  GET http://172.18.0.5:8080/ → connection refused
  last lines
    listening on 3000
    killed

hint: set `port: 3000`
";
        assert_eq!(report("deployment of `shop`", &failure, "haloy logs"), expected);
    }

    #[test]
    fn what_was_not_seen_is_left_out() {
        let container = ContainerReport {
            name: "shop-1".to_owned(),
            exit_code: None,
            out_of_memory: false,
            restarts: 0,
            listening_ports: vec![],
            probe: None,
            log_tail: vec![],
        };
        let failure = Failure { reason: "no answer".to_owned(), hint: None, container: Some(container) };
        let expected = "error: restart of `shop` failed: no answer\n  container     shop-1\n  state         running\n  \
                        listens on    no TCP port\n  log           empty\n\nhint: run `haloy logs` for the whole log\n";
        assert_eq!(report("restart of `shop`", &failure, "haloy logs"), expected);
        let bare = Failure { reason: "the image is missing".to_owned(), hint: None, container: None };
        assert_eq!(report("deployment of `shop`", &bare, "haloy logs"), "error: deployment of `shop` failed: the image is missing\n");
    }
}
