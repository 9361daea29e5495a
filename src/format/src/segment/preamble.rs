//! The preamble: the body of chunk 0 (`docs/format.md`, 5.3).

use super::header::field;
use crate::{Error, Result, RunId};

const INIT: usize = 24;

/// What every fragment of a segment needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preamble {
    /// The unbroken run that the samples belong to.
    pub run: RunId,
    /// Wall time of a sample = `anchor_us` + its decode time in the run, in microseconds.
    pub anchor_us: i64,
    /// Init segment (`ftyp` and `moov`) of all fragments.
    pub init: Vec<u8>,
}

impl Preamble {
    pub(super) const EMPTY: Self = Self {
        run: RunId::from_bytes([0; 16]),
        anchor_us: 0,
        init: Vec::new(),
    };

    /// Appends it to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.run.as_bytes());
        out.extend_from_slice(&self.anchor_us.to_be_bytes());
        out.extend_from_slice(&self.init);
    }

    /// Reads the body of chunk 0.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn decode(body: &[u8]) -> Result<Self> {
        if body.len() < INIT {
            return Err(Error::Truncated { what: "preamble" });
        }
        Ok(Self {
            run: RunId::from_bytes(field(body, 0)),
            anchor_us: i64::from_be_bytes(field(body, 16)),
            init: body[INIT..].to_vec(),
        })
    }
}
