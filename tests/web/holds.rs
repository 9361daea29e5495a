//! Holds over the API: who is signed in sets and ends them.

use serde_json::{Value, json};

use crate::house::{House, STREAM};

#[test]
fn a_hold_is_set_listed_and_ended_by_who_is_signed_in() {
    let (_house, client, _) = House::claimed();
    let stream = STREAM.to_string();
    let body = json!({"streams": [stream], "from_us": 5, "to_us": 9, "reason": "the fence"});
    let set = client.post("/api/v1/holds", &body);
    assert_eq!(set.status, 200);
    let hold = set.json();
    assert_eq!(hold["streams"], json!([stream]));
    assert_eq!(
        (&hold["until_us"], &hold["written"]),
        (&Value::Null, &json!(true))
    );
    assert!(
        !hold["who"].as_str().unwrap().is_empty(),
        "the name of who asked"
    );
    assert_eq!(client.get("/api/v1/holds").json(), json!([hold]));
    let end = format!("/api/v1/holds/{}/end", hold["id"].as_str().unwrap());
    assert_eq!(client.post(&end, &json!({})).status, 204);
    assert_eq!(client.get("/api/v1/holds").json(), json!([]));
    assert_eq!(client.post(&end, &json!({})).status, 404);
}

#[test]
fn an_end_that_could_not_be_written_is_not_said_to_be_done() {
    let (_house, client, _) = House::claimed();
    let body = json!({"streams": [], "from_us": 5, "to_us": 9, "reason": "for ever"});
    let hold = client.post("/api/v1/holds", &body).json();
    let end = format!("/api/v1/holds/{}/end", hold["id"].as_str().unwrap());
    let ended = client.post(&end, &json!({}));
    assert_eq!(
        (ended.status, ended.code()),
        (503, "not-written".to_owned())
    );
    assert_eq!(client.get("/api/v1/holds").json(), json!([]));
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let (_house, client, _) = House::claimed();
    let ask = |body: Value| {
        let refused = client.post("/api/v1/holds", &body);
        (refused.status, refused.code())
    };
    let mut body = json!({"from_us": 5, "reason": ""});
    assert_eq!(ask(body.clone()), (400, "bad-request".to_owned()));
    body["reason"] = json!("why");
    body["streams"] = json!(["00".repeat(16)]);
    assert_eq!(
        ask(body.clone()),
        (404, "not-found".to_owned()),
        "no such stream"
    );
    body["streams"] = json!([]);
    body["who"] = json!("somebody else");
    assert_eq!(ask(body).0, 400, "who it is follows from the session");
}
