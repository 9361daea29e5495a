//! What can go wrong when footage is opened.

use hearthkeep_format::segment::ReadError;
use hearthkeep_format::{SegmentId, fmp4};

use super::{Loss, Skipped};

/// Why footage could not be written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none in the span.
    #[error(
        "there is no footage of this camera in that time; `hearthkeep list` shows what there is"
    )]
    Nothing,
    /// Segments were found, but nothing of them can be opened.
    #[error("nothing in that time can be opened; what is wrong first: {0}")]
    AllDamaged(Skipped),
    /// The identity does not open a generation that the footage is sealed to.
    #[error(
        "segment {segment} is sealed to generation {generation}, which this identity cannot open"
    )]
    NotAllowed {
        /// The segment.
        segment: SegmentId,
        /// The generation.
        generation: u32,
    },
    /// A segment could not be read.
    #[error("segment {segment} cannot be read: {source}")]
    Read {
        /// The segment.
        segment: SegmentId,
        /// Why.
        source: ReadError,
    },
    /// Damage was found after output had begun, and the output cannot be begun again.
    #[error(
        "segment {segment} {loss}, and standard output cannot be begun again; write to a file, and the rest is exported"
    )]
    LostOnTheWay {
        /// The segment.
        segment: SegmentId,
        /// What is wrong with it.
        loss: Loss,
    },
    /// The span does not fit one MP4 file.
    #[error("this span does not fit one MP4 file ({0}); export it in shorter spans")]
    Movie(fmp4::Error),
    /// The camera's sample entries changed; what came before has been written.
    #[error(
        "the camera's picture or sound format changed at {}, which one stream cannot carry on with; \
         play the rest with --from {}", rfc3339(*at_us), rfc3339(*at_us)
    )]
    FormatChanged {
        /// Wall time of the first picture in the new format, in microseconds.
        at_us: i64,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Write(#[from] std::io::Error),
}

/// A wall time in microseconds, as RFC 3339 in UTC.
pub(super) fn rfc3339(wall_us: i64) -> String {
    jiff::Timestamp::from_microsecond(wall_us)
        .map_or_else(|_| format!("{wall_us} us"), |time| time.to_string())
}
