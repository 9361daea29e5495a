//! After a start: segments that are on the disks and not in the log, or that lie elsewhere than it says, get their entries, and those
//! that are in the log and on no disk are found. Some of it is done in each turn.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use hearthkeep_format::log::{Record, SegmentClosed};
use hearthkeep_format::{DiskId, SegmentId, StreamId};

use super::ranges::Ranges;
use super::source::Source;
use crate::disk::Disk;
use crate::limits::LOG_REMOVED_MAX;
use crate::store::catalog::{Catalog, Entry};
use crate::store::{SharedKeys, layout};

/// Buckets of the catalog that are looked at in a turn.
const BUCKETS: usize = 8;

/// Sequences of segments that should be there, by stream.
pub(super) type Missing = HashMap<StreamId, HashSet<u64>>;

/// The walk through the catalog, stream by stream.
pub(super) struct Walk {
    streams: Vec<StreamId>,
    at: Option<OfStream>,
    /// What the catalog does not have.
    missing: Missing,
}

struct OfStream {
    stream: StreamId,
    buckets: Vec<u64>,
    /// What the log said before the first bucket was read.
    live: Ranges,
    seen: Ranges,
}

/// What a step of a walk came to.
pub(super) enum Step {
    /// These are not in the log, or not where they lie, and there may be more.
    Unlogged(Vec<Entry>),
    /// The walk is over; these should be there and are not in the catalog.
    Over(Missing),
}

impl Walk {
    pub fn new(mut streams: Vec<StreamId>) -> Self {
        streams.sort_unstable();
        streams.dedup();
        Self {
            streams,
            at: None,
            missing: HashMap::new(),
        }
    }

    /// Goes on. `live` says what the log has of a stream, and `lies` whether it has a segment on the disk that the catalog names.
    pub fn step(
        &mut self,
        catalog: &Catalog,
        live: impl Fn(&StreamId) -> Ranges,
        lies: impl Fn(&Entry) -> bool,
    ) -> Step {
        let Some(mut of_it) = self.at.take() else {
            let Some(stream) = self.streams.pop() else {
                return Step::Over(std::mem::take(&mut self.missing));
            };
            self.at = Some(OfStream {
                stream,
                // First what the log says: what is in it is in the catalog by then.
                live: live(&stream),
                buckets: catalog.buckets(&stream),
                seen: Ranges::default(),
            });
            return Step::Unlogged(Vec::new());
        };
        let mut unlogged = Vec::new();
        for _ in 0..BUCKETS {
            let Some(number) = of_it.buckets.pop() else {
                self.end(&of_it, &live(&of_it.stream));
                return Step::Unlogged(unlogged);
            };
            // One that cannot be read is doubted by the catalog itself; nothing is said of this stream then.
            let Ok(entries) = catalog.in_bucket(&of_it.stream, number) else {
                return Step::Unlogged(unlogged);
            };
            for entry in entries {
                of_it.seen.insert(entry.sequence);
                let is_logged = of_it.live.contains(entry.sequence) && lies(&entry);
                if !is_logged && !entry.torn && !entry.tombstone {
                    unlogged.push(entry);
                }
            }
        }
        self.at = Some(of_it);
        Step::Unlogged(unlogged)
    }

    fn end(&mut self, of_it: &OfStream, live_now: &Ranges) {
        let missing = of_it.live.without(&of_it.seen, LOG_REMOVED_MAX);
        // What was deleted meanwhile is in neither.
        let missing: HashSet<u64> = missing
            .into_iter()
            .filter(|sequence| live_now.contains(*sequence))
            .collect();
        if !missing.is_empty() {
            self.missing.insert(of_it.stream, missing);
        }
    }
}

/// The search in the logs for what is missing, piece by piece.
pub(super) struct Search {
    missing: Missing,
    sources: std::vec::IntoIter<Source>,
    at: Option<Source>,
    keys: SharedKeys,
    found: HashMap<SegmentId, SegmentClosed>,
    /// Whether something could not be read, which may say that they were deleted.
    is_doubtful: bool,
}

impl Search {
    pub fn new(missing: Missing, sources: Vec<Source>, keys: SharedKeys) -> Self {
        Self {
            missing,
            sources: sources.into_iter(),
            at: None,
            keys,
            found: HashMap::new(),
            is_doubtful: false,
        }
    }

    /// Reads on; true at the end.
    pub fn step(&mut self) -> bool {
        let Some(mut source) = self.at.take() else {
            self.at = self.sources.next();
            return self.at.is_none();
        };
        let Ok(piece) = source.next(&*self.keys) else {
            self.is_doubtful = true;
            return false;
        };
        if piece.is_empty() {
            return false;
        }
        for stamped in piece {
            match stamped.map(|stamped| stamped.record) {
                Some(Record::SegmentClosed(closed)) => {
                    let of_it = self.missing.get(&closed.stream);
                    if of_it.is_some_and(|missing| missing.contains(&closed.sequence)) {
                        self.found.insert(closed.segment, closed);
                    }
                }
                Some(Record::Deleted(deleted)) => {
                    for deleted in deleted.segments {
                        self.found.remove(&deleted.segment);
                    }
                }
                Some(_) => {}
                None => self.is_doubtful = true,
            }
        }
        self.at = Some(source);
        false
    }

    /// Of what was found, that which is not on its disk although that is there.
    pub fn removed(
        self,
        disks: &[(DiskId, Arc<dyn Disk>)],
    ) -> HashMap<StreamId, Vec<SegmentClosed>> {
        let mut removed: HashMap<_, Vec<_>> = HashMap::new();
        if self.is_doubtful {
            return removed;
        }
        for closed in self.found.into_values() {
            let path = layout::segment_path(&closed.stream, &closed.epoch, &closed.segment);
            let is_on = |disk: &dyn Disk| !is_absent(disk, &path);
            let Some((_, disk)) = disks.iter().find(|(id, _)| *id == closed.disk) else {
                continue;
            };
            let elsewhere = || disks.iter().any(|(_, disk)| is_on(&**disk));
            if is_absent(&**disk, &path) && !elsewhere() {
                removed.entry(closed.stream).or_default().push(closed);
            }
        }
        for of_stream in removed.values_mut() {
            of_stream.sort_by_key(|closed| (closed.start_us, closed.sequence));
        }
        removed
    }
}

fn is_absent(disk: &dyn Disk, path: &Path) -> bool {
    let opened = disk.open_read(path);
    opened.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
