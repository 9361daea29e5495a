//! What a disk holds by the names, sizes and times of its files alone: nothing is opened, so that a large disk takes seconds
//! and not minutes.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use hearthkeep_format::{EpochId, StreamId};

use super::inspect::Place;
use super::layout;

/// The footage of one stream on one disk.
#[derive(Debug, Clone, Copy)]
pub struct Surveyed {
    /// The stream.
    pub stream: StreamId,
    /// Its segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The segment that was written to last, and when.
    pub newest: Option<(SystemTime, Place)>,
}

/// Looks at the disk in this folder. What goes away meanwhile is not counted.
///
/// # Errors
/// When a folder cannot be listed.
pub fn survey(disk: &Path) -> io::Result<Vec<Surveyed>> {
    let mut found = Vec::new();
    for (stream, entry) in entries(&disk.join(layout::FOOTAGE), StreamId::from_hex)? {
        let mut surveyed = Surveyed {
            stream,
            segments: 0,
            bytes: 0,
            newest: None,
        };
        for (epoch, entry) in entries(&entry.path(), EpochId::from_hex)? {
            for (segment, entry) in entries(&entry.path(), layout::segment_of)? {
                let Ok(facts) = entry.metadata() else {
                    continue;
                };
                surveyed.segments += 1;
                surveyed.bytes += facts.len();
                let modified = facts.modified()?;
                if surveyed.newest.is_none_or(|(before, _)| before < modified) {
                    let place = Place {
                        stream,
                        epoch,
                        segment,
                    };
                    surveyed.newest = Some((modified, place));
                }
            }
        }
        found.push(surveyed);
    }
    Ok(found)
}

/// The entries of a folder whose names mean something.
fn entries<T>(
    folder: &Path,
    meaning: impl Fn(&str) -> Option<T>,
) -> io::Result<Vec<(T, DirEntry)>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry?;
        if let Some(meant) = entry.file_name().to_str().and_then(&meaning) {
            found.push((meant, entry));
        }
    }
    Ok(found)
}
