//! Segments: the sealed files that footage lies in (`docs/format.md`, section 5).
//!
//! A [`SegmentWriter`] seals one, chunk by chunk; a [`SegmentOpener`] opens chunks that the caller
//! brings. [`locked`] is what the recorder reads without being able to open a picture.

mod block;
mod check;
mod chunk;
mod file;
mod footer;
mod header;
mod layout;
pub mod locked;
mod opener;
mod preamble;
mod read_at;
mod recovery;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

pub use block::{End, Gap, GapCause, Start};
pub use check::{Damage, Report, State, scrub};
pub use chunk::{
    CHUNK_HEADER_LEN, CIPHERTEXT_LEN_MAX, ChunkPrefix, ChunkType, IndexEntry, LEAF_LEN,
};
pub use file::{File, Place};
pub use footer::{Footer, FragmentPlace};
pub use header::{HEADER_LEN, Header, MAGIC};
pub use layout::{Head, Layout};
pub use opener::{OpenedChunk, OpenedInPlace, SegmentOpener};
pub use preamble::Preamble;
pub use read_at::{ReadAt, ReadError};
pub use recovery::{Recovery, recover, survey};
pub use walk::{Damaged, RESYNC_BYTES_MAX, Step, Walk, WalkedChunk, Walker, walk};
pub use writer::{Begin, SegmentWriter};

/// The most chunks a segment has, the preamble and the footer included.
pub const CHUNKS_MAX: u32 = 20_000;
/// Where the last chunk before the footer ends at most, in bytes.
pub const CONTENT_END_MAX: u64 = 512 * 1024 * 1024;
