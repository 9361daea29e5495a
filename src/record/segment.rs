//! One segment on its way: sealed here, written by the store, shown to whoever watches.

use std::sync::Arc;

use bytes::Bytes;
use hearthkeep_format::fmp4::{FRAGMENT_SAMPLES_MAX, Fragment, SampleTable};
use hearthkeep_format::segment::{ChunkType, IndexEntry, SegmentWriter};
use hearthkeep_format::{Error, Random, Result};

use super::live::LiveHub;
use crate::limits::{
    SEGMENT_BYTES_MAX, SEGMENT_CHUNKS_MAX, SEGMENT_NO_KEY_BYTES_MAX, SEGMENT_NO_KEY_US_MAX,
    SEGMENT_SAMPLES_MAX,
};
use crate::store::writer::{Refused, Segment, SegmentHandle, State};

/// A segment being sealed. It is either [finished](Self::finish) or dropped; a dropped one is abandoned, and the store
/// gives it a tail.
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

/// How far footage reaches when a segment has ended; wall times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// No disk had it.
    LiveOnly,
    /// To its last sample, as soon as what is queued is durable.
    Stored { end_us: i64 },
    /// Writing it failed: to what was durable before, if anything was.
    Poisoned { durable_end_us: Option<i64> },
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

    /// Bytes of a fragment once it is sealed.
    pub(super) fn room_for(fragment: &Fragment) -> usize {
        SegmentWriter::HEADROOM + fragment.encoded_len() + SegmentWriter::TAILROOM
    }

    /// Seals a fragment and hands it to the disk and to viewers.
    ///
    /// # Errors
    /// The fragment does not fit the format's limits. Then what is in the file and what a footer would say may differ: drop
    /// the segment instead of finishing it.
    pub(super) fn seal(&mut self, fragment: &Fragment, random: &mut dyn Random) -> Result<Fate> {
        let room = Self::room_for(fragment);
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
        self.writer.seal_in_place(&mut buffer, entry, random)?;
        self.table
            .push_fragment(fragment)
            .map_err(|_| Error::Limit {
                what: "number of samples in the segment",
                limit: u64::from(u32::MAX),
            })?;
        let chunk = Bytes::from(buffer);
        let durable = match &self.file {
            Some(file) => {
                file.append(chunk.clone(), self.writer.duration_us());
                Some(file.segment().durable_bytes())
            }
            None => None,
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
            // The last chunk's number belongs to the footer; and room for one more fragment, however full.
            || self.writer.chunks() + 1 >= SEGMENT_CHUNKS_MAX
            || self.table.samples() + u64::from(FRAGMENT_SAMPLES_MAX) > u64::from(SEGMENT_SAMPLES_MAX)
    }

    /// Bytes sealed so far.
    pub(super) fn sealed_bytes(&self) -> u64 {
        self.writer.len()
    }

    /// Whether it reaches a disk.
    pub(super) fn is_stored(&self) -> bool {
        self.file.is_some()
    }

    /// What the store knows of it; `None` where it reaches no disk.
    pub(super) fn stored(&self) -> Option<&Arc<Segment>> {
        let file = self.file.as_ref()?;
        Some(file.segment())
    }

    /// How far footage would reach if it ended now.
    pub(super) fn end(&self) -> End {
        let at = |media_us| {
            let media_us = self.media_start_us.saturating_add(media_us);
            self.anchor_us.saturating_add_unsigned(media_us)
        };
        match self.file.as_ref().map(SegmentHandle::segment) {
            None => End::LiveOnly,
            Some(stored) if stored.state() == State::Poisoned => End::Poisoned {
                durable_end_us: (stored.durable_us() > 0).then(|| at(stored.durable_us())),
            },
            Some(_) => End::Stored {
                end_us: at(self.writer.duration_us()),
            },
        }
    }

    /// Seals the footer.
    pub(super) fn finish(self, random: &mut dyn Random) -> End {
        let end = self.end();
        let (Some(file), End::Stored { end_us }) = (self.file, end) else {
            return end;
        };
        let mut table = Vec::new();
        self.table.encode(&mut table);
        let duration_us = self.writer.duration_us();
        match self.writer.finish(end_us, &table, random) {
            Ok(end) => file.finish(Bytes::from(end), duration_us),
            // The footer is beyond a limit: the segment stays torn and whole in all its chunks.
            Err(error) => tracing::error!(%error, "a segment could not be finished"),
        }
        end
    }
}
