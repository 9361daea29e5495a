//! What lies where on a disk, and what lies there that should not.

use std::io;
use std::path::{Path, PathBuf};

use hearthkeep_format::{EpochId, StreamId};

use super::{Finding, Kind, Known, Subject};
use crate::config;
use crate::disk::Disk;
use crate::store::inspect::Place;
use crate::store::layout;

/// Folders of a disk that are nobody's business here.
const OTHERS: [&str; 2] = ["lost+found", layout::LOST];
/// So many folders are looked into for whether a disk lies below a stranger's folder.
const FOLDERS_MAX: u32 = 1000;

/// Lists the segments of a disk. What else there is, is found.
pub(super) fn look(
    number: usize,
    subject: &Subject,
    known: &Known<'_>,
    found: &mut Vec<Finding>,
) -> Vec<Place> {
    let mut look = Look {
        number,
        disk: &*subject.disk,
        at: config::real(&subject.path),
        known,
        found,
    };
    let mut places = Vec::new();
    for (name, is_folder) in look.entries(Path::new("")) {
        match (name.as_str(), is_folder) {
            (layout::FOOTAGE, true) => look.footage(&mut places),
            (layout::KEYRING, true) => look.keyring(),
            (layout::LOG, true) => look.logs(),
            (layout::ID_FILE, false) => {}
            (other, true) if OTHERS.contains(&other) => {}
            _ => look.stranger(name.into(), is_folder),
        }
    }
    places
}

/// Whose a folder is that this program has not made here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Others,
    /// It cannot be looked through.
    Unknown,
}

struct Look<'a> {
    number: usize,
    disk: &'a dyn Disk,
    at: PathBuf,
    known: &'a Known<'a>,
    found: &'a mut Vec<Finding>,
}

impl Look<'_> {
    /// The names in a folder, sorted; what cannot be listed is found.
    fn entries(&mut self, folder: &Path) -> Vec<(String, bool)> {
        let mut entries = Vec::new();
        let mut take = |name: &str, is_folder| entries.push((name.to_owned(), is_folder));
        match self.disk.list(folder, &mut take) {
            Ok(()) => {}
            // Gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let what = format!("the folder cannot be listed: {error}");
                let finding = Finding::new(Kind::Unreadable, self.number, folder, what);
                self.found.push(finding);
            }
        }
        entries.sort_unstable();
        entries
    }

    fn keyring(&mut self) {
        for (name, is_folder) in self.entries(Path::new(layout::KEYRING)) {
            if is_folder || !layout::KEYRING_COPIES.contains(&name.as_str()) {
                self.stranger(Path::new(layout::KEYRING).join(name), is_folder);
            }
        }
    }

    /// What a copy that was interrupted has left; the logs themselves are looked at elsewhere.
    fn logs(&mut self) {
        for (name, is_folder) in self.entries(Path::new(layout::LOG)) {
            if is_folder && name.ends_with(layout::NEW) && !self.known.at_work {
                let path = Path::new(layout::LOG).join(name);
                let what = "a repair that was interrupted has left this copy of the signed log";
                let finding = Finding::new(Kind::Leftover, self.number, path, what);
                self.found.push(finding);
            }
        }
    }

    fn footage(&mut self, places: &mut Vec<Place>) {
        let footage = Path::new(layout::FOOTAGE);
        for (stream, path) in self.folders(footage, StreamId::from_hex) {
            let is_known = |streams: &std::collections::HashSet<_>| streams.contains(&stream);
            if self.known.streams.as_ref().is_some_and(|s| !is_known(s)) {
                let what = "this store's list of cameras does not name this stream; footage in it can be exported from the disk by itself only";
                let mut finding = Finding::new(Kind::UnknownStream, self.number, &path, what);
                finding.stream = Some(stream);
                self.found.push(finding);
            }
            for (epoch, path) in self.folders(&path, EpochId::from_hex) {
                self.epoch(stream, epoch, &path, places);
            }
        }
    }

    fn epoch(&mut self, stream: StreamId, epoch: EpochId, path: &Path, places: &mut Vec<Place>) {
        for (name, is_folder) in self.entries(path) {
            match layout::segment_of(&name).filter(|_| !is_folder) {
                // One that is written in capitals would be found under another name than its own.
                Some(segment) if name.bytes().all(|b| !b.is_ascii_uppercase()) => {
                    places.push(Place {
                        stream,
                        epoch,
                        segment,
                    });
                }
                None if !is_folder && layout::is_copying(&name) => self.copy(path.join(name)),
                _ => self.stranger(path.join(name), is_folder),
            }
        }
    }

    /// One that is not whole: a recorder that is at work is about to finish it.
    fn copy(&mut self, path: PathBuf) {
        if !self.known.at_work {
            let what = "a move to this disk that was interrupted has left it; the segment stands where it was, and the next start removes this";
            let finding = Finding::new(Kind::Leftover, self.number, path, what);
            self.found.push(finding);
        }
    }

    /// The folders in a folder whose names mean something.
    fn folders<T>(
        &mut self,
        folder: &Path,
        meaning: impl Fn(&str) -> Option<T>,
    ) -> Vec<(T, PathBuf)> {
        let mut folders = Vec::new();
        for (name, is_folder) in self.entries(folder) {
            let path = folder.join(&name);
            let is_plain = is_folder && name.bytes().all(|b| !b.is_ascii_uppercase());
            match meaning(&name).filter(|_| is_plain) {
                Some(meant) => folders.push((meant, path)),
                None => self.stranger(path, is_folder),
            }
        }
        folders
    }

    /// Whether a folder is a disk of this store, by its id file or for being named as one, or lies above such a folder.
    fn whose(&self, folder: &Path) -> Whose {
        let at = config::real(&self.at.join(folder));
        if self.known.folders.iter().any(|ours| ours.starts_with(&at)) {
            return Whose::Ours;
        }
        self.looked_into(folder, &mut { FOLDERS_MAX })
    }

    /// The same by the id files in a folder and below it: no more than `left` folders are looked into, since somebody's photographs
    /// may lie there.
    fn looked_into(&self, folder: &Path, left: &mut u32) -> Whose {
        if layout::is_disk_of(self.disk, folder, &self.known.store) {
            return Whose::Ours;
        }
        let mut below = Vec::new();
        let mut take = |name: &str, is_folder: bool| {
            if is_folder && below.len() <= FOLDERS_MAX as usize {
                below.push(folder.join(name));
            }
        };
        let is_listed = self.disk.list(folder, &mut take).is_ok();
        let Some(rest) = left.checked_sub(below.len() as u32) else {
            return Whose::Unknown;
        };
        *left = rest;
        let mut whose = match is_listed {
            true => Whose::Others,
            false => Whose::Unknown,
        };
        for folder in below {
            match self.looked_into(&folder, left) {
                Whose::Ours => return Whose::Ours,
                Whose::Unknown => whose = Whose::Unknown,
                Whose::Others => {}
            }
        }
        whose
    }

    fn stranger(&mut self, path: PathBuf, is_folder: bool) {
        let whose = match is_folder {
            true => self.whose(&path),
            false => Whose::Others,
        };
        if whose == Whose::Ours {
            return;
        }
        let is_new = path.extension().is_some_and(|end| end == "new");
        let (kind, what) = match (is_new && !is_folder, is_folder) {
            // A recorder that is at work may be about to rename it.
            (true, _) if self.disk.open_read(&path).is_err() => return,
            (true, _) => (
                Kind::Leftover,
                "a write that was interrupted has left it; what it was to replace is there",
            ),
            _ if whose == Whose::Unknown => (
                Kind::Unexplored,
                "this folder is none of this program's, and is too large, or cannot be listed, to be sure that no disk of this store lies \
                 in it: look at it yourself; nothing is done with it",
            ),
            (_, true) => (Kind::Stranger, "this folder is none of this program's"),
            _ => (Kind::Stranger, "this file is none of this program's"),
        };
        let finding = Finding::new(kind, self.number, path, what);
        self.found.push(finding);
    }
}
