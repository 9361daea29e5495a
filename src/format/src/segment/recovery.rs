//! Closing a torn segment (`docs/format.md`, 5.5): the recorder needs the metadata key and nothing
//! else.

use std::ops::Range;

use super::block::End;
use super::check::{self, Damage};
use super::layout::Head;
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

/// What makes a segment whole again of which a head or the tail is damaged: a new file, of these parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// What the new file begins with.
    pub head: Vec<u8>,
    /// The bytes of the old one that follow.
    pub keep: Range<u64>,
    /// What comes after them.
    pub append: Vec<u8>,
}

/// How to make a segment whole of which nothing is damaged but one of its heads, or the tail; `None`
/// where there is nothing to do, or where it cannot be told for sure which of two heads is right. A
/// head comes from its copy, or the copy from the head, as they stand; a tail is made anew, with
/// RECOVERED.
///
/// # Errors
/// As [`recover`].
pub fn restore<R: ReadAt + ?Sized>(
    file: &R,
    m: &MetadataKey,
    rng: &mut dyn Random,
) -> Result<Option<Restoration>, ReadError> {
    let damage = check::scrub(file, m)?.damage;
    let is_ends = |damage: &Damage| matches!(damage, Damage::Head | Damage::Copy | Damage::Tail);
    if damage.is_empty() || !damage.iter().all(is_ends) {
        return Ok(None);
    }
    let (walk, sealed) = match close(file, m)? {
        Some((walk, tail, end)) => (walk, Some((tail, end))),
        None => (walk::walk(file, Some(m))?, None),
    };
    let (first, copy) = (walk.layout.first.as_ref().ok(), walk.layout.copy.as_ref());
    let copy = copy.and_then(|copy| copy.as_ref().ok());
    let end = walk.layout.tail.as_ref().and_then(|(_, bytes)| {
        locked::open_end(walk.layout.head().header.as_bytes(), bytes, m).ok()
    });
    let is_right = |head: &&Head| end.is_none_or(|end| end.root == walk.root_with(head));
    let head = match (first, copy) {
        // Nothing but the root tells them apart.
        (Some(first), Some(copy)) if first != copy && end.is_none() => None,
        (first, copy) => first.filter(is_right).or(copy.filter(is_right)),
    };
    let Some(head) = head else { return Ok(None) };
    let mut append = head.bytes.clone();
    let mut keep = head.bytes.len() as u64..walk.layout.chunks.end;
    match (sealed, &walk.layout.tail) {
        (Some((tail, end)), _) => {
            keep.end = walk.good_end;
            append.extend_from_slice(&tail.seal(&end, head.header.as_bytes(), m, rng));
        }
        (None, Some((_, tail))) => append.extend_from_slice(tail),
        (None, None) => return Ok(None),
    }
    Ok((keep.start <= keep.end).then(|| Restoration {
        head: head.bytes.clone(),
        keep,
        append,
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
