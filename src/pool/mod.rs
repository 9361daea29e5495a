//! The disks as their owner commands them: which folder is which disk, what is said of one beyond the configuration, and the
//! configuration itself. It joins `store`, which works with the disks, and `keys`, whose state folder remembers them.

mod desk;
mod door;
mod error;
mod folder;
mod homes;
mod left_out;
mod unopened;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hearthkeep_format::DiskId;
use hearthkeep_format::log::AuditKind;

pub use desk::{Desk, with_disk, without_disk};
pub use door::{Disks, identify_all, mount, spread_keyring};
pub use error::{Error, Result};
use folder::Doors;
pub use folder::{Shared, shared};
use homes::Homes;
pub use homes::look_at_homes;
pub use left_out::NotHere;

use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::keys::{Standing, StateFolder};
use crate::limits::{DISK_PATIENCE_MS_MAX, DISK_START_PATIENCE_MS_MAX, LOG_COPIED_MS_MAX};
use crate::random::OsRandom;
use crate::state_file;
use crate::store::check::{Page, PageFrom};
use crate::store::forecast::Forecast;
use crate::store::lock::Lock;
use crate::store::log::{WaitingAudits, audit};
use crate::store::{self, DiskStatus, DiskUse, Drain, Glimpse, OnDisk, Store, layout};
use unopened::Unopened;

/// How often it is looked whether another disk has the log.
const LOOK: Duration = Duration::from_millis(50);

/// Why a disk does not say that it was retired.
const NOT_THERE: &str = "it is not there";

/// The pool of a store's disks.
pub struct Pool {
    state: Arc<Mutex<StateFolder>>,
    /// While it is open here.
    store: OnceLock<Arc<Store>>,
    doors: Doors,
    unopened: Mutex<Unopened>,
    /// One command at a time; and the disks that were taken out since the start, which may be in the configuration still.
    commanding: Mutex<Vec<(DiskId, Retired)>>,
}

/// A disk that was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Its folder, as the configuration names it.
    pub path: PathBuf,
    /// The footage that was given up with it.
    pub given_up: OnDisk,
    /// Bytes of that footage which people wanted kept; `None` where no store was open that knows.
    pub held_bytes: Option<u64>,
    /// Why its id file does not say so, where it does not.
    pub unmarked: Option<String>,
}

impl Pool {
    /// The pool of the store of this state folder.
    pub fn new(state: Arc<Mutex<StateFolder>>) -> Self {
        Self {
            state,
            store: OnceLock::new(),
            doors: Doors::default(),
            unopened: Mutex::default(),
            commanding: Mutex::default(),
        }
    }

    /// Opens the configured disks as [`mount`] does. One that hangs is not asked again before it answers, however often this is called.
    pub fn mount(&self, config: &Config) -> Disks {
        // Whoever else needs the state folder does not wait for drives that spin up.
        let wanted = self.unopened().begin(&config.disks);
        let folders = door::open_all(&self.doors, &wanted);
        let disks = door::mount_opened(&wanted, folders, &mut self.state());
        self.unopened().missed(&disks.absent, &disks.left_out);
        disks
    }

    /// Remembers that the disks of the configuration are to be made once the box is claimed, also where it dies in between. That it
    /// cannot be remembered is told; nor can the claim be kept then.
    pub fn wait_for_claim(&self) {
        let path = self.state().folder().join(door::TO_MAKE);
        if let Err(error) = state_file::replace(&path, b"") {
            let path = path.display();
            tracing::error!("the first disks may have to be added by hand: {path}: {error}");
        }
    }

    /// Makes disks of the folders of a configuration that are empty and there now, once after the claim: whoever claims a box wants what
    /// is configured, and nothing that comes later. What is wrong with one [`Pool::mount`] says.
    pub fn make_first_disks(&self, config: &Config) {
        if !self.state().folder().join(door::TO_MAKE).exists() {
            return;
        }
        let folders = door::open_all(&self.doors, &config.disks);
        let folders: Vec<_> = folders.iter().flatten().collect();
        let state_dir = config::real(self.state().folder());
        for (index, folder) in folders.iter().enumerate() {
            let before = folders[..index].iter().map(|folder| &*folder.real_path);
            // Whoever runs this configuration tells of it.
            let nested = config::Nested::find(&folder.real_path, before, &state_dir, config::plain);
            if nested.is_some() {
                continue;
            }
            let mut state = self.state();
            if door::identify(folder, &mut state, true).is_ok()
                && let Some(shared) = folder.shared(state.folder())
            {
                tracing::warn!("{}", on_shared(&folder.path, shared));
            }
        }
        door::are_made(&self.state());
    }

    /// The store is open: what is commanded from now on, it does.
    pub fn opened(&self, store: Arc<Store>) {
        if self.store.set(Arc::clone(&store)).is_err() {
            tracing::error!("the store was opened twice");
        }
        // What was commanded while it was being opened.
        let _one = self.one_at_a_time();
        let given_up = self.unopened().take_given_up();
        for id in given_up {
            // One that had just returned is in it.
            if store.retire_disk(id).is_err() {
                store.give_up(id);
            }
        }
        for wanted in self.unopened().disks() {
            if !store.has_slot(&wanted.path)
                && let Some(id) = self.remembered(&wanted.path)
            {
                store.add_disk(wanted, id);
            }
        }
    }

    /// Looks what the catalog has, while no disk is there that a store could be opened with; what is on the disks is shown by it.
    pub fn glimpse(&self, lock: &Lock) -> Glimpse {
        let state = self.state();
        let (folder, store) = (state.folder().to_owned(), state.store());
        let ids: Vec<_> = state.disks().iter().map(|known| known.id).collect();
        drop(state);
        let glimpse = Store::glimpse(&folder, &store, &ids, lock).unwrap_or_else(|error| {
            tracing::warn!("what was recorded before is not known: {error}");
            Glimpse::default()
        });
        self.unopened().has(glimpse.on_disk.clone());
        glimpse
    }

    /// The disks that were taken out of use for good.
    pub fn retired(&self) -> Vec<DiskId> {
        self.state().retired()
    }

    /// What was said of the disks of a configuration, as the store takes it.
    pub fn drains(&self) -> std::collections::HashMap<DiskId, Drain> {
        let state = self.state();
        let drain = |id: DiskId| {
            let let_go = match state.standing(id) {
                Standing::Draining => false,
                Standing::DrainingLetGo => true,
                Standing::InUse | Standing::Retired => return None,
            };
            let drain = Drain {
                let_go,
                ..Drain::default()
            };
            Some((id, drain))
        };
        state
            .disks()
            .iter()
            .filter_map(|disk| drain(disk.id))
            .collect()
    }

    /// Takes a folder in: an empty one, which becomes a disk, or a disk of this store. A store that is open uses it at once, and a
    /// recorder that waits for a disk with its next look; one that is used at this path already is right as it is. With `replace` it
    /// takes the place of the disk that was at this path, whose footage is given up. `who` wants it, as the log is to say.
    ///
    /// # Errors
    /// What is wrong with the folder, which nothing was written to then; or the state folder's own.
    pub fn add(&self, wanted: &config::Disk, replace: bool, who: &str) -> Result<DiskId> {
        let _one = self.one_at_a_time();
        let path = std::path::absolute(&wanted.path).unwrap_or_else(|_| wanted.path.clone());
        let wanted = config::Disk { path, ..*wanted };
        let folder = self.doors.open(&wanted.path, DISK_START_PATIENCE_MS_MAX)?;
        let identity = layout::identify(&folder.disk, &wanted.path)?;
        let found = identity.map(|identity| identity.disk);
        if let Some(known) = self.in_use(&wanted.path, found) {
            // It came this far before, and not into the configuration.
            if let Some(id) = found
                && !replace
                && known.path == wanted.path
                && known.id == found
            {
                self.belongs_here(id);
                return Ok(id);
            }
            if known.path != wanted.path || known.state != DiskUse::Absent {
                return Err(Error::InUseAlready { path: known.path });
            }
        }
        let before = self.remembered(&wanted.path).filter(|_| replace);
        if let Some(before) = before {
            if found == Some(before) {
                return Err(Error::StillThere { path: wanted.path });
            }
            if let Some(now) = door::moved_to(before, &folder, &self.state()) {
                return Err(Error::Moved {
                    path: wanted.path,
                    now,
                });
            }
        }
        self.expect_apart(&wanted.path)?;
        let id = door::take_in(&folder, &mut self.state(), before)?;
        self.belongs_here(id);
        self.unopened().add(&wanted, id, before);
        if let Some(store) = self.store.get() {
            store.add_disk(&wanted, id);
            before.into_iter().for_each(|before| store.give_up(before));
        }
        let gone = before.map(|before| (AuditKind::DiskRemoved, before));
        let told = gone.into_iter().chain([(AuditKind::DiskAdded, id)]);
        told.for_each(|(kind, id)| self.tell(kind, who, id));
        Ok(id)
    }

    /// A disk is to be as the configuration says where it is now, from its next mounting on.
    fn belongs_here(&self, id: DiskId) {
        let state = self.state();
        let mut homes = Homes::read(state.folder());
        homes.forget(id);
        homes.keep(&state);
    }

    /// The disk of the open store that is at a path, or has an id.
    fn in_use(&self, path: &Path, id: Option<DiskId>) -> Option<DiskStatus> {
        let disks = self.store.get()?.disks();
        let is_it =
            |status: &DiskStatus| same(&status.path, path) || (id.is_some() && status.id == id);
        // One that was left out of the configuration is not in use, and may be put back.
        let mut wanted = disks
            .into_iter()
            .filter(|disk| disk.state != DiskUse::LeftOut);
        wanted.find(is_it)
    }

    /// Expects that a folder lies in none of the disks that are in use, nor around one.
    fn expect_apart(&self, path: &Path) -> Result<()> {
        let used: Vec<_> = match self.store.get() {
            Some(store) => {
                let disks = store.disks().into_iter();
                // One that was left out may be anywhere by now, also here.
                let used = disks.filter(|disk| disk.state != DiskUse::LeftOut);
                used.map(|disk| disk.path).collect()
            }
            None => {
                let unopened = self.unopened();
                unopened
                    .disks()
                    .iter()
                    .map(|disk| disk.path.clone())
                    .collect()
            }
        };
        let state_dir = self.state().folder().to_owned();
        let used = used.iter().map(PathBuf::as_path);
        let nested = config::Nested::find(path, used, &state_dir, config::real);
        nested.map_or(Ok(()), |nested| Err(nested.into()))
    }

    /// Has a disk emptied.
    ///
    /// # Errors
    /// [`Error::NotOpen`], [`Error::Store`].
    pub fn drain(&self, disk: &str, let_go: bool) -> Result<()> {
        let _one = self.one_at_a_time();
        let (store, id) = self.find_configured(disk)?;
        let standing = match let_go {
            true => Standing::DrainingLetGo,
            false => Standing::Draining,
        };
        // Remembered first: what nobody would go on with after a restart does not begin.
        let before = self.state().standing(id);
        self.state().set_standing(id, standing, &mut OsRandom)?;
        let begun = store.drain_disk(id, let_go);
        if begun.is_err() {
            self.state().set_standing(id, before, &mut OsRandom)?;
        }
        Ok(begun?)
    }

    /// Uses a disk again that was to be emptied.
    ///
    /// # Errors
    /// [`Error::NotOpen`], [`Error::Keys`].
    pub fn keep(&self, disk: &str) -> Result<()> {
        let _one = self.one_at_a_time();
        let (store, id) = self.find_configured(disk)?;
        self.state()
            .set_standing(id, Standing::InUse, &mut OsRandom)?;
        store.keep_disk(id);
        Ok(())
    }

    /// The id of the disk that a folder or an id means.
    ///
    /// # Errors
    /// [`Error::NotOpen`], [`Error::Store`].
    pub fn id_of(&self, disk: &str) -> Result<DiskId> {
        self.find(disk).map(|(_, id, _)| id)
    }

    /// Takes a disk out: one that is empty or, with `forget`, one whose footage is given up. That it is marked as retired is tried.
    /// `who` wants it, as the log is to say. One that was taken out before is told as it was then.
    ///
    /// # Errors
    /// [`Error::NotOpen`], [`Error::Store`], [`Error::LeftBehind`].
    pub fn retire(&self, disk: &str, forget: bool, who: &str) -> Result<Retired> {
        let mut taken_out = self.one_at_a_time();
        if self.store.get().is_none() {
            return self.retire_unopened(&mut taken_out, disk, forget, who);
        }
        let (store, id, status) = match self.find(disk) {
            Err(Error::Store(store::Error::NoSuchDisk)) => {
                return meant_before(&taken_out, disk).ok_or(store::Error::NoSuchDisk.into());
            }
            found => found?,
        };
        let (given_up, held_bytes) = (store.on_disk(id)?, Some(store.held_on_disk(id)));
        if !forget && status.state == DiskUse::LeftOut {
            return Err(Error::LeftOut);
        }
        if !forget && status.state != DiskUse::Absent {
            let files = door::footage_files(&status.path)?;
            if given_up.segments == 0 && files > 0 {
                return Err(Error::LeftBehind { files });
            }
        }
        expect_retirable(store, id, forget)?;
        // Remembered first: what a restart would undo is not begun.
        self.state()
            .set_standing(id, Standing::Retired, &mut OsRandom)?;
        store.retire_disk(id)?;
        self.tell(AuditKind::DiskRemoved, who, id);
        let unmarked = match status.state {
            DiskUse::Absent => Some(NOT_THERE.to_owned()),
            _ => self.mark_retired(&status.path, id),
        };
        let retired = Retired {
            path: status.path,
            given_up,
            held_bytes,
            unmarked,
        };
        taken_out.retain(|(known, before)| *known != id && before.path != retired.path);
        taken_out.push((id, retired.clone()));
        Ok(retired)
    }

    /// The same while no disk is there that a store could be opened with: the catalog forgets what was on it once one is.
    fn retire_unopened(
        &self,
        taken_out: &mut Vec<(DiskId, Retired)>,
        disk: &str,
        forget: bool,
        who: &str,
    ) -> Result<Retired> {
        let disks = self.list()?;
        let status = match desk::meant(&disks, disk) {
            Ok(status) => status,
            Err(error) => return meant_before(taken_out, disk).ok_or(error),
        };
        if status.state != DiskUse::LeftOut && desk::is_last(&disks) {
            return Err(store::Error::LastDisk.into());
        }
        if !forget {
            return Err(Error::NotLookedAt);
        }
        let id = status.id.ok_or(store::Error::NoSuchDisk)?;
        self.state()
            .set_standing(id, Standing::Retired, &mut OsRandom)?;
        self.unopened().remove(&status.path, id);
        self.tell(AuditKind::DiskRemoved, who, id);
        let retired = Retired {
            path: status.path.clone(),
            given_up: OnDisk {
                segments: status.segments,
                bytes: status.used_bytes,
                oldest_us: status.oldest_us,
            },
            held_bytes: None,
            // It may have returned a moment ago.
            unmarked: self.mark_retired(&status.path, id),
        };
        taken_out.push((id, retired.clone()));
        Ok(retired)
    }

    /// Has a disk say that it is used no more. Why it does not, where it does not.
    fn mark_retired(&self, path: &Path, id: DiskId) -> Option<String> {
        let folder = self.doors.open(path, DISK_START_PATIENCE_MS_MAX);
        match folder.and_then(|folder| door::mark_retired(&folder, id)) {
            Ok(()) => None,
            Err(Error::Store(store::Error::NotMounted { .. }) | Error::Open { .. }) => {
                Some(NOT_THERE.to_owned())
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// The folder of a disk that was taken out since the start.
    fn taken_out(&self, disk: &str) -> Option<PathBuf> {
        meant_before(&self.one_at_a_time(), disk).map(|retired| retired.path)
    }

    /// Tells the log what somebody did with a disk; where none is open, the next one. That it cannot be told undoes nothing.
    fn tell(&self, kind: AuditKind, who: &str, id: DiskId) {
        let record = audit(kind, who, &id.to_string());
        if let Some(store) = self.store.get() {
            store.log().append(record);
            return;
        }
        let state = self.state();
        let mut waiting = WaitingAudits::new(state.folder(), state.state_key());
        if let Err(error) = waiting.add(record, &SystemClock::new(), &mut OsRandom) {
            let folder = state.folder().display();
            tracing::error!(
                "what was done with disk {id} is done, but the signed log will not say so, since {folder} cannot be written: {error}"
            );
        }
    }

    /// The disk that is meant by a folder or an id.
    fn find(&self, disk: &str) -> Result<(&Arc<Store>, DiskId, DiskStatus)> {
        let store = self.store.get().ok_or(Error::NotOpen)?;
        let disks = store.disks();
        let status = desk::meant(&disks, disk)?.clone();
        // One that was never there has no id; the state folder may remember which it was, unless that is at another path now.
        let is_elsewhere = |id: &DiskId| disks.iter().any(|disk| disk.id == Some(*id));
        let remembered = || self.remembered(&status.path).filter(|id| !is_elsewhere(id));
        let id = status.id.or_else(remembered);
        Ok((store, id.ok_or(store::Error::NoSuchDisk)?, status))
    }

    /// The same of one that the configuration has.
    fn find_configured(&self, disk: &str) -> Result<(&Arc<Store>, DiskId)> {
        match self.find(disk)? {
            (_, _, status) if status.state == DiskUse::LeftOut => Err(Error::NotConfigured),
            (store, id, _) => Ok((store, id)),
        }
    }

    fn remembered(&self, path: &Path) -> Option<DiskId> {
        door::remembered(path, &self.state())
    }

    /// How the disks are, also while none is there that a store could be opened with.
    ///
    /// # Errors
    /// [`Error::NotOpen`].
    pub fn list(&self) -> Result<Vec<DiskStatus>> {
        match self.store.get() {
            Some(store) => Ok(store.disks()),
            None => self.unopened().statuses().ok_or(Error::NotOpen),
        }
    }

    /// A page of what the store's catalog has, from there on or from its beginning.
    ///
    /// # Errors
    /// [`Error::NotOpen`], or when it cannot be read.
    pub fn catalogued(&self, from: Option<&PageFrom>) -> Result<Page> {
        Ok(self.store.get().ok_or(Error::NotOpen)?.catalogued(from)?)
    }

    /// What will be of the disks, as it was last reckoned.
    pub fn forecast(&self) -> Forecast {
        let store = self.store.get();
        store.map_or_else(Forecast::default, |store| store.forecast())
    }

    fn one_at_a_time(&self) -> MutexGuard<'_, Vec<(DiskId, Retired)>> {
        self.commanding
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn unopened(&self) -> MutexGuard<'_, Unopened> {
        self.unopened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, StateFolder> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl store::Doorkeeper for Pool {
    fn admit(
        &self,
        wanted: &config::Disk,
        others: &[Arc<store::MountedDisk>],
    ) -> std::result::Result<store::MountedDisk, String> {
        let words = |error: Error| error.to_string();
        let folder = self.doors.open(&wanted.path, DISK_PATIENCE_MS_MAX);
        let folder = folder.map_err(words)?;
        let mut configured = self.unopened().disks().to_vec();
        let mut state = self.state();
        // It may have been taken out while it was opened: what is empty there then is no new disk.
        if self
            .store
            .get()
            .is_some_and(|store| !store.has_slot(&wanted.path))
        {
            return Err("it was taken out of use".to_owned());
        }
        if let Some(store) = self.store.get() {
            configured.retain(|disk| store.has_slot(&disk.path));
        }
        let mounted = door::mount_one(wanted, &folder, &configured, &mut state);
        let (disk, has_news) = mounted.map_err(words)?;
        let disks = others.iter().map(|other| &**other).filter(|_| has_news);
        door::spread_keyring(disks.chain([&disk]), &state).map_err(words)?;
        Ok(disk)
    }
}

/// The disk that a folder or an id means among those that were taken out.
fn meant_before(taken_out: &[(DiskId, Retired)], disk: &str) -> Option<Retired> {
    let wanted = DiskId::from_hex(disk);
    let is_it = |(id, retired): &&(DiskId, Retired)| match wanted {
        Some(wanted) => *id == wanted,
        None => same(&retired.path, Path::new(disk)),
    };
    let found = taken_out.iter().find(is_it);
    found.map(|(_, retired)| retired.clone())
}

/// Expects that a disk may be taken out. What the other disks lack of the log they get in the background: that is waited for.
fn expect_retirable(store: &Store, id: DiskId, forget: bool) -> store::Result<()> {
    let until = Instant::now() + Duration::from_millis(LOG_COPIED_MS_MAX);
    loop {
        match store.expect_retirable(id, forget) {
            Err(store::Error::LastLog) if Instant::now() < until => {
                std::thread::park_timeout(LOOK);
            }
            expected => return expected,
        }
    }
}

/// What is to be known of a disk that was made on a file system which is there without any disk being mounted.
pub fn on_shared(disk: &Path, shared: Shared) -> String {
    let path = disk.display();
    format!(
        "{path} is on {shared}. Where that is meant, as on a box with one disk, nothing is to be done. Where a disk of its own \
         belongs there, it was not mounted: mount it, and type `sudo hearthkeep disk add --replace {path}`"
    )
}

/// Whether two paths lead to one folder, or would if it were there.
pub(crate) fn same(one: &Path, other: &Path) -> bool {
    one == other || config::real(one) == config::real(other)
}
