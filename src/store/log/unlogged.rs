//! `log.deleted.sealed` in the state folder: deletions that the log could not be written for, as on a disk without any room.
//!
//! They are written here before the files go. Without that, a recorder that ends before the log can be written again would find
//! segments missing that the log has, and say that somebody removed them.

use std::io;

use hearthkeep_format::log::{Deleted, DeletedSegment, DeletionCause};
use hearthkeep_format::{SegmentId, StreamId};
use serde::{Deserialize, Serialize};

use super::waiting::{WaitingFile, Waits};

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

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::random::SharedRandom;
    use crate::state_file::StateKey;

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
