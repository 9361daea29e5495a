//! A segment that lies on two disks, because a crash fell between copying it and removing where it was: one copy goes, once the
//! other is known to be the same to the last byte.

use std::io;

use sha2::{Digest, Sha256};

use super::CatalogError;
use super::catalog::Entry;
use super::inspect::{Place, Strange};
use super::layout;
use super::recovery::{Recovery, Report};
use crate::disk::{Disk, DiskFile, is_no_answer};

/// What is read at once.
pub(super) const PIECE_BYTES: usize = 1 << 20;

impl Recovery<'_> {
    /// Of files that the catalog does not know here, those that it does not know elsewhere either. A second copy is removed; where
    /// the first is on a disk that is away, or is not there, the second is as good as the first.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(super) fn without_copies(
        &self,
        unknown: Vec<Place>,
        report: &mut Report,
    ) -> Result<Vec<Place>, CatalogError> {
        let mut rest = Vec::new();
        for place in unknown {
            let known = self.catalog.find(&place.stream, &place.segment)?;
            match known.filter(|known| known.disk != self.number) {
                Some(known) if self.is_settled(&place, &known, report) => {}
                _ => rest.push(place),
            }
        }
        Ok(rest)
    }

    /// Whether there is nothing more to do about a file whose segment is on another disk too.
    fn is_settled(&self, place: &Place, known: &Entry, report: &mut Report) -> bool {
        let Some(other) = (self.elsewhere)(known.disk) else {
            return false;
        };
        let path = layout::segment_path(&place.stream, &place.epoch, &place.segment);
        let digest_of = |disk: &dyn Disk| digest(&*disk.open_read(&path)?);
        let theirs = match digest_of(&*other) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            Err(error) if is_no_answer(&error) => {
                report.undecided.insert(known.disk);
                return true;
            }
            read => read,
        };
        let compared = theirs.and_then(|theirs| Ok(theirs == digest_of(self.disk)?));
        match compared {
            Ok(true) => match self.disk.remove_file(&path) {
                Ok(()) => {
                    tracing::info!(path = %path.display(), "a second copy of a segment was removed")
                }
                Err(error) if is_no_answer(&error) => report.leave(path, error.into()),
                Err(error) => tracing::error!(path = %path.display(), "could not delete: {error}"),
            },
            Ok(false) => report.leave(path, Strange::Twice),
            Err(error) => report.leave(path, error.into()),
        }
        true
    }
}

/// SHA-256 of a whole file.
pub(super) fn digest(file: &dyn DiskFile) -> io::Result<[u8; 32]> {
    let (mut hash, mut at) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = file.read_at(at, &mut piece)?;
        if read == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&piece[..read]);
        at += read as u64;
    }
}
