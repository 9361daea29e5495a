//! Brings the catalog to the times that the newest anchor of the clock says: bucket by bucket, the last first, to the beginning of
//! the boot; all of it, where the log told of earlier boots. What a crash interrupts is begun again at the next start.

use std::collections::BTreeSet;
use std::io;

use hearthkeep_format::StreamId;
use hearthkeep_format::segment::Start;

use super::catalog::{CatalogError, Entry};
use super::inspect::{Place, start_of};
use super::{MountedDisk, Shared, layout};
use crate::disk::{Front, is_no_answer};

/// What is still to be looked at.
pub(super) struct Reanchoring {
    streams: Vec<StreamId>,
    /// Of the last of these, the buckets that are left; `None` before it was begun.
    buckets: Option<Vec<u64>>,
    moved: u64,
    /// Whether some of it is on a disk that is away, or the catalog did not take it: that is looked at when the disk is back, and at
    /// the next start.
    is_incomplete: bool,
    /// Disks that did not answer: what is on them is looked at once they do.
    silent: BTreeSet<u16>,
}

impl Reanchoring {
    /// Begins, where the catalog does not follow the newest anchor yet.
    pub(super) fn begin(shared: &Shared) -> Option<Self> {
        (!shared.anchors.is_settled()).then(|| Self {
            streams: shared.catalog.streams(),
            buckets: None,
            moved: 0,
            is_incomplete: false,
            silent: BTreeSet::new(),
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
            if !self.is_incomplete && self.silent.is_empty() {
                let is_durable = shared.catalog.why_in_memory().is_none();
                shared.anchors.settled(is_durable);
            }
            return false;
        };
        let buckets = &mut self.buckets;
        let buckets = buckets.get_or_insert_with(|| shared.catalog.buckets(&stream));
        let is_more = match buckets.pop() {
            Some(bucket) => self
                .one_of(shared, &stream, bucket)
                .unwrap_or_else(|error| {
                    tracing::error!("{}", super::Error::Catalog(error));
                    self.is_incomplete = true;
                    false
                }),
            None => false,
        };
        if !is_more {
            self.streams.pop();
            self.buckets = None;
        }
        true
    }

    /// Whether the catalog knows any time better by it.
    pub(super) fn has_moved(&self) -> bool {
        self.moved > 0
    }

    /// The disks that did not answer.
    pub(super) fn silent(self) -> BTreeSet<u16> {
        self.silent
    }

    /// Whether segments before these may be to be moved too.
    fn one_of(
        &mut self,
        shared: &Shared,
        stream: &StreamId,
        bucket: u64,
    ) -> Result<bool, CatalogError> {
        let catalog = &shared.catalog;
        let (mut moved, mut is_beyond) = (Vec::new(), false);
        for entry in catalog.in_bucket(stream, bucket)? {
            let Some(disk) = shared.slots.disk(entry.disk) else {
                self.is_incomplete = true;
                continue;
            };
            let start = match start_block(shared, &disk, &entry) {
                Ok(Some(start)) => start,
                // One that cannot be read stays where it is, and says nothing of the others.
                Ok(None) => continue,
                Err(error) => {
                    if is_no_answer(&error) {
                        self.silent.insert(entry.disk);
                    }
                    continue;
                }
            };
            is_beyond |= !shared.anchors.concerns(start.boot);
            let dated = entry.at(&shared.anchors.corrected(&start));
            if dated != entry {
                moved.push(dated);
            }
        }
        self.moved += moved.len() as u64;
        if !moved.is_empty() {
            catalog.insert(&moved)?;
            catalog.flush()?;
        }
        Ok(!is_beyond)
    }
}

fn start_block(shared: &Shared, disk: &MountedDisk, entry: &Entry) -> io::Result<Option<Start>> {
    let path = layout::segment_path(&entry.stream, &entry.epoch, &entry.segment);
    let file = disk.patient().open_read(&path).and_then(Front::whole)?;
    start_of(&file, &Place::of(entry), &shared.store, &*shared.keys)
}
