//! Saying of a whole file what is wrong with it.

use std::fmt;
use std::ops::Range;

use super::CHUNKS_MAX;
use super::block::End;
use super::layout::Head;
use super::locked;
use super::read_at::{ReadAt, ReadError};
use super::walk::{self, Walk, WalkedChunk};
use crate::{MetadataKey, Result};

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was finished.
    Whole,
    /// It was torn, and the recorder closed it afterwards.
    Recovered,
    /// It has no tail: it is being written, or a crash or somebody cut it.
    Torn,
}

/// Something in a segment that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The header, the envelope or chunk 0 at the file's start; the copy serves.
    Head,
    /// Chunks that are missing or cannot be opened, by number.
    Chunks(Range<u32>),
    /// Bytes before this chunk that belong to nothing.
    Stray(u32),
    /// The copy of the head.
    Copy,
    /// The tail.
    Tail,
    /// The leaves are right and do not add up to the root: a chunk was replaced together with its
    /// leaf.
    Root,
}

/// What is to be said of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ends.
    pub state: State,
    /// What is wrong with it; of a torn file, apart from what is missing at its end.
    pub damage: Vec<Damage>,
    /// When the chunks that are missing play, in microseconds after the segment's first sample, as
    /// far as those beside them tell; empty without the metadata key.
    pub lost: Vec<Range<u64>>,
    /// Number of whole chunks.
    pub chunks: u32,
    /// The end block; `None` without a tail or the metadata key.
    pub end: Option<End>,
}

impl Report {
    /// Whether the segment is as it was when it was finished.
    pub fn is_whole(&self) -> bool {
        self.state == State::Whole && self.damage.is_empty()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "whole",
            Self::Recovered => "recovered",
            Self::Torn => "torn",
        })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Chunks(k) if k.len() == 1 => write!(f, "chunk {}", k.start),
            Self::Chunks(k) => write!(f, "chunks {} to {}", k.start, k.end.saturating_sub(1)),
            Self::Stray(k) => write!(f, "stray bytes before chunk {k}"),
            Self::Copy => f.write_str("copy"),
            Self::Tail => f.write_str("tail"),
            Self::Root => f.write_str("root"),
        }
    }
}

/// `whole`, or for example `whole, tampered at chunk 2`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)?;
        self.damage
            .iter()
            .try_for_each(|damage| write!(f, ", tampered at {damage}"))
    }
}

/// Checks a file as the locked recorder can: leaves, index entries, start and end block, root and
/// copy.
///
/// # Errors
/// As [`Layout::find`](super::Layout::find).
pub fn scrub<R: ReadAt + ?Sized>(file: &R, m: &MetadataKey) -> Result<Report, ReadError> {
    Ok(report(&walk::walk(file, Some(m))?, Some(m), &mut |_| true))
}

/// What a walk amounts to. `opens` says whether a chunk with the right leaf opens.
pub(super) fn report(
    walk: &Walk,
    m: Option<&MetadataKey>,
    opens: &mut dyn FnMut(&WalkedChunk) -> bool,
) -> Report {
    let layout = &walk.layout;
    let mut damage = chunk_damage(walk, opens);
    let end = layout
        .tail
        .as_ref()
        .zip(m)
        .map(|((_, bytes), m)| locked::open_end(layout.head().header.as_bytes(), bytes, m));
    let state = match (&layout.tail, &end) {
        (None, _) if layout.copy.is_none() => State::Torn,
        (Some((tail, _)), None | Some(Ok(_))) if tail.recovered => State::Recovered,
        (Some(_), None | Some(Ok(_))) => State::Whole,
        // A tail is there and does not hold: a file that was cut has no copy in its place either.
        _ if walk.is_complete() => State::Whole,
        _ => State::Recovered,
    };
    if state != State::Torn {
        damage.extend(missing_at_end(walk, end.as_ref()));
    }
    let end_is_bad = matches!(end, Some(Err(_)));
    let end = end.and_then(Result::ok);
    let chunks_are_whole = damage.is_empty();
    damage.extend(head_damage(walk, end.as_ref()));
    let misleads = state != State::Torn && chunks_are_whole && !tail_fits(walk);
    if end_is_bad || misleads {
        damage.push(Damage::Tail);
    }
    let roots = [layout.first.as_ref().ok(), copy_head(walk)];
    let mut roots = roots.into_iter().flatten().map(|head| walk.root_with(head));
    if let Some(end) = &end
        && chunks_are_whole
        && !roots.any(|root| root == end.root)
    {
        damage.push(Damage::Root);
    }
    Report {
        state,
        lost: lost_times(walk, &damage, end.as_ref()),
        damage,
        chunks: walk.chunks.len() as u32,
        end,
    }
}

/// What the last chunk that is whole is followed by in a torn file, if that was more than a crash cuts
/// off: a chunk with all its bytes there, or others and then one that begins. The numbers of the
/// chunks that are lost.
///
/// # Errors
/// As [`Layout::find`](super::Layout::find).
pub fn lost_at_torn_end<R: ReadAt + ?Sized>(
    file: &R,
    m: &MetadataKey,
) -> Result<Range<u32>, ReadError> {
    let walk = walk::walk(file, Some(m))?;
    let next = walk.chunks.last().map_or(0, |chunk| chunk.k + 1);
    let index = locked::Index::new(&walk.layout.head().header, m);
    let end = match walk::find_begun(file, &walk, &index)? {
        Some((k, true)) => k + 1,
        Some((k, false)) => k,
        None => next,
    };
    Ok(next..end.max(next))
}

fn lost_times(walk: &Walk, damage: &[Damage], end: Option<&End>) -> Vec<Range<u64>> {
    let chunks = damage.iter().filter_map(|damage| match damage {
        Damage::Chunks(k) => Some(k),
        _ => None,
    });
    let times = |k: &Range<u32>| {
        let fragments = || walk.chunks.iter().filter(|c| c.k > 0 && !c.is_final);
        let before = fragments().rfind(|chunk| chunk.k < k.start);
        let after = fragments().find(|chunk| chunk.k >= k.end);
        let from = match before {
            Some(chunk) => chunk
                .entry
                .map(|e| e.start_us.saturating_add(e.duration_us.into()))?,
            None => 0,
        };
        let to = match after {
            Some(chunk) => chunk.entry?.start_us,
            None => end?.duration_us,
        };
        Some(from..to.max(from))
    };
    chunks.filter_map(times).collect()
}

fn chunk_damage(walk: &Walk, opens: &mut dyn FnMut(&WalkedChunk) -> bool) -> Vec<Damage> {
    let mut damage = Vec::new();
    let mut gaps = walk.damaged.iter().peekable();
    for chunk in &walk.chunks {
        while let Some(gap) = gaps.next_if(|gap| gap.range.end <= chunk.offset) {
            // Chunk 0 is part of the head, of which there is a copy.
            let missing = gap.missing.start.max(1)..gap.missing.end;
            if !missing.is_empty() {
                damage.push(Damage::Chunks(missing));
            } else if gap.missing.is_empty() {
                damage.push(Damage::Stray(chunk.k));
            }
        }
        if !opens(chunk) {
            damage.push(Damage::Chunks(chunk.k..chunk.k + 1));
        }
    }
    damage
}

/// What the tail promises after the last whole chunk, or what stands there without belonging to
/// anything.
fn missing_at_end(walk: &Walk, end: Option<&Result<End>>) -> Option<Damage> {
    let next = walk.chunks.last().map_or(0, |chunk| chunk.k + 1);
    let tail = walk.layout.tail.as_ref().map(|(tail, _)| tail);
    let told = match end {
        Some(Ok(end)) => end.chunks,
        Some(Err(_)) => next,
        None => tail.map_or(next, |tail| tail.chunks),
    };
    let expected = match tail {
        _ if walk.is_complete() => next,
        None => next,
        Some(tail) if tail.recovered || matches!(end, Some(Err(_))) => told,
        // Not even the footer is there.
        Some(_) => told.max(next + 1),
    };
    if next < expected {
        Some(Damage::Chunks(next..expected.min(CHUNKS_MAX)))
    } else if walk.good_end < walk.layout.chunks.end {
        Some(Damage::Stray(next))
    } else {
        None
    }
}

/// Whether the clear part of the tail says where things were found, and it stands where the copy ends.
fn tail_fits(walk: &Walk) -> bool {
    let Some((tail, _)) = &walk.layout.tail else {
        return false;
    };
    let last = walk.chunks.last();
    let footer = last
        .filter(|chunk| chunk.is_final)
        .map(|chunk| chunk.offset);
    let footer_fits = match footer {
        Some(offset) => u64::from(tail.footer_offset) == offset,
        None => !tail.recovered || tail.footer_offset == 0,
    };
    let copy_end = copy_head(walk).map(|copy| walk.layout.chunks.end + copy.bytes.len() as u64);
    footer_fits
        && copy_end.is_none_or(|end| end == walk.layout.tail_at)
        && u64::from(tail.copy_offset) == walk.layout.chunks.end
        && (!walk.is_complete() || last.is_some_and(|chunk| chunk.k + 1 == tail.chunks))
}

fn copy_head(walk: &Walk) -> Option<&Head> {
    walk.layout
        .copy
        .as_ref()
        .and_then(|copy| copy.as_ref().ok())
}

fn head_damage(walk: &Walk, end: Option<&End>) -> Option<Damage> {
    let layout = &walk.layout;
    match (&layout.first, &layout.copy) {
        (Ok(first), Some(Ok(copy))) if first == copy => None,
        (Ok(first), Some(Ok(copy))) => {
            // Two heads that differ: the root says which one is right, if it can.
            let is_right = |head| end.is_some_and(|end| end.root == walk.root_with(head));
            let is_copy = is_right(copy) && !is_right(first);
            Some(if is_copy { Damage::Head } else { Damage::Copy })
        }
        (Ok(_), Some(Err(_))) => Some(Damage::Copy),
        (Ok(_), None) => layout.tail.map(|_| Damage::Copy),
        (Err(_), _) => Some(Damage::Head),
    }
}
