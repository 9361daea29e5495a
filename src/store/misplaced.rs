//! A disk at another one's path.

use super::mount::MountedDisk;
use crate::config::{self, Tier};

/// That a disk is at another one's path, and has what is said of it where it belongs.
#[derive(Debug, Clone)]
pub struct Misplaced {
    /// Bytes that it may hold.
    pub max_bytes: Option<u64>,
    /// What it is for.
    pub tier: Tier,
    /// What the configuration says of the path.
    pub wanted: config::Disk,
    /// What is to be done, in a sentence.
    pub why: String,
}

impl MountedDisk {
    /// Says that it is at another one's path, and how it is to be there.
    pub fn misplace(&mut self, misplaced: Misplaced) {
        (self.max_bytes, self.tier) = (misplaced.max_bytes, misplaced.tier);
        self.misplaced = Some(misplaced);
    }
}
