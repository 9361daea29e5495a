//! Footage leaves the store: as MP4 files, and as streams for players.
//!
//! Opening happens here, in the process of whoever asks for it, with the identity that they bring. Nothing that is opened
//! touches a disk but the file that was asked for.

mod error;
mod export;
mod loss;
mod piece;
mod stream;

pub use error::Error;
pub use export::{Export, Exported, export};
pub use loss::{Loss, Skipped};
pub use stream::{Streamed, stream};

use std::io;
use std::ops::Range;

use hearthkeep_format::SegmentId;
use hearthkeep_format::segment::ReadAt;

/// A segment that can be read, wherever it lies: on a disk of this machine or behind a box's HTTPS.
pub trait Segment {
    /// Its id.
    fn id(&self) -> SegmentId;

    /// Wall time of its footage as it was listed, in microseconds.
    fn span(&self) -> Range<i64>;

    /// Its bytes. What the disk cannot read is better given as zeros, so that the rest can be used.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when it was deleted after it had been listed, as retention does; others when its bytes
    /// cannot be had.
    fn open(&self) -> io::Result<Box<dyn ReadAt + '_>>;
}
