//! Where head, chunks, copy and tail stand in a file, as far as can be told without a secret.

use std::io;
use std::ops::Range;

use super::block::Start;
use super::chunk::{CHUNK_HEADER_LEN, ChunkPrefix, LEAF_LEN};
use super::header::{HEADER_LEN, Header, MAGIC};
use super::locked::{TAIL_LEN, Tail};
use super::read_at::{ReadAt, ReadError, read_vec};
use crate::merkle;
use crate::{Error, MetadataKey, Result};

/// Where the parts of a segment stand.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The head at the file's start, if its chunk 0 has the right leaf.
    pub first: Result<Head>,
    /// The copy of it, where one is expected.
    pub copy: Option<Result<Head>>,
    /// Where chunks may stand: from chunk 0 to the copy, or to the end of a file without one.
    pub chunks: Range<u64>,
    /// The tail, where the file ends with one.
    pub tail: Option<(Tail, [u8; TAIL_LEN])>,
    /// Where the tail stands, or the file ends without one.
    pub tail_at: u64,
}

/// Header, envelope and chunk 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The header, parsed.
    pub header: Header,
    /// All bytes.
    pub bytes: Vec<u8>,
    /// The leaf of chunk 0.
    pub leaf: [u8; LEAF_LEN],
}

impl Head {
    /// The leaf hash that header and envelope have in the Merkle tree.
    pub fn leaf_of_header(&self) -> [u8; 32] {
        merkle::leaf(&[&self.bytes[..self.header.first_chunk_offset as usize]])
    }
}

impl Layout {
    /// Looks at both ends of a file. With the metadata key, a header that was changed is told from
    /// one that was not.
    ///
    /// # Errors
    /// [`ReadError::Format`] when neither head is whole: without one nothing in the file can be
    /// opened.
    pub fn find<R: ReadAt + ?Sized>(file: &R, m: Option<&MetadataKey>) -> Result<Self, ReadError> {
        let size = file.size();
        let tail = read_tail(file)?;
        let first = read_head(file, 0, m)?;
        let copy_at = find_copy(file, tail.as_ref().map(|(tail, _)| tail))?;
        let copy = match copy_at {
            Some(at) => Some(read_head(file, at, m)?),
            None => None,
        };
        let head = match (&first, &copy) {
            (Ok(head), _) | (Err(_), Some(Ok(head))) => head,
            (Err(error), _) => return Err(error.clone().into()),
        };
        let tail_len = if tail.is_some() { TAIL_LEN as u64 } else { 0 };
        let start = u64::from(head.header.first_chunk_offset);
        let tail_at = size - tail_len;
        let end = copy_at.unwrap_or(tail_at).max(start);
        Ok(Self {
            chunks: start..end,
            first,
            copy,
            tail,
            tail_at,
        })
    }

    /// The head that is whole: the first, or else the copy.
    pub fn head(&self) -> &Head {
        match (&self.first, &self.copy) {
            (Ok(head), _) | (Err(_), Some(Ok(head))) => head,
            _ => unreachable!("a layout is found with one whole head at least"),
        }
    }
}

fn read_tail<R: ReadAt + ?Sized>(file: &R) -> io::Result<Option<(Tail, [u8; TAIL_LEN])>> {
    let Some(at) = file.size().checked_sub(TAIL_LEN as u64) else {
        return Ok(None);
    };
    let mut bytes = [0; TAIL_LEN];
    file.read_at(at, &mut bytes)?;
    Ok(Tail::parse(&bytes).map(|tail| (tail, bytes)))
}

fn read_head<R: ReadAt + ?Sized>(
    file: &R,
    at: u64,
    m: Option<&MetadataKey>,
) -> io::Result<Result<Head>> {
    let left = file.size() - at;
    let header = match read_header(file, at)? {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(Err(error)) = m.map(|m| Start::open(header.as_bytes(), m)) {
        return Ok(Err(error));
    }
    let length = match head_len(file, at, &header)? {
        Ok(length) if length as u64 <= left => length,
        Ok(_) => return Ok(Err(Error::Truncated { what: "chunk 0" })),
        Err(error) => return Ok(Err(error)),
    };
    let bytes = read_vec(file, at, length)?;
    let (sealed, leaf) = bytes.split_last_chunk().expect("a head ends with a leaf");
    let leaf: [u8; LEAF_LEN] = *leaf;
    if merkle::leaf(&[&sealed[header.first_chunk_offset as usize..]]) != leaf {
        return Ok(Err(Error::Tampered { what: "chunk 0" }));
    }
    Ok(Ok(Head {
        header,
        bytes,
        leaf,
    }))
}

fn read_header<R: ReadAt + ?Sized>(file: &R, at: u64) -> io::Result<Result<Header>> {
    if file.size().saturating_sub(at) < HEADER_LEN as u64 {
        return Ok(Err(Error::Truncated { what: "header" }));
    }
    let mut bytes = [0; HEADER_LEN];
    file.read_at(at, &mut bytes)?;
    Ok(Header::parse(&bytes))
}

/// Length of the head, on the word of chunk 0's length.
fn head_len<R: ReadAt + ?Sized>(file: &R, at: u64, header: &Header) -> io::Result<Result<usize>> {
    let chunk = at + u64::from(header.first_chunk_offset);
    if file.size().saturating_sub(chunk) < (CHUNK_HEADER_LEN + LEAF_LEN) as u64 {
        return Ok(Err(Error::Truncated { what: "chunk 0" }));
    }
    let mut bytes = [0; 8];
    file.read_at(chunk, &mut bytes)?;
    let prefix = ChunkPrefix::parse(&bytes);
    Ok(prefix.map(|prefix| header.first_chunk_offset as usize + prefix.chunk_len()))
}

/// Where the copy starts. Two places tell: the tail, and the length of the first head. Either may
/// be damaged.
fn find_copy<R: ReadAt + ?Sized>(file: &R, tail: Option<&Tail>) -> io::Result<Option<u64>> {
    let end = file.size().saturating_sub(TAIL_LEN as u64);
    let told = tail.map(|tail| u64::from(tail.copy_offset));
    let computed = match read_header(file, 0)? {
        Ok(header) => head_len(file, 0, &header)?.ok(),
        Err(_) => None,
    };
    let computed = computed.and_then(|length| end.checked_sub(length as u64));
    for at in [told, computed].into_iter().flatten() {
        let mut magic = [0; MAGIC.len()];
        if at >= HEADER_LEN as u64 && at + (HEADER_LEN as u64) <= end {
            file.read_at(at, &mut magic)?;
        }
        if magic == MAGIC {
            return Ok(Some(at));
        }
    }
    Ok(told.filter(|_| told == computed))
}
