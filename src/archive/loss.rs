//! What cannot be written out, and why: it costs itself and nothing else.

use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;

use hearthkeep_format::SegmentId;
use hearthkeep_format::segment::ReadError;

use super::error::rfc3339;
use super::{Error, Segment};
use crate::disk::is_bad_sector;

/// Footage that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The segment.
    pub segment: SegmentId,
    /// The wall time that is missing, in microseconds, where that is known.
    pub span: Option<Range<i64>>,
    /// Why.
    pub loss: Loss,
}

/// Why footage is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// It was deleted after it had been listed: retention makes room all the time.
    Deleted,
    /// It is damaged, or cannot be read; in words.
    Damaged(String),
}

impl Skipped {
    /// A whole segment.
    pub(super) fn whole(segment: &dyn Segment, loss: Loss) -> Self {
        Self {
            segment: segment.id(),
            span: Some(segment.span()),
            loss,
        }
    }

    /// Chunks of a segment, and the wall time that is lost with them.
    pub(super) fn chunks(
        segment: &dyn Segment,
        lost: Vec<(Range<u32>, Range<i64>)>,
    ) -> impl Iterator<Item = Self> {
        let segment = segment.id();
        lost.into_iter().map(move |(chunks, span)| Self {
            segment,
            span: Some(span),
            loss: Loss::of_chunks(&chunks),
        })
    }

    /// Whether anything is wrong with it.
    pub fn is_damaged(&self) -> bool {
        matches!(self.loss, Loss::Damaged(_))
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = &self.span {
            write!(f, "{} to {}: ", rfc3339(span.start), rfc3339(span.end))?;
        }
        write!(f, "segment {} {}", self.segment, self.loss)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => f.write_str("was deleted meanwhile, to make room"),
            Self::Damaged(what) => f.write_str(what),
        }
    }
}

impl Loss {
    /// What a failed read costs.
    ///
    /// # Errors
    /// Where it is not this segment that is wrong: the next one would fare no better.
    pub(super) fn of(segment: &dyn Segment, source: ReadError) -> Result<Self, Error> {
        match source {
            ReadError::Format(error) => Ok(Self::Damaged(format!("is damaged: {error}"))),
            ReadError::Io(error) if error.kind() == ErrorKind::NotFound => Ok(Self::Deleted),
            ReadError::Io(error)
                if is_bad_sector(&error) || error.kind() == ErrorKind::UnexpectedEof =>
            {
                Ok(Self::Damaged(format!("cannot be read: {error}")))
            }
            source => Err(Error::Read {
                segment: segment.id(),
                source,
            }),
        }
    }

    /// Damaged chunks; without a number, all from this one on.
    pub(super) fn of_chunks(chunks: &Range<u32>) -> Self {
        let last = chunks.end.saturating_sub(1);
        let which = match chunks.len() {
            0 => format!("its end, from chunk {} on", chunks.start),
            1 => format!("chunk {last}"),
            _ => format!("chunks {} to {last}", chunks.start),
        };
        Self::Damaged(format!(
            "is damaged at {which}; left out to the next key frame"
        ))
    }
}
