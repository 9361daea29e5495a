//! What a viewer is given: where the chunks of a segment lie. Ciphertext only; nothing here could open it.

use std::io;

use hearthkeep_format::MetadataKey;
use hearthkeep_format::segment::locked::{Index, TAIL_LEN, Tail};
use hearthkeep_format::segment::{CHUNK_HEADER_LEN, ChunkPrefix, HEADER_LEN, Header, ReadAt};

/// Where a chunk lies and what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlace {
    /// Its number.
    pub k: u32,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Length, in bytes.
    pub bytes: u32,
    /// After the segment's first sample, in microseconds.
    pub start_us: u64,
    /// In microseconds.
    pub duration_us: u32,
    /// Whether it starts with a key frame.
    pub key: bool,
}

/// The chunks of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentIndex {
    /// Length of header, envelope and chunk 0, in bytes.
    pub head_bytes: u64,
    /// The chunks with footage, in order.
    pub chunks: Vec<ChunkPlace>,
    /// Whether there is no tail yet, so that more may follow.
    pub open: bool,
}

/// Reads where the chunks of a segment lie: only chunk headers, never what they carry. `m` gives the metadata key of a
/// generation. A segment that is damaged is told as far as it can be walked.
///
/// # Errors
/// When the file cannot be read, or does not begin with a header that can be understood.
pub fn index(
    file: &dyn ReadAt,
    m: impl Fn(u32) -> Option<MetadataKey>,
) -> io::Result<SegmentIndex> {
    let not_a_segment =
        |error: hearthkeep_format::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut bytes = [0; HEADER_LEN];
    file.read_at(0, &mut bytes)?;
    let header = Header::parse(&bytes).map_err(not_a_segment)?;
    let m = m(header.generation).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "its metadata key is not known")
    })?;
    let index = Index::new(&header, &m);
    let tail = tail(file)?;
    let end = tail.map_or(file.size(), |tail| u64::from(tail.copy_offset));
    let first = u64::from(header.first_chunk_offset);
    let mut offset = first;
    let (mut head_bytes, mut chunks) = (0, Vec::new());
    let mut chunk = [0; CHUNK_HEADER_LEN];
    while offset + CHUNK_HEADER_LEN as u64 <= end {
        file.read_at(offset, &mut chunk)?;
        let Ok(prefix) = ChunkPrefix::parse(&chunk) else {
            break;
        };
        let length = prefix.chunk_len() as u64;
        if offset + length > end {
            break;
        }
        match prefix.k {
            0 if offset == first => head_bytes = offset + length,
            _ if prefix.is_final => break,
            // A number that has rotted: the head would reach over what lies before.
            0 => {}
            k => {
                if let Ok(entry) = index.open(&chunk) {
                    chunks.push(ChunkPlace {
                        k,
                        offset,
                        bytes: u32::try_from(length).unwrap_or(u32::MAX),
                        start_us: entry.start_us,
                        duration_us: entry.duration_us,
                        key: entry.key_frame,
                    });
                }
            }
        }
        offset += length;
    }
    Ok(SegmentIndex {
        head_bytes,
        chunks,
        open: tail.is_none(),
    })
}

fn tail(file: &dyn ReadAt) -> io::Result<Option<Tail>> {
    let mut bytes = [0; TAIL_LEN];
    let Some(offset) = file.size().checked_sub(TAIL_LEN as u64) else {
        return Ok(None);
    };
    file.read_at(offset, &mut bytes)?;
    Ok(Tail::parse(&bytes))
}
