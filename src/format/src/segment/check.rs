//! Saying of a whole file what is wrong with it.

use std::fmt;

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
    /// A chunk that is missing or cannot be opened.
    Chunk(u32),
    /// Bytes before this chunk that belong to nothing.
    Stray(u32),
    /// The copy of the head.
    Copy,
    /// The tail.
    Tail,
    /// The leaves are right and do not add up to the root: a chunk was replaced together with its leaf.
    Root,
}

/// What is to be said of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ends.
    pub state: State,
    /// What is wrong with it; of a torn file, apart from what is missing at its end.
    pub damage: Vec<Damage>,
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
            Self::Chunk(k) => write!(f, "chunk {k}"),
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

/// Checks a file as the locked recorder can: leaves, index entries, start and end block, root and copy.
///
/// # Errors
/// As [`Layout::find`](super::Layout::find).
pub fn scrub<R: ReadAt + ?Sized>(file: &R, m: &MetadataKey) -> Result<Report, ReadError> {
    Ok(report(
        &walk::walk(file, Some(m))?,
        Some(m),
        None,
        &mut |_| true,
    ))
}

/// What a walk amounts to. `opens` says whether a chunk with the right leaf opens; `opened_from_copy` is what a reader
/// with the epoch's key knows of the heads.
pub(super) fn report(
    walk: &Walk,
    m: Option<&MetadataKey>,
    opened_from_copy: Option<bool>,
    opens: &mut dyn FnMut(&WalkedChunk) -> bool,
) -> Report {
    let layout = &walk.layout;
    let mut damage = chunk_damage(walk, opens);
    let end = layout
        .tail
        .as_ref()
        .zip(m)
        .map(|((_, bytes), m)| locked::open_end(layout.head().header.as_bytes(), bytes, m));
    let state = match (&layout.tail, &layout.copy) {
        (Some((tail, _)), _) if tail.recovered => State::Recovered,
        (Some(_), _) => State::Whole,
        // The tail is there, and unreadable: a file that was cut has no copy at this place.
        (None, Some(_)) if walk.is_complete() => State::Whole,
        (None, Some(_)) => State::Recovered,
        (None, None) => State::Torn,
    };
    let end_is_bad = matches!(end, Some(Err(_)));
    let end = end.and_then(Result::ok);
    let tail_is_bad = end_is_bad || state != State::Torn && !tail_fits(walk);
    if state != State::Torn {
        damage.extend(missing_at_end(walk, end.as_ref()));
    }
    let chunks_are_whole = damage.is_empty();
    head_damage(walk, end.as_ref(), opened_from_copy, &mut damage);
    if tail_is_bad {
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
        damage,
        chunks: walk.chunks.len() as u32,
        end,
    }
}

fn chunk_damage(walk: &Walk, opens: &mut dyn FnMut(&WalkedChunk) -> bool) -> Vec<Damage> {
    let mut damage = Vec::new();
    let mut gaps = walk.damaged.iter().peekable();
    for chunk in &walk.chunks {
        while let Some(gap) = gaps.next_if(|gap| gap.range.start < chunk.offset) {
            // Chunk 0 is part of the head, of which there is a copy.
            damage.extend(gap.missing.clone().filter(|&k| k > 0).map(Damage::Chunk));
            if gap.missing.is_empty() {
                damage.push(Damage::Stray(chunk.k));
            }
        }
        if !opens(chunk) {
            damage.push(Damage::Chunk(chunk.k));
        }
    }
    damage
}

/// What the tail promises after the last whole chunk, or what stands there without belonging to anything.
fn missing_at_end(walk: &Walk, end: Option<&End>) -> Vec<Damage> {
    let next = walk.chunks.last().map_or(0, |chunk| chunk.k + 1);
    let told = end
        .map(|end| end.chunks)
        .or(walk.layout.tail.map(|(tail, _)| tail.chunks));
    let told = told
        .filter(|&told| told <= super::CHUNKS_MAX)
        .unwrap_or(next);
    let is_recovered = walk.layout.tail.is_some_and(|(tail, _)| tail.recovered);
    let expected = match walk.is_complete() || is_recovered || walk.layout.tail.is_none() {
        true => told,
        // Not even the footer is there.
        false => told.max(next + 1),
    };
    let mut missing: Vec<_> = (next..expected).map(Damage::Chunk).collect();
    if missing.is_empty() && walk.good_end < walk.layout.chunks.end {
        missing.push(Damage::Stray(next));
    }
    missing
}

/// Whether the clear part of the tail says where things were found.
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
    footer_fits
        && u64::from(tail.copy_offset) == walk.layout.chunks.end
        && (!walk.is_complete() || last.is_some_and(|chunk| chunk.k + 1 == tail.chunks))
}

fn copy_head(walk: &Walk) -> Option<&Head> {
    walk.layout
        .copy
        .as_ref()
        .and_then(|copy| copy.as_ref().ok())
}

fn head_damage(
    walk: &Walk,
    end: Option<&End>,
    opened_from_copy: Option<bool>,
    damage: &mut Vec<Damage>,
) {
    let layout = &walk.layout;
    match (&layout.first, &layout.copy) {
        (Ok(first), Some(Ok(copy))) if first == copy => {}
        (Ok(first), Some(Ok(copy))) => {
            // Two heads that differ: the root says which one is right, if it can.
            let is_right = |head| end.map(|end| end.root == walk.root_with(head));
            let copy_is_right = match (is_right(first), is_right(copy)) {
                (Some(false), Some(true)) => true,
                (Some(true), _) => false,
                _ => opened_from_copy == Some(true),
            };
            damage.push(if copy_is_right {
                Damage::Head
            } else {
                Damage::Copy
            });
        }
        (Ok(_), Some(Err(_))) => damage.push(Damage::Copy),
        (Ok(_), None) if layout.tail.is_some() => damage.push(Damage::Copy),
        (Ok(_), None) => {}
        (Err(_), _) => damage.push(Damage::Head),
    }
}
