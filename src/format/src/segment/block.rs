//! Start and end block: what the recorder itself may know of a segment, sealed under the metadata
//! key (`docs/format.md`, 5.1, 5.5 and 5.6).

use super::header::{BLOCK_BOUND, HEADER_LEN, START, field, first_nonzero};
use super::locked::{END, TAIL_LEN};
use crate::aead;
use crate::kdf::{Key, expand};
use crate::{BootId, Error, MetadataKey, Random, Result};

const BLOCK_LEN: usize = 64;
const UNKNOWN_LENGTH: u64 = u64::MAX;

/// What is known when a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Wall time of the first sample, in microseconds since 1970.
    pub wall_us: i64,
    /// Time since the machine booted, in microseconds.
    pub monotonic_us: u64,
    /// The boot that `monotonic_us` counts from.
    pub boot: BootId,
    /// Whether the box trusted its wall clock then.
    pub clock_trusted: bool,
    /// The gap before this segment, if there is one.
    pub gap: Option<Gap>,
    /// One higher in each segment of the stream, over epochs and restarts.
    pub sequence: u64,
}

/// A known absence of footage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Why there is none.
    pub cause: GapCause,
    /// How long it was, in microseconds, where that is known.
    pub length_us: Option<u64>,
}

/// What is known when a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Media duration, in microseconds.
    pub duration_us: u64,
    /// Wall time of the end, in microseconds since 1970; in a recovered segment, start plus
    /// duration.
    pub wall_us: i64,
    /// Number of chunks, the preamble and the footer included.
    pub chunks: u32,
    /// Number of chunks that start with a key frame.
    pub key_chunks: u32,
    /// The Merkle tree hash over head and chunks.
    pub root: [u8; 32],
}

macro_rules! gap_causes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        /// Why footage is missing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum GapCause { $($(#[$doc])* $name = $number,)* }

        impl GapCause {
            /// Every cause.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The byte that stands for it.
            pub const fn as_u8(self) -> u8 {
                self as u8
            }

            /// The cause that a byte stands for, if one does.
            pub const fn from_u8(byte: u8) -> Option<Self> {
                match byte { $($number => Some(Self::$name),)* _ => None }
            }

            /// Its name in documents, messages and interfaces.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

gap_causes! {
    /// The first segment of the stream.
    Start = 1 "start",
    /// The recorder was stopped.
    Shutdown = 2 "shutdown",
    /// The recorder or the machine died.
    Crash = 3 "crash",
    /// The connection ended or could not be made.
    CameraLost = 4 "camera-lost",
    /// Nothing came, the connection open.
    CameraStalled = 5 "camera-stalled",
    /// The disk did not keep up.
    QueueFull = 6 "queue-full",
    /// A write or fsync failed.
    DiskError = 7 "disk-error",
    /// The stream's codec changed.
    Parameters = 8 "parameters",
    /// No key frame came in time.
    NoKeyFrame = 9 "no-key-frame",
    /// The camera's time jumped.
    Timestamps = 10 "timestamps",
    /// The camera sent what cannot be recorded.
    CameraData = 11 "camera-data",
    /// The recorder did not get on, and began anew.
    Stuck = 13 "stuck",
}

impl std::fmt::Display for GapCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Start {
    /// Seals it into a header that has everything else already.
    pub(super) fn seal(
        &self,
        header: &mut [u8; HEADER_LEN],
        m: &MetadataKey,
        rng: &mut dyn Random,
    ) {
        let key = block_key(header, m);
        let ad = start_ad(header);
        let block = aead::xseal(&key, &self.encode(), &ad, rng);
        header[START].copy_from_slice(&block);
    }

    pub(super) fn open(header: &[u8; HEADER_LEN], m: &MetadataKey) -> Result<Self> {
        let key = block_key(header, m);
        let text = aead::xopen(&key, &header[START], &start_ad(header), "start block")?;
        Self::decode(&text)
    }

    fn encode(&self) -> [u8; BLOCK_LEN] {
        let mut text = [0; BLOCK_LEN];
        text[..8].copy_from_slice(&self.wall_us.to_be_bytes());
        text[8..16].copy_from_slice(&self.monotonic_us.to_be_bytes());
        text[16..32].copy_from_slice(self.boot.as_bytes());
        text[32] = self.clock_trusted.into();
        text[40..48].copy_from_slice(&self.sequence.to_be_bytes());
        if let Some(gap) = &self.gap {
            text[33] = gap.cause.as_u8();
            text[48..56].copy_from_slice(&gap.length_us.unwrap_or(UNKNOWN_LENGTH).to_be_bytes());
        }
        text
    }

    fn decode(text: &[u8; BLOCK_LEN]) -> Result<Self> {
        let malformed = |offset| Error::Malformed {
            what: "start block",
            offset,
        };
        if text[32] > 1 {
            return Err(malformed(32));
        }
        if let Some(offset) = first_nonzero(text, &[34..40, 56..64]) {
            return Err(malformed(offset));
        }
        let length = u64::from_be_bytes(field(text, 48));
        let gap = match text[33] {
            0 if length == 0 => None,
            0 => return Err(malformed(48)),
            byte => Some(Gap {
                cause: GapCause::from_u8(byte).ok_or(malformed(33))?,
                length_us: (length != UNKNOWN_LENGTH).then_some(length),
            }),
        };
        Ok(Self {
            wall_us: i64::from_be_bytes(field(text, 0)),
            monotonic_us: u64::from_be_bytes(field(text, 8)),
            boot: BootId::from_bytes(field(text, 16)),
            clock_trusted: text[32] == 1,
            gap,
            sequence: u64::from_be_bytes(field(text, 40)),
        })
    }
}

impl End {
    /// Seals it into a tail that has its clear fields already.
    pub(super) fn seal(
        &self,
        header: &[u8; HEADER_LEN],
        tail: &mut [u8; TAIL_LEN],
        m: &MetadataKey,
        rng: &mut dyn Random,
    ) {
        let ad = end_ad(header, tail);
        let block = aead::xseal(&block_key(header, m), &self.encode(), &ad, rng);
        tail[END].copy_from_slice(&block);
    }

    pub(super) fn open(
        header: &[u8; HEADER_LEN],
        tail: &[u8; TAIL_LEN],
        m: &MetadataKey,
    ) -> Result<Self> {
        let ad = end_ad(header, tail);
        let text = aead::xopen(&block_key(header, m), &tail[END], &ad, "end block")?;
        Self::decode(&text)
    }

    fn encode(&self) -> [u8; BLOCK_LEN] {
        let mut text = [0; BLOCK_LEN];
        text[..8].copy_from_slice(&self.duration_us.to_be_bytes());
        text[8..16].copy_from_slice(&self.wall_us.to_be_bytes());
        text[16..20].copy_from_slice(&self.chunks.to_be_bytes());
        text[20..24].copy_from_slice(&self.key_chunks.to_be_bytes());
        text[32..64].copy_from_slice(&self.root);
        text
    }

    fn decode(text: &[u8; BLOCK_LEN]) -> Result<Self> {
        match first_nonzero(text, std::slice::from_ref(&(24..32))) {
            Some(offset) => Err(Error::Malformed {
                what: "end block",
                offset,
            }),
            None => Ok(Self {
                duration_us: u64::from_be_bytes(field(text, 0)),
                wall_us: i64::from_be_bytes(field(text, 8)),
                chunks: u32::from_be_bytes(field(text, 16)),
                key_chunks: u32::from_be_bytes(field(text, 20)),
                root: field(text, 32),
            }),
        }
    }
}

fn block_key(header: &[u8; HEADER_LEN], m: &MetadataKey) -> Key {
    expand(
        m.as_bytes(),
        &[b"hearthkeep/v1/block", &header[..super::header::BOUND]],
    )
}

fn start_ad(header: &[u8; HEADER_LEN]) -> Vec<u8> {
    [b"start", &header[..BLOCK_BOUND]].concat()
}

fn end_ad(header: &[u8; HEADER_LEN], tail: &[u8; TAIL_LEN]) -> Vec<u8> {
    [b"end", &header[..BLOCK_BOUND], &tail[..END.start]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Start {
        Start {
            wall_us: -5,
            monotonic_us: 6,
            boot: BootId::from_bytes([7; 16]),
            clock_trusted: true,
            gap: None,
            sequence: 8,
        }
    }

    #[test]
    fn starts_are_read_back() {
        assert_eq!(Start::decode(&start().encode()), Ok(start()));
        for &cause in GapCause::ALL {
            for length_us in [None, Some(0), Some(1_000_000)] {
                let start = Start {
                    gap: Some(Gap { cause, length_us }),
                    ..start()
                };
                assert_eq!(Start::decode(&start.encode()), Ok(start));
            }
        }
    }

    #[test]
    fn reserved_bits_are_refused() {
        for offset in [32, 33, 34, 39, 48, 55, 56, 63] {
            let mut text = start().encode();
            text[offset] |= 0x40;
            assert!(Start::decode(&text).is_err(), "byte {offset}");
        }
    }
}
