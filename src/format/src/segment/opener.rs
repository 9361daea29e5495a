//! Opening a segment whose head is at hand, chunk by chunk.

use std::ops::Range;

use subtle::ConstantTimeEq;

use super::block::Start;
use super::chunk::{ChunkPrefix, ChunkType, ContentKey, IndexEntry, IndexKey, chunk_header};
use super::footer::Footer;
use super::header::{HEADER_LEN, Header};
use super::preamble::Preamble;
use crate::epoch::{self, EpochSecret};
use crate::{Error, Identity, MetadataKey, Result};

/// Opens the chunks of one segment, in any order. Holds keys and preamble; bytes are brought by the
/// caller.
pub struct SegmentOpener {
    header: Header,
    preamble: Preamble,
    content: ContentKey,
    index: Option<IndexKey>,
    start: Option<Start>,
    head_len: usize,
}

/// A chunk, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedChunk {
    /// Its number. A reader that goes through a segment MUST compare it with the number it expects,
    /// or use [`SegmentOpener::open_nth`].
    pub k: u32,
    /// What it holds.
    pub chunk_type: ChunkType,
    /// Whether the segment ends with it.
    pub is_final: bool,
    /// What was sealed.
    pub body: Vec<u8>,
    /// When it plays; `None` without the metadata key.
    pub entry: Option<IndexEntry>,
}

/// A chunk, opened where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedInPlace {
    /// Its number; see [`OpenedChunk::k`].
    pub k: u32,
    /// What it holds.
    pub chunk_type: ChunkType,
    /// Whether the segment ends with it.
    pub is_final: bool,
    /// Where in the chunk its body stands, now in the clear.
    pub body: Range<usize>,
    /// When it plays; `None` without the metadata key.
    pub entry: Option<IndexEntry>,
}

impl SegmentOpener {
    /// Opens the head of a segment: the bytes of the file from its start, or from its copy, to the
    /// end of chunk 0. More bytes may follow. `generation` and `m` belong to the generation that
    /// the header names.
    ///
    /// # Errors
    /// [`Error::NoMatchingIdentity`]; [`Error::Tampered`] when commitment, start block or chunk 0
    /// are not as they were sealed (the copy may be); [`Error::Foreign`] when the envelope is
    /// another epoch's; and those of [`Header::parse`].
    pub fn open(head: &[u8], generation: &Identity, m: &MetadataKey) -> Result<Self> {
        let header = Header::parse(head)?;
        let envelope = head
            .get(HEADER_LEN..header.first_chunk_offset as usize)
            .ok_or(Error::Truncated { what: "envelope" })?;
        let secret = epoch::open(envelope, generation, &header.place())?;
        Self::new(head, header, &secret, Some(m))
    }

    /// The same for somebody who was given the epoch's secret. Without the metadata key there are
    /// no index entries and no start block.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_epoch(
        head: &[u8],
        secret: &EpochSecret,
        m: Option<&MetadataKey>,
    ) -> Result<Self> {
        Self::new(head, Header::parse(head)?, secret, m)
    }

    fn new(
        head: &[u8],
        header: Header,
        secret: &EpochSecret,
        m: Option<&MetadataKey>,
    ) -> Result<Self> {
        let segment = secret.segment(header.step)?;
        let (content, commitment) = ContentKey::new(segment.secret(), header.kind, header.bound());
        if !bool::from(commitment.ct_eq(&header.commitment)) {
            return Err(Error::Tampered { what: "commitment" });
        }
        let start = m.map(|m| Start::open(header.as_bytes(), m)).transpose()?;
        let index = m.map(|m| IndexKey::new(&header, m));

        let rest = head
            .get(header.first_chunk_offset as usize..)
            .ok_or(Error::Truncated { what: "envelope" })?;
        let length = ChunkPrefix::parse(rest)?.chunk_len();
        let chunk = rest
            .get(..length)
            .ok_or(Error::Truncated { what: "chunk 0" })?;
        let mut opener = Self {
            head_len: header.first_chunk_offset as usize + length,
            preamble: Preamble::EMPTY,
            header,
            content,
            index,
            start,
        };
        opener.preamble = Preamble::decode(&opener.open_nth(0, chunk)?.body)?;
        Ok(opener)
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Run, anchor and init segment.
    pub fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    /// When the segment began.
    ///
    /// # Errors
    /// [`Error::MissingKey`] when it was opened without the metadata key.
    pub fn start(&self) -> Result<Start> {
        self.start.ok_or(Error::MissingKey {
            what: "start block",
        })
    }

    /// Length of the head: where chunk 1 starts, in bytes.
    pub fn head_len(&self) -> usize {
        self.head_len
    }

    /// Opens a whole chunk, from its header to its leaf.
    ///
    /// # Errors
    /// [`Error::Tampered`], [`Error::Malformed`], [`Error::Limit`], [`Error::Truncated`].
    pub fn open_chunk(&self, chunk: &[u8]) -> Result<OpenedChunk> {
        let mut bytes = chunk.to_vec();
        let OpenedInPlace {
            k,
            chunk_type,
            is_final,
            body,
            entry,
        } = self.open_chunk_in_place(&mut bytes)?;
        bytes.truncate(body.end);
        bytes.drain(..body.start);
        Ok(OpenedChunk {
            k,
            chunk_type,
            is_final,
            body: bytes,
            entry,
        })
    }

    /// Opens a whole chunk that must be number `k`.
    ///
    /// # Errors
    /// As [`open_chunk`](Self::open_chunk); [`Error::Tampered`] for a chunk with another number.
    pub fn open_nth(&self, k: u32, chunk: &[u8]) -> Result<OpenedChunk> {
        if ChunkPrefix::parse(chunk)?.k != k {
            return Err(Error::Tampered {
                what: "order of chunks",
            });
        }
        self.open_chunk(chunk)
    }

    /// Opens a whole chunk where it stands, without a copy. After an error the bytes are as they
    /// were.
    ///
    /// # Errors
    /// As [`open_chunk`](Self::open_chunk).
    pub fn open_chunk_in_place(&self, chunk: &mut [u8]) -> Result<OpenedInPlace> {
        let entry = self.entry(chunk)?;
        let opened = self.content.open(chunk)?;
        Ok(OpenedInPlace {
            k: opened.prefix.k,
            chunk_type: opened.chunk_type,
            is_final: opened.prefix.is_final,
            body: opened.body,
            entry,
        })
    }

    /// Opens the footer's chunk.
    ///
    /// # Errors
    /// As [`open_chunk`](Self::open_chunk); [`Error::Malformed`] when it is another chunk or does
    /// not count the chunks before it.
    pub fn open_footer(&self, chunk: &[u8]) -> Result<Footer> {
        let opened = self.open_chunk(chunk)?;
        if opened.chunk_type != ChunkType::Footer {
            return Err(Error::Malformed {
                what: "footer",
                offset: 0,
            });
        }
        let footer = Footer::decode(&opened.body)?;
        if footer.fragments.len() as u32 + 1 != opened.k {
            return Err(Error::Malformed {
                what: "footer",
                offset: 16,
            });
        }
        Ok(footer)
    }

    /// The index entry of a chunk of which only the first 56 bytes need be there; `None` without
    /// the metadata key.
    ///
    /// # Errors
    /// As [`open_chunk`](Self::open_chunk).
    pub fn entry(&self, chunk: &[u8]) -> Result<Option<IndexEntry>> {
        let Some(index) = &self.index else {
            return Ok(None);
        };
        index.open(chunk_header(chunk)?).map(Some)
    }
}

impl std::fmt::Debug for SegmentOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentOpener")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}
