//! The counters as Prometheus text (exposition format 0.0.4).

use std::fmt::Write as _;

use super::counters::{BackendCounters, Count, LATENCY_BOUNDS, Registry, RouteCounters, VERSIONS, WorkerCounters};

/// The label of requests that reached no route.
const UNROUTED: &str = "-";

pub(super) fn render(registry: &Registry) -> String {
    let mut text = String::with_capacity(4096);
    workers(&mut text, &registry.workers);
    let named = registry.routes();
    let unrouted = registry.workers.iter().map(|worker| &worker.unrouted).collect();
    let mut rows: Vec<(String, Vec<&RouteCounters>)> = vec![(UNROUTED.to_owned(), unrouted)];
    rows.extend(named.iter().map(|(name, counters)| (escaped(name), counters.iter().collect())));
    routes(&mut text, &rows);
    backends(&mut text, registry);
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sum<T>(of: impl IntoIterator<Item = T>, pick: impl Fn(T) -> u64) -> u64 {
    of.into_iter().map(pick).sum()
}

fn workers(text: &mut String, workers: &[WorkerCounters]) {
    type Row = (&'static str, &'static str, &'static str, fn(&WorkerCounters) -> &Count);
    let rows: [Row; 5] = [
        ("haloy_proxy_connections_total", "counter", "Client connections accepted.", |w| &w.connections),
        ("haloy_proxy_connections_open", "gauge", "Client connections open now.", |w| &w.connections_open),
        ("haloy_proxy_tls_handshakes_failed_total", "counter", "TLS handshakes that failed.", |w| &w.handshakes_failed),
        ("haloy_proxy_malformed_requests_total", "counter", "Requests refused because they can be read in two ways.", |w| &w.malformed),
        ("haloy_proxy_access_log_dropped_total", "counter", "Access log lines dropped because the disk was behind.", |w| {
            &w.log_lines_dropped
        }),
    ];
    for (name, kind, help, pick) in rows {
        head(text, name, kind, help);
        let _ = writeln!(text, "{name} {}", sum(workers, |w| pick(w).get()));
    }
}

fn routes(text: &mut String, rows: &[(String, Vec<&RouteCounters>)]) {
    head(text, "haloy_proxy_requests_total", "counter", "Requests finished, by route, status class and HTTP version.");
    for (name, counters) in rows {
        for (version, label) in VERSIONS.iter().enumerate() {
            for class in 0..5 {
                let requests = sum(counters, |c| c.requests[version][class].get());
                if requests > 0 {
                    let status = class + 1;
                    let _ = writeln!(
                        text,
                        "haloy_proxy_requests_total{{route=\"{name}\",status=\"{status}xx\",version=\"{label}\"}} {requests}"
                    );
                }
            }
        }
    }
    type Row = (&'static str, &'static str, &'static str, fn(&RouteCounters) -> &Count);
    let plain: [Row; 3] = [
        ("haloy_proxy_requests_in_flight", "gauge", "Requests and tunnels in flight.", |c| &c.in_flight),
        ("haloy_proxy_request_bytes_total", "counter", "Bytes of request bodies, and of tunnels towards the app.", |c| &c.bytes_in),
        ("haloy_proxy_response_bytes_total", "counter", "Bytes of response bodies, and of tunnels towards the client.", |c| &c.bytes_out),
    ];
    for (metric, kind, help, pick) in plain {
        head(text, metric, kind, help);
        for (name, counters) in rows {
            let _ = writeln!(text, "{metric}{{route=\"{name}\"}} {}", sum(counters, |c| pick(c).get()));
        }
    }
    latency(text, rows);
}

fn latency(text: &mut String, rows: &[(String, Vec<&RouteCounters>)]) {
    const NAME: &str = "haloy_proxy_request_duration_seconds";
    head(text, NAME, "histogram", "From a request's head to the end of its response.");
    for (name, counters) in rows {
        let mut total = 0;
        for (bucket, bound) in LATENCY_BOUNDS.iter().map(|us| (*us as f64 / 1e6).to_string()).chain(["+Inf".to_owned()]).enumerate() {
            total += sum(counters, |c| c.latency[bucket].get());
            let _ = writeln!(text, "{NAME}_bucket{{route=\"{name}\",le=\"{bound}\"}} {total}");
        }
        let seconds = sum(counters, |c| c.latency_sum.get()) as f64 / 1e6;
        let _ = writeln!(text, "{NAME}_sum{{route=\"{name}\"}} {seconds}\n{NAME}_count{{route=\"{name}\"}} {total}");
    }
}

fn backends(text: &mut String, registry: &Registry) {
    type Row = (&'static str, &'static str, &'static str, fn(&BackendCounters) -> &Count);
    let rows: [Row; 5] = [
        ("haloy_proxy_backend_in_flight", "gauge", "Requests and tunnels in flight, by backend.", |b| &b.in_flight),
        ("haloy_proxy_backend_connects_total", "counter", "Connections opened to the backend.", |b| &b.connects),
        ("haloy_proxy_backend_errors_total", "counter", "Connects and exchanges with the backend that failed.", |b| &b.errors),
        ("haloy_proxy_backend_retries_total", "counter", "Requests sent anew after this backend failed them.", |b| &b.retries),
        ("haloy_proxy_backend_ejections_total", "counter", "Times the backend was left out for a while.", |b| &b.ejections),
    ];
    for (metric, kind, help, pick) in rows {
        head(text, metric, kind, help);
        registry.each_backend(|id, counters| {
            let _ = writeln!(text, "{metric}{{backend=\"{}\"}} {}", escaped(&id.0), sum(counters, |c| pick(c).get()));
        });
    }
}

/// A label's value: backslash, quote and line feed are escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}
