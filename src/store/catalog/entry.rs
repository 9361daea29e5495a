//! What the catalog knows of a segment, and how entries are packed.
//!
//! ```text
//! b | stream (16) | sequence / 16 (8)   ->  entries of 72 bytes, in the order of their sequence
//! s | stream (16) | sequence / 64 (8)   ->  their summary
//! e | stream (16) | epoch (16) | disk   ->  count and exclusive or of the ids of their segments
//! d | disk number (2)                   ->  disk id
//! n                                     ->  sequence from which on all is known that was given
//! n | stream (16)                       ->  highest sequence of what is gone
//! v                                     ->  layout version, store id
//! ```
//!
//! The sequence orders a stream's segments whatever the clock says, so buckets of it are filled and emptied at their
//! ends only. A bucket of 64 has one summary and four parts: sled reads and keeps 8 to 16 values at once, so
//! they are small. All integers are big-endian, so that keys sort as numbers do.

use hearthkeep_format::segment::{Gap, GapCause, Start};
use hearthkeep_format::{EpochId, Kind, SegmentId, StreamId};

/// Segments in a bucket, as far as their sequences are not doubled.
pub(crate) const BUCKET_SEGMENTS: u64 = 64;
/// Segments in a part of a bucket, likewise.
const PART_SEGMENTS: u64 = 16;
/// Parts of a bucket.
pub(crate) const PARTS: u64 = BUCKET_SEGMENTS / PART_SEGMENTS;
const ENTRY_BYTES: usize = 72;
const GAP_UNKNOWN: u64 = u64::MAX;

const CLOCK_TRUSTED: u8 = 1;
const RECOVERED: u8 = 1 << 1;
const TOMBSTONE: u8 = 1 << 2;
const TORN: u8 = 1 << 3;
const KIND_SHIFT: u32 = 6;

/// A segment as the catalog knows it. It says nothing that the segment's file does not say under M.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// What it holds.
    pub kind: Kind,
    /// Its epoch: a folder of the stream's.
    pub epoch: EpochId,
    /// Its id: the file's name.
    pub segment: SegmentId,
    /// Number of the disk it lies on, as the catalog's table of disks has it.
    pub disk: u16,
    /// Wall time of its first sample, us.
    pub start_us: i64,
    /// Media duration, us.
    pub duration_us: u64,
    /// Length of the file, bytes.
    pub bytes: u32,
    /// One higher in each segment of the stream.
    pub sequence: u64,
    /// Whether the box trusted its clock when it began.
    pub clock_trusted: bool,
    /// Whether it was torn and got its tail at a later start.
    pub recovered: bool,
    /// Whether it is about to be deleted.
    pub tombstone: bool,
    /// Whether a write to it failed, so that it has no tail before the next start; `bytes` is what is durable.
    pub torn: bool,
    /// The gap before it, where there is one.
    pub gap: Option<Gap>,
}

impl Entry {
    /// Wall time of its end, us.
    pub fn end_us(&self) -> i64 {
        self.start_us.saturating_add_unsigned(self.duration_us)
    }

    /// The same at the time that its start block says, brought to what is known of the clock.
    #[must_use]
    pub(crate) fn at(self, start: &Start) -> Self {
        Self {
            start_us: start.wall_us,
            clock_trusted: start.clock_trusted,
            ..self
        }
    }

    /// Whether a start has nothing to do about it.
    pub(crate) fn is_settled(&self) -> bool {
        !self.tombstone && !self.torn
    }

    pub(crate) fn bucket(&self) -> u64 {
        self.sequence / BUCKET_SEGMENTS
    }

    /// The part of its bucket that it is in.
    pub(crate) fn part(&self) -> u64 {
        self.sequence / PART_SEGMENTS % PARTS
    }

    /// Enough of the id to find the bucket it is in.
    pub(crate) fn fingerprint(segment: &SegmentId) -> u32 {
        let [a, b, c, d, ..] = *segment.as_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    fn pack(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.clock_trusted, CLOCK_TRUSTED)
            | flag(self.recovered, RECOVERED)
            | flag(self.tombstone, TOMBSTONE)
            | flag(self.torn, TORN)
            | (self.kind.as_u8() << KIND_SHIFT);
        let (cause, length) = match self.gap {
            Some(gap) => (gap.cause.as_u8(), gap.length_us.unwrap_or(GAP_UNKNOWN)),
            None => (0, 0),
        };
        out.extend_from_slice(self.segment.as_bytes());
        out.extend_from_slice(self.epoch.as_bytes());
        out.extend_from_slice(&self.start_us.to_be_bytes());
        out.extend_from_slice(&self.duration_us.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.bytes.to_be_bytes());
        out.extend_from_slice(&self.disk.to_be_bytes());
        out.extend_from_slice(&[flags, cause]);
    }

    fn unpack(stream: StreamId, bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let segment = SegmentId::from_bytes(fields.take());
        let epoch = EpochId::from_bytes(fields.take());
        let start_us = i64::from_be_bytes(fields.take());
        let duration_us = u64::from_be_bytes(fields.take());
        let sequence = u64::from_be_bytes(fields.take());
        let length = u64::from_be_bytes(fields.take());
        let size = u32::from_be_bytes(fields.take());
        let disk = u16::from_be_bytes(fields.take());
        let [flags, cause] = fields.take();
        let gap = match cause {
            0 => None,
            cause => Some(Gap {
                cause: GapCause::from_u8(cause)?,
                length_us: (length != GAP_UNKNOWN).then_some(length),
            }),
        };
        Some(Self {
            stream,
            kind: Kind::from_u8(flags >> KIND_SHIFT).ok()?,
            epoch,
            segment,
            disk,
            start_us,
            duration_us,
            bytes: size,
            sequence,
            clock_trusted: flags & CLOCK_TRUSTED != 0,
            recovered: flags & RECOVERED != 0,
            tombstone: flags & TOMBSTONE != 0,
            torn: flags & TORN != 0,
            gap,
        })
    }
}

/// Packs entries, one after another.
pub(crate) fn pack<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
    let mut out = Vec::new();
    entries.into_iter().for_each(|entry| entry.pack(&mut out));
    out
}

/// Unpacks entries; `None` where it cannot have been written by [`pack`].
pub(crate) fn unpack(stream: StreamId, bytes: &[u8]) -> Option<Vec<Entry>> {
    let (entries, []) = bytes.as_chunks::<ENTRY_BYTES>() else {
        return None;
    };
    entries
        .iter()
        .map(|entry| Entry::unpack(stream, entry))
        .collect()
}

/// The key of a part of a bucket.
pub(crate) fn part_key(stream: &StreamId, bucket: u64, part: u64) -> [u8; 25] {
    numbered_key(b'b', stream, bucket * PARTS + part)
}

/// The key of a bucket's summary.
pub(crate) fn summary_key(stream: &StreamId, bucket: u64) -> [u8; 25] {
    numbered_key(b's', stream, bucket)
}

fn numbered_key(tag: u8, stream: &StreamId, number: u64) -> [u8; 25] {
    let mut key = [tag; 25];
    key[1..17].copy_from_slice(stream.as_bytes());
    key[17..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of an epoch's tally on a disk.
pub(crate) fn tally_key(stream: &StreamId, epoch: &EpochId, disk: u16) -> [u8; 35] {
    let mut key = [b'e'; 35];
    key[1..17].copy_from_slice(stream.as_bytes());
    key[17..33].copy_from_slice(epoch.as_bytes());
    key[33..].copy_from_slice(&disk.to_be_bytes());
    key
}

/// Takes fields of known size off the front of bytes that are long enough.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    /// The next N bytes. Callers check the length of the whole before.
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self
            .0
            .split_first_chunk::<N>()
            .expect("the caller has checked the length of the whole");
        self.0 = rest;
        *field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_back() {
        let stream = StreamId::from_bytes([7; 16]);
        let plain = Entry {
            stream,
            kind: Kind::Media,
            epoch: EpochId::from_bytes([1; 16]),
            segment: SegmentId::from_bytes([2; 16]),
            disk: 3,
            start_us: -4,
            duration_us: 60_000_000,
            bytes: u32::MAX,
            sequence: 1 << 40,
            clock_trusted: true,
            recovered: false,
            tombstone: false,
            torn: false,
            gap: None,
        };
        let other = Entry {
            kind: Kind::Previews,
            clock_trusted: false,
            recovered: true,
            tombstone: true,
            torn: true,
            gap: Some(Gap {
                cause: GapCause::QueueFull,
                length_us: None,
            }),
            ..plain
        };
        let known = Entry {
            gap: Some(Gap {
                cause: GapCause::CameraLost,
                length_us: Some(12),
            }),
            ..plain
        };
        let entries = [plain, other, known];
        let packed = pack(&entries);
        assert_eq!(packed.len(), 3 * ENTRY_BYTES);
        assert_eq!(unpack(stream, &packed).unwrap(), entries);
        assert!(unpack(stream, &packed[1..]).is_none());
        let mut strange = packed;
        strange[ENTRY_BYTES - 1] = 200;
        assert!(unpack(stream, &strange).is_none(), "no such cause");
    }
}
