//! What the wall clock said at moments of a boot, when it was trusted: by that the true time of what was recorded before is
//! known.
//!
//! Within a boot, monotonic time is the truth: nobody sets it. An anchor ties it to wall time: one when the clock is first
//! trusted, and one whenever it jumps. What was recorded before an anchor of its boot is shown at the time that follows from
//! the newest one; a start block is never written again. `docs/decisions/0006-anchors-of-the-clock.md` has the reasons.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hearthkeep_format::log::{AnchorCause, Record};
use hearthkeep_format::segment::Start;
use hearthkeep_format::{BootId, StoreId};
use serde::{Deserialize, Serialize};

use super::SharedKeys;
use super::log::{self, Anchor};
use crate::clock::{Clock, offset_us};
use crate::disk::Disk;
use crate::limits::{ANCHORS_BYTES_MAX, ANCHORS_KEPT, CLOCK_JUMP_US_MIN, CLOCK_STEP_US_MIN};
use crate::state_file;

pub(super) const FILE: &str = "clock.anchors";

/// The anchors of a store's boots.
#[derive(Default)]
pub struct Anchors {
    file: Option<PathBuf>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order in which they were made.
    known: Vec<Anchor>,
    /// Whether what was recorded before the newest is in the catalog at its true time.
    is_settled: bool,
    /// Whether the same is to be done for other boots than that of the newest one.
    is_joined: bool,
    /// Wall time less monotonic time when the clock was looked at last.
    offset_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    is_settled: bool,
    #[serde(default)]
    is_joined: bool,
    /// Boot id, monotonic time, wall time, cause.
    anchors: Vec<(String, u64, i64, u8)>,
}

impl Anchors {
    /// Those that a state folder remembers. Where it has no file, or one that cannot be read, `logged` says them. What the log has
    /// besides is to be [joined](Self::join) when it is read.
    pub fn read(state_dir: &Path, logged: impl FnOnce() -> Self) -> Self {
        let file = state_dir.join(FILE);
        let inner = read(&file).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), "what is known of the clock is taken from the log: {error}");
            None
        });
        let inner = inner.unwrap_or_else(|| {
            let logged = logged().inner;
            logged.into_inner().unwrap_or_else(PoisonError::into_inner)
        });
        Self {
            file: Some(file),
            inner: Mutex::new(inner),
        }
    }

    /// Those that the logs on disks tell of, as far as they can be read.
    pub fn logged(disks: &[Arc<dyn Disk>], store: &StoreId, keys: &SharedKeys) -> Self {
        let mut known = Vec::new();
        for found in log::find(disks, store, &**keys).readable() {
            let mut reader = log::Reader::new(Arc::clone(keys));
            while let Ok(read) = reader.next(&found.files)
                && !read.is_empty()
            {
                let records = read.into_iter().filter_map(|(_, stamped)| stamped.ok());
                known.extend(records.filter_map(|stamped| anchor_of(&stamped.record)));
            }
        }
        let surplus = known.len().saturating_sub(ANCHORS_KEPT);
        known.drain(..surplus);
        Self {
            file: None,
            inner: Mutex::new(Inner {
                known,
                ..Inner::default()
            }),
        }
    }

    /// Adds what a log tells and was not known here, as where the state folder was put back or could not be written: of each boot the
    /// newest counts. Whether there is something; then [`settled`](Self::settled) is to be told when the catalog follows.
    pub(super) fn join(&self, logged: impl IntoIterator<Item = Anchor>, now: BootId) -> bool {
        let mut newest: Vec<Anchor> = Vec::new();
        for anchor in logged {
            newest.retain(|other| other.boot != anchor.boot);
            newest.push(anchor);
        }
        let mut inner = self.lock();
        let known = &mut inner.known;
        newest.retain(|new| {
            let mut of_boot = known.iter().filter(|one| one.boot == new.boot);
            of_boot.all(|one| one.monotonic_us < new.monotonic_us)
        });
        for anchor in &newest {
            // That of this boot stays the newest one.
            let is_now = known.last().is_some_and(|last| last.boot == now);
            let end = known.len() - usize::from(is_now && anchor.boot != now);
            let later = known[..end]
                .iter()
                .position(|one| one.wall_us > anchor.wall_us);
            let of_boot = known.iter().rposition(|one| one.boot == anchor.boot);
            let at = of_boot.map_or(later.unwrap_or(end), |before| before + 1);
            known.insert(at, *anchor);
        }
        if newest.is_empty() {
            return false;
        }
        let surplus = known.len().saturating_sub(ANCHORS_KEPT);
        known.drain(..surplus);
        (inner.is_settled, inner.is_joined) = (false, true);
        let kept = Kept::of(&inner);
        drop(inner);
        self.keep(&kept);
        true
    }

    /// All of them, in the order in which they were made.
    pub(super) fn all(&self) -> Vec<Anchor> {
        self.lock().known.clone()
    }

    /// What a start block says, at its true time as far as that is known.
    pub fn corrected(&self, start: &Start) -> Start {
        let inner = self.lock();
        let mut newest_first = inner.known.iter().rev();
        let anchor = newest_first.find(|anchor| anchor.boot == start.boot);
        let Some(anchor) = anchor.filter(|anchor| start.monotonic_us <= anchor.monotonic_us) else {
            return *start;
        };
        let own_us = start.wall_us.saturating_sub_unsigned(start.monotonic_us);
        let shift_us = offset_of(anchor).saturating_sub(own_us);
        let mut corrected = *start;
        corrected.clock_trusted = true;
        if shift_us.unsigned_abs() >= CLOCK_STEP_US_MIN {
            corrected.wall_us = start.wall_us.saturating_add(shift_us);
        }
        corrected
    }

    /// Looks at the clock. Where that makes a new anchor, the log is to have it, and [`settled`](Self::settled) is to be told when
    /// the catalog follows.
    pub(super) fn look(&self, clock: &dyn Clock) -> Option<Record> {
        let (offset, boot) = (offset_us(clock), clock.boot_id());
        let mut inner = self.lock();
        let before = inner.offset_us.replace(offset);
        if !clock.trusted() {
            return None;
        }
        let anchor = inner.known.iter().rev().find(|anchor| anchor.boot == boot);
        let cause = match (anchor, before) {
            (None, _) => AnchorCause::Trusted,
            (Some(_), Some(before)) if offset.abs_diff(before) < CLOCK_STEP_US_MIN => return None,
            // Slewed for as long as a boot may last.
            (Some(anchor), None) if offset.abs_diff(offset_of(anchor)) < CLOCK_JUMP_US_MIN => {
                return None;
            }
            _ => AnchorCause::Jump,
        };
        let monotonic_us = clock.monotonic_us();
        if let Some(before) = before.filter(|_| cause == AnchorCause::Jump) {
            let seconds = offset.saturating_sub(before) / 1_000_000;
            tracing::warn!(
                seconds,
                "the clock was set: what this boot recorded before moves with it"
            );
        }
        if inner.known.len() == ANCHORS_KEPT {
            inner.known.remove(0);
        }
        let wall_us = offset.saturating_add_unsigned(monotonic_us);
        inner.known.push(Anchor {
            boot,
            monotonic_us,
            wall_us,
            cause,
        });
        inner.is_settled = false;
        let kept = Kept::of(&inner);
        drop(inner);
        self.keep(&kept);
        Some(Record::ClockAnchor {
            boot,
            monotonic_us,
            wall_us,
            cause,
        })
    }

    /// Whether the catalog is still to follow the newest anchor.
    pub(super) fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.is_settled || inner.known.is_empty()
    }

    /// Whether what was recorded in this boot is to follow, while not all is settled.
    pub(super) fn concerns(&self, boot: BootId) -> bool {
        let inner = self.lock();
        inner.is_joined || inner.known.last().is_some_and(|anchor| anchor.boot == boot)
    }

    /// The catalog has footage again that may not follow the newest anchor. What the file says is of when it had it before.
    pub(super) fn unsettled(&self) {
        self.lock().is_settled = false;
    }

    /// The catalog follows the newest anchor; one that is in memory only is no durable one, and the next start is to see to it again,
    /// or whoever finds it [unsettled](Self::unsettled).
    pub(super) fn settled(&self, is_durable: bool) {
        let kept = {
            let mut inner = self.lock();
            inner.is_settled = true;
            inner.is_joined &= !is_durable;
            Kept::of(&inner)
        };
        if is_durable {
            self.keep(&kept);
        }
    }

    /// Not under the lock, which whoever looks at a timeline takes. Only the keeper changes anything here, so that none is written
    /// over by an older one.
    fn keep(&self, kept: &Kept) {
        let Some(file) = &self.file else { return };
        let written = serde_json::to_vec(kept)
            .map_err(io::Error::from)
            .and_then(|bytes| state_file::replace_summed(file, &bytes));
        if let Err(error) = written {
            tracing::error!(file = %file.display(), "the clock's anchor is forgotten at the end of this run: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn of(inner: &Inner) -> Self {
        let anchor = |anchor: &Anchor| {
            let Anchor {
                boot,
                monotonic_us,
                wall_us,
                cause,
            } = anchor;
            (boot.to_string(), *monotonic_us, *wall_us, cause.as_u8())
        };
        Self {
            is_settled: inner.is_settled,
            is_joined: inner.is_joined,
            anchors: inner.known.iter().map(anchor).collect(),
        }
    }
}

fn offset_of(anchor: &Anchor) -> i64 {
    anchor.wall_us.saturating_sub_unsigned(anchor.monotonic_us)
}

fn anchor_of(record: &Record) -> Option<Anchor> {
    match record {
        Record::ClockAnchor {
            boot,
            monotonic_us,
            wall_us,
            cause,
        } => Some(Anchor {
            boot: *boot,
            monotonic_us: *monotonic_us,
            wall_us: *wall_us,
            cause: *cause,
        }),
        _ => None,
    }
}

/// Whether what a state folder has of them can be read.
pub(super) fn look(state_dir: &Path) -> io::Result<()> {
    read(&state_dir.join(FILE)).map(drop)
}

fn read(file: &Path) -> io::Result<Option<Inner>> {
    let Some(bytes) = state_file::read_summed(file, ANCHORS_BYTES_MAX)? else {
        return Ok(None);
    };
    let kept: Kept = serde_json::from_slice(&bytes)?;
    let anchor = |(boot, monotonic_us, wall_us, cause): (String, u64, i64, u8)| {
        let strange = || io::Error::from(io::ErrorKind::InvalidData);
        Ok(Anchor {
            boot: BootId::from_hex(&boot).ok_or_else(strange)?,
            monotonic_us,
            wall_us,
            cause: AnchorCause::from_u8(cause).ok_or_else(strange)?,
        })
    };
    let anchors = kept.anchors.into_iter().map(anchor);
    Ok(Some(Inner {
        known: anchors.collect::<io::Result<_>>()?,
        is_settled: kept.is_settled,
        is_joined: kept.is_joined,
        offset_us: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimClock;

    const NOW_US: i64 = 1_800_000_000_000_000;
    const DAY_US: i64 = 86_400_000_000;

    fn recorded_now(clock: &SimClock) -> Start {
        Start {
            wall_us: clock.wall_us(),
            monotonic_us: clock.monotonic_us(),
            boot: clock.boot_id(),
            clock_trusted: clock.trusted(),
            gap: None,
            sequence: 0,
        }
    }

    #[test]
    fn what_was_recorded_before_the_time_was_known_is_shown_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let anchors = Anchors::read(folder.path(), Anchors::default);
        let clock = SimClock::new(1_000_000);
        clock.set_trusted(false);
        assert!(anchors.look(&clock).is_none());
        let first = recorded_now(&clock);
        assert_eq!(anchors.corrected(&first), first);
        clock.advance_us(60_000_000);
        let second = recorded_now(&clock);
        clock.advance_us(60_000_000);
        clock.set_wall_us(NOW_US);
        assert!(anchors.look(&clock).is_none(), "it may be anything yet");
        clock.set_trusted(true);
        assert!(anchors.look(&clock).is_some());
        assert!(anchors.look(&clock).is_none(), "once");
        let again = Anchors::read(folder.path(), Anchors::default);
        for anchors in [&anchors, &again] {
            let times = [first, second].map(|start| anchors.corrected(&start));
            let walls = times.map(|start| start.wall_us);
            assert_eq!(walls, [NOW_US - 120_000_000, NOW_US - 60_000_000]);
            assert!(times.iter().all(|start| start.clock_trusted));
            assert!(!anchors.is_settled());
        }
        let after = recorded_now(&clock);
        assert_eq!(again.corrected(&after), after);
        assert!(
            again.look(&clock).is_none(),
            "after a restart of the program"
        );
        let other = SimClock::new(5).with_boot(BootId::from_bytes([1; 16]));
        let elsewhere = recorded_now(&other);
        assert_eq!(again.corrected(&elsewhere), elsewhere, "of another boot");
        again.settled(false);
        assert!(again.is_settled());
        assert!(!Anchors::read(folder.path(), Anchors::default).is_settled());
        again.settled(true);
        assert!(Anchors::read(folder.path(), Anchors::default).is_settled());
    }

    #[test]
    fn jumps_move_what_was_before_and_leave_neither_hole_nor_overlap() {
        let anchors = Anchors::default();
        let clock = SimClock::new(NOW_US);
        let mut starts = Vec::new();
        for jump_us in [0, 3 * DAY_US, -5 * DAY_US, 700 * DAY_US, -698 * DAY_US] {
            clock.set_wall_us(clock.wall_us() + jump_us);
            assert_eq!(
                anchors.look(&clock).is_some(),
                jump_us != 0 || starts.is_empty()
            );
            for _ in 0..3 {
                clock.advance_us(60_000_000);
                starts.push(recorded_now(&clock));
                assert!(anchors.look(&clock).is_none());
            }
        }
        let walls: Vec<_> = starts
            .iter()
            .map(|start| anchors.corrected(start).wall_us)
            .collect();
        assert!(
            walls.windows(2).all(|two| two[1] - two[0] == 60_000_000),
            "{walls:?}"
        );
        assert_eq!(*walls.last().unwrap(), clock.wall_us());
    }

    #[test]
    fn nobody_waits_for_the_disk_who_asks_for_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let anchors = Arc::new(Anchors::read(&gone, Anchors::default));
        let (looked_at, is_free) = (Arc::clone(&anchors), Arc::<Mutex<Vec<bool>>>::default());
        let seen = Arc::clone(&is_free);
        // That it cannot be written is told when the disk has answered.
        let told = move || {
            let is_free = looked_at.inner.try_lock().is_ok();
            seen.lock().unwrap().push(is_free);
            io::sink()
        };
        let told = tracing_subscriber::fmt().with_writer(told).finish();
        tracing::subscriber::with_default(told, || {
            assert!(anchors.look(&SimClock::new(NOW_US)).is_some());
            anchors.settled(true);
        });
        assert_eq!(*is_free.lock().unwrap(), [true, true]);
    }

    #[test]
    fn slewing_is_no_jump_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let anchors = Anchors::read(folder.path(), Anchors::default);
        let clock = SimClock::new(NOW_US);
        assert!(anchors.look(&clock).is_some(), "the first of a boot");
        let start = recorded_now(&clock);
        for _ in 0..1000 {
            clock.set_wall_us(clock.wall_us() + 50_000);
            assert!(anchors.look(&clock).is_none());
        }
        assert_eq!(anchors.corrected(&start), start);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Anchors::read(folder.path(), Anchors::default).all(), []);
    }

    #[test]
    fn of_each_boot_the_newest_anchor_counts_wherever_it_is_known_from() {
        let folder = tempfile::tempdir().unwrap();
        let boot = |number| BootId::from_bytes([number; 16]);
        let anchor = |number, monotonic_us, wall_us| Anchor {
            boot: boot(number),
            monotonic_us,
            wall_us,
            cause: AnchorCause::Trusted,
        };
        let anchors = Anchors::read(folder.path(), Anchors::default);
        let old = [anchor(1, 5, 1_000), anchor(2, 5, 2_000)];
        assert!(anchors.join(old, boot(9)));
        anchors.settled(true);
        assert!(anchors.concerns(boot(2)) && !anchors.concerns(boot(1)));
        assert!(!anchors.join(old, boot(9)), "nothing new");
        assert!(anchors.is_settled());
        // Of one boot the file knows more, of another the log does, and two boots are known from the log alone.
        let logged = [
            anchor(1, 4, 900),
            anchor(2, 6, 2_500),
            anchor(3, 5, 1_500),
            anchor(3, 7, 1_600),
            anchor(4, 5, 4_000),
        ];
        // Boot 2 is the one that runs.
        assert!(anchors.join(logged, boot(2)));
        let [one, two, newer, three, four] = [old[0], old[1], logged[1], logged[3], logged[4]];
        let expected = [one, three, two, four, newer];
        let again = Anchors::read(folder.path(), Anchors::default);
        for anchors in [&anchors, &again] {
            assert_eq!(anchors.all(), expected);
            assert!(!anchors.is_settled() && anchors.concerns(boot(1)));
        }
    }
}
