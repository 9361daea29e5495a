//! An entry: a record, sealed under a key from M (`docs/format.md`, 9.2).

use super::record::Stamped;
use crate::aead::{self, TAG_LEN};
use crate::kdf::{Key, expand};
use crate::{Error, LogId, MetadataKey, Random, Result, merkle};

/// Length of what stands before the ciphertext, in bytes.
pub const ENTRY_HEADER_LEN: usize = 24;
/// Length of a whole entry at most, in bytes.
pub const ENTRY_LEN_MAX: usize = ENTRY_HEADER_LEN + CIPHERTEXT_LEN_MAX;

const CIPHERTEXT_LEN_MAX: usize = 64 * 1024;
const LABEL: &[u8] = b"hearthkeep/v1/log";
const WHAT: &str = "log entry";

/// An entry as it lies in the log, parsed and not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The generation whose M opens it.
    pub generation: u32,
    bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The entry at the beginning of `bytes`.
    ///
    /// # Errors
    /// [`Error::Truncated`] where not all of it is there; [`Error::Limit`] where its length is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        const CUT: Error = Error::Truncated { what: WHAT };
        let (header, _) = bytes.split_first_chunk::<ENTRY_HEADER_LEN>().ok_or(CUT)?;
        let n = field(header, 0) as usize;
        if !(TAG_LEN + 1..=CIPHERTEXT_LEN_MAX).contains(&n) {
            return Err(Error::Limit {
                what: WHAT,
                limit: CIPHERTEXT_LEN_MAX as u64,
            });
        }
        Ok(Self {
            generation: field(header, 4),
            bytes: bytes.get(..ENTRY_HEADER_LEN + n).ok_or(CUT)?,
        })
    }

    /// All of its bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its leaf in the log's tree.
    pub fn leaf(&self) -> merkle::Hash {
        merkle::leaf(&[self.bytes])
    }

    /// Seals a record as entry `index` of a log.
    ///
    /// # Errors
    /// [`Error::Limit`] where the record is longer than an entry may be.
    pub fn seal(
        record: &Stamped,
        log: &LogId,
        index: u64,
        (generation, m): (u32, &MetadataKey),
        random: &mut dyn Random,
    ) -> Result<Vec<u8>> {
        let mut bytes = vec![0; ENTRY_HEADER_LEN];
        record.encode(&mut bytes)?;
        let n = bytes.len() - ENTRY_HEADER_LEN + TAG_LEN;
        if n > CIPHERTEXT_LEN_MAX {
            return Err(Error::Limit {
                what: WHAT,
                limit: CIPHERTEXT_LEN_MAX as u64,
            });
        }
        let (header, text) = bytes.split_at_mut(ENTRY_HEADER_LEN);
        header[..4].copy_from_slice(&(n as u32).to_be_bytes());
        header[4..8].copy_from_slice(&generation.to_be_bytes());
        random.fill(&mut header[8..]);
        let tag = aead::seal(&key(m, log, header, index), header, text);
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    /// Opens it as entry `index` of a log, with the M of its generation.
    ///
    /// # Errors
    /// [`Error::Tampered`] where it is another entry, or another log's, or was changed; else as [`Stamped::decode`].
    pub fn open(&self, log: &LogId, index: u64, m: &MetadataKey) -> Result<Stamped> {
        let (header, sealed) = self.bytes.split_at(ENTRY_HEADER_LEN);
        let (text, tag) = sealed
            .split_last_chunk::<TAG_LEN>()
            .ok_or(Error::Truncated { what: WHAT })?;
        let mut text = text.to_vec();
        let key = key(m, log, header, index);
        aead::open(&key, header, &mut text, tag, WHAT)?;
        Stamped::decode(&text)
    }
}

fn key(m: &MetadataKey, log: &LogId, header: &[u8], index: u64) -> Key {
    let info = [LABEL, log.as_bytes(), &header[8..], &index.to_be_bytes()];
    expand(m.as_bytes(), &info)
}

fn field(header: &[u8; ENTRY_HEADER_LEN], at: usize) -> u32 {
    let bytes = header[at..at + 4].try_into();
    u32::from_be_bytes(bytes.expect("four bytes of a header of 24"))
}
