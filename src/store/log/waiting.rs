//! Sealed lists in the state folder of what the log is still to be told.

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use hearthkeep_format::Random;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::STATE_FILE_BYTES_MAX;
use crate::state_file::{self, StateKey};

/// What can wait in a file of its own.
pub trait Waits: Sized {
    /// The file's name.
    const FILE: &'static str;
    /// What the log lacks where the file cannot be read.
    const LACKS: &'static str;
    /// How one is written.
    type Written: Serialize + DeserializeOwned;

    /// As it is written.
    ///
    /// # Errors
    /// When it is more than a record takes.
    fn written(&self) -> io::Result<Self::Written>;

    /// The same read back; `None` where it is not as it was written.
    fn read(written: &Self::Written) -> Option<Self>;
}

/// A file of such a list. One that cannot be read is kept aside before another is written or it is forgotten.
pub struct WaitingFile<T> {
    path: PathBuf,
    key: StateKey,
    is_there: bool,
    /// Whether what is there was written by this.
    is_ours: bool,
    of: PhantomData<T>,
}

impl<T: Waits> WaitingFile<T> {
    /// That of a state folder, sealed by this key.
    pub fn new(state_dir: &Path, key: StateKey) -> Self {
        let path = state_dir.join(T::FILE);
        Self {
            is_there: path.exists(),
            is_ours: false,
            path,
            key,
            of: PhantomData,
        }
    }

    /// What waits, the oldest first.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(&self) -> Result<Vec<T>, String> {
        let sealed = state_file::read(&self.path, STATE_FILE_BYTES_MAX);
        let Some(sealed) = sealed.map_err(|error| error.to_string())? else {
            return Ok(Vec::new());
        };
        let json = self.key.open(T::FILE, &sealed);
        let json = json.ok_or("it was changed, or sealed by another machine key")?;
        let written: Vec<T::Written> =
            serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        let read = written.iter().map(T::read).collect::<Option<_>>();
        read.ok_or_else(|| "it is not as it was written".to_owned())
    }

    /// Replaces it, durably.
    ///
    /// # Errors
    /// When the state folder cannot be written, or there is more than a file of it may have.
    pub(super) fn write<'a>(
        &mut self,
        waiting: impl Iterator<Item = &'a T>,
        random: &mut dyn Random,
    ) -> io::Result<()>
    where
        T: 'a,
    {
        let written: Vec<_> = waiting.map(T::written).collect::<io::Result<_>>()?;
        let json = serde_json::to_vec(&written).expect("plain values become JSON");
        let sealed = self.key.seal(T::FILE, &json, random);
        if sealed.len() as u64 > STATE_FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.make_way()?;
        state_file::replace(&self.path, &sealed)?;
        (self.is_there, self.is_ours) = (true, true);
        Ok(())
    }

    /// Forgets them: the log has all.
    pub(super) fn forget(&mut self) {
        if !self.is_there {
            return;
        }
        match self
            .make_way()
            .and_then(|()| state_file::remove(&self.path))
        {
            Ok(()) => self.is_there = false,
            // They are logged once more then.
            Err(error) => tracing::warn!(path = %self.path.display(), "could not delete: {error}"),
        }
    }

    /// Keeps aside what cannot be read: somebody may still make sense of it.
    fn make_way(&mut self) -> io::Result<()> {
        if self.is_ours {
            return Ok(());
        }
        if let Err(what) = self.read() {
            let aside = state_file::move_aside(&self.path)?;
            tracing::error!(
                "{} cannot be used ({what}): {}. It is kept as {}",
                self.path.display(),
                T::LACKS,
                aside.display()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hearthkeep_format::StreamId;
    use hearthkeep_format::log::{Deleted, DeletionCause};
    use zeroize::Zeroizing;

    use super::*;
    use crate::random::OsRandom;

    #[test]
    fn what_cannot_be_read_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let sealed_by = |key| {
            WaitingFile::<Deleted>::new(folder.path(), StateKey::new(Zeroizing::new([key; 32])))
        };
        let deleted = |stream| Deleted {
            stream: StreamId::from_bytes([stream; 16]),
            cause: DeletionCause::Age,
            segments: Vec::new(),
        };
        let [old, new] = [1, 2].map(deleted);
        let file = folder.path().join(Deleted::FILE);
        let aside = folder.path().join(format!("{}.damaged", Deleted::FILE));
        let write = |key, deleted| {
            let mut file = sealed_by(key);
            file.write([deleted].into_iter(), &mut OsRandom).unwrap();
            file
        };
        write(1, &old);
        let before = std::fs::read(&file).unwrap();
        let mut ours = write(2, &new);
        assert_eq!(std::fs::read(&aside).unwrap(), before);
        assert_eq!(ours.read(), Ok(vec![new.clone()]));
        // What it wrote itself is no news to it.
        ours.write([&old, &new].into_iter(), &mut OsRandom).unwrap();
        ours.forget();
        assert_eq!(std::fs::read(&aside).unwrap(), before);
        assert!(!file.exists());

        std::fs::write(&file, "torn").unwrap();
        sealed_by(1).forget();
        assert_eq!(std::fs::read(&aside).unwrap(), b"torn");
        assert!(!file.exists());
    }
}
