//! What is handed out: streams, timelines, and sealed bytes by range.

use crate::house::{House, SEGMENT, STREAM};
use serde_json::json;

#[test]
fn ranges_of_a_segment() {
    let (house, client, _) = House::claimed();
    let (path, bytes) = (
        format!("/api/v1/segments/{STREAM}/{SEGMENT}"),
        &house.footage.segment,
    );
    let whole = client.get(&path);
    assert_eq!((whole.status, &whole.body), (200, bytes));
    assert_eq!(whole.header("Accept-Ranges"), Some("bytes"));
    assert_eq!(
        whole.header("Cache-Control"),
        Some("private, max-age=31536000, immutable")
    );
    assert_eq!(whole.header("Vary"), Some("Cookie"));
    assert_eq!(
        whole.header("Content-Type"),
        Some("application/octet-stream")
    );

    let cases = [
        ("bytes=0-0", 0..1),
        ("bytes=100-299999", 100..300_000),
        ("bytes=999000-", 999_000..1_000_000),
        ("bytes=-5", 999_995..1_000_000),
    ];
    for (range, expected) in cases {
        let part = client.get_with(&path, &[("Range", range)]);
        assert_eq!(part.status, 206, "{range}");
        assert!(part.body == bytes[expected.clone()], "{range}");
        let content_range = format!("bytes {}-{}/1000000", expected.start, expected.end - 1);
        assert_eq!(part.header("Content-Range"), Some(content_range.as_str()));
        assert_eq!(
            part.header("Content-Length"),
            Some(expected.len().to_string().as_str())
        );
    }
    let beyond = client.get_with(&path, &[("Range", "bytes=1000000-")]);
    assert_eq!(
        (beyond.status, beyond.header("Content-Range")),
        (416, Some("bytes */1000000"))
    );
    for range in ["bytes=0-1,4-5", "bytes=9-3", "lines=1-2"] {
        assert_eq!(
            client.get_with(&path, &[("Range", range)]).status,
            200,
            "{range}"
        );
    }
    let tag = whole.header("ETag").unwrap();
    let part = |tag: &str| {
        client
            .get_with(&path, &[("Range", "bytes=0-9"), ("If-Range", tag)])
            .status
    };
    assert_eq!((part(tag), part("\"other\"")), (206, 200));

    *house.footage.open.lock().unwrap() = true;
    let open = client.get_with(&path, &[("Range", "bytes=0-9")]);
    assert_eq!(
        (
            open.status,
            open.header("Cache-Control"),
            open.header("ETag")
        ),
        (206, Some("no-store"), None)
    );
}

#[test]
fn streams_timelines_and_indexes() {
    let (_house, client, _) = House::claimed();
    let streams = client.get("/api/v1/streams").json();
    assert_eq!(streams[0]["id"], json!(STREAM.to_string()));
    assert_eq!(
        (&streams[0]["state"], &streams[0]["error"]),
        (&json!("recording"), &json!(null))
    );

    let timeline = |query: &str| client.get(&format!("/api/v1/streams/{STREAM}/timeline{query}"));
    let answer = timeline("?from=1000&to=2000");
    assert_eq!(answer.json()["gaps"][0]["end_us"], json!(2000));
    // What comes next is told, however far off it is: one question leads over a gap.
    let next = &answer.json()["next"];
    assert_eq!(
        (&next["id"], &next["start_us"]),
        (
            &json!(SEGMENT.to_string()),
            &json!(2000 + 9 * 86_400_000_000i64)
        )
    );
    let month = 33i64 * 86_400_000_000;
    for query in [
        "",
        "?from=1",
        "?from=2&to=1",
        "?from=1&to=1",
        "?from=a&to=b",
        &format!("?from=0&to={month}"),
        "?from=-9223372036854775808&to=9223372036854775807",
    ] {
        let answer = timeline(query);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "bad-request"),
            "{query}"
        );
    }
    assert_eq!(
        client
            .get(&format!("/api/v1/streams/{SEGMENT}/timeline?from=0&to=1"))
            .status,
        404
    );

    let fault = timeline("?from=13&to=14");
    assert_eq!((fault.status, fault.code().as_str()), (500, "internal"));
    assert!(
        !String::from_utf8_lossy(&fault.body).contains("secret-path"),
        "faults are told to the log only"
    );

    let index = client
        .get(&format!("/api/v1/segments/{STREAM}/{SEGMENT}/index"))
        .json();
    let chunk = json!({"k": 1, "offset": 700, "bytes": 300, "start_us": 0, "duration_us": 500_000, "key": true});
    assert_eq!(
        index,
        json!({"head_bytes": 700, "chunks": [chunk], "open": false})
    );
}

#[test]
fn the_box_says_that_it_is_locked_and_who_it_is() {
    let (house, client, _) = House::claimed();
    let status = client.get("/api/v1/status").json();
    assert_eq!(
        (&status["state"], &status["fingerprint"]),
        (&json!("locked"), &json!(house.tls.fingerprint()))
    );
    assert!(status["disks"].is_array());
}
