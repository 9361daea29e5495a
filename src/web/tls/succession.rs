//! Which authority the box has, and when it gets another: devices were told to trust it by hand, so as seldom as can be.
//!
//! `authority.json` is the one in use, `authority-before.json` the one it replaced. A clock that is wrong for a while
//! replaces none; one that was wrong for long did, and what it replaced comes back.

use std::path::Path;

use super::Error;
use super::authority::Certified;
use super::names::Names;
use super::{io, read, write};
use crate::random::OsRandom;
use crate::state_file;

/// What time it is, for certificates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Wall time.
    pub us: i64,
    /// Whether this machine has learnt it.
    pub is_trusted: bool,
    /// Whether it has been trusted, and has not jumped, for long enough to end an authority by it.
    pub is_steady: bool,
}

/// The authority of the folder, or another one where it cannot stay. Then the leaf that it issued is removed.
pub(super) fn authority(folder: &Path, fixed: &Names, now: Now) -> Result<Certified, Error> {
    let (path, path_before) = (
        folder.join("authority.json"),
        folder.join("authority-before.json"),
    );
    let Some(current) = read(&path)? else {
        let made = Certified::authority(fixed, now.us, &mut OsRandom)?;
        remove_leaf(folder)?;
        write(&path, &made)?;
        return Ok(made);
    };
    let before = read(&path_before).unwrap_or_else(|error| {
        tracing::warn!("the authority that this box had before is lost: {error}");
        None
    });
    let before = before.filter(|before| before.fits(fixed) && before.lasts(now.us));
    let is_wanted = current.fits(fixed) && (current.lasts(now.us) || !now.is_steady);
    match before {
        Some(before) if now.is_trusted && current.is_of_the_future(now.us) => {
            tracing::info!(
                "the clock was ahead, and is right again: the authority from before is back"
            );
            remove_leaf(folder)?;
            // In this order a power cut loses the newer of the two, which nobody was to trust.
            write(&path, &before)?;
            write(&path_before, &current)?;
            Ok(before)
        }
        _ if is_wanted => Ok(current),
        before => {
            let next = match before {
                Some(before) => before,
                None => Certified::authority(fixed, now.us, &mut OsRandom)?,
            };
            tracing::warn!(
                "the box's names changed, or its authority is near its end: there is another one, which devices must be \
                 told to trust (docs/trusting-the-box.md)"
            );
            remove_leaf(folder)?;
            write(&path_before, &current)?;
            write(&path, &next)?;
            Ok(next)
        }
    }
}

fn remove_leaf(folder: &Path) -> Result<(), Error> {
    let path = folder.join("leaf.json");
    state_file::remove(&path).map_err(|source| io(&path, source))
}
