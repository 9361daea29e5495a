//! Where the bytes of a file come from.

use std::io;

use crate::Error;

/// A file that is read in any order: memory, a disk, or whatever the caller has.
///
/// To get past sectors that the disk cannot read, an implementation fills them with zeros: they
/// then count as damage, and everything around them stays readable. An error ends the reading.
pub trait ReadAt {
    /// Length of the file, in bytes. It does not change while the file is read.
    fn size(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on. Readers ask for no bytes beyond
    /// [`size`](Self::size).
    ///
    /// # Errors
    /// When the bytes cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..));
        let bytes = from.and_then(|from| from.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, buffer)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Box<R> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its bytes could not be had.
    #[error("the segment could not be read: {0}")]
    Io(#[from] io::Error),
    /// Its bytes are not what they must be.
    #[error(transparent)]
    Format(#[from] Error),
}

/// `length` bytes from `offset`, whose end has been compared with the file's.
pub(super) fn read_vec<R: ReadAt + ?Sized>(
    file: &R,
    offset: u64,
    length: usize,
) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_at(offset, &mut bytes)?;
    Ok(bytes)
}
