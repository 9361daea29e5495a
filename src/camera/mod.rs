//! Cameras: from an RTSP address to samples as MP4 wants them. The only room that knows retina.
//!
//! - [`Session`] connects (DESCRIBE, SETUP, PLAY, over TCP), picks one picture and one sound track and
//!   gives their samples, until an [`Error`] ends it. Who wants to go on makes a new one.
//! - [`Backoff`] says how long to wait before that.
//! - [`ingest::Ingest`] is the thread that all sessions live on: it takes what has arrived in batches,
//!   since being woken for each packet is what reading cameras costs most.
//!
//! # Limits
//!
//! - Pictures are taken in the order of their presentation: RTP carries no decoding time, so a camera
//!   that sends B-frames is refused with [`ErrorKind::Timestamps`].
//! - retina keeps a picture in its receive buffer until it is whole, bounds neither it nor the
//!   headers of an answer, and does not tell what it has received. Here a picture above [`SAMPLE_BYTES_MAX`](crate::limits::SAMPLE_BYTES_MAX)
//!   ends the session when it is whole, and what never ends when
//!   memory has grown by [`CAMERA_UNFINISHED_BYTES_MAX`](crate::limits::CAMERA_UNFINISHED_BYTES_MAX) over it, looked at once a poll.

mod backoff;
mod error;
mod flood;
pub mod ingest;
mod nal;
mod select;
mod session;
mod timeline;

pub use backoff::Backoff;
pub use error::{Error, ErrorKind};
pub use select::{Ignored, Track, TrackKind};
pub use session::{Event, Sample, Session, Timeouts};
