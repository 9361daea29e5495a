//! Walking a segment chunk by chunk without its keys: the leaves tell which chunks are whole.
//!
//! A [`Walker`] reads 64 KiB at a time, whatever the size of the file, and returns after each
//! chunk, so that whoever scrubs a disk decides how fast. Where a chunk is damaged it looks, byte
//! by byte, for the next offset where a chunk stands that has a later number and the right leaf.
//! With the metadata key its index entry must be right too: then only chunks of this very segment
//! are taken. Wrong guesses cost hashing, and what they may cost is bounded by [`RESYNC_BYTES_MAX`]
//! and the length of the file.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::chunk::{CHUNK_HEADER_LEN, ChunkPrefix, IndexEntry, IndexKey, LEAF_LEN};
use super::layout::Layout;
use super::opener::SegmentOpener;
use super::read_at::{ReadAt, ReadError, read_vec};
use crate::merkle::Tree;
use crate::{MetadataKey, Result};

/// How many bytes, beyond the length of the file, are hashed at most for offsets that only look
/// like a chunk.
pub const RESYNC_BYTES_MAX: u64 = 64 * 1024 * 1024;

const PIECE_LEN: usize = 64 * 1024;

/// A chunk whose leaf is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkedChunk {
    /// Its number.
    pub k: u32,
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// Its length from chunk header to leaf, in bytes.
    pub length: u32,
    /// Whether it says that it is the last one.
    pub is_final: bool,
    /// Its leaf.
    pub leaf: [u8; LEAF_LEN],
    /// When it plays; `None` without the metadata key.
    pub entry: Option<IndexEntry>,
}

/// Bytes that are no chunk, between others that are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Where they stand, in bytes.
    pub range: Range<u64>,
    /// The chunks that are missing for it; none where bytes were inserted.
    pub missing: Range<u32>,
}

/// What comes next in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A whole chunk.
    Chunk(WalkedChunk),
    /// Something else, and a whole chunk after it.
    Damaged(Damaged),
}

/// What a chunk must have besides the right leaf.
#[derive(Clone, Copy)]
pub(super) enum Proof<'a> {
    /// Nothing.
    Leaf,
    /// An index entry that opens.
    Index(&'a IndexKey),
    /// A body that opens, and an index entry where the metadata key is known. Reads whole chunks.
    Content(&'a SegmentOpener),
}

impl<'a> Proof<'a> {
    fn of(index: Option<&'a IndexKey>) -> Self {
        index.map_or(Self::Leaf, Self::Index)
    }
}

/// Goes through the chunks of a file, one each time it is asked. It ends after the final chunk, or
/// where no further chunk is.
pub struct Walker<'a, R: ?Sized> {
    file: &'a R,
    proof: Proof<'a>,
    /// Where the last whole chunk ended.
    offset: u64,
    end: u64,
    /// The number that follows.
    k: u32,
    found: VecDeque<WalkedChunk>,
    resync_bytes: u64,
    is_over: bool,
    piece: Vec<u8>,
}

impl<'a, R: ReadAt + ?Sized> Walker<'a, R> {
    /// Begins at chunk 0. Without `index`, a right leaf is all that is asked of a chunk.
    pub fn new(file: &'a R, layout: &Layout, index: Option<&'a super::locked::Index>) -> Self {
        Self::with_proof(file, layout, Proof::of(index.map(|index| &index.0)))
    }

    pub(super) fn with_proof(file: &'a R, layout: &Layout, proof: Proof<'a>) -> Self {
        let end = layout.chunks.end.min(file.size());
        let length = end.saturating_sub(layout.chunks.start);
        Self {
            file,
            proof,
            offset: layout.chunks.start,
            end,
            k: 0,
            found: VecDeque::new(),
            resync_bytes: RESYNC_BYTES_MAX + file.size(),
            is_over: false,
            piece: vec![0; length.min(PIECE_LEN as u64) as usize],
        }
    }

    /// Where the last whole chunk ended, in bytes.
    pub fn good_end(&self) -> u64 {
        self.offset
    }

    fn step(&mut self) -> io::Result<Option<Step>> {
        if let Some(chunk) = self.found.pop_front() {
            return Ok(Some(Step::Chunk(self.take(chunk))));
        }
        if self.is_over {
            return Ok(None);
        }
        let from = self.offset;
        if let Some(chunk) = self.chunk_at(from, self.k..self.k + 1)? {
            return Ok(Some(Step::Chunk(self.take(chunk))));
        }
        match self.look_beyond(from)? {
            None => {
                self.is_over = true;
                Ok(None)
            }
            Some(chunk) => {
                let damaged = Damaged {
                    range: from..chunk.offset,
                    missing: self.k..chunk.k,
                };
                self.found.push_back(chunk);
                Ok(Some(Step::Damaged(damaged)))
            }
        }
    }

    fn take(&mut self, chunk: WalkedChunk) -> WalkedChunk {
        self.offset = chunk.offset + u64::from(chunk.length);
        self.k = chunk.k + 1;
        self.is_over = chunk.is_final;
        chunk
    }

    /// The next chunk from `from` on that has a number from `self.k` on.
    fn look_beyond(&mut self, from: u64) -> io::Result<Option<WalkedChunk>> {
        let mut window = vec![0; self.piece.len()];
        let mut at = from;
        while at + 8 <= self.end {
            let length = self.end.saturating_sub(at).min(PIECE_LEN as u64) as usize;
            self.file.read_at(at, &mut window[..length])?;
            for (i, bytes) in window[..length].windows(8).enumerate() {
                // Cheap, and true of one in thirty million places in random bytes.
                let Ok(prefix) = ChunkPrefix::parse(bytes) else {
                    continue;
                };
                let offset = at + i as u64;
                if prefix.k < self.k || self.end.saturating_sub(offset) < prefix.chunk_len() as u64
                {
                    continue;
                }
                if let Some(chunk) = self.chunk_at(offset, self.k..u32::MAX)? {
                    return Ok(Some(chunk));
                }
                let cost = prefix.chunk_len() as u64;
                match self.resync_bytes.checked_sub(cost) {
                    Some(left) => self.resync_bytes = left,
                    None => return Ok(None),
                }
            }
            at += (length - 7) as u64;
        }
        Ok(None)
    }

    /// The chunk at `offset`, if one stands there whose number is among `numbers`.
    fn chunk_at(&mut self, offset: u64, numbers: Range<u32>) -> io::Result<Option<WalkedChunk>> {
        if self.end.saturating_sub(offset) < (CHUNK_HEADER_LEN + LEAF_LEN) as u64 {
            return Ok(None);
        }
        let mut header = [0; CHUNK_HEADER_LEN];
        self.file.read_at(offset, &mut header)?;
        let Ok(prefix) = ChunkPrefix::parse(&header) else {
            return Ok(None);
        };
        let length = prefix.chunk_len();
        if !numbers.contains(&prefix.k) || self.end.saturating_sub(offset) < length as u64 {
            return Ok(None);
        }
        let entry = match self.proof {
            Proof::Leaf => None,
            Proof::Index(index) => match index.open(&header) {
                Ok(entry) => Some(entry),
                Err(_) => return Ok(None),
            },
            Proof::Content(opener) => {
                let mut chunk = read_vec(self.file, offset, length)?;
                match opener.open_chunk_in_place(&mut chunk) {
                    Ok(opened) => opened.entry,
                    Err(_) => return Ok(None),
                }
            }
        };
        let Some(leaf) = self.verified_leaf(offset, length)? else {
            return Ok(None);
        };
        let (k, is_final, length) = (prefix.k, prefix.is_final, length as u32);
        Ok(Some(WalkedChunk {
            k,
            offset,
            length,
            is_final,
            leaf,
            entry,
        }))
    }

    fn verified_leaf(&mut self, offset: u64, length: usize) -> io::Result<Option<[u8; LEAF_LEN]>> {
        let leaf_at = offset + (length - LEAF_LEN) as u64;
        let mut hash = Sha256::new_with_prefix([0]);
        let mut at = offset;
        while at < leaf_at {
            let piece = &mut self.piece[..(leaf_at - at).min(PIECE_LEN as u64) as usize];
            self.file.read_at(at, piece)?;
            hash.update(&*piece);
            at += piece.len() as u64;
        }
        let mut leaf = [0; LEAF_LEN];
        self.file.read_at(leaf_at, &mut leaf)?;
        let found: [u8; LEAF_LEN] = hash.finalize().into();
        Ok((found == leaf).then_some(leaf))
    }
}

impl<R: ReadAt + ?Sized> Iterator for Walker<'_, R> {
    type Item = io::Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        self.is_over |= matches!(step, Some(Err(_)));
        step
    }
}

/// Everything a walk found.
#[derive(Debug, Clone)]
pub struct Walk {
    /// Where the parts of the file stand.
    pub layout: Layout,
    /// The whole chunks, in order.
    pub chunks: Vec<WalkedChunk>,
    /// What is no chunk, between them.
    pub damaged: Vec<Damaged>,
    /// Where the last whole chunk ends, in bytes.
    pub good_end: u64,
}

impl Walk {
    /// Whether the last chunk says that it is the last: nothing is missing at the end.
    pub fn is_complete(&self) -> bool {
        self.chunks.last().is_some_and(|chunk| chunk.is_final)
    }

    /// The Merkle tree hash over the head and the whole chunks. A chunk 0 that is damaged counts by
    /// its copy.
    pub fn root(&self) -> [u8; 32] {
        self.root_with(self.layout.head())
    }

    pub(super) fn root_with(&self, head: &super::layout::Head) -> [u8; 32] {
        let mut tree = Tree::default();
        tree.push(head.leaf_of_header());
        if self.chunks.first().is_none_or(|chunk| chunk.k != 0) {
            tree.push(head.leaf);
        }
        self.chunks.iter().for_each(|chunk| tree.push(chunk.leaf));
        tree.root()
    }
}

/// Walks a whole file.
///
/// # Errors
/// As [`Layout::find`]; damage further in is no error.
pub fn walk<R: ReadAt + ?Sized>(file: &R, m: Option<&MetadataKey>) -> Result<Walk, ReadError> {
    let layout = Layout::find(file, m)?;
    let index = m.map(|m| IndexKey::new(&layout.head().header, m));
    walk_with(file, layout, Proof::of(index.as_ref()))
}

pub(super) fn walk_with<R: ReadAt + ?Sized>(
    file: &R,
    layout: Layout,
    proof: Proof<'_>,
) -> Result<Walk, ReadError> {
    let mut walker = Walker::with_proof(file, &layout, proof);
    let (mut chunks, mut damaged) = (Vec::new(), Vec::new());
    for step in &mut walker {
        match step? {
            Step::Chunk(chunk) => chunks.push(chunk),
            Step::Damaged(bytes) => damaged.push(bytes),
        }
    }
    let good_end = walker.good_end();
    Ok(Walk {
        layout,
        chunks,
        damaged,
        good_end,
    })
}
