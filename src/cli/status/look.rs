//! What lies on the disks, by a look of this process where no recorder tells. A drive that does not answer is told as such.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hearthkeep_format::StreamId;

use super::DiskStatus;
use super::report::KeptReport;
use crate::cli::local::open_disk;
use crate::cli::store::shared_keys;
use crate::config::{self, Config};
use crate::disk::{Disk, Lane, Patience, RealDisk, is_no_answer};
use crate::keys::StateFolder;
use crate::limits::STATUS_LOOK_MS_MAX;
use crate::store::anchors::Anchors;
use crate::store::survey::{Surveyed, survey};
use crate::store::{self, browse, layout};

/// A disk, and what lies on it by stream.
pub(super) struct Looked {
    pub status: DiskStatus,
    surveyed: Vec<Surveyed>,
    lane: Option<Arc<Lane>>,
}

impl Looked {
    /// A disk that is not there, or does not answer, is said; the others are shown.
    pub(super) fn at(configured: &config::Disk) -> Self {
        let path = configured.path.clone();
        let mut looked = Self {
            status: DiskStatus {
                path: path.clone(),
                free_bytes: None,
                footage_bytes: 0,
                room_bytes: None,
                held_bytes: None,
                full_in_days: None,
                error: None,
                slow: None,
                scrub: None,
            },
            surveyed: Vec::new(),
            lane: None,
        };
        let patience = Patience::Each(Duration::from_millis(STATUS_LOOK_MS_MAX));
        let found = Lane::new("look".to_owned(), patience).and_then(|lane| {
            let lane = Arc::new(lane);
            let asked = path.clone();
            let found = lane.call(move || Ok(look(&asked)));
            looked.lane = Some(lane);
            found
        });
        match found {
            Ok((free_bytes, Ok(surveyed))) => {
                looked.status.free_bytes = free_bytes;
                looked.surveyed = surveyed;
            }
            Ok((free_bytes, Err(sentence))) => {
                looked.status.free_bytes = free_bytes;
                looked.status.error = Some(sentence);
            }
            Err(error) if is_no_answer(&error) => {
                looked.status.error = Some(store::Error::NoAnswer { disk: path }.to_string());
            }
            Err(error) => looked.status.error = Some(error.to_string()),
        }
        looked.status.footage_bytes = looked.surveyed.iter().map(|one| one.bytes).sum();
        looked
    }
}

/// What is free on a disk, and what lies on it, or why nobody can tell.
fn look(path: &Path) -> (Option<u64>, Result<Vec<Surveyed>, String>) {
    let disk = match open_disk(path) {
        Ok(disk) => disk,
        Err(failure) => return (None, Err(failure.sentence)),
    };
    let free_bytes = disk.space().ok().map(|space| space.free_bytes);
    let surveyed = match layout::identify(&disk, path) {
        Err(error) => Err(error.to_string()),
        Ok(None) => Err("it is no disk of a store: not mounted, or not used yet".to_owned()),
        Ok(Some(_)) => survey(path).map_err(|error| error.to_string()),
    };
    (free_bytes, surveyed)
}

/// How much there is of a stream.
pub(super) fn kept(
    config: &Config,
    state: &StateFolder,
    stream: &StreamId,
    looked: &[Looked],
) -> KeptReport {
    let mut kept = KeptReport {
        segments: 0,
        bytes: 0,
        newest_us: None,
    };
    let anchors = Anchors::read(&config.state_dir, Anchors::default);
    for disk in looked {
        for one in disk.surveyed.iter().filter(|one| one.stream == *stream) {
            kept.segments += one.segments;
            kept.bytes += one.bytes;
            kept.newest_us = kept
                .newest_us
                .max(newest_end_us(state, &anchors, disk, one));
        }
    }
    kept
}

/// Wall time at which a stream's newest footage on a disk ends, in microseconds.
fn newest_end_us(
    state: &StateFolder,
    anchors: &Anchors,
    disk: &Looked,
    surveyed: &Surveyed,
) -> Option<i64> {
    let (_, place) = surveyed.newest?;
    let (path, store, keys) = (disk.status.path.clone(), state.store(), shared_keys(state));
    let look = move || {
        let disk = RealDisk::open(&path)?;
        let path = layout::segment_path(&place.stream, &place.epoch, &place.segment);
        Ok(browse::look(&disk, &path, &place, &store, &*keys).ok())
    };
    let (facts, _) = disk.lane.as_ref()?.call(look).ok()??;
    let facts = facts.corrected(anchors);
    let start_us = facts.start.wall_us;
    Some(start_us.saturating_add_unsigned(facts.end.duration_us))
}
