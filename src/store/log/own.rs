//! `log.sealed` in the state folder: the key that signs the log, and the last checkpoint it has signed.
//!
//! The checkpoint is written here before it goes to the disks. So disks that have more than it says come from after this state
//! folder's backup, and disks that have less have lost something.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::log::{Checkpoint, LogKey};
use hearthkeep_format::{Identity, SigningKey, StoreId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::chain::FoundLog;
use crate::limits::STATE_FILE_BYTES_MAX;
use crate::random::SharedRandom;
use crate::state_file::{self, StateKey};

pub(super) const FILE: &str = "log.sealed";
const VERSION: u32 = 1;

/// Where it lies, and what opens it.
pub(super) struct OwnFile {
    path: PathBuf,
    key: StateKey,
}

/// Its content.
pub(super) struct Own {
    secret: Identity,
    /// The key that verifies what is signed here.
    pub key: LogKey,
    /// The last checkpoint that was signed.
    pub note: String,
    /// As which serial the state folder remembered the holds then.
    pub holds: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    seed: String,
    checkpoint: String,
    #[serde(default)]
    holds: u64,
}

impl OwnFile {
    pub fn new(state_dir: &Path, key: StateKey) -> Self {
        let path = state_dir.join(FILE);
        Self { path, key }
    }

    /// Reads it; `None` where there is none. `Err` says what is wrong with it.
    pub fn read(&self, store: StoreId) -> io::Result<Option<(Own, Checkpoint)>> {
        let Some(sealed) = state_file::read(&self.path, STATE_FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        let opened = self.open(&sealed, store);
        opened
            .map(Some)
            .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))
    }

    fn open(&self, sealed: &[u8], store: StoreId) -> Result<(Own, Checkpoint), String> {
        let json = self.key.open(FILE, sealed);
        let json = json.ok_or("it was changed, or sealed by another machine key")?;
        let written: Written = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        if written.version != VERSION {
            return Err(format!("its version {} is not known", written.version));
        }
        let seed = Zeroizing::new(written.seed);
        let seed = BASE64.decode(seed.as_bytes()).ok().map(Zeroizing::new);
        let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed.as_slice()).ok());
        let secret = Identity::from_seed(seed.ok_or("its key is no key")?);
        let key = LogKey {
            store,
            key: secret.signing_key().verifying_key(),
        };
        let checkpoint = Checkpoint::verify(&written.checkpoint, &key);
        let own = Own {
            secret,
            key,
            note: written.checkpoint,
            holds: written.holds,
        };
        Ok((own, checkpoint.map_err(|error| error.to_string())?))
    }

    /// Replaces it, durably.
    pub fn write(&self, own: &Own, random: &mut SharedRandom) -> io::Result<()> {
        let written = Written {
            version: VERSION,
            seed: BASE64.encode(own.secret.seed()),
            checkpoint: own.note.clone(),
            holds: own.holds,
        };
        // Grown once: growing would leave copies of the key in memory that nobody erases.
        let mut json = Zeroizing::new(Vec::with_capacity(8 << 10));
        serde_json::to_writer(&mut *json, &written).expect("plain values become JSON");
        drop(Zeroizing::new(written.seed));
        let sealed = self.key.seal(FILE, &json, random);
        state_file::replace(&self.path, &sealed)
    }
}

/// The last checkpoint that a recorder has signed, and what verifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSigned {
    pub(super) key: LogKey,
    pub(super) note: String,
    /// What the note says.
    pub(super) checkpoint: Checkpoint,
}

impl LastSigned {
    /// One that was signed with this key.
    ///
    /// # Errors
    /// Where it was not.
    pub fn verify(key: LogKey, note: String) -> hearthkeep_format::Result<Self> {
        let checkpoint = Checkpoint::verify(&note, &key)?;
        Ok(Self {
            key,
            note,
            checkpoint,
        })
    }

    /// What a state folder remembers; `None` where it remembers nothing, or that cannot be read.
    pub fn remembered(state_dir: &Path, key: StateKey, store: &StoreId) -> Option<Self> {
        let (own, _) = OwnFile::new(state_dir, key).read(*store).ok()??;
        Self::verify(own.key, own.note).ok()
    }
}

/// What there is to say where disks have less of a log than was published.
pub(super) fn rolled_back(published: &Checkpoint, there: Option<&FoundLog>) -> String {
    let there = there.map_or(0, |log| log.files.checkpoint.size);
    format!(
        "the log was rolled back: {} entries of it were published, and the disks that are here have {there} of them. Somebody put back an older \
         copy of a disk or removed a part of the log, or a disk is missing. A new log begins; what the old one said is in the viewers that saw it",
        published.size
    )
}

impl Own {
    /// A new key, which has signed nothing.
    pub fn generate(store: StoreId, random: &mut SharedRandom) -> Self {
        let secret = Identity::generate(random);
        let key = LogKey {
            store,
            key: secret.signing_key().verifying_key(),
        };
        Self {
            secret,
            key,
            note: String::new(),
            holds: 0,
        }
    }

    pub fn signing_key(&self) -> SigningKey {
        self.secret.signing_key()
    }
}
