//! MP4, fragmented and plain: what a fragment, an init segment and an exported movie are made of.
//!
//! ```text
//!  samples ──Fragmenter──▶ Fragment ──write_to──▶ moof+mdat bytes ──seal──▶ chunk
//!                             │
//!                             └──push_fragment──▶ SampleTable ──encode──▶ the segment's footer
//!
//!  opened chunk ──parse_fragment──▶ FragmentView ──push_view──▶ SampleTable (a rebuilt footer)
//!
//!  SampleTables of many segments ──MovieBuilder──▶ ftyp+moov+mdat header, and the order of payloads
//! ```
//!
//! What is written goes through `mp4-atom` wherever a box has one fixed form (`mvhd`, `tkhd`, `trex`
//! and their like). Written by hand are the boxes it would take apart or hold in memory twice: sample
//! entries, which must stay as the camera's parameters made them, byte for byte; `moof`, which is
//! written ten times a second on every camera; and a movie's sample tables. Everything that is read is
//! read by hand, because the input may be hostile and an error must name its offset.
//!
//! Section numbers are those of ISO/IEC 14496-12:2015 unless another document is named.

mod bytes;
mod codec;
mod column;
mod fragment;
mod init;
mod leaf;
pub mod movie;
mod shift;
mod table;
mod track;
mod varint;
mod view;

pub use fragment::{Fragment, FragmentSample, Run};
pub(crate) use fragment::{FragmentTimes, SAMPLE_OVERHEAD_BYTES_MAX, overhead_bytes_max};
pub use init::{init_segment, parse_init};
pub use movie::{Movie, MovieBuilder, PayloadRange, SegmentPlace};
pub use shift::shift_decode_times;
pub use table::{SampleTable, TableLimits};
pub use track::{Track, TrackKind};
pub use view::{FragmentView, RunView, parse_fragment};

/// Tracks that one init segment, fragment or table may have.
pub const TRACKS_MAX: usize = 8;

/// Samples that one fragment may have, over all its tracks.
pub const FRAGMENT_SAMPLES_MAX: u32 = 4096;

/// Bytes that one fragment may have, `moof` and `mdat` together: a chunk's 16 MiB less 4 KiB for
/// what sealing adds.
pub const FRAGMENT_BYTES_MAX: u32 = (16 << 20) - (4 << 10);

/// What is known about a sample apart from its bytes and its decode time.
///
/// Times are in ticks of the sample's track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleInfo {
    /// Bytes of the sample; never zero.
    pub size: u32,
    /// Decode time of the track's next sample less that of this one.
    pub duration: u32,
    /// Presentation time less decode time.
    pub composition_offset: i32,
    /// Whether it decodes alone. Every audio sample does.
    pub key: bool,
}

/// Why media could not be read, fragmented or laid out.
///
/// `offset` counts bytes from the start of the slice that was handed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ends before something that it announces.
    #[error("the input ends inside {what} at byte {offset}")]
    Truncated {
        /// Where the missing bytes should begin.
        offset: usize,
        /// What was being read.
        what: &'static str,
    },
    /// The input contradicts itself, or says something this format never says.
    #[error("malformed at byte {offset}: {what}")]
    Malformed {
        /// Where the contradiction was noticed.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A box that must be there is not.
    #[error("the box at byte {offset} has no '{kind}'")]
    MissingBox {
        /// Start of the content of the box that was searched.
        offset: usize,
        /// Four-character code of the box that is missing.
        kind: &'static str,
    },
    /// A count is above what this crate accepts.
    #[error("at byte {offset}: more than {limit} {what}")]
    TooMany {
        /// Where the count stands; 0 when it was not read from bytes.
        offset: usize,
        /// What is counted.
        what: &'static str,
        /// The most that is accepted.
        limit: u64,
    },
    /// Media Source Extensions have no codec string for this sample entry that we could give.
    #[error("no codec string is known for sample entry '{kind}'")]
    UnknownCodec {
        /// The sample entry's four-character code; bytes that are not ASCII are shown as `?`.
        kind: String,
    },
    /// The set of tracks cannot be used.
    #[error("unusable tracks: {what}")]
    Tracks {
        /// What is wrong with them.
        what: &'static str,
    },
    /// A sample names a track that there is not.
    #[error("there is no track {track}")]
    UnknownTrack {
        /// Index (fragmenter) or identifier (table) of the track.
        track: u32,
    },
    /// The run has had no video key frame yet; the sample was not taken.
    #[error("waiting for the run's first key frame")]
    BeforeFirstKey,
    /// Fragments are waiting to be pulled; the sample was not taken.
    #[error("fragments must be pulled before the next sample is pushed")]
    NotPulled,
    /// The sample has no bytes; it was not taken.
    #[error("a sample of track {track} is empty")]
    EmptySample {
        /// Index of the track.
        track: u32,
    },
    /// The sample does not fit in any fragment; it was not taken.
    #[error("a sample of track {track} has {bytes} bytes, more than {bytes_max}")]
    SampleTooLarge {
        /// Index of the track.
        track: u32,
        /// Its bytes.
        bytes: u64,
        /// The most that one sample may have.
        bytes_max: u64,
    },
    /// Decode times of a track must grow.
    #[error("decode time of track {track} goes from {previous} to {next} ticks")]
    NotMonotonic {
        /// Index (fragmenter) or identifier (table, movie) of the track.
        track: u32,
        /// The earliest time that would have been in order, or the last sample's time.
        previous: u64,
        /// The time that was given.
        next: u64,
    },
    /// Two samples of a track lie further apart than a file can say: end the run or the file here.
    #[error("samples of track {track} lie {ticks} ticks apart")]
    GapTooLong {
        /// Index (fragmenter) or identifier (table, movie) of the track.
        track: u32,
        /// Ticks between them.
        ticks: u64,
    },
    /// A time lies outside what can be calculated with.
    #[error("a time of track {track} is out of range")]
    TimeOutOfRange {
        /// Index (fragmenter) or identifier (table, movie) of the track.
        track: u32,
    },
    /// A range of chunks reaches beyond the table, or is empty.
    #[error("chunks {first}..{end} are not in a table of {chunks}")]
    ChunkRange {
        /// First chunk asked for.
        first: u32,
        /// One after the last chunk asked for.
        end: u32,
        /// Chunks that the table has.
        chunks: u32,
    },
    /// A movie, or a piece of it, would begin with a picture that does not decode alone.
    #[error("chunk {chunk} does not start with a key frame")]
    NotAKeyFrame {
        /// The chunk that was asked for.
        chunk: u32,
    },
    /// The first segment of a movie cannot continue a run.
    #[error("a movie's first segment must say when its run began")]
    NothingToContinue,
    /// There is nothing to build a movie of.
    #[error("there are no samples to build a movie of")]
    NoSamples,
}

/// Result of this module's functions.
pub type Result<T, E = Error> = core::result::Result<T, E>;
