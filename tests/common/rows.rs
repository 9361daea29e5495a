//! What `list --json` says, row by row.

#![allow(dead_code, clippy::unwrap_used)]

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// The segments with pictures of a stream, the first one first.
pub fn of_stream<'a>(list: &'a Value, stream: &str) -> Vec<&'a Value> {
    let rows = list.as_array().unwrap().iter();
    let of_it = rows.filter(|row| row["stream"] == stream || row["camera"] == stream);
    let mut rows: Vec<_> = of_it.filter(|row| number(row, "duration_us") > 0).collect();
    rows.sort_by_key(|row| number(row, "sequence"));
    rows
}

pub fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap().to_owned()
}

pub fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap()
}

pub fn start_us(row: &Value) -> i64 {
    row["start_us"].as_i64().unwrap()
}

pub fn end_us(row: &Value) -> i64 {
    start_us(row) + row["duration_us"].as_i64().unwrap()
}

/// Why there was a gap before a segment.
pub fn cause(row: &Value) -> Option<&str> {
    row["gap_before"]["cause"].as_str()
}

pub fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_micros() as i64
}

/// From a gap's begin until it is told, wherever one may look.
const TOLD_US_MAX: i64 = 10_000_000;

/// A gap that began then was told soon enough, in that place at that time.
pub fn was_told_in_time(place: &str, begun_us: i64, told_us: i64) {
    let after_us = told_us - begun_us;
    let seconds = after_us as f64 / 1e6;
    println!("{place} told of the gap {seconds:.1} s after it began");
    assert!(after_us <= TOLD_US_MAX, "{place}: after {seconds:.1} s");
}
