//! `store.sealed`: what a box knows of its store, under its machine key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::{DiskId, MetadataKey, StoreId, VerifyingKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

const VERSION: u32 = 1;

/// A disk that belongs to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDisk {
    /// Where the configuration mounts it.
    pub path: PathBuf,
    /// The id in its `hearthkeep-disk.json`.
    pub id: DiskId,
}

/// What the owner has said of a disk, beyond the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing.
    #[default]
    InUse,
    /// It is to be emptied, as far as the others have room.
    Draining,
    /// It is to be emptied; where the others have no room, the oldest footage goes.
    DrainingLetGo,
    /// It is used no more.
    Retired,
}

/// The content of `store.sealed`.
pub(super) struct State {
    pub store: StoreId,
    /// The owner's key that the box was claimed with; `None` until then.
    pub root: Option<VerifyingKey>,
    /// The newest generation that was accepted: the keyring may not fall behind it.
    pub generation: u32,
    pub metadata_keys: BTreeMap<u32, MetadataKey>,
    pub disks: Vec<KnownDisk>,
    /// Of the disks of which more was said than that they are used.
    pub standings: Vec<(DiskId, Standing)>,
}

impl State {
    pub fn new(store: StoreId) -> Self {
        let (metadata_keys, disks) = (BTreeMap::new(), Vec::new());
        Self {
            store,
            root: None,
            generation: 0,
            metadata_keys,
            disks,
            standings: Vec::new(),
        }
    }

    /// What was said of a disk.
    pub fn standing(&self, id: DiskId) -> Standing {
        let mut said = self.standings.iter();
        let said = said.find(|(disk, _)| *disk == id);
        said.map_or(Standing::InUse, |(_, standing)| *standing)
    }

    /// A disk is at a path.
    pub fn remember(&mut self, path: &Path, id: DiskId) {
        let disk = KnownDisk {
            path: path.to_owned(),
            id,
        };
        let mut newest = self.disks.iter().rev();
        let is_its_last = newest.find(|known| known.id == id) == Some(&disk);
        if is_its_last && self.last_at(path) == Some(id) {
            return;
        }
        // Its earlier paths stay known: what lies there without an id file is a bare mount point, and no new disk. Nor is another one
        // forgotten that was here last: it is somewhere, and has footage.
        let before = std::mem::take(&mut self.disks);
        let is_elsewhere = |id| {
            before
                .iter()
                .any(|known| known.id == id && known.path != path)
        };
        let stays =
            |known: &&KnownDisk| known.path != path || (known.id != id && !is_elsewhere(known.id));
        self.disks = before.iter().filter(stays).cloned().collect();
        self.disks.push(disk);
    }

    /// The disk that was at a path last.
    pub fn last_at(&self, path: &Path) -> Option<DiskId> {
        let mut newest = self.disks.iter().rev();
        newest
            .find(|known| known.path == path)
            .map(|known| known.id)
    }

    /// What was said of a disk. The paths of one that is retired are forgotten.
    pub fn say(&mut self, id: DiskId, standing: Standing) {
        if self.standing(id) == standing {
            return;
        }
        self.standings.retain(|(disk, _)| *disk != id);
        if standing != Standing::InUse {
            self.standings.push((id, standing));
        }
        if standing == Standing::Retired {
            self.disks.retain(|known| known.id != id);
        }
    }

    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let keys = self.metadata_keys.iter();
        let written = Written {
            version: VERSION,
            store: self.store.to_string(),
            root: self.root.map(|root| BASE64.encode(root.as_bytes())),
            generation: self.generation,
            metadata_keys: keys
                .map(|(n, m)| (*n, Secret(Zeroizing::new(*m.as_bytes()))))
                .collect(),
            disks: self.disks.iter().map(WrittenDisk::from).collect(),
            standings: self.standings.iter().map(written_standing).collect(),
        };
        // Grown once: growing would leave copies of the keys in memory that nobody erases.
        let mut json = Zeroizing::new(Vec::with_capacity(64 << 10));
        serde_json::to_writer(&mut *json, &written).expect("plain values become JSON");
        json
    }

    /// The version of a state that a newer program has written, whatever else is in it.
    pub fn newer(json: &[u8]) -> Option<u32> {
        let of: Versioned = serde_json::from_slice(json).ok()?;
        (of.version > VERSION).then_some(of.version)
    }

    /// `Err` says what makes no sense.
    pub fn decode(json: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if written.version != VERSION {
            return Err(format!("there is no version {}", written.version));
        }
        let root = written.root.map(|text| {
            let bytes = BASE64
                .decode(text)
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            bytes.and_then(|bytes: [u8; 32]| VerifyingKey::from_bytes(&bytes).ok())
        });
        if root == Some(None) {
            return Err("root is not a key".to_owned());
        }
        let keys = written.metadata_keys.into_iter();
        Ok(Self {
            store: StoreId::from_hex(&written.store).ok_or("store is not an id")?,
            root: root.flatten(),
            generation: written.generation,
            metadata_keys: keys
                .map(|(n, key)| (n, MetadataKey::from_bytes(*key.0)))
                .collect(),
            disks: written
                .disks
                .into_iter()
                .map(WrittenDisk::read)
                .collect::<Result<_, _>>()?,
            standings: written
                .standings
                .iter()
                .map(read_standing)
                .collect::<Option<_>>()
                .ok_or("a disk's id is not an id")?,
        })
    }
}

/// All that is read of a state that this program may not know.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    store: String,
    root: Option<String>,
    generation: u32,
    metadata_keys: BTreeMap<u32, Secret>,
    disks: Vec<WrittenDisk>,
    /// Left out where there is nothing to say, so that versions which do not know it read the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    standings: Vec<(String, Standing)>,
}

fn written_standing((disk, standing): &(DiskId, Standing)) -> (String, Standing) {
    (disk.to_string(), *standing)
}

fn read_standing((disk, standing): &(String, Standing)) -> Option<(DiskId, Standing)> {
    Some((DiskId::from_hex(disk)?, *standing))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDisk {
    path: PathBuf,
    disk: String,
}

impl From<&KnownDisk> for WrittenDisk {
    fn from(known: &KnownDisk) -> Self {
        Self {
            path: known.path.clone(),
            disk: known.id.to_string(),
        }
    }
}

impl WrittenDisk {
    fn read(self) -> Result<KnownDisk, String> {
        let id = DiskId::from_hex(&self.disk).ok_or("a disk's id is not an id")?;
        Ok(KnownDisk {
            path: self.path,
            id,
        })
    }
}

/// 32 secret bytes, in base64 where they are written.
struct Secret(Zeroizing<[u8; 32]>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(*self.0)))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?);
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(D::Error::custom)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}
