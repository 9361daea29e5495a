//! Whether the recorder before this one ended as it should: a file in the state folder that stands while a store is open.
//!
//! A torn segment tells of a crash too, but only for the stream it is of: whose camera was away has none.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The mark of a store that is open.
pub(super) struct Mark {
    path: PathBuf,
    after_crash: bool,
}

impl Mark {
    /// Sets it, durably, and finds out whether it was there. That it cannot be set keeps nobody from recording.
    pub fn set(state_dir: &Path) -> Self {
        let mark = Self::untouched(state_dir);
        let set = || -> io::Result<()> {
            File::create(&mark.path)?.sync_all()?;
            File::open(state_dir)?.sync_all()
        };
        if let Err(error) = set() {
            let path = mark.path.display();
            tracing::warn!(%error, %path, "a crash from here on may be taken for a shutdown");
        }
        mark
    }

    /// Finds out whether it is there, and leaves it as it is.
    pub fn untouched(state_dir: &Path) -> Self {
        let path = state_dir.join("recording");
        let after_crash = path.exists();
        Self { path, after_crash }
    }

    /// Whether it was there: whoever set it has died.
    pub const fn after_crash(&self) -> bool {
        self.after_crash
    }

    /// Takes it away: all is durable.
    pub fn remove(&self) {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.path.display();
                tracing::warn!(%error, %path, "this shutdown will be taken for a crash");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_died_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Mark::set(folder.path());
        assert!(!first.after_crash());
        let second = Mark::set(folder.path());
        assert!(second.after_crash());
        second.remove();
        second.remove();
        assert!(!Mark::set(folder.path()).after_crash());
    }
}
