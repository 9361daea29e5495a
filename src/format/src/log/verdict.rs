//! What a viewer that has seen a log before says of it now (`docs/format.md`, 9.6).

use super::Checkpoint;
use crate::merkle::{self, Hash};

/// How a log stands to what was seen of it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the same.
    Same,
    /// It has grown, and what it was is its beginning.
    Grown,
    /// It is shorter: entries that were published are gone.
    RolledBack,
    /// Its entries are not those that were published before.
    Forked,
    /// It is another log.
    OtherLog,
}

/// Compares a checkpoint with one seen before; both were verified. `proof` is that of consistency between the two sizes, which
/// is looked at only where the log has grown.
pub fn judge(seen: &Checkpoint, now: &Checkpoint, proof: &[Hash]) -> Verdict {
    if (seen.store, seen.log) != (now.store, now.log) {
        Verdict::OtherLog
    } else if now.size < seen.size {
        Verdict::RolledBack
    } else if now == seen {
        Verdict::Same
    } else {
        match merkle::verify_consistency(seen.size, now.size, proof, &seen.root, &now.root) {
            Ok(()) => Verdict::Grown,
            Err(_) => Verdict::Forked,
        }
    }
}
