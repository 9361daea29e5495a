//! What the wall clock said at moments of a boot, when it was trusted: by that the true time of what was recorded before is
//! known.
//!
//! Within a boot, monotonic time is the truth: nobody sets it. An anchor ties it to wall time: one when the clock is first
//! trusted, and one whenever it jumps. What was recorded before an anchor of its boot is shown at the time that follows from
//! the newest one; a start block is never written again. `docs/decisions/0006-anchors-of-the-clock.md` has the reasons.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hearthkeep_format::BootId;
use hearthkeep_format::segment::Start;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, offset_us};
use crate::limits::{ANCHORS_BYTES_MAX, ANCHORS_KEPT, CLOCK_JUMP_US_MIN, CLOCK_STEP_US_MIN};
use crate::state_file;

const FILE: &str = "clock.anchors";

/// What the wall clock said at a moment of a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The boot that the monotonic time counts from.
    pub boot: BootId,
    /// Monotonic time, us.
    pub monotonic_us: u64,
    /// Wall time, us.
    pub wall_us: i64,
}

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
    /// Wall time less monotonic time when the clock was looked at last.
    offset_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    is_settled: bool,
    /// Boot id, monotonic time, wall time.
    anchors: Vec<(String, u64, i64)>,
}

impl Anchor {
    fn offset_us(&self) -> i64 {
        self.wall_us.saturating_sub_unsigned(self.monotonic_us)
    }
}

impl Anchors {
    /// Those that a state folder remembers. A file that cannot be read is as good as none: times are then shown as they were
    /// recorded.
    pub fn read(state_dir: &Path) -> Self {
        let file = state_dir.join(FILE);
        let inner = read(&file).unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), "what is known of the clock cannot be read: {error}");
            Inner::default()
        });
        Self {
            file: Some(file),
            inner: Mutex::new(inner),
        }
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
        let shift_us = anchor.offset_us().saturating_sub(own_us);
        let mut corrected = *start;
        corrected.clock_trusted = true;
        if shift_us.unsigned_abs() >= CLOCK_STEP_US_MIN {
            corrected.wall_us = start.wall_us.saturating_add(shift_us);
        }
        corrected
    }

    /// Looks at the clock. Whether there is a new anchor; then [`settled`](Self::settled) is to be told when the catalog follows.
    pub(super) fn look(&self, clock: &dyn Clock) -> bool {
        let (offset, boot) = (offset_us(clock), clock.boot_id());
        let mut inner = self.lock();
        let before = inner.offset_us.replace(offset);
        if !clock.trusted() {
            return false;
        }
        let anchor = inner.known.iter().rev().find(|anchor| anchor.boot == boot);
        let is_new = match (anchor, before) {
            (None, _) => true,
            (Some(_), Some(before)) => offset.abs_diff(before) >= CLOCK_STEP_US_MIN,
            // Slewed for as long as a boot may last.
            (Some(anchor), None) => offset.abs_diff(anchor.offset_us()) >= CLOCK_JUMP_US_MIN,
        };
        if !is_new {
            return false;
        }
        let monotonic_us = clock.monotonic_us();
        if let Some(before) = before {
            let seconds = offset.saturating_sub(before) / 1_000_000;
            tracing::info!(
                seconds,
                "the clock was set: what this boot recorded before is shown at its true time"
            );
        }
        if inner.known.len() == ANCHORS_KEPT {
            inner.known.remove(0);
        }
        inner.known.push(Anchor {
            boot,
            monotonic_us,
            wall_us: offset.saturating_add_unsigned(monotonic_us),
        });
        inner.is_settled = false;
        self.keep(&inner);
        true
    }

    /// Whether the catalog is still to follow the newest anchor.
    pub(super) fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.is_settled || inner.known.is_empty()
    }

    /// The boot of the newest anchor.
    pub(super) fn newest_boot(&self) -> Option<BootId> {
        self.lock().known.last().map(|anchor| anchor.boot)
    }

    /// The catalog follows the newest anchor.
    pub(super) fn settled(&self) {
        let mut inner = self.lock();
        inner.is_settled = true;
        self.keep(&inner);
    }

    fn keep(&self, inner: &Inner) {
        let Some(file) = &self.file else { return };
        let anchors = inner.known.iter();
        let kept = Kept {
            is_settled: inner.is_settled,
            anchors: anchors
                .map(|anchor| (anchor.boot.to_string(), anchor.monotonic_us, anchor.wall_us))
                .collect(),
        };
        let written = serde_json::to_vec(&kept)
            .map_err(io::Error::from)
            .and_then(|bytes| state_file::replace(file, &bytes));
        if let Err(error) = written {
            tracing::error!(file = %file.display(), "the clock's anchor is forgotten at the end of this run: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &Path) -> io::Result<Inner> {
    let Some(bytes) = state_file::read(file, ANCHORS_BYTES_MAX)? else {
        return Ok(Inner::default());
    };
    let kept: Kept = serde_json::from_slice(&bytes)?;
    let anchor = |(boot, monotonic_us, wall_us): (String, u64, i64)| {
        let boot = BootId::from_hex(&boot).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Anchor {
            boot,
            monotonic_us,
            wall_us,
        })
    };
    Ok(Inner {
        known: kept
            .anchors
            .into_iter()
            .map(anchor)
            .collect::<io::Result<_>>()?,
        is_settled: kept.is_settled,
        offset_us: None,
    })
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
        let anchors = Anchors::read(folder.path());
        let clock = SimClock::new(1_000_000);
        clock.set_trusted(false);
        assert!(!anchors.look(&clock));
        let first = recorded_now(&clock);
        assert_eq!(anchors.corrected(&first), first);
        clock.advance_us(60_000_000);
        let second = recorded_now(&clock);
        clock.advance_us(60_000_000);
        clock.set_wall_us(NOW_US);
        assert!(!anchors.look(&clock), "it may be anything yet");
        clock.set_trusted(true);
        assert!(anchors.look(&clock));
        assert!(!anchors.look(&clock), "once");
        let again = Anchors::read(folder.path());
        for anchors in [&anchors, &again] {
            let times = [first, second].map(|start| anchors.corrected(&start));
            let walls = times.map(|start| start.wall_us);
            assert_eq!(walls, [NOW_US - 120_000_000, NOW_US - 60_000_000]);
            assert!(times.iter().all(|start| start.clock_trusted));
            assert!(!anchors.is_settled());
        }
        let after = recorded_now(&clock);
        assert_eq!(again.corrected(&after), after);
        assert!(!again.look(&clock), "after a restart of the program");
        let other = SimClock::new(5).with_boot(BootId::from_bytes([1; 16]));
        let elsewhere = recorded_now(&other);
        assert_eq!(again.corrected(&elsewhere), elsewhere, "of another boot");
        again.settled();
        assert!(Anchors::read(folder.path()).is_settled());
    }

    #[test]
    fn jumps_move_what_was_before_and_leave_neither_hole_nor_overlap() {
        let anchors = Anchors::default();
        let clock = SimClock::new(NOW_US);
        anchors.look(&clock);
        let mut starts = Vec::new();
        for jump_us in [0, 3 * DAY_US, -5 * DAY_US, 700 * DAY_US, -698 * DAY_US] {
            clock.set_wall_us(clock.wall_us() + jump_us);
            assert_eq!(anchors.look(&clock), jump_us != 0);
            for _ in 0..3 {
                clock.advance_us(60_000_000);
                starts.push(recorded_now(&clock));
                assert!(!anchors.look(&clock));
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
    fn slewing_is_no_jump_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let anchors = Anchors::read(folder.path());
        let clock = SimClock::new(NOW_US);
        assert!(anchors.look(&clock), "the first of a boot");
        let start = recorded_now(&clock);
        for _ in 0..1000 {
            clock.set_wall_us(clock.wall_us() + 50_000);
            assert!(!anchors.look(&clock));
        }
        assert_eq!(anchors.corrected(&start), start);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Anchors::read(folder.path()).newest_boot(), None);
    }
}
