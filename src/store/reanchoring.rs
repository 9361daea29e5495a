//! Brings the catalog to the times that the newest anchor of the clock says: segment by segment, the last first, to the beginning of
//! the boot. What a crash interrupts is begun again at the next start.

use hearthkeep_format::StreamId;
use hearthkeep_format::segment::Start;

use super::catalog::{CatalogError, Entry};
use super::inspect::{Place, start_of};
use super::{Shared, layout};
use crate::disk::Front;
use crate::limits::REANCHORED_AT_ONCE;

/// What is still to be looked at.
pub(super) struct Reanchoring {
    streams: Vec<StreamId>,
    /// Of the last of these, the sequence from which on it is done.
    below: u64,
    moved: u64,
}

impl Reanchoring {
    /// Begins, where the catalog does not follow the newest anchor yet.
    pub(super) fn begin(shared: &Shared) -> Option<Self> {
        (!shared.anchors.is_settled()).then(|| Self {
            streams: shared.catalog.streams(),
            below: u64::MAX,
            moved: 0,
        })
    }

    /// Looks at some segments. False when there are no more.
    pub(super) fn turn(&mut self, shared: &Shared) -> bool {
        let Some(stream) = self.streams.last().copied() else {
            if self.moved > 0 {
                tracing::info!(
                    segments = self.moved,
                    "footage was brought to its true time"
                );
            }
            shared.anchors.settled();
            return false;
        };
        let is_more = self.some_of(shared, &stream).unwrap_or_else(|error| {
            tracing::error!("{}", super::Error::Catalog(error));
            false
        });
        if !is_more {
            self.streams.pop();
            self.below = u64::MAX;
        }
        true
    }

    /// Whether more of the stream is to be looked at.
    fn some_of(&mut self, shared: &Shared, stream: &StreamId) -> Result<bool, CatalogError> {
        let catalog = &shared.catalog;
        let some = catalog
            .newest_first(stream, self.below)
            .take(REANCHORED_AT_ONCE);
        let some = some.collect::<Result<Vec<_>, _>>()?;
        let (mut moved, mut is_beyond) = (Vec::new(), some.is_empty());
        for entry in some {
            self.below = entry.sequence;
            // One that cannot be read stays where it is, and says nothing of those before it.
            let Some(start) = start_block(shared, &entry) else {
                continue;
            };
            if Some(start.boot) != shared.anchors.newest_boot() {
                is_beyond = true;
                break;
            }
            let start = shared.anchors.corrected(&start);
            if (start.wall_us, start.clock_trusted) != (entry.start_us, entry.clock_trusted) {
                moved.push(Entry {
                    start_us: start.wall_us,
                    clock_trusted: start.clock_trusted,
                    ..entry
                });
            }
        }
        self.moved += moved.len() as u64;
        catalog.insert(&moved)?;
        catalog.flush()?;
        Ok(!is_beyond)
    }
}

fn start_block(shared: &Shared, entry: &Entry) -> Option<Start> {
    let disk = shared.disk(entry.disk)?;
    let path = layout::segment_path(&entry.stream, &entry.epoch, &entry.segment);
    let file = Front::whole(disk.disk.open_read(&path).ok()?).ok()?;
    let place = Place {
        stream: entry.stream,
        epoch: entry.epoch,
        segment: entry.segment,
    };
    start_of(&file, &place, &shared.store, &*shared.keys)
}
