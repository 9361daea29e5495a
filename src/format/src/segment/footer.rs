//! The footer: the body of the last chunk (`docs/format.md`, 5.4).

use super::CHUNKS_MAX;
use super::header::{field, first_nonzero};
use crate::{Error, Result};

const TABLE: usize = 20;
const PLACE_LEN: usize = 24;

/// Where everything stands in a segment that was finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Media duration, in microseconds.
    pub duration_us: u64,
    /// Wall time of the end, in microseconds since 1970.
    pub wall_end_us: i64,
    /// The chunks between preamble and footer, in order: the first is chunk 1.
    pub fragments: Vec<FragmentPlace>,
    /// The sample table, encoded.
    pub sample_table: Vec<u8>,
}

/// Where a fragment stands and when it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentPlace {
    /// Start, in microseconds after the segment's first sample.
    pub start_us: u64,
    /// Duration, in microseconds.
    pub duration_us: u32,
    /// Offset of the chunk in the file, in bytes.
    pub offset: u32,
    /// Length of the whole chunk, in bytes.
    pub length: u32,
    /// Whether it starts with a key frame.
    pub key_frame: bool,
}

impl Footer {
    /// Appends it to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(TABLE + self.fragments.len() * PLACE_LEN + self.sample_table.len());
        out.extend_from_slice(&self.duration_us.to_be_bytes());
        out.extend_from_slice(&self.wall_end_us.to_be_bytes());
        out.extend_from_slice(&(self.fragments.len() as u32).to_be_bytes());
        for place in &self.fragments {
            out.extend_from_slice(&place.start_us.to_be_bytes());
            out.extend_from_slice(&place.duration_us.to_be_bytes());
            out.extend_from_slice(&place.offset.to_be_bytes());
            out.extend_from_slice(&place.length.to_be_bytes());
            out.extend_from_slice(&[place.key_frame.into(), 0, 0, 0]);
        }
        out.extend_from_slice(&self.sample_table);
    }

    /// Reads the body of a footer.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`], and [`Error::Limit`] for more fragments than a
    /// segment has.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let truncated = Error::Truncated { what: "footer" };
        if body.len() < TABLE {
            return Err(truncated);
        }
        let count = u32::from_be_bytes(field(body, 16));
        if count > CHUNKS_MAX - 2 {
            return Err(Error::Limit {
                what: "number of chunks",
                limit: CHUNKS_MAX.into(),
            });
        }
        let end = TABLE + count as usize * PLACE_LEN;
        let table = body.get(TABLE..end).ok_or(truncated)?;
        let (places, _) = table.as_chunks::<PLACE_LEN>();
        let fragments = places.iter().enumerate().map(|(i, place)| {
            let malformed = |at| Error::Malformed {
                what: "footer",
                offset: TABLE + i * PLACE_LEN + at,
            };
            if place[20] > 1 {
                return Err(malformed(20));
            }
            match first_nonzero(place, std::slice::from_ref(&(21..24))) {
                Some(at) => Err(malformed(at)),
                None => Ok(FragmentPlace {
                    start_us: u64::from_be_bytes(field(place, 0)),
                    duration_us: u32::from_be_bytes(field(place, 8)),
                    offset: u32::from_be_bytes(field(place, 12)),
                    length: u32::from_be_bytes(field(place, 16)),
                    key_frame: place[20] == 1,
                }),
            }
        });
        Ok(Self {
            duration_us: u64::from_be_bytes(field(body, 0)),
            wall_end_us: i64::from_be_bytes(field(body, 8)),
            fragments: fragments.collect::<Result<_>>()?,
            sample_table: body[end..].to_vec(),
        })
    }
}
