//! Room for the catalog on a full disk, and a place for it where the disk of the state folder takes nothing at all.
//!
//! sled cannot open a database where it cannot write, and without the catalog nothing can be deleted to make room. So the
//! state folder keeps some room aside, as a file, which is given up when the catalog cannot be opened otherwise. Where that is
//! gone too, the catalog is rebuilt in memory, and the one in the state folder is caught up with at a later start.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::StoreId;

use super::catalog::{Catalog, CatalogError, Folder, Memory, Opened, Shelf};

/// Enough for a few of sled's segments of 512 KiB and for what is deleted first.
const RESERVE_BYTES: u64 = 16 << 20;

/// With less than this it could be opened, and fail with what is entered next.
const ROOM_BYTES_MIN: u64 = 4 << 20;

/// Opens the catalog of a state folder; where that fails, once more with the room that was kept aside; where the folder does not let it be
/// opened whatever is tried, in memory.
pub(super) fn open_catalog(state_dir: &Path, store: &StoreId) -> Result<Opened, CatalogError> {
    match open_in_state(state_dir, store) {
        Err(error) if !error.is_lock() => {
            let state_dir = state_dir.display();
            tracing::error!(
                "the catalog in {state_dir} cannot be used ({}): it is rebuilt in memory, until a start at which it can be. Look at \
                 the disk of that folder",
                error.cause()
            );
            let opened = Catalog::open_from(&Memory::default(), store)?;
            opened.catalog.set_in_memory(&error);
            Ok(opened)
        }
        opened => opened,
    }
}

/// Where the catalog of a state folder is kept.
pub(super) fn shelf(state_dir: &Path) -> Arc<dyn Shelf> {
    Arc::new(Folder(state_dir.join("catalog")))
}

fn open_in_state(state_dir: &Path, store: &StoreId) -> Result<Opened, CatalogError> {
    let (folder, reserve) = (state_dir.join("catalog"), state_dir.join("catalog.reserve"));
    let opened = match Catalog::open(&folder, store) {
        Err(error) if reserve.exists() => {
            tracing::warn!("{error}: trying again with the room kept aside for this");
            std::fs::remove_file(&reserve)?;
            Catalog::open(&folder, store)
        }
        opened => opened,
    }?;
    if !reserve.exists()
        && let Err(error) = keep(&reserve)
    {
        tracing::warn!("no room could be kept aside for the catalog: {error}");
        if free_bytes(state_dir)? < ROOM_BYTES_MIN {
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
    }
    Ok(opened)
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A catalog that was made beside the one that is there, and is to take its place.
pub(super) struct Successor {
    state_dir: PathBuf,
}

/// Begins an empty catalog beside the one that is there.
pub(super) fn begin_beside(
    state_dir: &Path,
    store: &StoreId,
) -> Result<(Opened, Successor), CatalogError> {
    let state_dir = state_dir.to_owned();
    let successor = Successor { state_dir };
    Catalog::remove(&successor.folder())?;
    let opened = Catalog::open(&successor.folder(), store)?;
    Ok((opened, successor))
}

impl Successor {
    fn folder(&self) -> PathBuf {
        self.state_dir.join("catalog.new")
    }

    /// Puts it in the place of the other one. To be called when it is closed. A crash between the two renames leaves no catalog,
    /// and the next start makes one.
    pub(super) fn take_over(self) -> Result<(), CatalogError> {
        let folder = self.state_dir.join("catalog");
        let old = self.state_dir.join("catalog.old");
        Catalog::remove(&old)?;
        if folder.exists() {
            std::fs::rename(&folder, &old)?;
        }
        std::fs::rename(self.folder(), &folder)?;
        File::open(&self.state_dir)?.sync_all()?;
        Ok(Catalog::remove(&old)?)
    }
}

fn keep(reserve: &Path) -> io::Result<()> {
    let file = File::create_new(reserve)?;
    let allocated =
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES);
    allocated.inspect_err(|_| drop(std::fs::remove_file(reserve)))?;
    Ok(())
}
