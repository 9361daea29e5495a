//! When each place tells of a gap: the timeline that the API gives to the page, the metrics, and the log.

#![allow(dead_code, clippy::unwrap_used)]

use crate::installation::Installation;
use crate::rows::{now_us, was_told_in_time};
use crate::viewer::Visit;

const PLACES: [&str; 3] = ["the timeline", "the metrics", "the log"];

/// A gap that is looked for.
pub struct ToldGap {
    camera: String,
    stream: String,
    cause: &'static str,
    /// How much the log had said before.
    log_bytes: usize,
    /// When each of [`PLACES`] told of it first, us.
    told_us: [Option<i64>; 3],
}

impl ToldGap {
    /// One of that camera, with that id of its stream, whose cause none of its gaps had before.
    pub fn new(
        installation: &Installation,
        camera: &str,
        stream: &str,
        cause: &'static str,
    ) -> Self {
        Self {
            camera: camera.to_owned(),
            stream: stream.to_owned(),
            cause,
            log_bytes: installation.log().len(),
            told_us: [None; 3],
        }
    }

    /// One of each of these cameras, with their streams' ids.
    pub fn of_all(
        installation: &Installation,
        cameras: &[String],
        streams: &[String],
        cause: &'static str,
    ) -> Vec<Self> {
        let all = cameras.iter().zip(streams);
        all.map(|(camera, stream)| Self::new(installation, camera, stream, cause))
            .collect()
    }

    /// Looks wherever it was not told yet. True once it is told everywhere.
    pub fn is_told(&mut self, installation: &Installation, visit: &Visit) -> bool {
        let (camera, cause) = (&self.camera, self.cause);
        let sample = format!("{{camera=\"{camera}\",feed=\"main\",cause=\"{cause}\"}}");
        let timeline = || {
            let gaps = visit.timeline(&self.stream)["gaps"].clone();
            gaps.as_array()
                .unwrap()
                .iter()
                .any(|gap| gap["cause"] == cause)
        };
        let metrics = || {
            let metrics = visit.client().get("/metrics").body;
            String::from_utf8_lossy(&metrics).contains(&sample)
        };
        let log = || {
            let log = installation.log();
            let mut lines = log[self.log_bytes..].lines();
            let of_it = |line: &str| line.contains(camera) || line.contains(&self.stream);
            lines.any(|line| of_it(line) && line.contains(cause))
        };
        let looks: [&dyn Fn() -> bool; 3] = [&timeline, &metrics, &log];
        for (told, look) in self.told_us.iter_mut().zip(looks) {
            if told.is_none() && look() {
                *told = Some(now_us());
            }
        }
        self.told_us.iter().all(Option::is_some)
    }

    /// The same of several.
    pub fn are_told(gaps: &mut [Self], installation: &Installation, visit: &Visit) -> bool {
        let untold = gaps.iter_mut().filter_map(|gap| {
            let is_told = gap.is_told(installation, visit);
            (!is_told).then_some(())
        });
        untold.count() == 0
    }

    /// It began then, and was told everywhere soon enough.
    pub fn was_in_time(&self, begun_us: i64) {
        for (place, told_us) in PLACES.iter().zip(self.told_us) {
            let what = format!("{} ({}): {place}", self.camera, self.cause);
            was_told_in_time(&what, begun_us, told_us.unwrap());
        }
    }
}
