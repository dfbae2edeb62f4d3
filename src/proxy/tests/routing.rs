//! Hosts, prefixes, redirects, and what backends and clients are told.

use super::super::*;
use super::support::*;

#[test]
fn hosts_and_paths_choose_the_app() {
    let (shop, api, blog) = (App::named("shop"), App::named("api"), App::named("blog"));
    let mut api_route = plain_route("api", "shop.example", &[api.address]);
    api_route.path_prefix = "/api".to_owned();
    let blog_route = plain_route("blog", "blog.example", &[blog.address]);
    let running = Running::start(routes(vec![plain_route("shop", "shop.example", &[shop.address]), api_route, blog_route]));
    for (host, path, app) in [
        ("shop.example", "/", "shop"),
        ("SHOP.example.:8080", "/x", "shop"),
        ("shop.example", "/api?x=1", "api"),
        ("shop.example", "/api/v1", "api"),
        ("shop.example", "/apis", "shop"),
        ("blog.example", "/api", "blog"),
    ] {
        assert_eq!(running.get(host, path).text(), app, "{host}{path}");
    }
    let mut absolute = running.connect();
    absolute.send("GET http://blog.example/a?b HTTP/1.1\r\nHost: blog.example\r\n\r\n");
    assert_eq!((absolute.message().expect("response").text(), blog.last().path()), ("blog".to_owned(), "/a?b"));
    let mut old = running.connect();
    old.send("GET / HTTP/1.0\r\nHost: blog.example\r\n\r\n");
    assert_eq!(old.message().expect("response").first_line, "HTTP/1.0 200 OK");
    assert_eq!(old.rest(), b"", "HTTP/1.0 closes");
    assert_eq!(running.get("unknown.example", "/").status(), 404);
}

#[test]
fn redirects_keep_path_and_query_and_know_the_port() {
    let mut secure = plain_route("shop", "shop.example", &[]);
    secure.policy.redirect_to_https = true;
    let mut snapshot = routes(vec![secure, plain_route("plain", "plain.example", &[])]);
    snapshot.redirects.insert(domain("www.shop.example"), domain("shop.example"));
    snapshot.redirects.insert(domain("www.plain.example"), domain("plain.example"));
    let running = Running::start(snapshot);
    let (http, https) = (running.http.port(), running.https.port());
    let strange = "/a%2Fb//../c;d?x=%20&y=a+b&&z=[1]";
    for (method, host, status, location) in [
        ("GET", "shop.example", 301, format!("https://shop.example:{https}{strange}")),
        ("HEAD", "SHOP.example.:1234", 301, format!("https://shop.example:{https}{strange}")),
        ("POST", "shop.example", 308, format!("https://shop.example:{https}{strange}")),
        ("GET", "www.shop.example", 301, format!("https://shop.example:{https}{strange}")),
        ("PUT", "www.shop.example", 308, format!("https://shop.example:{https}{strange}")),
        ("GET", "www.plain.example", 301, format!("http://plain.example:{http}{strange}")),
    ] {
        let mut client = running.connect();
        client.send(format!("{method} {strange} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.message().expect("response");
        assert_eq!((answer.status(), answer.header("location")), (status, Some(location.as_str())), "{method} {host}");
        assert!(answer.header("x-request-id").is_some());
    }
}

#[test]
fn an_absolute_target_without_a_path_keeps_its_query() {
    // The first connection dies on its second request, which is then sent from the copy.
    let app = App::raw(|mut wire, number| {
        while let Some(request) = wire.message() {
            if number == 0 && request.path() != "/" {
                return;
            }
            wire.send(ok(request.path()));
        }
    });
    let mut snapshot = shop(&[app.address]);
    let mut secure = plain_route("secure", "secure.example", &[]);
    secure.policy.redirect_to_https = true;
    snapshot.routes.push(secure);
    let running = Running::start(snapshot);
    let mut client = running.connect();
    assert_eq!(client.get("shop.example", "/").text(), "/");
    assert_eq!(client.get("shop.example", "http://shop.example?x=1").text(), "/?x=1");
    let answer = client.get("secure.example", "http://secure.example?x=1");
    assert_eq!(answer.header("location"), Some(format!("https://secure.example:{}/?x=1", running.https.port()).as_str()));
}

#[test]
fn the_backend_learns_who_asks_from_us_alone() {
    let app = App::named("shop");
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send(
        "GET / HTTP/1.1\r\nHost: shop.example:8080\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nForwarded: for=6.6.6.6\r\n\
         X-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\
         X-Request-Id: chosen\r\nConnection: keep-alive, x-private\r\nX-Private: 1\r\nKeep-Alive: 300\r\nProxy: http://evil.example\r\nX-Kept: yes\r\n\r\n",
    );
    let answer = client.message().expect("response");
    let seen = app.last();
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example:8080"),
        ("x-forwarded-port", "8080"),
        ("forwarded", "for=127.0.0.1;host=\"shop.example:8080\";proto=http"),
        ("host", "shop.example:8080"),
        ("x-kept", "yes"),
    ] {
        assert_eq!(seen.all(name), [value], "{name}");
    }
    for gone in ["x_forwarded_for", "connection", "x-private", "keep-alive", "proxy"] {
        assert!(seen.all(gone).is_empty(), "{gone}");
    }
    let id = answer.header("x-request-id").expect("an id");
    assert_ne!(id, "chosen");
    assert_eq!(seen.all("x-request-id"), [id]);
    assert_ne!(client.get("shop.example", "/").header("x-request-id"), Some(id));
}

#[test]
fn what_concerns_the_backends_connection_alone_does_not_reach_the_client() {
    let app = App::answering(|_| {
        b"HTTP/1.1 299 Quite OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nServer: app\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
          Content-Length: 0\r\n\r\n"
            .to_vec()
    });
    let running = Running::start(shop(&[app.address]));
    let answer = running.get("shop.example", "/");
    assert_eq!((answer.status(), answer.all("set-cookie"), answer.all("server")), (299, vec!["a=1", "b=2"], vec!["app"]));
    for gone in ["connection", "x-hop", "keep-alive"] {
        assert!(answer.all(gone).is_empty(), "{gone}");
    }
}

#[test]
fn head_and_empty_answers_have_no_body() {
    let app = App::answering(|request| match request.first_line.split(' ').next() {
        Some("HEAD") => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".to_vec(),
        Some("DELETE") => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n".to_vec(),
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.head().expect("head").header("content-length"), Some("10"));
    client.send("DELETE / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    let answer = client.head().expect("head");
    assert_eq!((answer.status(), answer.header("content-length"), answer.header("transfer-encoding")), (204, None, None));
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.head().expect("head").status(), 304);
    client.send("HEAD / HTTP/1.1\r\nHost: unknown.example\r\n\r\n");
    assert_eq!(client.head().expect("head").status(), 404);
    assert_eq!(client.get("unknown.example", "/").status(), 404, "the connection is still in step");
}

#[test]
fn error_pages_speak_to_who_asks() {
    let running = Running::start(shop(&[nobody()]));
    let ask = |host: &str, accept: &str| {
        let mut client = running.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n"));
        client.message().expect("response")
    };
    let plain = ask("unknown.example", "*/*");
    assert_eq!((plain.status(), plain.header("content-type")), (404, Some("text/plain; charset=utf-8")));
    assert!(plain.text().contains("No app is deployed") && plain.text().contains(plain.header("x-request-id").expect("id")));
    let page = ask("shop.example", "text/html,*/*;q=0.8");
    assert_eq!((page.status(), page.header("content-type")), (502, Some("text/html; charset=utf-8")));
    assert!(page.text().starts_with("<!doctype html>") && page.text().contains("could not be reached"));
    let problem = ask("shop.example", "application/json");
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    let value: serde_json::Value = serde_json::from_slice(&problem.body).expect("JSON");
    assert_eq!((value["status"].as_u64(), value["code"].as_str()), (Some(502), Some("backend_unreachable")));
    assert_eq!(value["request_id"].as_str(), problem.header("x-request-id"));
    running.publish(shop(&[]));
    let none = ask("shop.example", "*/*");
    assert_eq!(none.status(), 503);
    assert!(none.text().contains("no running instance"));
}

#[test]
fn the_kept_table_is_read_back_and_a_damaged_one_is_an_error() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("proxy.json");
    assert!(Snapshot::load(&path).expect("none yet").is_none());
    let mut snapshot = shop(&[nobody()]);
    snapshot.redirects.insert(domain("www.shop.example"), domain("shop.example"));
    snapshot.save(&path).expect("save");
    let read = Snapshot::load(&path).expect("load").expect("there");
    assert_eq!((read.routes, read.redirects), (snapshot.routes, snapshot.redirects));
    std::fs::write(&path, "{").expect("damage");
    assert!(matches!(Snapshot::load(&path), Err(ProxyError::Damaged { .. })));
}
