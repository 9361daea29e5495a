//! The claim: one code, one owner.

use std::sync::atomic::Ordering;

use hearthkeep::clock::Clock;
use hearthkeep::keys::StateFolder;
use hearthkeep::store::log::{WaitingAudits, audit};
use hearthkeep_format::log::AuditKind;
use serde_json::json;

use crate::house::House;

#[test]
fn a_claim_makes_the_owner_and_signs_them_in() {
    let house = House::new();
    let state = house.client.get("/api/v1/state").json();
    assert_eq!(
        (&state["claimed"], &state["version"]),
        (&json!(false), &json!(env!("CARGO_PKG_VERSION")))
    );
    let body = house.claim_body("owner");
    let mut wrong = body.clone();
    wrong["code"] = json!("0000-0000-0000-0000");
    let refused = house.client.post("/api/v1/claim", &wrong);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "wrong-code")
    );
    let mut spoilt = body.clone();
    spoilt["statement"] = spoilt["sealed_seed"].clone();
    assert_eq!(house.client.post("/api/v1/claim", &spoilt).status, 400);
    assert_eq!(
        house.client.get("/api/v1/state").json()["claimed"],
        json!(false)
    );

    let answer = house.client.post("/api/v1/claim", &body);
    assert_eq!(
        (answer.status, answer.json()),
        (201, json!({"name": "owner"}))
    );
    let cookie = answer.header("Set-Cookie").unwrap();
    assert!(cookie.starts_with("__Host-hearthkeep="), "{cookie}");
    for attribute in [
        "; Path=/",
        "; Secure",
        "; HttpOnly",
        "; SameSite=Strict",
        "; Max-Age=7776000",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.to_lowercase().contains("domain"));
    let client = house.client.signed_in(&answer.cookie());
    assert_eq!(
        client.get("/api/v1/session").json(),
        json!({"name": "owner"})
    );
    assert_eq!(
        house.client.get("/api/v1/state").json()["claimed"],
        json!(true)
    );
    assert_eq!(house.footage.claimed.load(Ordering::SeqCst), 1);
    let keyring = client.get("/api/v1/keyring").json();
    assert_eq!(keyring["root"], body["verifying_key"]);
    assert!(!house.folder.path().join("claim-code").exists());

    let again = house.client.post("/api/v1/claim", &body);
    assert_eq!(
        (again.status, again.code().as_str()),
        (409, "already-claimed")
    );
    let state = StateFolder::load(house.folder.path()).unwrap();
    assert!(state.sealing().is_ok());
    let waiting = WaitingAudits::new(state.folder(), state.state_key());
    let audits = waiting.read().unwrap();
    let told = audits.iter().map(|told| (told.wall_us, &told.record));
    let claimed = audit(AuditKind::Claimed, "owner", "in the page");
    let expected = [(house.clock.wall_us(), &claimed)];
    assert_eq!(told.collect::<Vec<_>>(), expected, "for the log to come");
}

#[test]
fn two_claims_at_once_make_one_owner() {
    let mut house = House::new();
    let bodies = [house.claim_body("one"), house.claim_body("two")];
    let answers = std::thread::scope(|scope| {
        let client = &house.client;
        let claim = |body| scope.spawn(move || client.post("/api/v1/claim", body));
        let claims: Vec<_> = bodies.iter().map(claim).collect();
        claims
            .into_iter()
            .map(|claim| claim.join().unwrap())
            .collect::<Vec<_>>()
    });
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort();
    assert_eq!(statuses, [201, 409]);
    assert_eq!(house.footage.claimed.load(Ordering::SeqCst), 1);
    house.restart();
    for (body, answer) in bodies.iter().zip(&answers) {
        let sign_in = json!({"name": body["name"], "auth": body["auth"]});
        let expected = if answer.status == 201 { 200 } else { 401 };
        assert_eq!(
            house.client.post("/api/v1/sign-in", &sign_in).status,
            expected
        );
    }
}

#[test]
fn a_code_is_good_for_half_an_hour() {
    let mut house = House::new();
    let body = house.claim_body("owner");
    house.clock.advance_us(1_800_000_000);
    assert_eq!(
        house.client.post("/api/v1/claim", &body).code(),
        "wrong-code"
    );
    house.restart();
    assert_ne!(house.code(), body["code"].as_str().unwrap());
    assert_eq!(
        house.client.post("/api/v1/claim", &body).code(),
        "wrong-code"
    );
    let typed = json!(house.code().to_lowercase().replace('-', " "));
    let mut body = body;
    body["code"] = typed;
    assert_eq!(house.client.post("/api/v1/claim", &body).status, 201);
}

#[test]
fn codes_are_not_to_be_guessed() {
    let mut house = House::new();
    let mut body = house.claim_body("owner");
    let right = body["code"].clone();
    body["code"] = json!("0000-0000-0000-0000");
    for _ in 0..5 {
        assert_eq!(house.client.post("/api/v1/claim", &body).status, 403);
    }
    house.restart();
    body["code"] = right;
    let refused = house.client.post("/api/v1/claim", &body);
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (429, "throttled")
    );
    assert_eq!(refused.header("Retry-After"), Some("60"));
}
