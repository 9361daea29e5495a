//! What monitors read: who may, and that every line is of the format.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;

use crate::house::House;

#[test]
fn a_monitor_reads_the_metrics_and_nothing_else() {
    let (mut house, client, _) = House::claimed();
    let token = || {
        let path = house.folder.path().join("metrics.token");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    };
    let first = token();
    let bearer = format!("Bearer {first}");
    let with = |client: &crate::client::Client, path: &str, shown: &str| {
        client.get_with(path, &[("Authorization", shown)]).status
    };
    assert_eq!(with(&house.client, "/metrics", &bearer), 200);
    assert_eq!(client.get("/metrics").status, 200, "signed in");
    for wrong in [
        first.as_str(),
        "Bearer ",
        "Bearer",
        &bearer[..bearer.len() - 1],
        &format!("{bearer}x"),
        &format!("Basic {first}"),
    ] {
        assert_eq!(with(&house.client, "/metrics", wrong), 401, "{wrong}");
    }
    for path in [
        "/api/v1/streams",
        "/api/v1/status",
        "/api/v1/keyring",
        "/metrics/x",
    ] {
        assert_eq!(with(&house.client, path, &bearer), 401, "{path}");
    }
    let posted = house
        .client
        .post_with("/metrics", &[("Authorization", &bearer)], b"");
    assert_eq!(posted.status, 401);
    house.restart();
    assert_eq!(with(&house.client, "/metrics", &bearer), 200, "it stays");
}

#[test]
fn every_line_is_of_the_format() {
    let (_house, client, _) = House::claimed();
    let answer = client.get("/metrics");
    let kind = answer.header("Content-Type").unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let samples = parsed(&text);
    let camera = r#"camera="<img src=x onerror=alert(1)>",feed="main""#;
    let value = |name: &str| samples.get(name).copied();
    for (name, expected) in [
        (
            format!("hearthkeep_stream_state{{{camera},state=\"recording\"}}"),
            1.0,
        ),
        (
            format!("hearthkeep_stream_state{{{camera},state=\"failed\"}}"),
            0.0,
        ),
        (format!("hearthkeep_stream_gap_open{{{camera}}}"), 1.0),
        (
            format!("hearthkeep_stream_gap_open_seconds{{{camera},cause=\"camera-lost\"}}"),
            2.5,
        ),
        (
            format!("hearthkeep_stream_gap_seconds_total{{{camera},cause=\"camera-lost\"}}"),
            12.5,
        ),
        (
            format!("hearthkeep_stream_durable_age_seconds{{{camera}}}"),
            3.25,
        ),
        (
            format!("hearthkeep_stream_queued_bytes{{{camera}}}"),
            4_096.0,
        ),
        (
            r#"hearthkeep_disk_failed{path="/srv/a \"disk\""}"#.to_owned(),
            1.0,
        ),
        (
            r#"hearthkeep_disk_fsync_p99_seconds{path="/srv/a \"disk\""}"#.to_owned(),
            0.125,
        ),
        (
            r#"hearthkeep_disk_full_in_days{path="/srv/a \"disk\""}"#.to_owned(),
            1.5,
        ),
        (
            r#"hearthkeep_disk_scrub_read_bytes_total{path="/srv/a \"disk\""}"#.to_owned(),
            7_000.0,
        ),
        (
            r#"hearthkeep_disk_scrub_damaged_segments{path="/srv/a \"disk\""}"#.to_owned(),
            3.0,
        ),
        (
            r#"hearthkeep_camera_kept_days{camera="yard"}"#.to_owned(),
            2.5,
        ),
        (
            r#"hearthkeep_camera_keep_days{camera="yard"}"#.to_owned(),
            10.0,
        ),
        (
            r#"hearthkeep_disk_errors_total{path="/srv/a \"disk\"",kind="write"}"#.to_owned(),
            3.0,
        ),
        (
            r#"hearthkeep_disk_errors_total{path="/srv/a \"disk\"",kind="sync"}"#.to_owned(),
            1.0,
        ),
        (
            r#"hearthkeep_disk_log_behind{path="/srv/a \"disk\""}"#.to_owned(),
            1.0,
        ),
        (
            r#"hearthkeep_deleted_segments_total{reason="age"}"#.to_owned(),
            4.0,
        ),
        (
            r#"hearthkeep_deleted_bytes_total{reason="age"}"#.to_owned(),
            4_000.0,
        ),
        ("hearthkeep_holds".to_owned(), 2.0),
        ("hearthkeep_clock_trusted".to_owned(), 1.0),
        ("hearthkeep_catalog_failed".to_owned(), 1.0),
    ] {
        assert_eq!(value(&name), Some(expected), "{name} in {text}");
    }
    assert!(
        !text.contains("hearthkeep_disk_free_bytes{"),
        "the file system did not answer"
    );
    assert!(
        !text.contains("hearthkeep_disk_scrub_finished_timestamp_seconds{"),
        "no round has ended yet"
    );
    assert!(value("process_resident_memory_bytes").unwrap() > 1e6);
    assert!(value("process_cpu_seconds_total").unwrap() > 0.0);
}

/// The samples by name and labels. Fails where a line is none of the format's, stands apart from its family, or comes twice.
fn parsed(text: &str) -> HashMap<String, f64> {
    assert!(text.ends_with('\n'));
    let (mut family, mut seen, mut samples) = ("", Vec::new(), HashMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split_once(' ').unwrap().0;
            assert!(!seen.contains(&family), "{family} comes twice");
            seen.push(family);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["gauge", "counter"].contains(&kind));
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            assert_eq!(name, family, "{line}");
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            let before = samples.insert(sample.to_owned(), value.parse().unwrap());
            assert!(before.is_none(), "{sample} comes twice");
        }
    }
    samples
}
