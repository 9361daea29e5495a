//! `log.holds.sealed` in the state folder: the holds that stand, and what moves them.
//!
//! The log is the home of holds. What it says may be out of reach at a start: its disk is away, an entry has rotted, a disk was put
//! back to an older state. So whatever changes about them is written here before it is written there, and a start goes by both:
//! what either has is held, unless the log says that it was ended.
//!
//! Whether it lacks nothing that a log says is known before the log is read: see [`Remembered::is_all_of`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::log::{Checkpoint, Hold, Record, Stamped};
use hearthkeep_format::{BootId, DiskId, HoldId, LogId};
use serde::{Deserialize, Serialize};

use super::chain::{Chain, FoundLog};
use super::moves::Moves;
use super::own::Own;
use crate::limits::STATE_FILE_BYTES_MAX;
use crate::random::SharedRandom;
use crate::state_file::{self, StateKey};

pub(super) const FILE: &str = "log.holds.sealed";
const VERSION: u32 = 1;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    pub holds: BTreeMap<HoldId, Hold>,
    pub moves: Moves,
    /// The logs of which it has all holds, and how many entries they had then.
    pub logs: BTreeMap<LogId, u64>,
    /// A greater one each time it is written.
    pub serial: u64,
    /// Disks whose log could not be read when nothing was remembered: they may have holds that are not in here.
    pub unheard: BTreeSet<DiskId>,
}

impl Remembered {
    /// Whether these logs have nothing about holds that is not in here. `own` is the one that the disks go on with, as the state folder
    /// has it: no hold came into that without coming in here, but this file alone may be an older one, put back.
    pub fn is_all_of(&self, chain: &Chain, own: &Own) -> bool {
        let has = |log: &FoundLog| {
            let Checkpoint { log, size, .. } = &log.files.checkpoint;
            let known = self.logs.get(log);
            known.is_some_and(|known| known >= size || *log == own.key.log())
        };
        let knows_all = self.serial >= own.holds && self.unheard.is_empty();
        knows_all && chain.flaws.is_empty() && chain.logs.iter().all(has)
    }
}

/// Where it lies, and what opens it.
pub(super) struct RememberedFile {
    path: PathBuf,
    key: StateKey,
    /// By which version of the holds it was written.
    version: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    version: u32,
    boot: Option<String>,
    offsets_us: Vec<i64>,
    holds: Vec<WrittenHold>,
    #[serde(default)]
    logs: BTreeMap<String, u64>,
    #[serde(default)]
    serial: u64,
    #[serde(default)]
    unheard: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHold {
    /// As in the log.
    record: String,
    /// Whether it was set in this boot.
    is_of_boot: bool,
    shifts_us: Vec<i64>,
}

impl RememberedFile {
    pub fn new(state_dir: &Path, key: StateKey) -> Self {
        Self {
            path: state_dir.join(FILE),
            key,
            version: None,
        }
    }

    /// Reads it; `None` where there is none.
    pub fn read(&self) -> io::Result<Option<Remembered>> {
        let Some(sealed) = state_file::read(&self.path, STATE_FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        let strange = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let json = self.key.open(FILE, &sealed);
        let json =
            json.ok_or_else(|| strange("it was changed, or sealed by another machine key"))?;
        let written: Written = serde_json::from_slice(&json)?;
        if written.version != VERSION {
            return Err(strange("its version is not known"));
        }
        let read = written.read();
        read.map(Some)
            .ok_or_else(|| strange("it is not as it was written"))
    }

    /// Whether it was written with this version of the holds.
    pub fn is_of(&self, version: u64) -> bool {
        self.version == Some(version)
    }

    /// Replaces it, durably.
    pub fn write(
        &mut self,
        remembered: &Remembered,
        version: u64,
        random: &mut SharedRandom,
    ) -> io::Result<()> {
        let json = serde_json::to_vec(&Written::of(remembered)?).map_err(io::Error::from)?;
        let sealed = self.key.seal(FILE, &json, random);
        if sealed.len() as u64 > STATE_FILE_BYTES_MAX {
            // A file that lacks some would be believed to have all.
            tracing::warn!("the holds are too many for the state folder: only the log has them");
            state_file::remove(&self.path)?;
        } else {
            state_file::replace(&self.path, &sealed)?;
        }
        self.version = Some(version);
        Ok(())
    }
}

impl Written {
    pub fn of(remembered: &Remembered) -> io::Result<Self> {
        let moves = &remembered.moves;
        let hold = |hold: &Hold| {
            let stamped = Stamped {
                wall_us: 0,
                clock_trusted: false,
                record: Record::Hold(hold.clone()),
            };
            let mut record = Vec::new();
            stamped.encode(&mut record).map_err(io::Error::other)?;
            Ok(WrittenHold {
                record: BASE64.encode(record),
                is_of_boot: moves.set_here.contains(&hold.id),
                shifts_us: moves.shifts.get(&hold.id).cloned().unwrap_or_default(),
            })
        };
        Ok(Self {
            version: VERSION,
            boot: moves.boot.map(|boot| boot.to_string()),
            offsets_us: moves.offsets.clone(),
            holds: remembered
                .holds
                .values()
                .map(hold)
                .collect::<io::Result<_>>()?,
            logs: remembered
                .logs
                .iter()
                .map(|(log, size)| (log.to_string(), *size))
                .collect(),
            serial: remembered.serial,
            unheard: remembered.unheard.iter().map(DiskId::to_string).collect(),
        })
    }

    pub fn read(self) -> Option<Remembered> {
        let mut remembered = Remembered {
            serial: self.serial,
            ..Remembered::default()
        };
        for disk in self.unheard {
            remembered.unheard.insert(DiskId::from_hex(&disk)?);
        }
        for (log, size) in self.logs {
            remembered.logs.insert(LogId::from_hex(&log)?, size);
        }
        let moves = &mut remembered.moves;
        moves.boot = match self.boot {
            Some(boot) => Some(BootId::from_hex(&boot)?),
            None => None,
        };
        moves.offsets = self.offsets_us;
        for written in self.holds {
            let record = BASE64.decode(written.record).ok()?;
            let Record::Hold(hold) = Stamped::decode(&record).ok()?.record else {
                return None;
            };
            if written.is_of_boot {
                moves.set_here.push(hold.id);
            }
            if !written.shifts_us.is_empty() {
                moves.shifts.insert(hold.id, written.shifts_us);
            }
            remembered.holds.insert(hold.id, hold);
        }
        Some(remembered)
    }
}

#[cfg(test)]
mod tests {
    use hearthkeep_format::StreamId;
    use hearthkeep_format::log::OPEN_END_US;
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let new =
            |key| RememberedFile::new(folder.path(), StateKey::new(Zeroizing::new([key; 32])));
        assert!(new(1).read().unwrap().is_none());
        let mut remembered = Remembered {
            serial: 3,
            logs: [(LogId::from_bytes([6; 16]), 1 << 40)].into(),
            unheard: [DiskId::from_bytes([7; 16])].into(),
            ..Remembered::default()
        };
        let boot = BootId::from_bytes([3; 16]);
        remembered.moves.started(boot, 7_000_000);
        for number in 1..3 {
            let hold = Hold {
                id: HoldId::from_bytes([number; 16]),
                streams: vec![StreamId::from_bytes([4; 16])],
                from_us: -5,
                to_us: OPEN_END_US,
                until_us: OPEN_END_US,
                reason: "the fence".to_owned(),
                who: "robin".to_owned(),
            };
            remembered.moves.held(hold.id);
            remembered.holds.insert(hold.id, hold);
            remembered
                .moves
                .anchored(boot, 90_000_000 * i64::from(number));
        }
        let random = &mut SharedRandom::default();
        let mut file = new(1);
        file.write(&remembered, 5, random).unwrap();
        assert!(file.is_of(5) && !file.is_of(6));
        assert_eq!(new(1).read().unwrap(), Some(remembered));
        assert!(new(2).read().is_err(), "another key");
    }
    #[test]
    fn what_says_nothing_of_logs_is_read_and_not_taken_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let key = StateKey::new(Zeroizing::new([1; 32]));
        let json = br#"{"version":1,"boot":null,"offsets_us":[],"holds":[]}"#;
        let sealed = key.seal(FILE, json, &mut SharedRandom::default());
        state_file::replace(&folder.path().join(FILE), &sealed).unwrap();
        let read = RememberedFile::new(folder.path(), key).read().unwrap();
        assert!(read.is_some_and(|read| read == Remembered::default() && read.logs.is_empty()));
    }
}
