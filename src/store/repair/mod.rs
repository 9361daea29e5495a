//! Making whole what a check found, as far as that can be done without losing anything.
//!
//! A plan comes first, and can be looked at; each of its steps is done so that a crash in it leaves what was there or what is to
//! be there. Nothing is ever deleted: what does not belong on a disk is moved, and only when that was asked for.

use std::io;
use std::path::{Path, PathBuf};

use hearthkeep_format::segment::{self, HEADER_LEN, ReadAt as _};
use hearthkeep_format::{Keyring, SegmentId, StoreId};

use super::check::{Finding, Findings, Indexed, Kind, Mistaken, STATE, Subject, is_proven};
use super::inspect::{Keys, Mended, Place, find_head, mend};
use super::layout::{self, DiskIdentity};
use super::rewrite;
use crate::disk::{Disk, Front};
use crate::random::OsRandom;

/// What the name of a file in the folder `lost` ends with that has the damaged end of a segment.
const CUT: &str = ".cut";

/// Something that would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// On which of the disks.
    pub disk: usize,
    /// To which file, below the disk's folder.
    pub path: PathBuf,
    /// What.
    pub action: Action,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A torn segment gets copy and tail after its last whole chunk.
    Close(Place),
    /// A segment is written anew, with the head or the tail that is damaged.
    Restore(Place),
    /// A torn segment is written anew with its epoch's envelope, which a finished segment has.
    Envelope(Mistaken),
    /// Both copies of the keyring are written.
    Keyring,
    /// The id file is written.
    IdFile,
    /// It is moved to the folder `lost` of its disk.
    Quarantine,
}

impl Step {
    /// Whether the catalog may say something else of a segment after it.
    pub fn changes_a_segment(&self) -> bool {
        match self.action {
            Action::Close(_) | Action::Restore(_) => true,
            Action::Quarantine => Place::of_path(&self.path).is_some(),
            Action::Envelope(_) | Action::Keyring | Action::IdFile => false,
        }
    }

    /// The segment that it takes out of the store: what lies in that place is damaged, and no whole file of it is anywhere else.
    pub fn sets_aside(&self, findings: &Findings) -> Option<SegmentId> {
        let place = Place::of_path(&self.path).filter(|_| self.action == Action::Quarantine)?;
        // Where it is another file that lies there, that is not what became of the segment.
        let is_itself = |found: &Finding| matches!(found.kind, Kind::Refused | Kind::NoSegment);
        let is_damaged = findings
            .has(|found| is_itself(found) && (found.disk, &found.path) == (self.disk, &self.path));
        let mut whole = findings.indexed.iter().map(Indexed::segment);
        (is_damaged && whole.all(|id| id != place.segment)).then_some(place.segment)
    }

    /// Whether it is about what was found.
    pub fn is_about(&self, finding: &Finding) -> bool {
        finding.disk == self.disk && finding.path.starts_with(&self.path)
    }
}

impl Action {
    /// Its name in interfaces.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Close(_) => "close",
            Self::Restore(_) => "restore",
            Self::Envelope(_) => "envelope",
            Self::Keyring => "keyring",
            Self::IdFile => "id-file",
            Self::Quarantine => "quarantine",
        }
    }

    /// What it does, in words.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Close(_) => {
                "to be closed after its last whole chunk; damaged ones behind it are kept in the folder lost of its disk"
            }
            Self::Restore(_) => "to be written anew beside it, compared with it, and replaced",
            Self::Envelope(_) => {
                "to be written anew beside it with the envelope of its epoch, compared with it, and replaced"
            }
            Self::Keyring => "both copies to be written",
            Self::IdFile => "to be written",
            Self::Quarantine => "to be moved to the folder lost of its disk",
        }
    }
}

/// What there is to do about what was found. Where `quarantine` is set, what does not belong where it is is moved.
pub fn plan(findings: &Findings, quarantine: bool) -> Vec<Step> {
    let torn = findings.torn.iter();
    let closing = torn.filter(|torn| !findings.finished.contains(*torn));
    let closing = closing.map(|(disk, place)| Step {
        disk: *disk,
        path: place.path(),
        action: Action::Close(*place),
    });
    // Before they are closed: a root vouches for the envelope.
    let mistaken = findings.mistaken.iter().map(|mistaken| Step {
        disk: mistaken.torn.0,
        path: mistaken.torn.1.path(),
        action: Action::Envelope(mistaken.clone()),
    });
    let mut steps: Vec<_> = mistaken.chain(closing).collect();
    // What concerns the state folder is not a disk's.
    let of_disks = findings.found.iter().filter(|f| f.disk != STATE);
    for finding in of_disks {
        let action = match finding.kind {
            Kind::Keyring if finding.repairable => Some(Action::Keyring),
            Kind::IdFile if finding.repairable => Some(Action::IdFile),
            Kind::Head | Kind::Copy | Kind::Tail if finding.repairable => {
                Place::of_path(&finding.path).map(Action::Restore)
            }
            kind if quarantine && is_out_of_place(kind, finding) => Some(Action::Quarantine),
            _ => None,
        };
        let Some(action) = action else { continue };
        let step = Step {
            disk: finding.disk,
            path: match action {
                Action::Keyring => layout::KEYRING.into(),
                _ => finding.path.clone(),
            },
            action,
        };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

/// Whether nothing that this store could open is lost from sight with it. Where the disk fails, a file stays where it is.
fn is_out_of_place(kind: Kind, finding: &Finding) -> bool {
    let is_it = matches!(
        kind,
        Kind::Foreign
            | Kind::Misplaced
            | Kind::NoSegment
            | Kind::Refused
            | Kind::Leftover
            | Kind::Stranger
    );
    is_it && finding.bad_sectors == 0
}

/// What repairing works with.
pub struct Repair<'a> {
    /// The disks, as they were checked.
    pub disks: &'a [Subject],
    /// The store.
    pub store: StoreId,
    /// Metadata keys by generation.
    pub keys: &'a Keys,
    /// What the keyring is to be; of a disk by itself, the copy that is whole.
    pub keyring: Option<Vec<u8>>,
}

/// Why something could not be done; it is as it was.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

impl Repair<'_> {
    /// Does a step. Where it cut off something damaged, that is kept in the file that is returned.
    ///
    /// # Errors
    /// Why it was not done: then the file is as it was.
    pub fn carry_out(&self, step: &Step) -> Result<Option<PathBuf>, Refusal> {
        let subject = self.disks.get(step.disk).ok_or("it is on no disk")?;
        let disk = &*subject.disk;
        match &step.action {
            Action::Close(place) => return self.close(disk, place),
            Action::Restore(place) => self.restore(disk, place),
            Action::Envelope(mistaken) => self.envelope(disk, mistaken),
            Action::Keyring => self.keyring(subject),
            Action::IdFile => {
                let id = subject.id.ok_or("it is not known which disk this is")?;
                let identity = DiskIdentity {
                    store: self.store,
                    disk: id,
                };
                Ok(layout::mend_id_file(disk, &subject.path, &identity)?)
            }
            Action::Quarantine => Ok(move_aside(disk, &step.path).map(drop)?),
        }?;
        Ok(None)
    }

    fn close(&self, disk: &dyn Disk, place: &Place) -> Result<Option<PathBuf>, Refusal> {
        let path = place.path();
        let kept = self.keep_damaged_end(disk, place)?;
        match mend(disk, &path, place, &self.store, self.keys, &mut OsRandom)? {
            Mended::Whole(_) | Mended::Removed => Ok(kept),
        }
    }

    /// Copies what closing is about to cut off to the folder `lost`, where chunks of it were whole once; what was only begun, as a
    /// crash leaves it, is no loss.
    fn keep_damaged_end(&self, disk: &dyn Disk, place: &Place) -> Result<Option<PathBuf>, Refusal> {
        let path = place.path();
        let front = Front::whole(disk.open_read(&path)?)?;
        // Of one without a head `mend` knows what it is.
        let Ok(head) = find_head(&front, place, &self.store, self.keys) else {
            return Ok(None);
        };
        if segment::lost_at_torn_end(&front, &head.m)?.is_empty() {
            return Ok(None);
        }
        let Some((keep, _)) = segment::survey(&front, &head.m)? else {
            return Ok(None);
        };
        let mut name = path.into_os_string();
        name.push(CUT);
        let to = free_in_lost(disk, Path::new(&name))?;
        let file = disk.create_new(&to)?;
        rewrite::copy(&front, &*file, keep..front.size())?;
        file.sync_data()?;
        disk.sync_folder(to.parent().unwrap_or(Path::new("")))?;
        Ok(Some(to))
    }

    fn restore(&self, disk: &dyn Disk, place: &Place) -> Result<(), Refusal> {
        let path = place.path();
        let front = Front::whole(disk.open_read(&path)?)?;
        let head = find_head(&front, place, &self.store, self.keys)?;
        match rewrite::restore(disk, &path, &head.m, &mut OsRandom)? {
            true => Ok(()),
            false => Err(
                "it cannot be told for sure what it was; it was left as it is. Put it back from a copy of the disk, if there is one"
                    .into(),
            ),
        }
    }

    /// The finished segment is looked at once more: its root must vouch for the envelope.
    fn envelope(&self, disk: &dyn Disk, mistaken: &Mistaken) -> Result<(), Refusal> {
        let ((_, torn), (number, finished)) = (&mistaken.torn, &mistaken.finished);
        let donor = self.disks.get(*number).ok_or("it is on no disk")?;
        let donor = Front::whole(donor.disk.open_read(&finished.path())?)?;
        let found = find_head(&donor, finished, &self.store, self.keys)?;
        let is_of_epoch = (torn.stream, torn.epoch) == (finished.stream, finished.epoch);
        let report = segment::scrub(&donor, &found.m)?;
        if !is_of_epoch || !is_proven(&report) {
            return Err("the segment that has the right envelope is damaged itself by now".into());
        }
        let layout = segment::Layout::find(&donor, Some(&found.m))?;
        let end = found.header.first_chunk_offset as usize;
        let envelope = &layout.head().bytes[HEADER_LEN..end];
        let front = Front::whole(disk.open_read(&torn.path())?)?;
        let head = find_head(&front, torn, &self.store, self.keys)?;
        if head.header.generation != found.header.generation {
            return Err("it is of another generation than its epoch".into());
        }
        Ok(rewrite::give_envelope(
            disk,
            &torn.path(),
            envelope,
            &head.m,
        )?)
    }

    fn keyring(&self, subject: &Subject) -> Result<(), Refusal> {
        let keyring = match &self.keyring {
            Some(bytes) => Keyring::decode(bytes)?,
            None => layout::read_keyring(&*subject.disk, &subject.path)?,
        };
        Ok(layout::write_keyring(
            &*subject.disk,
            &subject.path,
            &keyring,
        )?)
    }
}

/// Moves a file or folder to the same path below the folder `lost`, and says where it is; what is there already stays, and gets
/// company. Where that fails, it is where it was.
pub(in crate::store) fn move_aside(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let to = free_in_lost(disk, path)?;
    disk.rename(path, &to)?;
    let folder_of = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    let synced = disk.sync_folder(&folder_of(&to));
    if let Err(error) = synced.and_then(|()| disk.sync_folder(&folder_of(path))) {
        let _ = disk.rename(&to, path);
        return Err(error);
    }
    Ok(to)
}

/// A name below the folder `lost` for what is at a path; the folders above it are there, durably.
fn free_in_lost(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let to = Path::new(layout::LOST).join(path);
    let folder = to.parent().unwrap_or(Path::new(""));
    layout::create_folders(disk, folder)?;
    for above in layout::named(folder) {
        disk.sync_folder(above.parent().unwrap_or(Path::new("")))?;
    }
    let name = to.file_name().unwrap_or_default().to_owned();
    let mut taken = std::collections::HashSet::new();
    disk.list(folder, &mut |name, _| {
        taken.insert(name.to_owned());
    })?;
    let mut free = (0..).map(|n| match n {
        0 => name.to_string_lossy().into_owned(),
        n => format!("{}.{n}", name.to_string_lossy()),
    });
    let free = free.find(|name| !taken.contains(name));
    Ok(folder.join(free.unwrap_or_default()))
}
