//! `log.deleted.sealed` in the state folder: deletions that the log could not be written for, as on a disk without any room, and what
//! `hearthkeep repair` put out of the way while no recorder ran.
//!
//! They are written here before the files go. Without that, a recorder that ends before the log can be written again would find
//! segments missing that the log has, and say that somebody removed them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hearthkeep_format::log::{Deleted, DeletedSegment, DeletionCause, SegmentClosed};
use hearthkeep_format::{SegmentId, StreamId};
use serde::{Deserialize, Serialize};

use super::DELETED_AT_ONCE;
use super::waiting::{WaitingFile, Waits};
use crate::random::SharedRandom;
use crate::state_file::StateKey;

pub(super) const FILE: &str = "log.deleted.sealed";

/// Where they wait.
pub(super) type Unlogged = WaitingFile<Deleted>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    stream: String,
    cause: u8,
    segments: Vec<(String, u64)>,
}

impl Waits for Deleted {
    const FILE: &'static str = FILE;
    const LACKS: &'static str = "of some footage that was deleted the signed log does not say so";
    type Written = Written;

    fn written(&self) -> io::Result<Written> {
        let segment = |of: &DeletedSegment| (of.segment.to_string(), of.sequence);
        Ok(Written {
            stream: self.stream.to_string(),
            cause: self.cause.as_u8(),
            segments: self.segments.iter().map(segment).collect(),
        })
    }

    fn read(written: &Written) -> Option<Self> {
        let segment = |(id, sequence): &(String, u64)| {
            Some(DeletedSegment {
                segment: SegmentId::from_hex(id)?,
                sequence: *sequence,
            })
        };
        Some(Self {
            stream: StreamId::from_hex(&written.stream)?,
            cause: DeletionCause::from_u8(written.cause)?,
            segments: written
                .segments
                .iter()
                .map(segment)
                .collect::<Option<_>>()?,
        })
    }
}

/// Deletions that the log is still to be told, by the next start or by the recorder that is at work.
///
/// # Errors
/// What is wrong with the file in the state folder.
pub fn unlogged(state_dir: &Path, key: StateKey) -> Result<Vec<Deleted>, String> {
    Unlogged::new(state_dir, key).read()
}

/// Has the log told at the next start that these are gone because they were damaged and put out of the way; durably. To be called
/// before they are, by whoever holds the store's lock, while no store is open.
///
/// # Errors
/// When the state folder cannot be written.
pub fn set_aside(state_dir: &Path, key: StateKey, segments: &[SegmentClosed]) -> io::Result<()> {
    let mut unlogged = Unlogged::new(state_dir, key);
    // What cannot be read is kept aside when this is written.
    let mut waiting = unlogged.read().unwrap_or_default();
    let is_waiting = |id: SegmentId| {
        let mut named = waiting.iter().flat_map(|deleted| &deleted.segments);
        named.any(|one| one.segment == id)
    };
    let new = segments.iter().filter(|one| !is_waiting(one.segment));
    let mut by_stream: BTreeMap<StreamId, Vec<DeletedSegment>> = BTreeMap::new();
    for closed in new {
        by_stream
            .entry(closed.stream)
            .or_default()
            .push(DeletedSegment {
                segment: closed.segment,
                sequence: closed.sequence,
            });
    }
    for (stream, segments) in by_stream {
        waiting.extend(segments.chunks(DELETED_AT_ONCE).map(|some| Deleted {
            stream,
            cause: DeletionCause::SetAside,
            segments: some.to_vec(),
        }));
    }
    unlogged.write(waiting.iter(), &mut SharedRandom::default())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let new = || Unlogged::new(folder.path(), StateKey::new(Zeroizing::new([1; 32])));
        assert_eq!(new().read(), Ok(Vec::new()));
        let deleted = Deleted {
            stream: StreamId::from_bytes([1; 16]),
            cause: DeletionCause::FreeSpace,
            segments: vec![DeletedSegment {
                segment: SegmentId::from_bytes([2; 16]),
                sequence: u64::MAX,
            }],
        };
        let random = &mut SharedRandom::default();
        new().write([&deleted].into_iter(), random).unwrap();
        assert_eq!(new().read(), Ok(vec![deleted]));
        let other = Unlogged::new(folder.path(), StateKey::new(Zeroizing::new([2; 32])));
        assert!(other.read().is_err());
        new().forget();
        assert_eq!(new().read(), Ok(Vec::new()));
    }
}
