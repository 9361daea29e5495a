//! A store of this machine, as reading commands see it: its configuration, its state folder, its disks. They take no lock
//! and never open the catalog, so that they work while the recorder runs.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use hearthkeep_format::segment::ReadAt;
use hearthkeep_format::{MetadataKey, SegmentId, StreamId};

use super::output::{ExitStatus, Failure, OrFail};
use crate::archive::Segment;
use crate::config::Config;
use crate::disk::{Disk, Front, RealDisk};
use crate::keys::{self, KnownStream, StateFolder};
use crate::store::browse::{self, Listed, Listing};

/// Configuration, state folder and disks.
pub(super) struct Local {
    pub state: StateFolder,
    pub disks: Vec<Arc<dyn Disk>>,
}

/// Reads a configuration.
pub(super) fn load_config(path: &Path) -> Result<Config, Failure> {
    Config::load(path).or_fail(ExitStatus::Configuration)
}

impl Local {
    pub fn open(config: &Path) -> Result<Self, Failure> {
        let config = load_config(config)?;
        let state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
        let mut disks: Vec<Arc<dyn Disk>> = Vec::new();
        for disk in &config.disks {
            disks.push(Arc::new(open_disk(&disk.path)?));
        }
        Ok(Self { state, disks })
    }

    /// The stream of a camera, by the camera's name.
    pub fn stream(&self, camera: &str) -> Result<KnownStream, Failure> {
        let known = self.state.streams().map_err(state_failure)?;
        let found = known
            .iter()
            .find(|stream| stream.name.camera == camera)
            .cloned();
        found.ok_or_else(|| {
            no_such_camera(
                camera,
                known.iter().map(|stream| stream.name.camera.as_str()),
            )
        })
    }

    /// All footage, or that of one stream.
    pub fn listing(&self, stream: Option<&StreamId>) -> Result<Listing, Failure> {
        let keys = self.metadata_keys();
        let keys = move |generation| {
            keys.get(&generation)
                .map(|key: &[u8; 32]| MetadataKey::from_bytes(*key))
        };
        browse::list(&self.disks, &self.state.store(), &keys, stream).or_fail(ExitStatus::Failed)
    }

    fn metadata_keys(&self) -> HashMap<u32, [u8; 32]> {
        // Generations count from 1 without a hole.
        (1..)
            .map_while(|n| self.state.metadata_key(n).map(|key| (n, *key.as_bytes())))
            .collect()
    }
}

/// A segment on one of this machine's disks.
pub(super) struct OnDisk<'a> {
    pub disk: &'a dyn Disk,
    pub listed: &'a Listed,
}

impl Segment for OnDisk<'_> {
    fn id(&self) -> SegmentId {
        self.listed.facts.header.segment_id()
    }

    fn open(&self) -> io::Result<Box<dyn ReadAt + '_>> {
        Ok(Box::new(Front::whole(
            self.disk.open_read(&self.listed.path)?,
        )?))
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
        keys::Error::InUse { .. } => ExitStatus::Busy,
        _ => ExitStatus::Failed,
    };
    Failure::new(status, error)
}

fn no_such_camera<'a>(camera: &str, known: impl Iterator<Item = &'a str>) -> Failure {
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
