//! What of the streams is durable, as a viewer is told.

use std::time::Duration;

use super::installation::{Installation, Running, await_condition};
use super::rows::{end_us, text};
use super::viewer::{Viewer, Visit};

const LONG: Duration = Duration::from_secs(60);

/// The streams' ids, once all of them are recorded.
pub fn ids(visit: &Visit) -> Vec<String> {
    let streams = visit.until_all_record(LONG);
    streams.iter().map(|stream| text(stream, "id")).collect()
}

/// The owner at a box, and the streams' ids once all of them are recorded.
pub fn visited(installation: &Installation, recorder: &mut Running<'_>) -> (Visit, Vec<String>) {
    let visit = Viewer::new(installation, recorder).visit(recorder);
    let ids = ids(&visit);
    (visit, ids)
}

/// Wall time to which a stream is durable; 0 before anything is.
pub fn durable_us(visit: &Visit, stream: &str) -> i64 {
    let timeline = visit.timeline(stream);
    let segments = timeline["segments"].as_array().unwrap();
    segments.iter().map(end_us).max().unwrap_or(0)
}

/// Whether all of these streams are durable beyond a wall time.
pub fn are_durable(visit: &Visit, ids: &[String], wall_us: i64) -> bool {
    ids.iter().all(|id| durable_us(visit, id) > wall_us)
}

/// Waits until they are.
pub fn until_durable(visit: &Visit, ids: &[String], wall_us: i64) {
    await_condition("all are durable", LONG, || are_durable(visit, ids, wall_us));
}
