//! What the catalog asks of a database, whichever it is.

use std::io;
use std::path::PathBuf;

use super::CatalogError;

/// Writes that happen together or not at all.
#[derive(Debug, Default)]
pub struct Batch(pub Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Batch {
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.set(key, Some(value));
    }

    /// Puts a value, or removes the key where there is none.
    pub(super) fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.0.push((key.to_vec(), value.map(<[u8]>::to_vec)));
    }
}

/// What is called with a key and its value.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), CatalogError> + 'a;

/// An ordered map from bytes to bytes.
pub trait Database: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// When it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError>;

    /// Calls `each` with all keys that begin with `prefix`, in order.
    ///
    /// # Errors
    /// When it cannot be read; or what `each` says.
    fn scan(&self, prefix: &[u8], each: &mut Each<'_>) -> Result<(), CatalogError>;

    /// Applies a batch. It is durable after [`Database::flush`].
    ///
    /// # Errors
    /// When it cannot be written.
    fn apply(&self, batch: Batch) -> Result<(), CatalogError>;

    /// Makes all that was applied durable.
    ///
    /// # Errors
    /// When that fails: nothing is known then about what was applied last.
    fn flush(&self) -> Result<(), CatalogError>;

    /// Makes the next start begin a new one.
    fn doubt(&self);

    /// Lets go of memory around a key that was read.
    fn evict_around(&self, _key: &[u8]) {}
}

/// Where a database is kept.
pub trait Shelf: Send + Sync {
    /// Opens it, or makes it.
    ///
    /// # Errors
    /// When it is damaged or doubted, or the machine does not let it be opened.
    fn open(&self) -> Result<Box<dyn Database>, CatalogError>;

    /// Takes it out of the way, for somebody to look at. Returns where it is then.
    ///
    /// # Errors
    /// When it stays where it is.
    fn move_aside(&self) -> io::Result<PathBuf>;

    /// Removes it.
    ///
    /// # Errors
    /// When it stays where it is.
    fn remove(&self) -> io::Result<()>;
}
