//! Signing in and out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::passphrase::{self, Params};
use serde_json::{Value, json};

use crate::house::{House, PASSPHRASE, SEGMENT, STREAM};

fn wrong(name: &str) -> Value {
    json!({"name": name, "auth": BASE64.encode([0; 32])})
}

#[test]
fn a_client_that_knows_the_passphrase_gets_its_identity() {
    let (house, before, _) = House::claimed();
    let parameters = house
        .client
        .post("/api/v1/sign-in/parameters", &json!({"name": "owner"}))
        .json();
    let number = |key: &str| parameters[key].as_u64().unwrap() as u32;
    let params = Params {
        memory_kib: number("memory_kib"),
        passes: number("passes"),
        lanes: number("lanes"),
    };
    let salt = BASE64
        .decode(parameters["salt"].as_str().unwrap())
        .unwrap()
        .try_into()
        .unwrap();
    let derived = passphrase::derive(PASSPHRASE, &salt, params).unwrap();
    let answer = before.post(
        "/api/v1/sign-in",
        &json!({"name": "owner", "auth": BASE64.encode(*derived.auth)}),
    );
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(
        (&body["name"], &body["salt"]),
        (&json!("owner"), &parameters["salt"])
    );
    let sealed = BASE64
        .decode(body["sealed_identity"].as_str().unwrap())
        .unwrap();
    derived.open_identity(&sealed, "owner").unwrap();
    let after = house.client.signed_in(&answer.cookie());
    assert_ne!(after.cookie, before.cookie, "a new session at each sign-in");
    assert_eq!(after.get("/api/v1/session").status, 200);
    assert_eq!(
        before.get("/api/v1/session").status,
        401,
        "and the old one is over"
    );
}

#[test]
fn a_state_folder_that_cannot_be_written_keeps_nobody_out() {
    let (house, before, kept) = House::claimed();
    // What is written beside the file to replace it: no one can write there, not even root.
    let beside = house.folder.path().join(".people.sealed.new");
    std::fs::create_dir(&beside).unwrap();
    let answer = before.post(
        "/api/v1/sign-in",
        &json!({"name": kept["name"], "auth": kept["auth"]}),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let after = house.client.signed_in(&answer.cookie());
    assert_eq!(after.get("/api/v1/session").status, 200);
    assert_eq!(before.get("/api/v1/session").status, 401);
    std::fs::remove_dir(&beside).unwrap();
}

#[test]
fn wrong_and_unknown_are_told_alike() {
    let (mut house, _, _) = House::claimed();
    let ask = |house: &House, name: &str| {
        house
            .client
            .post("/api/v1/sign-in/parameters", &json!({"name": name}))
            .json()
    };
    let unknown = ask(&house, "nobody");
    assert_eq!(unknown["memory_kib"], ask(&house, "owner")["memory_kib"]);
    let answers =
        ["owner", "nobody"].map(|name| house.client.post("/api/v1/sign-in", &wrong(name)));
    for answer in &answers {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "wrong-sign-in")
        );
        assert_eq!(answer.body, answers[0].body);
        assert!(answer.header("Set-Cookie").is_none());
    }
    house.restart();
    assert_eq!(
        ask(&house, "nobody"),
        unknown,
        "the same salt after a restart"
    );
    assert_ne!(ask(&house, "somebody")["salt"], unknown["salt"]);
    assert_eq!(
        house
            .client
            .post(
                "/api/v1/sign-in/parameters",
                &json!({"name": "x".repeat(65)})
            )
            .status,
        400
    );
}

#[test]
fn guessing_is_throttled_across_a_restart() {
    let (mut house, client, kept) = House::claimed();
    for _ in 0..5 {
        assert_eq!(
            house.client.post("/api/v1/sign-in", &wrong("owner")).status,
            401
        );
    }
    house.restart();
    let right = json!({"name": "owner", "auth": kept["auth"]});
    let refused = house.client.post("/api/v1/sign-in", &right);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "throttled")
    );
    assert_eq!(refused.header("Retry-After"), Some("60"));
    let signed_in = house.client.signed_in(client.cookie.as_deref().unwrap());
    assert_eq!(
        signed_in.get("/api/v1/session").status,
        200,
        "who is signed in stays so"
    );
    house.clock.advance_us(60_000_000);
    for _ in 0..7 {
        assert_eq!(
            house.client.post("/api/v1/sign-in", &right).status,
            200,
            "the right one does not count"
        );
    }
}

#[test]
fn signing_out_ends_copied_addresses() {
    let (mut house, client, _) = House::claimed();
    let segment = format!("/api/v1/segments/{STREAM}/{SEGMENT}");
    assert_eq!(client.get(&segment).status, 200);
    let answer = client.post("/api/v1/sign-out", &json!({}));
    assert_eq!(answer.status, 204);
    assert!(answer.header("Set-Cookie").unwrap().contains("Max-Age=0"));
    for path in [
        segment.as_str(),
        "/api/v1/session",
        &format!("/api/v1/live/{STREAM}"),
    ] {
        assert_eq!(client.get(path).status, 401, "{path}");
    }
    house.restart();
    let copied = house.client.signed_in(client.cookie.as_deref().unwrap());
    assert_eq!(copied.get(&segment).status, 401, "after a restart too");
}

#[test]
fn a_session_is_only_what_the_box_gave() {
    let (house, client, _) = House::claimed();
    let cookie = client.cookie.clone().unwrap();
    let (name, token) = cookie.split_once('=').unwrap();
    let flipped = format!(
        "{}{}",
        if token.starts_with('A') { 'B' } else { 'A' },
        &token[1..]
    );
    let wrong = [
        format!("{name}={flipped}"),
        format!("{name}="),
        name.to_owned(),
        format!("hearthkeep={token}"),
        format!("{name}={token}x"),
        format!("{name}=x; {name}={token}"),
    ];
    for cookie in wrong {
        assert_eq!(
            house
                .client
                .signed_in(&cookie)
                .get("/api/v1/session")
                .status,
            401,
            "{cookie}"
        );
    }
    let path = format!("/api/v1/session?{cookie}");
    assert_eq!(
        house.client.get(&path).status,
        401,
        "a token in an address is worth nothing"
    );
    house.clock.advance_us(u32::MAX);
    (0..700).for_each(|_| house.clock.advance_us(3_600_000_000));
    assert_eq!(client.get("/api/v1/session").status, 200, "after 29 days");
    (0..721).for_each(|_| house.clock.advance_us(3_600_000_000));
    assert_eq!(
        client.get("/api/v1/session").status,
        401,
        "after 30 days without use"
    );
}
