//! Closing a torn segment (`docs/format.md`, 5.5): the recorder needs the metadata key and nothing
//! else.

use super::block::End;
use super::locked::{self, Tail};
use super::read_at::{ReadAt, ReadError};
use super::walk::{self, Walk};
use crate::{Error, MetadataKey, Random, Result};

/// What makes a torn file a recovered segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many bytes of the file to keep: the rest is no whole chunk.
    pub keep: u64,
    /// What to append after them: copy and tail.
    pub append: Vec<u8>,
    /// What the end block says.
    pub end: End,
}

/// What to do with a file that a crash may have torn; `None` when its tail is right.
///
/// The file is cut after its last whole chunk. Where a chunk before that is damaged, the others
/// stay.
///
/// # Errors
/// [`ReadError::Format`] when the file ends within its head: then it holds no footage. A caller
/// that removes such a file compares its length with a head's first: damage may have the same
/// effect.
pub fn recover<R: ReadAt + ?Sized>(
    file: &R,
    m: &MetadataKey,
    rng: &mut dyn Random,
) -> Result<Option<Recovery>, ReadError> {
    let Some((walk, tail, end)) = close(file, m)? else {
        return Ok(None);
    };
    let head = walk.layout.head();
    let mut append = head.bytes.clone();
    append.extend_from_slice(&tail.seal(&end, head.header.as_bytes(), m, rng));
    Ok(Some(Recovery {
        keep: walk.good_end,
        append,
        end,
    }))
}

/// What [`recover`] would make of a file, for somebody who only looks: how many of its bytes would
/// stay, and its end block. Nothing is sealed.
///
/// # Errors
/// As [`recover`].
pub fn survey<R: ReadAt + ?Sized>(
    file: &R,
    m: &MetadataKey,
) -> Result<Option<(u64, End)>, ReadError> {
    Ok(close(file, m)?.map(|(walk, _, end)| (walk.good_end, end)))
}

fn close<R: ReadAt + ?Sized>(
    file: &R,
    m: &MetadataKey,
) -> Result<Option<(Walk, Tail, End)>, ReadError> {
    let walk = walk::walk(file, Some(m))?;
    let header = walk.layout.head().header.as_bytes();
    if let Some((_, tail)) = &walk.layout.tail
        && locked::open_end(header, tail, m).is_ok()
    {
        return Ok(None);
    }
    let Some(last) = walk.chunks.last().copied() else {
        return Err(Error::Truncated { what: "segment" }.into());
    };
    let start = locked::open_start(header, m)?;
    let entries = || walk.chunks.iter().filter_map(|chunk| chunk.entry);
    let duration_us = entries()
        .map(|entry| entry.start_us.saturating_add(entry.duration_us.into()))
        .max()
        .unwrap_or(0);
    let end = End {
        duration_us,
        wall_us: start.wall_us.saturating_add_unsigned(duration_us),
        chunks: last.k + 1,
        key_chunks: entries().filter(|entry| entry.key_frame).count() as u32,
        root: walk.root(),
    };
    let footer = if last.is_final { last.offset } else { 0 };
    let tail = Tail {
        footer_offset: offset(footer)?,
        copy_offset: offset(walk.good_end)?,
        chunks: end.chunks,
        recovered: true,
    };
    Ok(Some((walk, tail, end)))
}

fn offset(at: u64) -> Result<u32> {
    u32::try_from(at).map_err(|_| Error::Limit {
        what: "segment",
        limit: u32::MAX.into(),
    })
}
