//! What the locked recorder reads: with the metadata key only, and never a picture.

use super::block::{End, Start};
use super::chunk::{CHUNK_HEADER_LEN, ChunkPrefix, IndexEntry, IndexKey};
use super::header::{HEADER_LEN, Header, field};
use crate::{MetadataKey, Random, Result};

/// Length of the tail, in bytes.
pub const TAIL_LEN: usize = 128;
/// The end block within the tail.
pub(super) const END: std::ops::Range<usize> = 24..TAIL_LEN;

const MAGIC: [u8; 8] = [b'H', b'K', b'S', b'E', b'N', b'D', 0x0D, 0x0A];
const FLAG_RECOVERED: u32 = 1;

/// Opens the start block of a header.
///
/// # Errors
/// [`Error::Tampered`](crate::Error::Tampered) when header or block are not as they were sealed or
/// M is another generation's; [`Error::Malformed`](crate::Error::Malformed).
pub fn open_start(header: &[u8; HEADER_LEN], m: &MetadataKey) -> Result<Start> {
    Start::open(header, m)
}

/// Opens the end block of a tail.
///
/// # Errors
/// As [`open_start`].
pub fn open_end(header: &[u8; HEADER_LEN], tail: &[u8; TAIL_LEN], m: &MetadataKey) -> Result<End> {
    End::open(header, tail, m)
}

/// Opens the index entry of a chunk. To open many of one segment, use [`Index`].
///
/// # Errors
/// As [`open_start`].
pub fn open_index(
    header: &[u8; HEADER_LEN],
    chunk_header: &[u8; CHUNK_HEADER_LEN],
    m: &MetadataKey,
) -> Result<IndexEntry> {
    Index::new(&Header::parse(header)?, m).open(chunk_header)
}

/// Opens the index entries of one segment.
pub struct Index(pub(super) IndexKey);

impl Index {
    /// For the segment with this header.
    pub fn new(header: &Header, m: &MetadataKey) -> Self {
        Self(IndexKey::new(header, m))
    }

    /// Opens the index entry of a chunk.
    ///
    /// # Errors
    /// As [`open_start`].
    pub fn open(&self, chunk_header: &[u8; CHUNK_HEADER_LEN]) -> Result<IndexEntry> {
        self.0.open(chunk_header)
    }
}

/// Length of a whole chunk, from its header to its leaf, in bytes: not believed until the leaf is
/// right.
///
/// # Errors
/// [`Error::Malformed`](crate::Error::Malformed), [`Error::Limit`](crate::Error::Limit).
pub fn chunk_len(chunk_header: &[u8; CHUNK_HEADER_LEN]) -> Result<usize> {
    ChunkPrefix::parse(chunk_header).map(|prefix| prefix.chunk_len())
}

/// The clear part of a tail: believed only once the end block opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Offset of the footer's chunk; zero where there is none.
    pub footer_offset: u32,
    /// Offset of the copy.
    pub copy_offset: u32,
    /// Number of chunks, the preamble and the footer included.
    pub chunks: u32,
    /// Whether the segment was torn and the recorder closed it afterwards.
    pub recovered: bool,
}

impl Tail {
    /// Reads the last 128 bytes of a file; `None` where no tail stands.
    pub fn parse(bytes: &[u8; TAIL_LEN]) -> Option<Self> {
        let flags = u32::from_be_bytes(field(bytes, 20));
        if bytes[..8] != MAGIC || flags & !FLAG_RECOVERED != 0 {
            return None;
        }
        Some(Self {
            footer_offset: u32::from_be_bytes(field(bytes, 8)),
            copy_offset: u32::from_be_bytes(field(bytes, 12)),
            chunks: u32::from_be_bytes(field(bytes, 16)),
            recovered: flags & FLAG_RECOVERED != 0,
        })
    }

    /// The tail with its end block.
    pub(super) fn seal(
        &self,
        end: &End,
        header: &[u8; HEADER_LEN],
        m: &MetadataKey,
        rng: &mut dyn Random,
    ) -> [u8; TAIL_LEN] {
        let mut bytes = [0; TAIL_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.footer_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.copy_offset.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.chunks.to_be_bytes());
        bytes[20..24].copy_from_slice(&u32::from(self.recovered).to_be_bytes());
        end.seal(header, &mut bytes, m, rng);
        bytes
    }
}
