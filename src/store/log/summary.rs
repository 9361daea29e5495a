//! `log.summary.sealed` in the state folder: what the logs lead to up to an entry, so that a start reads on behind that one.
//!
//! The log is the truth, and all of it is read where this is lost: a summary counts only where the logs on the disks are, by the roots of
//! their trees, those that it was made from.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep_format::log::AnchorCause;
use hearthkeep_format::merkle::Hash;
use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{BootId, DiskId, HoldId, LogId, StreamId};
use serde::{Deserialize, Serialize};

use super::places::{Places, Run};
use super::remembered::{self, Remembered};
use super::replayed::{Anchor, LoggedGap, Replayed};
use crate::limits::{LOG_SUMMARY_BYTES_MAX, LOG_SUMMARY_SEGMENTS_MAX};
use crate::random::SharedRandom;
use crate::state_file::{self, StateKey};

pub(super) const FILE: &str = "log.summary.sealed";
const VERSION: u32 = 1;

/// The beginning of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summed {
    pub log: LogId,
    /// How many entries.
    pub size: u64,
    /// The root over these.
    pub root: Hash,
}

/// What logs lead to.
pub(super) struct Summary {
    /// The logs, in the order in which they are read.
    pub logs: Vec<Summed>,
    pub replayed: Replayed,
}

/// Where it lies, and what opens it.
pub(super) struct SummaryFile {
    path: PathBuf,
    key: StateKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    version: u32,
    logs: Vec<(String, u64, String)>,
    /// Holds, and what moves them.
    holds: remembered::Written,
    ended: Vec<String>,
    /// Boot, monotonic time, wall time, cause.
    anchors: Vec<(String, u64, i64, u8)>,
    /// By stream: from, to, cause.
    gaps: BTreeMap<String, Vec<(i64, i64, u8)>>,
    /// Disks by the numbers that the places have for them.
    disks: Vec<String>,
    places: BTreeMap<String, Vec<Run>>,
}

impl SummaryFile {
    pub fn new(state_dir: &Path, key: StateKey) -> Self {
        let path = state_dir.join(FILE);
        Self { path, key }
    }

    /// Reads it; `None` where there is none.
    pub fn read(&self) -> io::Result<Option<Summary>> {
        let Some(sealed) = state_file::read(&self.path, LOG_SUMMARY_BYTES_MAX)? else {
            return Ok(None);
        };
        let strange = || io::Error::new(io::ErrorKind::InvalidData, "it is not as it was written");
        let json = self.key.open(FILE, &sealed).ok_or_else(strange)?;
        let written: Written = serde_json::from_slice(&json)?;
        written.read().map(Some).ok_or_else(strange)
    }

    /// Replaces it, durably.
    pub fn write(&self, written: &Written, random: &mut SharedRandom) -> io::Result<()> {
        let json = serde_json::to_vec(written).map_err(io::Error::from)?;
        let sealed = self.key.seal(FILE, &json, random);
        match sealed.len() as u64 > LOG_SUMMARY_BYTES_MAX {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => state_file::replace(&self.path, &sealed),
        }
    }
}

impl Written {
    pub fn of(logs: &[Summed], replayed: &Replayed) -> io::Result<Self> {
        let known = Remembered {
            holds: replayed.holds.clone(),
            moves: replayed.moves.clone(),
            ..Remembered::default()
        };
        let anchor = |of: &Anchor| {
            let boot = of.boot.to_string();
            (boot, of.monotonic_us, of.wall_us, of.cause.as_u8())
        };
        let gap = |gap: &LoggedGap| (gap.from_us, gap.to_us, gap.cause.as_u8());
        let gaps = replayed.gaps.iter();
        let places = replayed.places.runs();
        Ok(Self {
            version: VERSION,
            logs: logs
                .iter()
                .map(|of| (of.log.to_string(), of.size, BASE64.encode(of.root)))
                .collect(),
            holds: remembered::Written::of(&known)?,
            ended: replayed.ended.iter().map(HoldId::to_string).collect(),
            anchors: replayed.anchors.iter().map(anchor).collect(),
            gaps: gaps
                .map(|(stream, of_it)| (stream.to_string(), of_it.values().map(gap).collect()))
                .collect(),
            disks: replayed.places.disks().map(DiskId::to_string).collect(),
            places: places
                .map(|(stream, runs)| (stream.to_string(), runs))
                .collect(),
        })
    }

    pub fn read(self) -> Option<Summary> {
        let runs = self.places.values().flatten();
        let segments = runs.fold(0_u64, |sum, run| sum.saturating_add(run.1));
        if self.version != VERSION || segments > LOG_SUMMARY_SEGMENTS_MAX {
            return None;
        }
        let logs = self.logs.iter().map(|(log, size, root)| {
            let root = BASE64.decode(root).ok()?.try_into().ok()?;
            let (log, size) = (LogId::from_hex(log)?, *size);
            Some(Summed { log, size, root })
        });
        let logs = logs.collect::<Option<_>>()?;
        let known = self.holds.read()?;
        let mut replayed = Replayed {
            holds: known.holds,
            moves: known.moves,
            ..Replayed::default()
        };
        for id in &self.ended {
            replayed.ended.insert(HoldId::from_hex(id)?);
        }
        for (boot, monotonic_us, wall_us, cause) in self.anchors {
            replayed.anchors.push_back(Anchor {
                boot: BootId::from_hex(&boot)?,
                monotonic_us,
                wall_us,
                cause: AnchorCause::from_u8(cause)?,
            });
        }
        for (stream, gaps) in self.gaps {
            let stream = StreamId::from_hex(&stream)?;
            for (from_us, to_us, cause) in gaps {
                let cause = GapCause::from_u8(cause)?;
                let gap = LoggedGap {
                    from_us,
                    to_us,
                    cause,
                };
                replayed.gap(stream, gap);
            }
        }
        let disks = self.disks.iter().map(|disk| DiskId::from_hex(disk));
        replayed.places = Places::on(disks.collect::<Option<_>>()?);
        for (stream, runs) in self.places {
            let stream = StreamId::from_hex(&stream)?;
            for run in runs {
                let sequences = replayed.places.put(stream, run)?;
                let live = replayed.live.entry(stream).or_default();
                live.insert_all(sequences);
            }
        }
        Some(Summary { logs, replayed })
    }
}

#[cfg(test)]
mod tests {
    use hearthkeep_format::log::{
        Deleted, DeletedSegment, DeletionCause, Hold, OPEN_END_US, Record, SegmentClosed, Stamped,
    };
    use hearthkeep_format::{EpochId, Kind, Random, SeededRandom, SegmentId};
    use zeroize::Zeroizing;

    use super::*;

    fn written(replayed: &Replayed) -> Vec<u8> {
        serde_json::to_vec(&Written::of(&[], replayed).unwrap()).unwrap()
    }

    /// A record of any type that matters, of few streams, disks, boots and holds.
    fn any(random: &mut SeededRandom) -> Record {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        let [kind, which, number, other, ..] = bytes;
        let stream = StreamId::from_bytes([which % 3; 16]);
        let (sequence, id) = (u64::from(number), HoldId::from_bytes([other % 8; 16]));
        let segment = SegmentId::from_bytes([number; 16]);
        match kind % 8 {
            0..3 => Record::SegmentClosed(SegmentClosed {
                stream,
                epoch: EpochId::from_bytes([1; 16]),
                segment,
                disk: DiskId::from_bytes([other % 3; 16]),
                kind: Kind::Media,
                root: [0; 32],
                sequence,
                start_us: 0,
                duration_us: 1,
                bytes: 1,
                recovered: false,
                clock_trusted: true,
            }),
            3 => Record::Deleted(Deleted {
                stream,
                cause: DeletionCause::Age,
                segments: vec![DeletedSegment { segment, sequence }],
            }),
            4 => Record::Gap {
                stream,
                cause: GapCause::Crash,
                from_us: i64::from(number) * 10,
                to_us: i64::from(number) * 10 + i64::from(other),
            },
            5 if which < 128 => Record::Hold(Hold {
                id,
                streams: vec![stream],
                from_us: 0,
                to_us: OPEN_END_US,
                until_us: OPEN_END_US,
                reason: "the fence".to_owned(),
                who: "robin".to_owned(),
            }),
            5 => Record::Unhold {
                id,
                reason: String::new(),
                who: String::new(),
            },
            6 => Record::Started {
                boot: BootId::from_bytes([which % 4; 16]),
                monotonic_us: u64::from(other) * 10_000_000,
                after_crash: false,
                version: String::new(),
            },
            _ => Record::ClockAnchor {
                boot: BootId::from_bytes([which % 4; 16]),
                monotonic_us: 7,
                wall_us: i64::from(other) * 90_000_000,
                cause: AnchorCause::Trusted,
            },
        }
    }

    #[test]
    fn what_goes_on_from_a_summary_is_what_reading_all_leads_to() {
        for seed in 0..50 {
            let random = &mut SeededRandom::new(seed);
            let (mut whole, mut resumed) = (Replayed::default(), Replayed::default());
            for n in 0..2_000 {
                if n % 150 == 0 {
                    let json = written(&resumed);
                    let read: Written = serde_json::from_slice(&json).unwrap();
                    let read = read.read().unwrap().replayed;
                    assert_eq!(written(&read), json, "seed {seed}, record {n}");
                    resumed = read;
                }
                let stamped = Stamped {
                    wall_us: 5,
                    clock_trusted: true,
                    record: any(random),
                };
                whole.apply(&stamped);
                resumed.apply(&stamped);
                let disk = DiskId::from_bytes([1; 16]);
                for (stream, live) in &whole.live {
                    let sequence = n % 256;
                    let of_it = &resumed.live[stream];
                    assert_eq!(of_it.contains(sequence), live.contains(sequence));
                    let lies = |of: &Replayed| of.places.is_on(stream, sequence, &disk);
                    assert_eq!(lies(&resumed), lies(&whole));
                }
            }
            assert_eq!(written(&resumed), written(&whole), "seed {seed}");
            assert_eq!(resumed.held(), whole.held(), "seed {seed}");
        }
    }

    #[test]
    fn more_segments_than_there_can_be_are_not_believed() {
        let stream = || StreamId::from_bytes([1; 16]).to_string();
        let read = |runs: Vec<Run>| {
            let mut written = Written::of(&[], &Replayed::default()).unwrap();
            written.disks.push(DiskId::from_bytes([2; 16]).to_string());
            written.places.insert(stream(), runs);
            written.read()
        };
        let most = LOG_SUMMARY_SEGMENTS_MAX;
        for runs in [
            vec![(0, u64::MAX, 1)],
            vec![(0, most, 1), (7, 1, 1)],
            vec![(0, 7, 1), (7, u64::MAX, 1), (9, u64::MAX, 1)],
            vec![(u64::MAX - 1, 2, 1)],
        ] {
            assert!(read(runs.clone()).is_none(), "{runs:?}");
        }
        let last = (u64::MAX - 100, 100, 1);
        let replayed = read(vec![(0, 1 << 20, 1), last]).unwrap().replayed;
        let runs: Vec<_> = replayed.places.runs().collect();
        let [(of, runs)] = &runs[..] else {
            panic!("{runs:?}");
        };
        assert_eq!(runs[..], [(0, 1 << 20, 1), last]);
        let live = &replayed.live[of];
        assert!([0, (1 << 20) - 1, u64::MAX - 1].map(|n| live.contains(n)) == [true; 3]);
        assert!(
            ![1 << 20, u64::MAX - 101]
                .map(|n| live.contains(n))
                .contains(&true)
        );
    }

    #[test]
    fn what_was_changed_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let file =
            |number| SummaryFile::new(folder.path(), StateKey::new(Zeroizing::new([number; 32])));
        assert!(file(1).read().unwrap().is_none());
        let log = Summed {
            log: LogId::from_bytes([4; 16]),
            size: 1 << 40,
            root: [9; 32],
        };
        let written = Written::of(&[log], &Replayed::default()).unwrap();
        file(1)
            .write(&written, &mut SharedRandom::default())
            .unwrap();
        assert_eq!(file(1).read().unwrap().unwrap().logs, [log]);
        assert!(file(2).read().is_err(), "another key");
        let path = folder.path().join(FILE);
        let mut sealed = std::fs::read(&path).unwrap();
        sealed[40] ^= 1;
        std::fs::write(&path, sealed).unwrap();
        assert!(file(1).read().is_err(), "a byte of it is another");
    }
}
