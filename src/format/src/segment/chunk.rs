//! Chunks: what is sealed and opened as one (`docs/format.md`, 5.2).

use std::ops::Range;

use super::CHUNKS_MAX;
use super::header::{Header, field};
use crate::aead::{self, TAG_LEN};
use crate::kdf::{Key, expand};
use crate::{Error, Kind, MetadataKey, Random, Result, merkle};

/// Length of a chunk before its ciphertext, in bytes.
pub const CHUNK_HEADER_LEN: usize = 56;
/// Length of a leaf, in bytes.
pub const LEAF_LEN: usize = 32;
/// The most that ciphertext and tag of a chunk may measure, in bytes.
pub const CIPHERTEXT_LEN_MAX: usize = 16 * 1024 * 1024;
/// The least: a type byte and a tag.
pub(super) const CIPHERTEXT_LEN_MIN: usize = 1 + TAG_LEN;
/// What a sealed chunk has in front of its body: the chunk header and the type byte.
pub(super) const HEADROOM: usize = CHUNK_HEADER_LEN + 1;
/// What it has behind it: tag and leaf.
pub(super) const TAILROOM: usize = TAG_LEN + LEAF_LEN;

const FLAG_FINAL: u8 = 1;
const FLAG_KEY_FRAME: u8 = 1;
/// Length, flags, number and r: what the index entry is bound to.
const BEFORE_ENTRY: usize = 24;
const ENTRY_LEN: usize = 16;
const ENTRY: Range<usize> = BEFORE_ENTRY..BEFORE_ENTRY + ENTRY_LEN;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ChunkType {
    /// Run, anchor and init segment; always and only chunk 0.
    Preamble = 0,
    /// `moof` and `mdat`.
    Fragment = 1,
    /// Offsets and times of the others; the only chunk that is final, and always so.
    Footer = 2,
    /// A preview picture.
    Preview = 3,
    /// An event.
    Event = 4,
}

impl ChunkType {
    /// What the chunks between preamble and footer are, in a segment of this kind.
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Media => Self::Fragment,
            Kind::Events => Self::Event,
            Kind::Previews => Self::Preview,
        }
    }

    /// The byte that stands for it.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The type that a byte stands for, if one does.
    pub const fn from_u8(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Preamble),
            1 => Some(Self::Fragment),
            2 => Some(Self::Footer),
            3 => Some(Self::Preview),
            4 => Some(Self::Event),
            _ => None,
        }
    }
}

/// When a chunk plays, sealed under the metadata key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// Start, in microseconds after the segment's first sample.
    pub start_us: u64,
    /// Duration, in microseconds.
    pub duration_us: u32,
    /// Whether it starts with a key frame.
    pub key_frame: bool,
    /// What the chunk holds.
    pub chunk_type: ChunkType,
}

impl IndexEntry {
    fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut entry = [0; ENTRY_LEN];
        entry[..8].copy_from_slice(&self.start_us.to_be_bytes());
        entry[8..12].copy_from_slice(&self.duration_us.to_be_bytes());
        entry[12] = if self.key_frame { FLAG_KEY_FRAME } else { 0 };
        entry[13] = self.chunk_type.as_u8();
        entry
    }

    fn decode(entry: &[u8; ENTRY_LEN]) -> Result<Self> {
        let malformed = |offset| Error::Malformed {
            what: "index entry",
            offset,
        };
        if entry[12] & !FLAG_KEY_FRAME != 0 {
            return Err(malformed(12));
        }
        if let Some(offset) = super::header::first_nonzero(entry, std::slice::from_ref(&(14..16))) {
            return Err(malformed(offset));
        }
        Ok(Self {
            start_us: u64::from_be_bytes(field(entry, 0)),
            duration_us: u32::from_be_bytes(field(entry, 8)),
            key_frame: entry[12] & FLAG_KEY_FRAME != 0,
            chunk_type: ChunkType::from_u8(entry[13]).ok_or(malformed(13))?,
        })
    }
}

/// The first eight bytes of a chunk: in the clear, and believed only once leaf or tag are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPrefix {
    /// Length of ciphertext and tag, in bytes.
    pub ciphertext_len: usize,
    /// Whether this is the last chunk.
    pub is_final: bool,
    /// The chunk's number, from 0.
    pub k: u32,
}

impl ChunkPrefix {
    /// Reads the prefix of a chunk.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`], and [`Error::Limit`] for a length or number no
    /// chunk has.
    pub fn parse(chunk: &[u8]) -> Result<Self> {
        let bytes: &[u8; 8] = chunk
            .first_chunk()
            .ok_or(Error::Truncated { what: "chunk" })?;
        let ciphertext_len = u32::from_be_bytes(field(bytes, 0)) as usize;
        if ciphertext_len > CIPHERTEXT_LEN_MAX {
            return Err(Error::Limit {
                what: "chunk",
                limit: CIPHERTEXT_LEN_MAX as u64,
            });
        }
        if ciphertext_len < CIPHERTEXT_LEN_MIN {
            return Err(Error::Malformed {
                what: "chunk",
                offset: 0,
            });
        }
        if bytes[4] & !FLAG_FINAL != 0 {
            return Err(Error::Malformed {
                what: "chunk",
                offset: 4,
            });
        }
        let k = u32::from_be_bytes([0, bytes[5], bytes[6], bytes[7]]);
        if k >= CHUNKS_MAX {
            return Err(Error::Limit {
                what: "number of chunks",
                limit: CHUNKS_MAX.into(),
            });
        }
        Ok(Self {
            ciphertext_len,
            is_final: bytes[4] & FLAG_FINAL != 0,
            k,
        })
    }

    /// Length of the whole chunk, leaf included, in bytes.
    pub fn chunk_len(&self) -> usize {
        CHUNK_HEADER_LEN + self.ciphertext_len + LEAF_LEN
    }

    /// Whether a chunk with this number and flag may be of this type, in a segment of this kind.
    fn holds(&self, chunk_type: ChunkType, kind: Kind) -> bool {
        let expected = match (self.k, self.is_final) {
            (0, false) => ChunkType::Preamble,
            (0, true) => return false,
            (_, true) => ChunkType::Footer,
            (_, false) => ChunkType::of(kind),
        };
        chunk_type == expected
    }

    fn encode(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&(self.ciphertext_len as u32).to_be_bytes());
        bytes[4..].copy_from_slice(&self.k.to_be_bytes());
        bytes[4] = if self.is_final { FLAG_FINAL } else { 0 };
        bytes
    }
}

/// Opens index entries; made from the metadata key.
#[cfg_attr(test, derive(Clone))]
pub(super) struct IndexKey {
    key: Key,
    kind: Kind,
}

impl IndexKey {
    pub(super) fn new(header: &Header, m: &MetadataKey) -> Self {
        let key = expand(m.as_bytes(), &[b"hearthkeep/v1/index", header.bound()]);
        Self {
            key,
            kind: header.kind,
        }
    }

    /// Opens an entry. Its type must be one that a chunk with this number and flag has.
    pub(super) fn open(&self, chunk_header: &[u8; CHUNK_HEADER_LEN]) -> Result<IndexEntry> {
        let prefix = ChunkPrefix::parse(chunk_header)?;
        let mut entry: [u8; ENTRY_LEN] = field(chunk_header, ENTRY.start);
        let tag = field(chunk_header, ENTRY.end);
        let key = self.entry_key(&field(chunk_header, 8), prefix.k);
        aead::open(
            &key,
            &chunk_header[..BEFORE_ENTRY],
            &mut entry,
            &tag,
            "index entry",
        )?;
        let entry = IndexEntry::decode(&entry)?;
        match prefix.holds(entry.chunk_type, self.kind) {
            true => Ok(entry),
            false => Err(Error::Malformed {
                what: "index entry",
                offset: 13,
            }),
        }
    }

    fn seal(&self, r: &[u8; 16], k: u32, entry: &IndexEntry, header: &mut [u8]) {
        let (ad, sealed) = header.split_at_mut(BEFORE_ENTRY);
        let (text, tag) = sealed.split_at_mut(ENTRY_LEN);
        text.copy_from_slice(&entry.encode());
        tag.copy_from_slice(&aead::seal(&self.entry_key(r, k), ad, text));
    }

    fn entry_key(&self, r: &[u8; 16], k: u32) -> Key {
        expand(&self.key, &[b"chunk", r, &u64::from(k).to_be_bytes()])
    }
}

/// Opens chunks; made from the epoch's chain. Its other half is the commitment.
#[cfg_attr(test, derive(Clone))]
pub(super) struct ContentKey {
    key: Key,
    kind: Kind,
}

/// What a chunk turned out to hold.
pub(super) struct Opened {
    pub prefix: ChunkPrefix,
    pub chunk_type: ChunkType,
    /// Where in the chunk its body now stands in the clear.
    pub body: Range<usize>,
}

impl ContentKey {
    /// The key of a segment and its commitment.
    pub(super) fn new(segment: &[u8; 32], kind: Kind, header_bound: &[u8]) -> (Self, [u8; 32]) {
        let both = expand::<64>(segment, &[b"hearthkeep/v1/keys", header_bound]);
        let key = Key::new(field(&*both, 0));
        (Self { key, kind }, field(&*both, 32))
    }

    /// Seals the body that stands in `buffer` after [`HEADROOM`] bytes; `buffer` becomes the chunk.
    ///
    /// The lengths have been checked.
    pub(super) fn seal(
        &self,
        index: &IndexKey,
        place: (u32, bool),
        entry: &IndexEntry,
        buffer: &mut Vec<u8>,
        rng: &mut dyn Random,
    ) -> [u8; LEAF_LEN] {
        let (k, is_final) = place;
        let ciphertext_len = buffer.len() - CHUNK_HEADER_LEN + TAG_LEN;
        buffer.reserve_exact(TAILROOM);
        let (header, text) = buffer.split_at_mut(CHUNK_HEADER_LEN);
        let mut r = [0; 16];
        rng.fill(&mut r);
        header[..8].copy_from_slice(
            &ChunkPrefix {
                ciphertext_len,
                is_final,
                k,
            }
            .encode(),
        );
        header[8..BEFORE_ENTRY].copy_from_slice(&r);
        index.seal(&r, k, entry, header);
        text[0] = entry.chunk_type.as_u8();
        let tag = aead::seal(&self.chunk_key(&r, is_final, k), header, text);
        buffer.extend_from_slice(&tag);
        let leaf = merkle::leaf(&[buffer]);
        buffer.extend_from_slice(&leaf);
        leaf
    }

    /// Opens a whole chunk in place. After an error `chunk` is as it was.
    pub(super) fn open(&self, chunk: &mut [u8]) -> Result<Opened> {
        let prefix = ChunkPrefix::parse(chunk)?;
        if chunk.len() < prefix.chunk_len() {
            return Err(Error::Truncated { what: "chunk" });
        }
        if chunk.len() > prefix.chunk_len() {
            return Err(Error::Malformed {
                what: "chunk",
                offset: prefix.chunk_len(),
            });
        }
        let (sealed, leaf) = chunk.split_at_mut(CHUNK_HEADER_LEN + prefix.ciphertext_len);
        if merkle::leaf(&[sealed]) != *leaf {
            return Err(Error::Tampered { what: "leaf" });
        }
        let (header, text) = sealed.split_at_mut(CHUNK_HEADER_LEN);
        let (text, tag) = text.split_at_mut(prefix.ciphertext_len - TAG_LEN);
        let key = self.chunk_key(&field(header, 8), prefix.is_final, prefix.k);
        aead::open(&key, header, text, &field(tag, 0), "chunk")?;
        let body = HEADROOM..CHUNK_HEADER_LEN + text.len();
        match ChunkType::from_u8(text[0]).filter(|&found| prefix.holds(found, self.kind)) {
            Some(chunk_type) => Ok(Opened {
                prefix,
                chunk_type,
                body,
            }),
            None => Err(Error::Malformed {
                what: "chunk",
                offset: CHUNK_HEADER_LEN,
            }),
        }
    }

    fn chunk_key(&self, r: &[u8; 16], is_final: bool, k: u32) -> Key {
        let k = u64::from(k).to_be_bytes();
        expand(
            &self.key,
            &[b"hearthkeep/v1/chunk", r, &[is_final.into()], &k],
        )
    }
}

/// The first 56 bytes of a chunk.
pub(super) fn chunk_header(chunk: &[u8]) -> Result<&[u8; CHUNK_HEADER_LEN]> {
    chunk
        .first_chunk()
        .ok_or(Error::Truncated { what: "chunk" })
}
