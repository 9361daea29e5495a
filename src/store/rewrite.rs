//! Writing a segment anew: into a file beside it, which is compared with it and then takes its place. Whatever happens meanwhile,
//! one of the two is there and as it was.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;

use hearthkeep_format::segment::{self, Damage, HEADER_LEN, ReadAt as _, ReadError, Walk};
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
    let write = |file: &dyn DiskFile| -> Result<(), ReadError> {
        file.append(&mut [IoSlice::new(&restoration.head)])?;
        copy(&old, file, restoration.keep)?;
        Ok(file.append(&mut [IoSlice::new(&restoration.append)])?)
    };
    replace(disk, path, write, |new| is_better(&old, new, m))?;
    Ok(true)
}

/// Gives a torn segment the envelope of its epoch. Its header, which M vouches for, and all that follows the envelope stay as they are.
///
/// # Errors
/// As [`restore`]; also where the header is damaged, or the segment is not torn.
pub(super) fn give_envelope(
    disk: &dyn Disk,
    path: &Path,
    envelope: &[u8],
    m: &MetadataKey,
) -> Result<(), ReadError> {
    let wrong = || ReadError::from(FormatError::Tampered { what: "envelope" });
    let old = Front::whole(disk.open_read(path)?)?;
    let layout = segment::Layout::find(&old, Some(m))?;
    let head = layout.first.map_err(ReadError::from)?;
    let rest = u64::from(head.header.first_chunk_offset)..old.size();
    let is_torn = layout.copy.is_none() && layout.tail.is_none();
    if !is_torn || HEADER_LEN as u64 + envelope.len() as u64 != rest.start {
        return Err(wrong());
    }
    let write = |file: &dyn DiskFile| -> Result<(), ReadError> {
        let mut front = [
            IoSlice::new(&head.bytes[..HEADER_LEN]),
            IoSlice::new(envelope),
        ];
        file.append(&mut front)?;
        Ok(copy(&old, file, rest.clone())?)
    };
    replace(disk, path, write, |new| {
        let (was, is) = (segment::walk(&old, Some(m))?, segment::walk(new, Some(m))?);
        let is_head_the_same = is
            .layout
            .first
            .as_ref()
            .is_ok_and(|new| new.header == head.header && new.leaf == head.leaf);
        Ok(is_head_the_same && new.size() == old.size() && leaves(was) == leaves(is))
    })
}

/// Writes a file beside another, and puts it in its place where it is right.
fn replace(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), ReadError>,
    is_right: impl FnOnce(&Front) -> Result<bool, ReadError>,
) -> Result<(), ReadError> {
    let (beside, file) = layout::create_beside(disk, path)?;
    let done = write(&*file).and_then(|()| {
        file.sync_data()?;
        let new = Front::whole(disk.open_read(&beside)?)?;
        match is_right(&new)? {
            true => Ok(disk.rename(&beside, path)?),
            false => Err(FormatError::Tampered { what: "new file" }.into()),
        }
    });
    if let Err(error) = done {
        // A disk that fails may refuse this too: then `check` tells of what is left.
        let _ = disk.remove_file(&beside);
        return Err(error);
    }
    disk.sync_folder(path.parent().unwrap_or(Path::new("")))?;
    Ok(())
}

/// Copies these bytes of a file to the end of another.
pub(super) fn copy(from: &Front, to: &dyn DiskFile, bytes: Range<u64>) -> io::Result<()> {
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
    let (was, is) = (segment::scrub(old, m)?, segment::scrub(new, m)?);
    let is_left = |damage: &Damage| was.damage.contains(damage);
    let is_less = is.damage.len() < was.damage.len() && is.damage.iter().all(is_left);
    let ends_alike = was.end.is_none_or(|end| is.end == Some(end));
    let same_chunks = leaves(segment::walk(old, Some(m))?) == leaves(segment::walk(new, Some(m))?);
    Ok(is_less && ends_alike && same_chunks)
}

/// The chunks of a segment, without chunk 0, which is part of the head.
fn leaves(walk: Walk) -> Vec<(u32, [u8; 32])> {
    let chunks = walk.chunks.into_iter().filter(|chunk| chunk.k > 0);
    chunks.map(|chunk| (chunk.k, chunk.leaf)).collect()
}
