//! Writing a segment, front to back.

use super::block::{End, Start};
use super::chunk::{
    CHUNK_HEADER_LEN, CIPHERTEXT_LEN_MAX, ChunkType, ContentKey, HEADROOM, IndexEntry, IndexKey,
};
use super::footer::{Footer, FragmentPlace};
use super::header::{BLOCK_BOUND, BOUND, Fields, Header};
use super::locked::Tail;
use super::preamble::Preamble;
use super::{CHUNKS_MAX, CONTENT_END_MAX};
use crate::epoch::{CHAIN_STEPS_MAX, ENVELOPE_LEN_MAX, Epoch, SegmentSecret};
use crate::{Error, Kind, MetadataKey, Random, Result, SegmentId, StoreId, StreamId};
use crate::{aead, merkle};

/// What a segment begins with.
pub struct Begin<'a> {
    /// The store it is recorded for.
    pub store: StoreId,
    /// The stream it holds.
    pub stream: StreamId,
    /// The epoch that the secret comes from.
    pub epoch: &'a Epoch,
    /// What it holds.
    pub kind: Kind,
    /// When it begins.
    pub start: Start,
    /// Run, anchor and init segment.
    pub preamble: &'a Preamble,
}

/// One segment being written.
///
/// Nothing is ever reset: a new segment is a new writer with the next secret of the chain.
/// [`finish`](Self::finish) consumes it; a writer that is dropped leaves a torn segment, which a
/// reader sees. A chunk that was sealed is never sealed again: when its bytes could not be stored,
/// the segment has ended.
///
/// A segment that is only shown live is a writer whose bytes never reach a disk.
pub struct SegmentWriter {
    header: Header,
    head: Vec<u8>,
    content: ContentKey,
    index: IndexKey,
    metadata: MetadataKey,
    tree: merkle::Tree,
    fragments: Vec<FragmentPlace>,
    key_chunks: u32,
    duration_us: u64,
    /// Bytes so far: where the next chunk starts.
    len: u64,
}

impl SegmentWriter {
    /// What a buffer for [`seal_in_place`](Self::seal_in_place) must have in front of the body: 57
    /// bytes of any content.
    pub const HEADROOM: usize = HEADROOM;
    /// What it should have spare capacity for behind the body, so that sealing does not move it.
    pub const TAILROOM: usize = super::chunk::TAILROOM;

    /// Begins a segment. Returns the writer and the head: header, envelope and chunk 0.
    ///
    /// # Errors
    /// [`Error::Limit`] for an envelope, a step of the chain or a preamble beyond the limits of
    /// `docs/format.md`, 7.
    pub fn begin(
        begin: Begin<'_>,
        secret: SegmentSecret,
        m: &MetadataKey,
        rng: &mut dyn Random,
    ) -> Result<(Self, Vec<u8>)> {
        let envelope = &begin.epoch.envelope;
        limit("envelope", envelope.len() as u64, ENVELOPE_LEN_MAX as u64)?;
        limit("step of the chain", secret.step, CHAIN_STEPS_MAX - 1)?;
        let mut chunk = vec![0; HEADROOM];
        begin.preamble.encode(&mut chunk);
        limit("chunk", ciphertext_len(&chunk), CIPHERTEXT_LEN_MAX as u64)?;

        let mut salt = [0; 28];
        rng.fill(&mut salt);
        let mut header = Fields {
            kind: begin.kind,
            envelope_len: envelope.len(),
            store: begin.store,
            stream: begin.stream,
            epoch: begin.epoch.id,
            step: secret.step,
            generation: begin.epoch.generation,
            salt,
        }
        .encode();
        let (content, commitment) = ContentKey::new(secret.secret(), begin.kind, &header[..BOUND]);
        header[BOUND..BLOCK_BOUND].copy_from_slice(&commitment);
        begin.start.seal(&mut header, m, rng);
        let header = Header::parse(&header).expect("it was laid out and its limits checked above");

        let mut writer = Self {
            index: IndexKey::new(&header, m),
            head: [header.as_bytes(), envelope.as_slice()].concat(),
            header,
            content,
            metadata: MetadataKey::from_bytes(*m.as_bytes()),
            tree: merkle::Tree::default(),
            fragments: Vec::new(),
            key_chunks: 0,
            duration_us: 0,
            len: 0,
        };
        writer.tree.push(merkle::leaf(&[&writer.head]));
        writer.len = writer.head.len() as u64;
        let entry = IndexEntry {
            start_us: 0,
            duration_us: 0,
            key_frame: false,
            chunk_type: ChunkType::Preamble,
        };
        writer.seal(0, false, &entry, &mut chunk, rng);
        writer.head.append(&mut chunk);
        let head = writer.head.clone();
        Ok((writer, head))
    }

    /// The segment's id.
    pub fn id(&self) -> SegmentId {
        self.header.segment_id()
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Header, envelope and chunk 0: what a viewer needs before any other chunk.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Bytes sealed so far.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a segment begins with its head: never empty"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Chunks sealed so far, the preamble included.
    pub fn chunks(&self) -> u32 {
        self.fragments.len() as u32 + 1
    }

    /// Media duration so far, in microseconds.
    pub fn duration_us(&self) -> u64 {
        self.duration_us
    }

    /// Seals the body that `buffer` holds after [`HEADROOM`](Self::HEADROOM) bytes of any content.
    /// `buffer` becomes the whole chunk, in place; returns the chunk's number.
    ///
    /// # Errors
    /// With `buffer` untouched and nothing sealed: [`Error::Limit`] when the chunk, their number or
    /// the segment would be too large (finish it and begin another), [`Error::Malformed`] for a
    /// type that a segment of this kind does not hold, [`Error::Truncated`] for a buffer without
    /// room for the headroom.
    pub fn seal_in_place(
        &mut self,
        buffer: &mut Vec<u8>,
        entry: IndexEntry,
        rng: &mut dyn Random,
    ) -> Result<u32> {
        if buffer.len() < HEADROOM {
            return Err(Error::Truncated {
                what: "buffer to be sealed",
            });
        }
        if entry.chunk_type != ChunkType::of(self.header.kind) {
            return Err(Error::Malformed {
                what: "index entry",
                offset: 13,
            });
        }
        let length = (buffer.len() + super::chunk::TAILROOM) as u64;
        limit("chunk", ciphertext_len(buffer), CIPHERTEXT_LEN_MAX as u64)?;
        limit("segment", self.len + length, CONTENT_END_MAX)?;
        let k = self.chunks();
        // The last number belongs to the footer.
        limit("number of chunks", u64::from(k) + 2, CHUNKS_MAX.into())?;

        self.fragments.push(FragmentPlace {
            start_us: entry.start_us,
            duration_us: entry.duration_us,
            offset: self.len as u32,
            length: length as u32,
            key_frame: entry.key_frame,
        });
        self.key_chunks += u32::from(entry.key_frame);
        let end_us = entry.start_us.saturating_add(entry.duration_us.into());
        self.duration_us = self.duration_us.max(end_us);
        self.seal(k, false, &entry, buffer, rng);
        Ok(k)
    }

    /// Ends the segment: returns footer, copy and tail. `sample_table` is taken as it is.
    ///
    /// # Errors
    /// [`Error::Limit`] when the sample table makes the footer larger than a chunk may be: the
    /// segment then stays torn.
    pub fn finish(
        mut self,
        wall_end_us: i64,
        sample_table: &[u8],
        rng: &mut dyn Random,
    ) -> Result<Vec<u8>> {
        let footer = Footer {
            duration_us: self.duration_us,
            wall_end_us,
            fragments: std::mem::take(&mut self.fragments),
            sample_table: sample_table.to_vec(),
        };
        let k = footer.fragments.len() as u32 + 1;
        let footer_offset = self.len as u32;
        let mut out = vec![0; HEADROOM];
        footer.encode(&mut out);
        limit("chunk", ciphertext_len(&out), CIPHERTEXT_LEN_MAX as u64)?;
        let entry = IndexEntry {
            start_us: self.duration_us,
            duration_us: 0,
            key_frame: false,
            chunk_type: ChunkType::Footer,
        };
        self.seal(k, true, &entry, &mut out, rng);

        let tail = Tail {
            footer_offset,
            copy_offset: self.len as u32,
            chunks: k + 1,
            recovered: false,
        };
        let end = End {
            duration_us: self.duration_us,
            wall_us: wall_end_us,
            chunks: k + 1,
            key_chunks: self.key_chunks,
            root: self.tree.root(),
        };
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&tail.seal(&end, self.header.as_bytes(), &self.metadata, rng));
        Ok(out)
    }

    fn seal(
        &mut self,
        k: u32,
        is_final: bool,
        entry: &IndexEntry,
        buffer: &mut Vec<u8>,
        rng: &mut dyn Random,
    ) {
        let leaf = self
            .content
            .seal(&self.index, (k, is_final), entry, buffer, rng);
        self.tree.push(leaf);
        self.len += buffer.len() as u64;
    }
}

#[cfg(test)]
impl SegmentWriter {
    /// What a restored snapshot of the machine goes on with.
    pub(super) fn snapshot(&self) -> Self {
        Self {
            header: self.header.clone(),
            head: self.head.clone(),
            content: self.content.clone(),
            index: self.index.clone(),
            metadata: MetadataKey::from_bytes(*self.metadata.as_bytes()),
            tree: self.tree.clone(),
            fragments: self.fragments.clone(),
            ..*self
        }
    }
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentWriter")
            .field("id", &self.id())
            .field("chunks", &self.chunks())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Length of ciphertext and tag that a buffer with headroom will have.
fn ciphertext_len(buffer: &[u8]) -> u64 {
    (buffer.len() - CHUNK_HEADER_LEN + aead::TAG_LEN) as u64
}

fn limit(what: &'static str, value: u64, limit: u64) -> Result<()> {
    if value > limit {
        Err(Error::Limit { what, limit })
    } else {
        Ok(())
    }
}
