//! `keyring/a` and `keyring/b`: the same content twice, replaced one after the other (`docs/format.md`, section 3).

use std::path::Path;

use hearthkeep_format::Keyring;

use super::Error;
use crate::limits::KEYRING_BYTES_MAX;
use crate::state_file;

const FOLDER: &str = "keyring";
const COPIES: [&str; 2] = ["a", "b"];

/// Writes an encoded keyring below `folder` (the state folder or a disk).
///
/// # Errors
///
/// [`Error::Io`]; one of the two copies is whole even then.
pub fn write_keyring(folder: &Path, encoded: &[u8]) -> Result<(), Error> {
    let folder = folder.join(FOLDER);
    let failed = |path: &Path, source| Error::Io {
        verb: "written",
        path: path.to_owned(),
        source,
    };
    state_file::private_folder(&folder).map_err(|source| failed(&folder, source))?;
    COPIES.iter().try_for_each(|copy| {
        let path = folder.join(copy);
        state_file::replace(&path, encoded).map_err(|source| failed(&path, source))
    })
}

/// Reads the newest whole copy below `folder` (the state folder or a disk); `None` where there is neither.
///
/// # Errors
///
/// [`Error::Damaged`] when there are copies and none is whole; [`Error::Io`].
pub fn read_keyring(folder: &Path) -> Result<Option<Keyring>, Error> {
    let folder = folder.join(FOLDER);
    let [a, b] = COPIES.map(|copy| {
        let path = folder.join(copy);
        state_file::read(&path, KEYRING_BYTES_MAX).map_err(|source| Error::Io {
            verb: "read",
            path,
            source,
        })
    });
    // One unreadable copy is what the other is there for.
    let (a, b) = match (a, b) {
        (Err(error), Err(_)) => return Err(error),
        (a, b) => (a.ok().flatten(), b.ok().flatten()),
    };
    if a.is_none() && b.is_none() {
        return Ok(None);
    }
    let newest = Keyring::newest(
        a.as_deref().map(Vec::as_slice),
        b.as_deref().map(Vec::as_slice),
    );
    newest.map(Some).map_err(|error| Error::Damaged {
        path: folder,
        what: error.to_string(),
    })
}
