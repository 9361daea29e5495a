//! What is remembered of sequence numbers beyond the segments that have them: a stream's footage may all be deleted, and its newest first.
//!
//! Under `n` stands the number below which nothing is known of what was given, and under `n` and a stream the highest that was given of
//! those that are gone. Footage does not tell either: a catalog that is made anew has none, and the next start passes over numbers.

use std::collections::HashMap;

use hearthkeep_format::StreamId;

use super::{Batch, Catalog, CatalogError, Database, lock};

const TAG: u8 = b'n';
const STRANGE: CatalogError = CatalogError::Damaged("a sequence number cannot be read");

/// See the head of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    known_from: Option<u64>,
    pub(super) gone: HashMap<StreamId, u64>,
}

impl Numbers {
    pub(super) fn read(db: &dyn Database) -> Result<Self, CatalogError> {
        let mut numbers = Self::default();
        db.scan(&[TAG], &mut |key, number| {
            let number = u64::from_be_bytes(number.try_into().map_err(|_| STRANGE)?);
            match &key[1..] {
                [] => numbers.known_from = Some(number),
                stream => {
                    let stream = StreamId::from_bytes(stream.try_into().map_err(|_| STRANGE)?);
                    numbers.gone.insert(stream, number);
                }
            }
            Ok(())
        })?;
        Ok(numbers)
    }

    /// Writes all of them.
    pub(super) fn put_all(&self, batch: &mut Batch) {
        if let Some(number) = self.known_from {
            batch.put(&[TAG], &number.to_be_bytes());
        }
        for (stream, number) in &self.gone {
            put_gone(batch, stream, *number);
        }
    }
}

impl Catalog {
    /// The highest sequence number of a stream's segments that are gone, of those that were its newest.
    pub(in crate::store) fn highest_gone(&self, stream: &StreamId) -> Option<u64> {
        self.directory().numbers.gone.get(stream).copied()
    }

    /// The sequence number from which on it knows all that were given; `None` where that was not said yet.
    pub(in crate::store) fn numbers_known_from(&self) -> Option<u64> {
        self.directory().numbers.known_from
    }

    /// Says so. Durable after [`Catalog::flush`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::store) fn know_numbers_from(&self, number: u64) -> Result<(), CatalogError> {
        let _writing = lock(&self.writing);
        self.or_in_memory(|| {
            let mut batch = Batch::default();
            batch.put(&[TAG], &number.to_be_bytes());
            self.db().apply(batch)
        })?;
        self.directory_mut(|directory| directory.numbers.known_from = Some(number));
        Ok(())
    }
}

/// Writes the highest number of a stream of those that are gone.
pub(super) fn put_gone(batch: &mut Batch, stream: &StreamId, number: u64) {
    let key = [&[TAG], stream.as_bytes().as_slice()].concat();
    batch.put(&key, &number.to_be_bytes());
}
