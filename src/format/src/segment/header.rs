//! The header: 256 bytes in the clear at the start of a segment and of its copy (`docs/format.md`,
//! 5.1).

use crate::epoch::{CHAIN_STEPS_MAX, ENVELOPE_LEN_MAX, Place};
use crate::{EpochId, Error, Kind, Result, SegmentId, StoreId, StreamId};

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 256;

/// What a segment's file begins with.
pub const MAGIC: [u8; 8] = [0x89, b'H', b'K', b'S', 0x0D, 0x0A, 0x1A, 0x0A];
const VERSION: u8 = 1;
const SUITE: u8 = 1;

/// Where the bytes end that keys are derived from.
pub(super) const BOUND: usize = 104;
/// Where the bytes end that the blocks are bound to: those above and the commitment.
pub(super) const BLOCK_BOUND: usize = 136;
const START_END: usize = 240;

/// The header of a segment, parsed but not verified: a [`SegmentOpener`](super::SegmentOpener)
/// compares the commitment.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// What the segment holds.
    pub kind: Kind,
    /// Where chunk 0 starts, in bytes: after header and envelope.
    pub first_chunk_offset: u32,
    /// The store it was recorded for.
    pub store: StoreId,
    /// The stream it holds.
    pub stream: StreamId,
    /// The epoch whose envelope it carries.
    pub epoch: EpochId,
    /// The step of the epoch's chain.
    pub step: u64,
    /// The generation it is sealed to.
    pub generation: u32,
    /// Random bytes that make its keys its own.
    pub salt: [u8; 28],
    /// What its key commits to.
    pub commitment: [u8; 32],
    bytes: [u8; HEADER_LEN],
}

/// What a new header says; the rest of it is derived.
pub(super) struct Fields {
    pub kind: Kind,
    pub envelope_len: usize,
    pub store: StoreId,
    pub stream: StreamId,
    pub epoch: EpochId,
    pub step: u64,
    pub generation: u32,
    pub salt: [u8; 28],
}

impl Header {
    /// Reads a header from the first 256 bytes of `bytes`.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`] (wrong magic, reserved bytes that are not zero),
    /// [`Error::UnknownVersion`] and [`Error::Limit`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let bytes: &[u8; HEADER_LEN] = bytes
            .first_chunk()
            .ok_or(Error::Truncated { what: "header" })?;
        let malformed = |offset| Error::Malformed {
            what: "header",
            offset,
        };
        if bytes[..8] != MAGIC {
            return Err(malformed(0));
        }
        if bytes[8] != VERSION {
            return Err(Error::UnknownVersion {
                what: "segment",
                found: bytes[8].into(),
            });
        }
        if bytes[9] != SUITE {
            return Err(Error::UnknownVersion {
                what: "suite",
                found: bytes[9].into(),
            });
        }
        let kind = Kind::from_u8(bytes[10]).map_err(|_| malformed(10))?;
        if let Some(offset) = first_nonzero(bytes, &[11..12, START_END..HEADER_LEN]) {
            return Err(malformed(offset));
        }
        let first_chunk_offset = u32::from_be_bytes(field(bytes, 12));
        if (first_chunk_offset as usize) < HEADER_LEN {
            return Err(malformed(12));
        }
        if first_chunk_offset as usize > HEADER_LEN + ENVELOPE_LEN_MAX {
            return Err(Error::Limit {
                what: "envelope",
                limit: ENVELOPE_LEN_MAX as u64,
            });
        }
        let step = u64::from_be_bytes(field(bytes, 64));
        if step >= CHAIN_STEPS_MAX {
            return Err(Error::Limit {
                what: "step of the chain",
                limit: CHAIN_STEPS_MAX,
            });
        }
        Ok(Self {
            kind,
            first_chunk_offset,
            store: StoreId::from_bytes(field(bytes, 16)),
            stream: StreamId::from_bytes(field(bytes, 32)),
            epoch: EpochId::from_bytes(field(bytes, 48)),
            step,
            generation: u32::from_be_bytes(field(bytes, 72)),
            salt: field(bytes, 76),
            commitment: field(bytes, BOUND),
            bytes: *bytes,
        })
    }

    /// The segment's id: the first 16 bytes of its salt.
    pub fn segment_id(&self) -> SegmentId {
        SegmentId::from_bytes(field(&self.bytes, 76))
    }

    /// What its envelope must be for.
    pub fn place(&self) -> Place {
        Place {
            store: self.store,
            stream: self.stream,
            kind: self.kind,
            epoch: self.epoch,
            generation: self.generation,
        }
    }

    /// The header as it stands in the file.
    pub fn as_bytes(&self) -> &[u8; HEADER_LEN] {
        &self.bytes
    }

    /// The part that keys are derived from.
    pub(super) fn bound(&self) -> &[u8] {
        &self.bytes[..BOUND]
    }
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header")
            .field("kind", &self.kind)
            .field("segment", &self.segment_id())
            .field("store", &self.store)
            .field("stream", &self.stream)
            .field("epoch", &self.epoch)
            .field("step", &self.step)
            .field("generation", &self.generation)
            .field("first_chunk_offset", &self.first_chunk_offset)
            .finish_non_exhaustive()
    }
}

impl Fields {
    /// The header without commitment and start block, which are written into it afterwards.
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..11].copy_from_slice(&[VERSION, SUITE, self.kind.as_u8()]);
        let first_chunk = (HEADER_LEN + self.envelope_len) as u32;
        bytes[12..16].copy_from_slice(&first_chunk.to_be_bytes());
        bytes[16..32].copy_from_slice(self.store.as_bytes());
        bytes[32..48].copy_from_slice(self.stream.as_bytes());
        bytes[48..64].copy_from_slice(self.epoch.as_bytes());
        bytes[64..72].copy_from_slice(&self.step.to_be_bytes());
        bytes[72..76].copy_from_slice(&self.generation.to_be_bytes());
        bytes[76..BOUND].copy_from_slice(&self.salt);
        bytes
    }
}

/// The start block within a header.
pub(super) const START: std::ops::Range<usize> = BLOCK_BOUND..START_END;

/// `N` bytes from `offset` of a structure whose length has been checked.
pub(super) fn field<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[offset + i])
}

/// Where the first byte stands that should be zero and is not.
pub(super) fn first_nonzero(bytes: &[u8], ranges: &[std::ops::Range<usize>]) -> Option<usize> {
    ranges.iter().cloned().flatten().find(|&i| bytes[i] != 0)
}
