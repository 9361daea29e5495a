//! One segment on its way: sealed here, written by the store, shown to whoever watches.

use std::sync::Arc;

use bytes::Bytes;
use hearthkeep_format::fmp4::{Fragment, SampleTable};
use hearthkeep_format::segment::{ChunkType, IndexEntry, SegmentWriter};
use hearthkeep_format::{Error, Result};

use super::live::LiveHub;
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_NO_KEY_BYTES_MAX, SEGMENT_NO_KEY_US_MAX};
use crate::random::OsRandom;
use crate::store::writer::{Refused, SegmentHandle};

/// A segment being sealed. It is either [finished](Self::finish) or dropped; a dropped one is torn and is recovered at
/// the next start.
pub(super) struct OpenSegment {
    writer: SegmentWriter,
    table: SampleTable,
    /// `None` when no disk could take it: then it is only shown live.
    file: Option<SegmentHandle>,
    hub: Arc<LiveHub>,
    /// Media time of its first sample in the run, in microseconds.
    media_start_us: u64,
    /// Wall time of media time 0 of the run, in microseconds.
    anchor_us: i64,
    fragments: u32,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in the disk's queue.
    Queued,
    /// The segment is only shown live.
    LiveOnly,
    /// The disk did not take it, and nothing of it was sealed: end the segment and go on in another.
    Refused(Refused),
}

impl OpenSegment {
    /// Takes a writer whose head is in `file` already.
    pub(super) fn new(
        writer: SegmentWriter,
        file: Option<SegmentHandle>,
        hub: Arc<LiveHub>,
        media_start_us: u64,
        anchor_us: i64,
    ) -> Self {
        hub.begin(writer.id(), Bytes::copy_from_slice(writer.head()));
        let table = SampleTable::default();
        Self {
            writer,
            table,
            file,
            hub,
            media_start_us,
            anchor_us,
            fragments: 0,
        }
    }

    /// Seals a fragment and hands it to the disk and to viewers.
    ///
    /// # Errors
    /// The fragment does not fit the format's limits.
    pub(super) fn seal(&mut self, fragment: &Fragment) -> Result<Fate> {
        let room = SegmentWriter::HEADROOM + fragment.encoded_len() + SegmentWriter::TAILROOM;
        // Asked first: what is sealed and then refused could not be sealed again, and the footer would name it.
        if let Some(Err(refused)) = self.file.as_ref().map(|file| file.room(room)) {
            return Ok(Fate::Refused(refused));
        }
        let mut buffer = Vec::with_capacity(room);
        buffer.resize(SegmentWriter::HEADROOM, 0);
        self.fragments += 1;
        fragment.write_to(self.fragments, &mut buffer);
        let entry = IndexEntry {
            start_us: fragment
                .decode_time_us()
                .saturating_sub(self.media_start_us),
            duration_us: fragment.duration_us(),
            key_frame: fragment.starts_with_key(),
            chunk_type: ChunkType::Fragment,
        };
        let offset = self.writer.len();
        self.writer
            .seal_in_place(&mut buffer, entry, &mut OsRandom)?;
        self.table
            .push_fragment(fragment)
            .map_err(|_| Error::Limit {
                what: "number of samples in the segment",
                limit: u64::from(u32::MAX),
            })?;
        let chunk = Bytes::from(buffer);
        let durable = match &self.file {
            Some(file) => {
                if let Err(refused) = file.append(chunk.clone(), self.writer.duration_us()) {
                    return Ok(Fate::Refused(refused));
                }
                file.segment().durable_bytes()
            }
            None => 0,
        };
        self.hub.publish(offset, chunk, entry.key_frame, durable);
        Ok(if self.is_stored() {
            Fate::Queued
        } else {
            Fate::LiveOnly
        })
    }

    /// Whether the segment should end before the next key frame of `target_us`.
    pub(super) fn is_due(&self, target_us: u64) -> bool {
        self.writer.duration_us() >= target_us || self.writer.len() >= SEGMENT_BYTES_MAX
    }

    /// Whether it has gone on for so long without a key frame that it must end anyway.
    pub(super) fn must_end(&self) -> bool {
        self.writer.duration_us() >= SEGMENT_NO_KEY_US_MAX
            || self.writer.len() >= SEGMENT_NO_KEY_BYTES_MAX
    }

    /// Whether it reaches a disk.
    pub(super) fn is_stored(&self) -> bool {
        self.file.is_some()
    }

    /// Wall time of its end, in microseconds.
    pub(super) fn wall_end_us(&self) -> i64 {
        let media_end = self.media_start_us + self.writer.duration_us();
        self.anchor_us.saturating_add_unsigned(media_end)
    }

    /// Seals the footer. Says when the segment ended, in microseconds of wall time.
    pub(super) fn finish(self) -> i64 {
        let wall_end_us = self.wall_end_us();
        let Some(file) = self.file else {
            return wall_end_us;
        };
        let mut table = Vec::new();
        self.table.encode(&mut table);
        let duration_us = self.writer.duration_us();
        match self.writer.finish(wall_end_us, &table, &mut OsRandom) {
            Ok(end) => file.finish(Bytes::from(end), duration_us),
            // The footer is beyond a limit: the segment stays torn and whole in all its chunks.
            Err(error) => tracing::error!(%error, "a segment could not be finished"),
        }
        wall_end_us
    }
}
