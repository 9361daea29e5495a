//! Reading a file once, from its first byte to its last, beside others who must not suffer from it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use hearthkeep_format::segment::ReadAt;

use super::Front;

/// So far ahead of the reader the disk is asked.
const AHEAD_BYTES: u64 = 8 << 20;
/// At a time: the kernel does no more than this on one request.
const ASKED_BYTES: u64 = 1 << 20;

/// How many files of the disk in this folder are best read at once, where all of it is to be read and the machine has so many
/// cores to spare: one that turns loses more by going to and fro than it wins.
pub fn readers(folder: &Path, cores: usize) -> usize {
    let rotational = || {
        let device = std::fs::metadata(folder).ok()?.dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let of = format!("/sys/dev/block/{major}:{minor}");
        // A partition has no queue of its own.
        ["queue", "../queue"].iter().find_map(|queue| {
            let path = Path::new(&of).join(queue).join("rotational");
            std::fs::read_to_string(path).ok()
        })
    };
    match rotational().as_deref().map(str::trim) {
        Some("0") => cores.max(1),
        _ => 1,
    }
}

/// What is called with the number of bytes that are about to be read, and may wait. With an error, reading ends.
pub type Pace<'a> = dyn Fn(u64) -> io::Result<()> + Sync + 'a;

/// Reads nothing but what it is asked for, but may tell the disk what comes next, and tells it at its end that nobody needs it any more: what
/// others read and write stays in the kernel's memory.
pub struct Sequential<'a> {
    front: &'a Front,
    pace: &'a Pace<'a>,
    /// Where the next request to the disk begins; `None` where it is asked for nothing in advance.
    asked: Option<AtomicU64>,
}

impl<'a> Sequential<'a> {
    /// Begins before the first byte.
    pub fn new(front: &'a Front, pace: &'a Pace<'a>) -> Self {
        Self {
            front,
            pace,
            asked: Some(AtomicU64::new(0)),
        }
    }

    /// For who does nothing but read, from the first byte to the last: the kernel then looks ahead by itself, in larger pages
    /// than where it is told what comes next, which is twice as fast where the disk is.
    pub(super) fn steady(front: &'a Front, pace: &'a Pace<'a>) -> Self {
        Self {
            front,
            pace,
            asked: None,
        }
    }

    fn look_ahead(&self, next: &AtomicU64, from: u64, to: u64) {
        let mut asked = next.load(Ordering::Relaxed);
        let is_beyond = from > asked;
        if is_beyond || to + AHEAD_BYTES / 2 <= asked {
            return;
        }
        let end = (to + AHEAD_BYTES).min(self.front.size());
        while asked < end {
            let length = ASKED_BYTES.min(end - asked);
            self.front.file().will_read(asked, length);
            asked += length;
        }
        next.store(asked, Ordering::Relaxed);
    }
}

impl ReadAt for Sequential<'_> {
    fn size(&self) -> u64 {
        self.front.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let length = buffer.len() as u64;
        (self.pace)(length)?;
        if let Some(next) = &self.asked {
            self.look_ahead(next, offset, offset.saturating_add(length));
        }
        self.front.read_at(offset, buffer)
    }
}

impl Drop for Sequential<'_> {
    fn drop(&mut self) {
        self.front.file().was_read();
    }
}
