//! What is left of segments that a disk failed to take: of few the file stays, since the next start may find footage in it all the same.
//! In a fault that lasts they would fill the disk, in no budget.

use std::collections::HashMap;
use std::io;

use super::inspect::Place;
use super::writer::Segment;
use super::{Shared, layout};
use crate::limits::FAILED_FILES_MAX;

/// By disk, how many files are left of segments that were poisoned before anything of them had become durable.
#[derive(Default)]
pub(super) struct Failed(HashMap<u16, u32>);

impl Failed {
    /// Another one. Where its disk has enough of them, its file is removed; where the disk does not let it go the next start looks at it.
    pub(super) fn take(&mut self, shared: &Shared, segment: &Segment) {
        let place = Place::of_new(&segment.new);
        let is_known = shared.catalog.find(&place.stream, &place.segment);
        let Some(disk) = shared.slots.disk(segment.disk) else {
            return;
        };
        let (patient, path) = (disk.patient(), place.path());
        let opened = patient.open_read(&path).map_err(|error| error.kind());
        let is_left = !matches!(opened, Err(io::ErrorKind::NotFound));
        if !is_left || !matches!(is_known, Ok(None)) {
            return;
        }
        let left = self.0.entry(segment.disk).or_default();
        if *left < FAILED_FILES_MAX {
            *left += 1;
            return;
        }
        let removed = match patient.remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            // Else it would be back after a power cut, and its number given twice.
            removed => removed.and_then(|()| {
                patient.sync_folder(&layout::epoch_folder(&place.stream, &place.epoch))
            }),
        };
        if let Err(error) = removed {
            let path = disk.path.join(path);
            tracing::warn!(path = %path.display(), "what was written of a poisoned segment may stay until the next start: {error}");
        }
    }
}
