//! Who is let in, from where, and what every answer carries.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hearthkeep::web::Api;
use hearthkeep_format::StreamId;
use serde_json::json;
use utoipa::OpenApi;

use crate::house::{House, SEGMENT, STREAM};

#[test]
fn every_route_without_a_session_answers_401_but_the_public_ones() {
    let (house, client, _) = House::claimed();
    let document = serde_json::to_value(Api::openapi()).unwrap();
    assert_eq!(client.get("/api/v1/openapi.json").json(), document);
    let (mut public, mut refused) = (Vec::new(), 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{stream}", &STREAM.to_string())
            .replace("{segment}", &SEGMENT.to_string())
            .replace("{disk}", &STREAM.to_string());
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
            let ask = |client: &crate::client::Client| match method.as_str() {
                "POST" => client.post(&path, &json!({})),
                method => client.request(method, &path, &[], b""),
            };
            let stranger = ask(&house.client);
            if is_public {
                assert_ne!(stranger.status, 401, "{method} {path}");
                public.push(path.clone());
            } else {
                assert_eq!(
                    (stranger.status, stranger.code().as_str()),
                    (401, "signed-out"),
                    "{method} {path}"
                );
                assert!(stranger.header("Set-Cookie").is_none());
                if path != "/api/v1/sign-out" {
                    assert_ne!(ask(&client).status, 401, "{method} {path}");
                }
                refused += 1;
            }
        }
    }
    public.sort();
    let expected = [
        "/",
        "/api/v1/claim",
        "/api/v1/sign-in",
        "/api/v1/sign-in/parameters",
        "/api/v1/state",
        "/ca.crt",
    ];
    assert_eq!(public, expected);
    assert!(refused >= 10, "{refused}");
}

#[test]
fn what_does_not_exist_is_not_told_to_strangers() {
    let (house, client, _) = House::claimed();
    let paths = [
        "/api/v1/nothing",
        "/api",
        "/.env",
        "/index.php",
        "/api/v2/streams",
        "/api/v1/streams/",
        "//api/v1/streams",
    ];
    for path in paths {
        assert_eq!(house.client.get(path).status, 401, "{path}");
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    for method in ["DELETE", "PUT", "OPTIONS", "TRACE", "HEAD", "POST"] {
        assert_eq!(
            house
                .client
                .request(method, "/api/v1/streams", &[], b"")
                .status,
            401,
            "{method}"
        );
        assert_eq!(
            client.request(method, "/api/v1/streams", &[], b"").status,
            405,
            "{method}"
        );
    }
    assert_eq!(
        client
            .get(&format!("/api/v1/segments/{STREAM}/{STREAM}"))
            .status,
        404
    );
    assert_eq!(
        client
            .get(&format!("/api/v1/live/{}", StreamId::from_bytes([1; 16])))
            .status,
        404
    );
}

#[test]
fn the_page_can_be_asked_for_its_heads() {
    let (house, _, _) = House::claimed();
    let page = house.client.get("/");
    let head = house.client.request("HEAD", "/", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("Content-Type"), page.header("Content-Type"));
    assert_eq!(house.client.request("DELETE", "/", &[], b"").status, 401);
}

#[test]
fn no_path_leads_out_of_the_page_or_the_footage() {
    let (house, client, _) = House::claimed();
    let id = STREAM.to_string();
    let paths = [
        "/../Cargo.toml".to_owned(),
        "/..%2f..%2fCargo.toml".to_owned(),
        "/%2e%2e/Cargo.toml".to_owned(),
        "/assets/../../../Cargo.toml".to_owned(),
        "//etc/passwd".to_owned(),
        format!("/api/v1/segments/{id}/..%2f..%2fmachine.key"),
        "/api/v1/segments/..%2f..%2f..%2fetc/passwd".to_owned(),
        format!("/api/v1/segments/{id}/{id}%00"),
        format!("/api/v1/streams/../../{id}/timeline?from=0&to=1"),
    ];
    for path in paths {
        assert_eq!(house.client.get(&path).status, 401, "{path}");
        let answer = client.get(&path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.len() < 500, "{path}");
    }
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let (house, client, _) = House::claimed();
    let path = format!("/api/v1/live/{STREAM}");
    let port = client.host().rsplit_once(':').unwrap().1.to_owned();
    for host in [
        "evil.example",
        "evil.example:8443",
        "127.0.0.1.evil.example",
        "",
        "8.8.8.8",
        "user@127.0.0.1",
    ] {
        for path in ["/", "/api/v1/state", "/api/v1/streams", "/ca.crt"] {
            let answer = client.get_with(path, &[("Host", host)]);
            // An empty or broken host may be refused by the HTTP parser already.
            assert!(
                [400, 421].contains(&answer.status),
                "{host} {path}: {answer:?}"
            );
        }
        if !host.is_empty() && !host.contains('@') {
            assert_eq!(
                client.upgrade(&path, &[("Host", host)]).0.status,
                421,
                "{host}"
            );
        }
    }
    for host in [
        format!("localhost:{port}"),
        "LOCALHOST".to_owned(),
        "127.0.0.1".to_owned(),
    ] {
        assert_eq!(
            client
                .get_with("/api/v1/streams", &[("Host", &host)])
                .status,
            200,
            "{host}"
        );
    }

    let own = format!("https://{}", client.host());
    let refused = [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", &own.replace("https", "http")),
        ("Origin", &own[..own.len() - 1]),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ];
    for header in refused {
        for (path, body) in [
            ("/api/v1/sign-out", json!({})),
            ("/api/v1/sign-in/parameters", json!({"name": "owner"})),
        ] {
            let answer = client.post_with(path, &[header], body.to_string().as_bytes());
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "foreign-origin"),
                "{header:?} {path}"
            );
        }
        assert_eq!(
            client.get_with("/api/v1/streams", &[header]).status,
            403,
            "{header:?}"
        );
        assert_eq!(client.upgrade(&path, &[header]).0.status, 403, "{header:?}");
    }
    for header in [
        ("Origin", own.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Site", "none"),
    ] {
        let body = json!({"name": "owner"}).to_string();
        assert_eq!(
            client
                .post_with("/api/v1/sign-in/parameters", &[header], body.as_bytes())
                .status,
            200,
            "{header:?}"
        );
        assert_eq!(client.upgrade(&path, &[header]).0.status, 101, "{header:?}");
    }
    let link = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
    ];
    assert_eq!(
        house.client.get_with("/", &link).status,
        200,
        "a link from elsewhere"
    );
    assert_eq!(client.get_with("/api/v1/streams", &link).status, 403);
}

#[test]
fn every_answer_carries_the_rules_for_browsers() {
    let (house, client, _) = House::claimed();
    let segment = format!("/api/v1/segments/{STREAM}/{SEGMENT}");
    let answers = [
        house.client.get("/"),
        house.client.get("/api/v1/state"),
        house.client.get("/api/v1/streams"),
        house.client.get_with("/", &[("Host", "evil.example")]),
        client.get("/api/v1/streams"),
        client.get("/nothing"),
        client.get(&segment),
    ];
    for answer in answers {
        let policy = answer.header("Content-Security-Policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval';",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(
            !policy.contains("unsafe-inline")
                && !policy.contains("'unsafe-eval'")
                && !policy.contains('*')
        );
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"));
        assert_eq!(
            answer.header("Cross-Origin-Opener-Policy"),
            Some("same-origin")
        );
        assert_eq!(
            answer.header("Cross-Origin-Resource-Policy"),
            Some("same-origin")
        );
        assert!(answer.header("Access-Control-Allow-Origin").is_none());
        assert!(answer.header("Strict-Transport-Security").is_none());
        assert!(answer.header("Cache-Control").is_some());
    }
    assert_eq!(
        client.get("/api/v1/streams").header("Cache-Control"),
        Some("no-store")
    );
}

#[test]
fn bodies_are_bounded_and_never_repeated() {
    let house = House::new();
    let post = |body: &[u8]| house.client.post_with("/api/v1/sign-in", &[], body);
    let long = json!({"name": "x".repeat(70_000), "auth": ""}).to_string();
    assert_eq!(
        (
            post(long.as_bytes()).status,
            post(long.as_bytes()).code().as_str()
        ),
        (413, "too-large")
    );
    let chunk = format!("{:x}\r\n{}\r\n", 9_000, "x".repeat(9_000)).repeat(9) + "0\r\n\r\n";
    let headers = [
        ("Content-Type", "application/json"),
        ("Transfer-Encoding", "chunked"),
    ];
    assert_eq!(
        house
            .client
            .request("POST", "/api/v1/sign-in", &headers, chunk.as_bytes())
            .status,
        413
    );
    for body in [
        "",
        "{",
        "[]",
        "{\"name\": \"canary-secret\"}",
        "{\"name\": 1, \"auth\": \"canary-secret\"}",
        "\"canary-secret\"",
    ] {
        let answer = post(body.as_bytes());
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad-request"),
            "{body}"
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
    }
    let auth = json!({"name": "owner", "auth": "canary-secret"}).to_string();
    assert_eq!(post(auth.as_bytes()).status, 400);
    let plain = [("Content-Type", "text/plain"), ("Content-Length", "2")];
    assert_eq!(
        house
            .client
            .request("POST", "/api/v1/sign-in", &plain, b"{}")
            .status,
        400
    );
}

#[test]
fn plain_http_gets_nothing() {
    let house = House::new();
    let mut socket = TcpStream::connect(house.client.host()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(
        !answer.starts_with(b"HTTP") && answer.len() < 16,
        "{answer:?}"
    );
}

#[test]
fn who_dribbles_a_request_is_cut_off() {
    let house = House::new();
    let began = Instant::now();
    let mut stream = house.client.connect();
    stream
        .write_all(b"GET /api/v1/state HTTP/1.1\r\nHost: loc")
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(
        began.elapsed() < Duration::from_secs(16),
        "{:?}",
        began.elapsed()
    );
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(house.client.get("/api/v1/state").status, 200);
}

#[test]
fn the_authority_and_the_page_are_for_everybody() {
    let house = House::new();
    let answer = house.client.get("/ca.crt");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, house.tls.authority().unwrap().to_vec());
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/x-x509-ca-cert")
    );
    assert_eq!(house.client.get("/").status, 200);
}
