//! The lock that keeps two processes off one store.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::Error;
use crate::state_file;

/// Held by `run`, `init` and `reindex` as long as they work; the kernel lets go of it when the process ends, however it
/// ends.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of the state folder, which is made where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when another process holds it; [`Error::Io`].
    pub fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("lock");
        let failed = |source: io::Error| Error::Io {
            verb: "written",
            path: path.clone(),
            source,
        };
        state_file::private_folder(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse {
                folder: folder.to_owned(),
            }),
            Err(error) => Err(failed(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let held = StoreLock::take(root.path()).unwrap();
        let refused = StoreLock::take(root.path()).unwrap_err();
        assert!(
            refused.to_string().contains("another hearthkeep is using"),
            "{refused}"
        );
        drop(held);
        StoreLock::take(root.path()).unwrap();
    }
}
