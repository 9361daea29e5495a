//! A copy of the catalog in a state folder, for who only wants to read it: opening a database changes it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hearthkeep_format::StoreId;

use super::{Catalog, CatalogError, Opened};

/// A copy of a catalog, opened. It is removed at the end.
pub(in crate::store) struct Copied {
    /// Of one that is damaged a new one, which says why the other was moved aside.
    pub opened: Opened,
    // After the database, which has it open.
    _folder: Folder,
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Copied {
    /// Copies the catalog in a state folder, of which nobody else may make use meanwhile; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be copied, or the copy not be opened.
    pub fn of(state_dir: &Path, store: &StoreId) -> Result<Option<Self>, CatalogError> {
        let from = state_dir.join("catalog");
        if !from.exists() {
            return Ok(None);
        }
        let to = state_dir.join("catalog.copy");
        Catalog::remove(&to)?;
        let folder = Folder(to);
        copy_folder(&from, &folder.0)?;
        Ok(Some(Self {
            opened: Catalog::open(&folder.0, store)?,
            _folder: folder,
        }))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = Catalog::remove(&self.0) {
            tracing::warn!("{} could not be removed: {error}", self.0.display());
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}
