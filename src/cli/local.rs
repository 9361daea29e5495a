//! Footage as reading commands see it: a store of this machine by its configuration, or disks by themselves, whose keyring a
//! recovery kit opens. They take no lock and never open the catalog, so that they work while the recorder runs.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::segment::ReadAt;
use hearthkeep_format::{DiskId, Keyring, MetadataKey, OpenKeyring, SegmentId, StoreId, StreamId};

use super::ConfigArgument;
use super::opening::OpeningArguments;
use super::output::{ExitStatus, Failure, OrFail};
use super::owner;
use crate::archive::Segment;
use crate::config::{self, Config};
use crate::disk::{Disk, Front, RealDisk};
use crate::keys::{self, KnownStream, StateFolder, decode_streams};
use crate::pool;
use crate::store::anchors::Anchors;
use crate::store::browse::{self, Listed, Listing};
use crate::store::log::{self, Chain};
use crate::store::{self, SharedKeys, layout};

/// Where footage is to be read from.
#[derive(Debug, Clone, clap::Args)]
pub struct PlaceArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Read the disk in this folder by itself, with the recovery kit and nothing else; can be given several times for
    /// disks of one store
    #[arg(
        long = "disk",
        value_name = "FOLDER",
        conflicts_with = "config",
        requires = "kit"
    )]
    disks: Vec<PathBuf>,
}

/// What reading commands need to know of a store, wherever they know it from.
pub(super) struct Local {
    pub disks: Vec<Arc<dyn Disk>>,
    /// Where they are, in the same order.
    pub paths: Vec<PathBuf>,
    /// Disks of the configuration that cannot be opened, and those that it no longer has, and why.
    absent: Vec<(PathBuf, Failure)>,
    store: StoreId,
    streams: Vec<KnownStream>,
    metadata_keys: Arc<HashMap<u32, MetadataKey>>,
    /// What is known of the clock.
    anchors: Anchors,
    origin: Origin,
}

/// Where it is known from.
enum Origin {
    /// The state folder, which opens no footage.
    State(Box<StateFolder>),
    /// The disks' own keyring, opened.
    Kit(Arc<OpenKeyring>),
}

/// Reads a configuration.
pub(super) fn load_config(path: &Path) -> Result<Config, Failure> {
    owner::as_caller(|| Config::load(path)).or_fail(ExitStatus::Configuration)
}

impl Local {
    /// Finds out what is there; of disks by themselves, with the kit. What cannot be opened is in [`absent`](Self::absent).
    pub fn open(place: &PlaceArguments, opening: &OpeningArguments) -> Result<Self, Failure> {
        if place.disks.is_empty() {
            Self::of_config(&place.config.config)
        } else {
            Self::of_disks(&place.disks, opening)
        }
    }

    /// The store of a configuration, without the disks that cannot be opened.
    pub fn of_config(config: &Path) -> Result<Self, Failure> {
        let config = load_config(config)?;
        let state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
        let (mut disks, mut paths): (Vec<Arc<dyn Disk>>, _) = (Vec::new(), Vec::new());
        let mut absent = Vec::new();
        for disk in config.disks {
            match open_disk(&disk.path) {
                Ok(opened) => {
                    disks.push(Arc::new(opened));
                    paths.push(disk.path);
                }
                Err(failure) => absent.push((disk.path, failure)),
            }
        }
        absent.extend(left_out(&state, &disks, &paths, &absent));
        let anchors = Anchors::read(&config.state_dir, || {
            Anchors::logged(&disks, &state.store(), &super::store::shared_keys(&state))
        });
        Ok(Self {
            disks,
            paths,
            absent,
            store: state.store(),
            streams: state.streams().map_err(state_failure)?,
            metadata_keys: by_generation(|n| state.metadata_key(n)),
            anchors,
            origin: Origin::State(Box::new(state)),
        })
    }

    fn of_disks(paths: &[PathBuf], opening: &OpeningArguments) -> Result<Self, Failure> {
        let mut disks: Vec<Arc<dyn Disk>> = Vec::new();
        let mut newest: Option<Keyring> = None;
        for path in paths {
            let disk = open_disk(path)?;
            let keyring = keyring_of(&disk, path)?;
            disks.push(Arc::new(disk));
            if newest
                .as_ref()
                .is_some_and(|other| other.store != keyring.store)
            {
                let sentence = "these disks belong to different stores; give those of one store";
                return Err(Failure::new(ExitStatus::Failed, sentence));
            }
            if newest
                .as_ref()
                .is_none_or(|other| other.version < keyring.version)
            {
                newest = Some(keyring);
            }
        }
        let keyring = newest.expect("there is at least one disk");
        let open = opening.open_by_kit(&keyring)?;
        // The disks vouch for themselves only: whether they are the right ones, the kit's page says.
        eprintln!(
            "hearthkeep: signing key of these disks: {} (the recovery kit's page names the right one)",
            open.root().fingerprint()
        );
        let streams = open.streams().or_fail(ExitStatus::Damaged)?;
        let streams = decode_streams(&streams).map_err(|what| {
            let sentence = format_args!("the list of cameras on the disk makes no sense: {what}");
            Failure::new(ExitStatus::Damaged, sentence)
        })?;
        let metadata_keys = by_generation(|n| open.generation(n).map(|(_, m)| m));
        let known = Arc::clone(&metadata_keys);
        let keys: SharedKeys = Arc::new(move |generation| known.get(&generation).map(copy));
        let anchors = Anchors::logged(&disks, &keyring.store, &keys);
        Ok(Self {
            disks,
            paths: paths.to_vec(),
            absent: Vec::new(),
            store: keyring.store,
            streams,
            metadata_keys,
            anchors,
            origin: Origin::Kit(Arc::new(open)),
        })
    }

    /// What opens the footage. `account` is whose passphrase it is.
    pub fn keyring(
        &self,
        opening: &OpeningArguments,
        account: &str,
    ) -> Result<Arc<OpenKeyring>, Failure> {
        match &self.origin {
            Origin::State(state) => opening.open(state, account).map(Arc::new),
            Origin::Kit(keyring) => Ok(Arc::clone(keyring)),
        }
    }

    /// The store's id.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// The true time of what was recorded before the clock was known.
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// The state folder; `None` where disks are read by themselves.
    pub fn state(&self) -> Option<&StateFolder> {
        match &self.origin {
            Origin::State(state) => Some(state),
            Origin::Kit(_) => None,
        }
    }

    /// Disks of the configuration that cannot be opened, and those that it no longer has, and why.
    pub fn absent(&self) -> &[(PathBuf, Failure)] {
        &self.absent
    }

    /// Where all its disks are, or would be, and its state folder.
    pub fn folders(&self) -> Vec<PathBuf> {
        let absent = self.absent.iter().map(|(path, _)| path.as_path());
        let state = self.state().map(StateFolder::folder);
        let all = self
            .paths
            .iter()
            .map(PathBuf::as_path)
            .chain(absent)
            .chain(state);
        all.map(config::real).collect()
    }

    /// Folders of disks that have no id file, as a bare mount point has none.
    pub fn bare(&self) -> impl Iterator<Item = PathBuf> {
        let there = self.disks.iter().zip(&self.paths);
        let bare =
            there.filter(|(disk, path)| matches!(layout::identify(&***disk, path), Ok(None)));
        bare.map(|(_, path)| path.clone())
    }

    /// Says which disks are not here, so that nobody takes for all footage what is not. Returns what that means for a command that
    /// writes footage out.
    ///
    /// # Errors
    /// Where none of them is here.
    pub fn tell_away(&self) -> Result<ExitStatus, Failure> {
        let absent = self.absent.iter();
        let mut away: Vec<_> = absent.map(|(_, why)| why.sentence.clone()).collect();
        let bare = self.bare().map(|disk| store::Error::NotMounted { disk });
        away.extend(bare.map(|why| why.to_string()));
        let count = away.len();
        if count == self.disks.len() + self.absent.len()
            && let Some(why) = away.pop()
        {
            return Err(Failure::new(ExitStatus::Failed, why));
        }
        for why in &away {
            eprintln!("hearthkeep: footage may be missing here: {why}");
        }
        Ok(match count {
            0 => ExitStatus::Done,
            _ => ExitStatus::Failed,
        })
    }

    /// All streams that were ever recorded.
    pub fn streams(&self) -> &[KnownStream] {
        &self.streams
    }

    /// The stream of a camera, by the camera's name.
    pub fn stream(&self, camera: &str) -> Result<&KnownStream, Failure> {
        let found = self
            .streams
            .iter()
            .find(|stream| stream.name.camera == camera);
        found.ok_or_else(|| {
            let known = self
                .streams
                .iter()
                .map(|stream| stream.name.camera.as_str());
            no_such_camera(camera, known)
        })
    }

    /// All footage, or that of one stream.
    pub fn listing(&self, stream: Option<&StreamId>) -> Result<Listing, Failure> {
        let keys = self.keys();
        let listing = browse::list(&self.disks, &self.store, &*keys, stream);
        let listing = listing.or_fail(ExitStatus::Failed)?;
        Ok(listing.corrected(&self.anchors))
    }

    /// The ids of the disks that are here.
    pub fn disk_ids(&self) -> Vec<DiskId> {
        let id = |disk: &Arc<dyn Disk>| layout::identify(&**disk, Path::new("")).ok()?;
        self.disks.iter().filter_map(id).map(|id| id.disk).collect()
    }

    /// The signed logs on the disks.
    pub fn logs(&self) -> Chain {
        log::find(&self.disks, &self.store, &*self.keys())
    }

    /// Metadata keys by generation.
    pub fn keys(&self) -> SharedKeys {
        let metadata_keys = Arc::clone(&self.metadata_keys);
        Arc::new(move |generation| metadata_keys.get(&generation).map(copy))
    }
}

/// Disks of the store that its configuration does not have, and what is to be done.
fn left_out(
    state: &StateFolder,
    disks: &[Arc<dyn Disk>],
    paths: &[PathBuf],
    absent: &[(PathBuf, Failure)],
) -> Vec<(PathBuf, Failure)> {
    let mut away: Vec<_> = absent.iter().map(|(path, _)| &**path).collect();
    let mut here = Vec::new();
    for (disk, path) in disks.iter().zip(paths) {
        match layout::identify(&**disk, path) {
            Ok(Some(identity)) => here.push((identity.disk, &**path)),
            _ => away.push(path),
        }
    }
    let known = pool::NotHere::of(state, &here, &away).left_out;
    let told = known.into_iter().map(|known| {
        let why = store::why_left_out(known.id, &known.path);
        let why = Failure::new(ExitStatus::Failed, why);
        (known.path, why)
    });
    told.collect()
}

/// The metadata keys of all generations, which count from 1 without a hole.
fn by_generation<'a>(
    key: impl Fn(u32) -> Option<&'a MetadataKey>,
) -> Arc<HashMap<u32, MetadataKey>> {
    let known = (1..).map_while(|n| key(n).map(|key| (n, copy(key))));
    Arc::new(known.collect())
}

fn copy(key: &MetadataKey) -> MetadataKey {
    MetadataKey::from_bytes(*key.as_bytes())
}

/// The keyring of a disk by itself.
fn keyring_of(disk: &RealDisk, path: &Path) -> Result<Keyring, Failure> {
    let Some(identity) = layout::identify(disk, path).or_fail(ExitStatus::Failed)? else {
        let error = store::Error::NotMounted {
            disk: path.to_owned(),
        };
        return Err(Failure::new(ExitStatus::Nothing, error));
    };
    let keyring = layout::read_keyring(disk, path).or_fail(ExitStatus::Damaged)?;
    match keyring.store == identity.store {
        true => Ok(keyring),
        false => Err(Failure::new(
            ExitStatus::Damaged,
            format_args!("the keyring on {} is another store's", path.display()),
        )),
    }
}

/// A segment on one of this machine's disks. It may have been moved to another one since it was listed.
pub(super) struct OnDisk<'a> {
    pub disks: &'a [Arc<dyn Disk>],
    pub listed: &'a Listed,
}

impl Segment for OnDisk<'_> {
    fn id(&self) -> SegmentId {
        self.listed.facts.header.segment_id()
    }

    fn span(&self) -> Range<i64> {
        self.listed.span()
    }

    fn open(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        let open = |disk: &Arc<dyn Disk>| disk.open_read(&self.listed.path);
        let first = open(&self.disks[self.listed.disk]);
        let file = match first {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let elsewhere = self.disks.iter().find_map(|disk| open(disk).ok());
                elsewhere.ok_or(error)
            }
            opened => opened,
        };
        Ok(Box::new(Front::whole(file?)?.past_bad_sectors()))
    }
}

/// A disk's folder, opened.
pub(super) fn open_disk(path: &Path) -> Result<RealDisk, Failure> {
    RealDisk::open(path).map_err(|error| {
        let sentence = format_args!(
            "the disk folder {} cannot be opened ({error}): make it, mount it, or change the path in the configuration",
            path.display()
        )
        .to_string();
        Failure::new(ExitStatus::Failed, sentence)
    })
}

/// An error of the keys, with the exit status that fits it.
pub(super) fn state_failure(error: keys::Error) -> Failure {
    let status = match error {
        keys::Error::NotInitialised { .. } | keys::Error::NotClaimed => ExitStatus::Nothing,
        _ => ExitStatus::Failed,
    };
    Failure::new(status, error)
}

/// That a camera is not there, and which are.
pub(super) fn no_such_camera<'a>(camera: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let names: Vec<_> = known.map(|name| format!("\"{name}\"")).collect();
    let sentence = match names.is_empty() {
        true => "nothing has been recorded yet: start `hearthkeep run`".to_owned(),
        false => format!(
            "there is no camera \"{camera}\"; there are: {}",
            names.join(", ")
        ),
    };
    Failure::new(ExitStatus::Nothing, sentence)
}
