//! What the box seals with: its machine key, the store's id, and the recipient that the owner signed for.
//!
//! The state folder (0700, every file 0600):
//!
//! ```text
//! machine.key     32 bytes: what opens the sealed files here, and nothing of the footage
//! store.sealed    store id, root key, newest generation, metadata keys, known disks
//! keyring/a, b    the same as on every disk: statements, sealed seeds, the sealed list of streams
//! lock            held by the one process that may change things
//! disks.json      where each disk belongs, and what the configuration says of it there
//! disks-to-make   stands until the box is claimed and the disks of its configuration are made
//! recording       stands while a recorder is at work: one that finds it comes after a crash
//! status.socket   a running recorder answers `hearthkeep status` and `disk` here, where the folder takes it
//! ```
//!
//! A box begins unclaimed: it can serve its page but has nobody to seal to. The claim pins the owner's signing key; from
//! then on only a generation whose statement verifies against that key is sealed to ([`StateFolder::sealing`]). Nothing
//! here opens a past segment: of secrets the folder holds the metadata keys, which open times and sizes.
//!
//! Making an owner in this process, as `hearthkeep init` does, takes the same way as a claim in the page:
//! [`StateFolder::open_or_create`], [`NewOwner::make`], the account to `people`, [`StateFolder::claim`], and the bytes
//! of [`StateFolder::keyring_bytes`] to every disk.

mod claim;
mod error;
mod keyring_files;
mod machine;
mod sealing;
mod state;
mod streams;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use hearthkeep_format::{DiskId, Keyring, MetadataKey, Random, StoreId, VerifyingKey};
use zeroize::Zeroizing;

pub use claim::{ClaimMaterial, NewOwner};
pub use error::Error;
pub use keyring_files::{read_keyring, write_keyring};
pub use sealing::Sealing;
pub use state::{KnownDisk, Standing};
pub use streams::{KnownStream, StreamName, decode_streams};

use crate::state_file::{self, StateKey};
use machine::{derive_state_key, expand, read, read_machine_key};
use state::State;

const MACHINE_KEY: &str = "machine.key";
const STORE: &str = "store.sealed";

/// An open state folder.
pub struct StateFolder {
    folder: PathBuf,
    machine_key: Zeroizing<[u8; 32]>,
    state: State,
    /// `None` until the box is claimed.
    keyring: Option<Keyring>,
}

impl StateFolder {
    /// Makes a machine key and a store id in `folder`: enough to serve the page before anybody has claimed the box.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] when a store is there; [`Error::Io`].
    pub fn create_unclaimed(folder: &Path, random: &mut dyn Random) -> Result<Self, Error> {
        let has = |name: &str| folder.join(name).exists();
        // A key alone is what a power cut during this function leaves: it has sealed nothing yet.
        if has(STORE) || (has(MACHINE_KEY) && has("keyring")) {
            return Err(Error::Exists {
                folder: folder.to_owned(),
            });
        }
        let mut machine_key = Zeroizing::new([0; 32]);
        random.fill(machine_key.as_mut_slice());
        let path = folder.join(MACHINE_KEY);
        state_file::private_folder(folder)
            .and_then(|()| state_file::replace(&path, machine_key.as_slice()))
            .map_err(|source| Error::Io {
                verb: "written",
                path,
                source,
            })?;
        let state = State::new(StoreId::random(random));
        let made = Self {
            folder: folder.to_owned(),
            machine_key,
            state,
            keyring: None,
        };
        made.save_state(random)?;
        Ok(made)
    }

    /// Opens the state folder of a store, claimed or not.
    ///
    /// # Errors
    ///
    /// [`Error::NotInitialised`] when there is none; others when files are missing, damaged or of another box.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let machine_key = read_machine_key(folder)?;
        let path = folder.join(STORE);
        let sealed = read(&path)?.ok_or_else(|| Error::Missing { path: path.clone() })?;
        let json = derive_state_key(&machine_key).open(STORE, &sealed);
        let json = json.ok_or_else(|| Error::WrongMachineKey { path: path.clone() })?;
        if let Some(version) = State::newer(&json) {
            return Err(Error::Newer { path, version });
        }
        let state = State::decode(&json).map_err(|what| Error::Damaged { path, what })?;
        let mut keyring = None;
        if state.root.is_some() {
            let missing = || Error::Missing {
                path: folder.join("keyring"),
            };
            keyring = Some(read_keyring(folder)?.ok_or_else(missing)?);
        }
        let loaded = Self {
            folder: folder.to_owned(),
            machine_key,
            state,
            keyring,
        };
        if let Some(keyring) = &loaded.keyring {
            loaded.verify(keyring)?;
        }
        Ok(loaded)
    }

    /// Opens the state folder, or makes an unclaimed one where there is none.
    ///
    /// # Errors
    ///
    /// As [`StateFolder::load`] and [`StateFolder::create_unclaimed`].
    pub fn open_or_create(folder: &Path, random: &mut dyn Random) -> Result<Self, Error> {
        let has = |name: &str| folder.join(name).exists();
        if has(STORE) || has("keyring") {
            Self::load(folder)
        } else {
            Self::create_unclaimed(folder, random)
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The store's id.
    pub fn store(&self) -> StoreId {
        self.state.store
    }

    /// The owner's signing key that this box was claimed with.
    pub fn root(&self) -> Option<VerifyingKey> {
        self.state.root
    }

    /// Whether the box has an owner.
    pub fn is_claimed(&self) -> bool {
        self.state.root.is_some()
    }

    /// Pins the owner's key and keeps generation 1. All or nothing, also through a power cut: the keyring is written
    /// first and believed only when `store.sealed` names its root.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyClaimed`], [`Error::BadClaim`] (nothing was changed), [`Error::Io`].
    pub fn claim(&mut self, claim: &ClaimMaterial, random: &mut dyn Random) -> Result<(), Error> {
        if self.is_claimed() {
            return Err(Error::AlreadyClaimed);
        }
        claim.verify(&self.state.store)?;
        let mut keyring = Keyring::new(self.state.store);
        keyring.statements.push(claim.statement.clone());
        keyring.sealed_seeds.push((1, claim.sealed_seed.clone()));
        keyring
            .sealed_metadata_keys
            .push((1, claim.sealed_metadata_key.clone()));
        keyring.seal_streams(
            &claim.metadata_key,
            1,
            &streams::encode_streams(&[]),
            random,
        );
        write_keyring(&self.folder, &keyring.encode())?;
        let mut state = State::new(self.state.store);
        state.disks = self.state.disks.clone();
        state.standings = self.state.standings.clone();
        state.root = Some(claim.verifying_key);
        state.generation = 1;
        state
            .metadata_keys
            .insert(1, MetadataKey::from_bytes(*claim.metadata_key.as_bytes()));
        let before = std::mem::replace(&mut self.state, state);
        if let Err(error) = self.save_state(random) {
            self.state = before;
            return Err(error);
        }
        self.keyring = Some(keyring);
        Ok(())
    }

    /// The keyring as it must stand on every disk, and is served to viewers.
    ///
    /// # Errors
    ///
    /// [`Error::NotClaimed`].
    pub fn keyring_bytes(&self) -> Result<Vec<u8>, Error> {
        self.keyring
            .as_ref()
            .map(Keyring::encode)
            .ok_or(Error::NotClaimed)
    }

    /// All streams the store has ever had.
    ///
    /// # Errors
    ///
    /// [`Error::NotClaimed`]; [`Error::Damaged`] when the list does not open.
    pub fn streams(&self) -> Result<Vec<KnownStream>, Error> {
        let keyring = self.keyring.as_ref().ok_or(Error::NotClaimed)?;
        self.streams_of(keyring)
    }

    /// The ids of `wanted`, in their order; a stream that has none gets one. Where that changed the keyring, its new
    /// bytes come too: they are kept here already, as far as the folder takes them, and must be on every disk before a segment of the
    /// stream is.
    ///
    /// # Errors
    ///
    /// [`Error::NotClaimed`], [`Error::TooManyStreams`].
    pub fn stream_ids(
        &mut self,
        wanted: &[StreamName],
        random: &mut dyn Random,
    ) -> Result<(Vec<KnownStream>, Option<Vec<u8>>), Error> {
        let mut known = self.streams()?;
        let mut bytes = None;
        if streams::allocate(&mut known, wanted, random)? {
            let ours = self.keyring.clone().ok_or(Error::NotClaimed)?;
            let keyring = self.reseal(ours, &known, random)?;
            bytes = Some(keyring.encode());
            self.keep_keyring(keyring);
        }
        let of_name = |name: &StreamName| known.iter().find(|known| known.name == *name).cloned();
        Ok((wanted.iter().filter_map(of_name).collect(), bytes))
    }

    /// Takes from a disk's keyring what ours does not have, as after the state folder came back from a backup, or where a
    /// disk was away while streams were added: a stream that either knows keeps its name. Says whether ours changed. One that
    /// the pinned root does not vouch for is refused.
    ///
    /// # Errors
    ///
    /// [`Error::Untrusted`], [`Error::NotClaimed`], [`Error::TooManyStreams`].
    pub fn adopt(&mut self, from_disk: &Keyring, random: &mut dyn Random) -> Result<bool, Error> {
        let ours = self.keyring.as_ref().ok_or(Error::NotClaimed)?;
        if from_disk.encode() == ours.encode() {
            return Ok(false);
        }
        self.verify(from_disk)?;
        let (mut streams, theirs) = (self.streams()?, self.streams_of(from_disk)?);
        let is_theirs_whole = streams.iter().all(|known| theirs.contains(known));
        let before = streams.len();
        streams::join(&mut streams, &theirs)?;
        let keyring = if is_theirs_whole && from_disk.version > ours.version {
            from_disk.clone()
        } else if streams.len() > before {
            let newer = [ours, from_disk].into_iter().max_by_key(|k| k.version);
            self.reseal(newer.unwrap_or(ours).clone(), &streams, random)?
        } else {
            return Ok(false);
        };
        self.keep_keyring(keyring);
        Ok(true)
    }

    /// Has this keyring from now on. Nothing is worth a night that is not recorded: where the folder does not take it, as on a disk that
    /// became read-only, the disks get it all the same, and the next start reads it there.
    fn keep_keyring(&mut self, keyring: Keyring) {
        if let Err(error) = write_keyring(&self.folder, &keyring.encode()) {
            tracing::error!("{error}: the newest keyring is on the disks only");
        }
        self.keyring = Some(keyring);
    }

    /// A keyring with this list of streams, one version higher.
    fn reseal(
        &self,
        mut keyring: Keyring,
        streams: &[KnownStream],
        random: &mut dyn Random,
    ) -> Result<Keyring, Error> {
        let Sealing {
            generation,
            metadata_key,
            ..
        } = self.sealing()?;
        let list = streams::encode_streams(streams);
        keyring.seal_streams(&metadata_key, generation, &list, random);
        Ok(keyring)
    }

    /// The disks that belong to the store.
    pub fn disks(&self) -> &[KnownDisk] {
        &self.state.disks
    }

    /// The disk that was at a path last.
    pub fn disk_at(&self, path: &Path) -> Option<DiskId> {
        self.state.last_at(path)
    }

    /// Where a disk was last.
    pub fn path_of(&self, id: DiskId) -> Option<&Path> {
        let mut newest = self.state.disks.iter().rev();
        let known = newest.find(|known| known.id == id)?;
        Some(&known.path)
    }

    /// Remembers a disk and where it was last mounted.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn remember_disk(
        &mut self,
        path: &Path,
        id: DiskId,
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        self.change(random, |state| state.remember(path, id))
    }

    /// Remembers that a disk is used at a path from now on, also one that was retired. With `before` it has the place of that one, which
    /// is retired.
    ///
    /// # Errors
    /// [`Error::Io`]: then nothing is remembered.
    pub fn take_disk(
        &mut self,
        path: &Path,
        id: DiskId,
        before: Option<DiskId>,
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        self.change(random, |state| {
            before
                .into_iter()
                .for_each(|before| state.say(before, Standing::Retired));
            state.say(id, Standing::InUse);
            state.remember(path, id);
        })
    }

    /// What was said of a disk by command.
    pub fn standing(&self, id: DiskId) -> Standing {
        self.state.standing(id)
    }

    /// The disks that were taken out of use for good.
    pub fn retired(&self) -> Vec<DiskId> {
        let standings = self.state.standings.iter();
        let retired = standings.filter(|(_, standing)| *standing == Standing::Retired);
        retired.map(|(disk, _)| *disk).collect()
    }

    /// Remembers what was said of a disk. The paths of one that is retired are forgotten: an empty folder may become a new disk
    /// there.
    ///
    /// # Errors
    /// [`Error::Io`]: then nothing was said.
    pub fn set_standing(
        &mut self,
        id: DiskId,
        standing: Standing,
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        self.change(random, |state| state.say(id, standing))
    }

    /// Changes what is known of disks, durably or not at all.
    fn change(
        &mut self,
        random: &mut dyn Random,
        edit: impl FnOnce(&mut State),
    ) -> Result<(), Error> {
        let before = (self.state.standings.clone(), self.state.disks.clone());
        edit(&mut self.state);
        if before.0 == self.state.standings && before.1 == self.state.disks {
            return Ok(());
        }
        self.save_state(random).inspect_err(|_| {
            (self.state.standings, self.state.disks) = before;
        })
    }

    /// The key of the other sealed files in this folder, such as `people.sealed`.
    pub fn state_key(&self) -> StateKey {
        derive_state_key(&self.machine_key)
    }

    /// The key that made-up salts of unknown names come from.
    pub fn server_key(&self) -> Zeroizing<[u8; 32]> {
        expand(&self.machine_key, b"hearthkeep/v1/unknown-names")
    }

    fn save_state(&self, random: &mut dyn Random) -> Result<(), Error> {
        let sealed = self.state_key().seal(STORE, &self.state.encode(), random);
        let path = self.folder.join(STORE);
        state_file::replace(&path, &sealed).map_err(|source| Error::Io {
            verb: "written",
            path,
            source,
        })
    }
}

impl std::fmt::Debug for StateFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("StateFolder");
        shown
            .field("folder", &self.folder)
            .field("store", &self.state.store);
        shown
            .field("claimed", &self.is_claimed())
            .finish_non_exhaustive()
    }
}
