//! The ways to the folders of disks. A drive may hang in any call, so each is made on a lane, and whoever asks waits for as long as
//! that lane's patience.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::error::{Error, Result};
use crate::disk::{BoundedDisk, Disk, Lane, Patience, RealDisk, is_no_answer};
use crate::store;

/// The lanes on which folders were opened last: what hangs in one is not asked again on another, which would hang there too.
#[derive(Default)]
pub struct Doors {
    lanes: Mutex<HashMap<PathBuf, Arc<Lane>>>,
}

/// A file system that is there without any disk for footage being mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// The one that all others are mounted on.
    Root,
    /// The one that the state folder is on.
    State,
}

/// Whose file system a folder is on, where it is one that is there before any disk is mounted: a folder for footage there is meant, as
/// on a box with one disk, or it is a bare mount point. `None` also where the folder cannot be looked at.
pub fn shared(folder: &Path, state_dir: &Path) -> Option<Shared> {
    let device = |path: &Path| std::fs::metadata(path).ok().map(|facts| facts.dev());
    let own = device(folder)?;
    match own {
        own if device(Path::new("/")) == Some(own) => Some(Shared::Root),
        own if device(state_dir) == Some(own) => Some(Shared::State),
        _ => None,
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "the file system of /",
            Self::State => "the file system of the state folder",
        })
    }
}

/// The folder of a disk, opened.
pub(super) struct Folder {
    /// As the configuration writes it.
    pub path: PathBuf,
    /// However that writes it: what is remembered must be found again.
    pub real_path: PathBuf,
    /// What is in it, for who waits for as long as the lane's patience.
    pub disk: BoundedDisk,
    /// For who waits for ever.
    pub raw: Arc<dyn Disk>,
}

impl Doors {
    /// Opens a folder.
    pub(super) fn open(&self, path: &Path, patience_ms: u64) -> Result<Folder> {
        let asked = path.to_owned();
        self.open_by(path, patience_ms, move || {
            let disk = RealDisk::open(&asked)?;
            Ok((disk, std::fs::canonicalize(&asked)?))
        })
    }

    fn open_by(
        &self,
        path: &Path,
        patience_ms: u64,
        open: impl FnOnce() -> io::Result<(RealDisk, PathBuf)> + Send + 'static,
    ) -> Result<Folder> {
        let cannot = |source| match is_no_answer(&source) {
            true => store::Error::NoAnswer {
                disk: path.to_owned(),
            }
            .into(),
            false => Error::Open {
                path: path.to_owned(),
                source,
            },
        };
        let lane = self.lane(path, patience_ms).map_err(cannot)?;
        let (disk, real_path) = lane.call(open).map_err(cannot)?;
        let raw: Arc<dyn Disk> = Arc::new(disk);
        Ok(Folder {
            path: path.to_owned(),
            real_path,
            disk: BoundedDisk::on(lane, Arc::clone(&raw)),
            raw,
        })
    }

    /// A lane of its own for each who opens a folder, but for one in which a call hangs: that answers at once that it does.
    fn lane(&self, path: &Path, patience_ms: u64) -> io::Result<Arc<Lane>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(path).filter(|lane| lane.hangs_for().is_some()) {
            return Ok(Arc::clone(lane));
        }
        let patience = Patience::Each(Duration::from_millis(patience_ms));
        let lane = Arc::new(Lane::new("errands".to_owned(), patience)?);
        lanes.insert(path.to_owned(), Arc::clone(&lane));
        Ok(lane)
    }
}

impl Folder {
    /// Whose file system it is on, where that is no disk of its own: [`shared`].
    pub(super) fn shared(&self, state_dir: &Path) -> Option<Shared> {
        let (path, state_dir) = (self.path.clone(), state_dir.to_owned());
        let look = move || Ok(shared(&path, &state_dir));
        self.disk.lane().call(look).ok().flatten()
    }

    /// What is in it, for one, other than what a new file system has.
    pub(super) fn something(&self) -> Result<Option<OsString>> {
        let path = self.path.clone();
        let first = move || {
            let mut entries = std::fs::read_dir(path)?.filter_map(io::Result::ok);
            let found = entries.find(|entry| entry.file_name() != "lost+found");
            Ok(found.map(|entry| entry.file_name()))
        };
        let found = self.disk.lane().call(first);
        found.map_err(|source| Error::Open {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_folder_that_hangs_is_asked_once_until_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let doors = Doors::default();
        let (go_on, hang) = mpsc::channel::<()>();
        let asked = path.to_owned();
        let hanging = move || {
            let _ = hang.recv();
            Ok((RealDisk::open(&asked)?, asked))
        };
        let refused = |opened: Result<Folder>| {
            let error = opened.err().unwrap();
            matches!(error, Error::Store(store::Error::NoAnswer { .. }))
        };
        assert!(refused(doors.open_by(path, 50, hanging)));
        let never = || unreachable!("it is not asked while it hangs");
        assert!(refused(doors.open_by(path, 50, never)));
        drop(go_on);
        while doors.lane(path, 50).unwrap().hangs_for().is_some() {
            std::thread::yield_now();
        }
        let opened = doors.open(path, 60_000).unwrap();
        assert!(opened.something().unwrap().is_none());
        std::fs::create_dir(path.join("lost+found")).unwrap();
        assert!(opened.something().unwrap().is_none());
        std::fs::write(path.join("letter"), "x").unwrap();
        assert_eq!(opened.something().unwrap().unwrap(), "letter");
    }
}
