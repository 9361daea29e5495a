//! The signed log: what happened to a store, in the order in which it happened (`docs/format.md`, section 9).
//!
//! A [`Record`] is what happened. Sealed under the metadata key it is an entry; entries are the leaves of a
//! [`merkle`](crate::merkle) tree, and a [`Checkpoint`] is the tree's size and root, signed.

mod checkpoint;
mod entry;
mod examination;
mod record;
#[cfg(test)]
mod tests;
mod verdict;

pub use checkpoint::{Checkpoint, LogKey, NOTE_LEN_MAX};
pub use entry::{ENTRY_HEADER_LEN, ENTRY_LEN_MAX, Entry};
pub use examination::{Ask, Complaint, Examination, Head, Outcome};
pub use record::{
    AnchorCause, AuditKind, BeginCause, Deleted, DeletedSegment, DeletionCause, HOLD_STREAMS_MAX,
    Hold, OPEN_END_US, Record, SegmentClosed, Stamped, TEXT_LEN_MAX,
};
pub use verdict::{Verdict, judge};

/// The most entries that a log has.
pub const ENTRIES_MAX: u64 = 1 << 40;
