//! Writing a segment anew: into a file beside it, which is compared with it and then takes its place. Whatever happens meanwhile,
//! one of the two is there and as it was.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;

use hearthkeep_format::segment::{self, Damage, ReadAt as _, ReadError, Walk};
use hearthkeep_format::{Error as FormatError, MetadataKey, Random};

use super::layout;
use crate::disk::{Disk, DiskFile, Front};

const PIECE_BYTES: u64 = 1 << 20;

/// Writes a segment anew of which a head or the tail is damaged; whether there was something to do. Of one whose chunks are
/// damaged too, or of which the disk cannot read a sector, nothing is touched.
///
/// # Errors
/// When it cannot be read or written, or when the new file is not better than the old one: that is as it was then.
pub(super) fn restore(
    disk: &dyn Disk,
    path: &Path,
    m: &MetadataKey,
    random: &mut dyn Random,
) -> Result<bool, ReadError> {
    let old = Front::whole(disk.open_read(path)?)?;
    let Some(restoration) = segment::restore(&old, m, random)? else {
        return Ok(false);
    };
    let (beside, file) = layout::create_beside(disk, path)?;
    file.append(&mut [IoSlice::new(&restoration.head)])?;
    copy(&old, &*file, restoration.keep)?;
    file.append(&mut [IoSlice::new(&restoration.append)])?;
    file.sync_data()?;
    drop(file);
    let new = Front::whole(disk.open_read(&beside)?)?;
    if !is_better(&old, &new, m)? {
        disk.remove_file(&beside)?;
        return Err(FormatError::Tampered { what: "new file" }.into());
    }
    disk.rename(&beside, path)?;
    disk.sync_folder(path.parent().unwrap_or(Path::new("")))?;
    Ok(true)
}

fn copy(from: &Front, to: &dyn DiskFile, bytes: Range<u64>) -> io::Result<()> {
    let mut piece = vec![0; (bytes.end - bytes.start).min(PIECE_BYTES) as usize];
    let mut at = bytes.start;
    while at < bytes.end {
        let length = (bytes.end - at).min(PIECE_BYTES) as usize;
        from.read_at(at, &mut piece[..length])?;
        to.append(&mut [IoSlice::new(&piece[..length])])?;
        at += length as u64;
    }
    Ok(())
}

/// Whether the new file has all chunks of the old one, its start and its end, and less damage: none that was not there.
fn is_better(old: &Front, new: &Front, m: &MetadataKey) -> Result<bool, ReadError> {
    let chunks = |walk: Walk| -> Vec<_> {
        let chunks = walk.chunks.into_iter().filter(|chunk| chunk.k > 0);
        chunks.map(|chunk| (chunk.k, chunk.leaf)).collect()
    };
    let (was, is) = (segment::scrub(old, m)?, segment::scrub(new, m)?);
    let is_left = |damage: &Damage| was.damage.contains(damage);
    let is_less = is.damage.len() < was.damage.len() && is.damage.iter().all(is_left);
    let ends_alike = was.end.is_none_or(|end| is.end == Some(end));
    let same_chunks = chunks(segment::walk(old, Some(m))?) == chunks(segment::walk(new, Some(m))?);
    Ok(is_less && ends_alike && same_chunks)
}
