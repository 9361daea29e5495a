//! A round over the footage of a disk: where it stands and what it found.

use std::path::Path;

use hearthkeep_format::{SegmentId, StreamId};
use serde::{Deserialize, Serialize};

use super::ScrubFinding;
use crate::limits::{
    SCRUB_BYTES_PER_S_MAX, SCRUB_BYTES_PER_S_MIN, SCRUB_FINDINGS_MAX, SCRUB_WORDS_CHARS_MAX,
};
use crate::store::check::Finding;
use crate::store::inspect::Place;
use crate::store::layout;

const DAY_US: u64 = 86_400_000_000;
/// More than a round reads of any disk.
const READ_BYTES_MAX: u64 = 1 << 60;

/// A round, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Round {
    /// Wall time, us; zero before the first.
    pub begun_us: i64,
    /// When the last one that came to its end did.
    pub finished_us: Option<i64>,
    /// For how long it has been under way with its disk there, by monotonic time, us.
    #[serde(default)]
    took_us: u64,
    /// Whether all was read.
    pub is_over: bool,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// The segment that was looked at last; `None` before the first stream.
    pub at: Option<Position>,
    found: Vec<Found>,
    /// Damaged segments beyond those.
    more: u64,
}

/// Where a round stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    stream: String,
    /// Sequence and id of the segment that was looked at last.
    after: Option<(u64, String)>,
    /// The last sequence of the stream that is this round's.
    last: u64,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    path: String,
    what: String,
    span_us: Option<(i64, i64)>,
    /// Whether footage of that span is lost.
    #[serde(default)]
    is_lost: bool,
}

impl Position {
    /// Before the first segment of a stream.
    pub(super) fn before(stream: &StreamId, last: u64) -> Self {
        Self {
            stream: stream.to_string(),
            after: None,
            last,
        }
    }

    /// The stream; `None` where the file was changed.
    pub(super) fn stream(&self) -> Option<StreamId> {
        StreamId::from_hex(&self.stream)
    }

    /// The segment that was looked at last.
    pub(super) fn after(&self) -> Option<(u64, SegmentId)> {
        let (sequence, segment) = self.after.as_ref()?;
        Some((*sequence, SegmentId::from_hex(segment)?))
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// This segment was looked at.
    pub(super) fn pass(&mut self, sequence: u64, segment: &SegmentId) {
        self.after = Some((sequence, segment.to_string()));
    }
}

impl Round {
    /// Begins the next one. What was found stays until it is looked at again.
    pub(super) fn begin(&mut self, now_us: i64) {
        (self.begun_us, self.took_us) = (now_us, 0);
        (self.is_over, self.read_bytes, self.at, self.more) = (false, 0, None, 0);
    }

    /// All was read.
    pub(super) fn finish(&mut self, now_us: i64) {
        (self.is_over, self.finished_us) = (true, Some(now_us));
    }

    /// Whether the next one is due. A clock that was set back makes it begin now.
    pub(super) fn is_next_due(&self, now_us: i64, days: u32) -> bool {
        let age_us = now_us.saturating_sub(self.begun_us);
        age_us < 0 || age_us.unsigned_abs() >= u64::from(days) * DAY_US
    }

    /// So much time has passed with its disk there.
    pub(super) fn goes_on(&mut self, us: u64) {
        if self.begun_us != 0 && !self.is_over {
            self.took_us = self.took_us.saturating_add(us);
        }
    }

    /// For how many days it has been under way, where those are more than twice those it may take. Days on which the disk was away, or
    /// the recorder off, do not count.
    pub(super) fn late_days(&self, days: u32) -> Option<u32> {
        let took_days = u32::try_from(self.took_us / DAY_US).ok()?;
        let is_late = !self.is_over && took_days > days.saturating_mul(2);
        Some(took_days).filter(|_| is_late)
    }

    /// Remembers what is wrong with a segment. True where that was not known.
    pub(super) fn take(&mut self, finding: &Finding) -> bool {
        let found = Found {
            path: finding.path.display().to_string(),
            what: finding.what.chars().take(SCRUB_WORDS_CHARS_MAX).collect(),
            span_us: finding.span_us.as_ref().map(|span| (span.start, span.end)),
            is_lost: finding.lost_us != Some(0),
        };
        let known = self.found.iter().position(|known| known.path == found.path);
        match known {
            Some(index) => {
                self.found[index] = found;
                false
            }
            None if self.found.len() < SCRUB_FINDINGS_MAX => {
                self.found.push(found);
                true
            }
            None => {
                self.more = self.more.saturating_add(1);
                true
            }
        }
    }

    /// Nothing but this is wrong any more with what lies beside footage.
    pub(super) fn keep_beside(&mut self, found: &[Finding]) {
        let is_found = |path: &str| found.iter().any(|f| f.path.as_path() == Path::new(path));
        self.found
            .retain(|known| !is_beside(&known.path) || is_found(&known.path));
    }

    /// Nothing is wrong with a segment any more.
    pub(super) fn forget(&mut self, place: &Place) {
        if !self.found.is_empty() {
            let path = place.path().display().to_string();
            self.found.retain(|known| known.path != path);
        }
    }

    /// The segments of which something was told.
    pub(super) fn told(&self) -> Vec<Place> {
        let place = |found: &Found| Place::of_path(found.path.as_ref());
        self.found.iter().filter_map(place).collect()
    }

    /// The segments of which footage is lost, and from when to when.
    pub(super) fn lost(&self) -> impl Iterator<Item = (Place, (i64, i64))> {
        let lost = self.found.iter().filter(|found| found.is_lost);
        lost.filter_map(|found| Some((Place::of_path(found.path.as_ref())?, found.span_us?)))
    }

    /// What was found, for whoever asks.
    pub(super) fn findings(&self) -> Vec<ScrubFinding> {
        let finding = |found: &Found| ScrubFinding {
            path: found.path.clone(),
            stream: Place::of_path(found.path.as_ref()).map(|place| place.stream),
            what: found.what.clone(),
            span_us: found.span_us,
        };
        self.found.iter().map(finding).collect()
    }

    /// How many segments are not as they should be.
    pub(super) fn damaged(&self) -> u64 {
        (self.found.len() as u64).saturating_add(self.more)
    }

    /// Whether this is no more than this program would have written.
    pub(super) fn is_sound(&self) -> bool {
        let position = |at: &Position| {
            let has_sense = at.after.is_none() || at.after().is_some();
            at.stream().is_some() && has_sense
        };
        self.found.len() <= SCRUB_FINDINGS_MAX
            && self.found.iter().all(|found| {
                Place::of_path(found.path.as_ref()).is_some() || is_beside(&found.path)
            })
            && self.read_bytes <= READ_BYTES_MAX
            && self.at.as_ref().is_none_or(position)
    }
}

/// Whether a path is of what lies on a disk beside its footage.
fn is_beside(path: &str) -> bool {
    let path = Path::new(path);
    path == Path::new(layout::ID_FILE)
        || [layout::KEYRING, layout::LOG]
            .iter()
            .any(|folder| path.starts_with(folder))
}

/// How fast a disk is read, bytes a second: a quarter faster than the days ask for, since it is left alone at times.
pub(super) fn rate(footage_bytes: u64, days: u32) -> u64 {
    let seconds = u64::from(days.max(1)) * (DAY_US / 1_000_000);
    let needed = footage_bytes.saturating_add(footage_bytes / 4) / seconds;
    needed.clamp(SCRUB_BYTES_PER_S_MIN, SCRUB_BYTES_PER_S_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_from_bytes_and_days_within_bounds() {
        assert_eq!(rate(0, 30), SCRUB_BYTES_PER_S_MIN);
        assert_eq!(rate(u64::MAX, 1), SCRUB_BYTES_PER_S_MAX);
        // 4 TB in 30 days.
        let rate = rate(4_000_000_000_000, 30);
        let seconds = 30 * 86_400;
        assert!(rate * seconds >= 4_900_000_000_000 && rate * seconds <= 5_000_000_000_000);
    }

    #[test]
    fn a_round_is_late_after_twice_its_days() {
        let mut round = Round::default();
        round.goes_on(100 * DAY_US);
        assert_eq!(round.late_days(30), None, "none has begun");
        round.begin(1_790_000_000_000_000);
        round.goes_on(60 * DAY_US);
        assert_eq!(round.late_days(30), None);
        round.goes_on(DAY_US);
        assert_eq!(round.late_days(30), Some(61));
        round.finish(1_790_000_000_000_000);
        assert_eq!(round.late_days(30), None);
        round.begin(1_790_000_000_000_000);
        assert_eq!(round.late_days(30), None, "the next one");
    }

    #[test]
    fn the_next_round_is_due_after_the_days_or_when_the_clock_is_set_back() {
        let mut round = Round::default();
        assert!(round.is_next_due(1_790_000_000_000_000, 30), "the first");
        round.begin(1_790_000_000_000_000);
        let after = |days: i64| round.begun_us + days * DAY_US as i64;
        assert!(!round.is_next_due(after(29), 30) && round.is_next_due(after(30), 30));
        assert!(round.is_next_due(after(-1), 30));
        assert!(round.is_next_due(i64::MIN, 365));
    }

    #[test]
    fn no_more_is_kept_than_may_be_and_all_is_counted() {
        let mut round = Round::default();
        let place = |n: usize| Place {
            stream: StreamId::from_bytes([1; 16]),
            epoch: hearthkeep_format::EpochId::from_bytes([2; 16]),
            segment: SegmentId::from_bytes((n as u128).to_be_bytes()),
        };
        let finding = |n| Finding::new(crate::store::check::Kind::Root, 0, place(n).path(), "root");
        for n in 0..SCRUB_FINDINGS_MAX + 5 {
            assert!(round.take(&finding(n)));
        }
        assert!(!round.take(&finding(3)), "known");
        assert_eq!(round.damaged(), SCRUB_FINDINGS_MAX as u64 + 5);
        assert_eq!(round.findings().len(), SCRUB_FINDINGS_MAX);
        round.forget(&place(3));
        assert_eq!(round.damaged(), SCRUB_FINDINGS_MAX as u64 + 4);
        assert!(round.is_sound());
        let keyring = |copy: &str| {
            let kind = crate::store::check::Kind::Keyring;
            Finding::new(kind, 0, format!("keyring/{copy}"), "torn")
        };
        assert!(round.take(&keyring("a")) && round.is_sound());
        round.keep_beside(&[keyring("a")]);
        assert!(!round.take(&keyring("a")), "known");
        round.keep_beside(&[keyring("b")]);
        assert_eq!(round.damaged(), SCRUB_FINDINGS_MAX as u64 + 4);
        round.more = u64::MAX;
        assert_eq!(round.damaged(), u64::MAX);
    }
}
