//! Footage leaves the store: as MP4 files, and as streams for players.
//!
//! Opening happens here, in the process of whoever asks for it, with the identity that they bring. Nothing that is opened
//! touches a disk but the file that was asked for.

mod error;
mod export;
mod piece;
mod stream;

pub use error::Error;
pub use export::{Export, Exported, Skipped, export};
pub use stream::{Streamed, stream};

use std::io;

use hearthkeep_format::SegmentId;
use hearthkeep_format::segment::ReadAt;

/// A segment that can be read, wherever it lies: on a disk of this machine or behind a box's HTTPS.
pub trait Segment {
    /// Its id.
    fn id(&self) -> SegmentId;

    /// Its bytes.
    ///
    /// # Errors
    /// When they cannot be had at all.
    fn open(&self) -> io::Result<Box<dyn ReadAt + '_>>;
}
