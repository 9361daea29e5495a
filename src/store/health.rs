//! What went wrong with a disk, until when that counts, and what is said of it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::LOG_COUNTED_BYTES;

/// For how long a disk that failed is the last to be asked.
const AVOIDED_US_MIN: u64 = 10_000_000;
/// The same for one that has failed each time it was tried again.
const AVOIDED_US_MAX: u64 = 600_000_000;
/// A failure is told until something became durable so long after it.
const TOLD_US_MIN: u64 = 600_000_000;
/// What was avoided is for longer where it fails again so soon after its term and as long as that.
const AVOIDED_AGAIN_US: u64 = 60_000_000;
/// For how long a disk is limited to what it had when it took nothing more although its file system has room.
const LIMITED_US_MIN: u64 = 60_000_000;
/// The same for one that has said so again each time after that: what was being written then is lost.
const LIMITED_US_MAX: u64 = 43_200_000_000;
const LIMITED_AGAIN_US: u64 = 3_600_000_000;
/// After that it is lifted by a piece, which is doubled this often, so many times; then it is over.
const LIFTED_EVERY_US: u64 = 60_000_000;
const LIFTS_MAX: u64 = 16;
/// Of what it has no more than this part is let go of before it has taken footage again: so many times as much as it takes may go since. Where
/// that part is less than what is let go of at a time, that, but no more than the second part.
const LET_GO_PART: u64 = 8;
const LET_GO_OF_LITTLE_PART: u64 = 4;
const WON_BACK: u64 = 2;

/// What kind of trouble a disk is in, so that who shows it can say what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// It is not there.
    Absent,
    /// It fails, or does not answer.
    Failing,
    /// Other files take its room.
    Full,
    /// It takes no more although its file system has room, as without inodes or beyond a quota.
    Limited,
    /// It cannot be emptied.
    Drain,
    /// It is at another one's path.
    Misplaced,
    /// It belongs to the store, and the configuration does not have it.
    LeftOut,
}

impl DiskFault {
    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Failing => "failing",
            Self::Full => "full",
            Self::Limited => "limited",
            Self::Drain => "drain",
            Self::Misplaced => "misplaced",
            Self::LeftOut => "left-out",
        }
    }
}

/// How a disk was when it was last looked at, and what it said since it was mounted. Times are monotonic, us.
#[derive(Default)]
pub(super) struct Health {
    is_full: AtomicBool,
    /// Free bytes beyond the reserve, when it was last looked at.
    spare_bytes: AtomicI64,
    /// Bytes of catalogued segments, then.
    catalogued_bytes: AtomicU64,
    /// Those of the signed log.
    log_bytes: AtomicU64,
    /// Where its footage begins that may be deleted, then: wall time, us.
    oldest_us: AtomicI64,
    /// Bytes of footage that were deleted on it since it was mounted.
    gone_bytes: AtomicU64,
    /// When something became durable last.
    clean_us: AtomicU64,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    failure: Option<(u64, String)>,
    /// When it said that it is full.
    full_us: Option<u64>,
    avoided: Option<Term>,
    limit: Option<Limit>,
}

/// How a disk is limited that takes nothing although its file system has room. In bytes of footage.
#[derive(Clone, Copy)]
struct Limit {
    term: Term,
    /// It may have so many.
    bytes: u64,
    /// By so many it is lifted at first.
    piece: u64,
    /// So many may still be let go of for this reason.
    may_go: u64,
    /// What it had when that was counted, and what had been deleted on it.
    counted: (u64, u64),
    /// All that may be let go of was, and it took nothing all the same.
    in_vain: bool,
    /// Whether there is no other disk that takes what is recorded.
    is_needed: bool,
}

impl Limit {
    /// How much it may have now; `None` once it is over.
    fn now(&self, now_us: u64) -> Option<u64> {
        if self.term.holds(now_us) {
            return Some(self.bytes);
        }
        let end_us = self.term.since_us.saturating_add(self.term.for_us);
        let lifts = now_us.saturating_sub(end_us) / LIFTED_EVERY_US;
        let more = || self.piece.saturating_mul(1 << lifts);
        (lifts < LIFTS_MAX).then(|| self.bytes.saturating_add(more()))
    }
}

/// What lies on a disk that takes nothing, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lying {
    pub used: u64,
    /// A segment, about.
    pub segment: u64,
    /// What is let go of at a time.
    pub piece: u64,
}

/// Something that holds for a while, and for longer where it comes again soon after.
#[derive(Clone, Copy)]
struct Term {
    since_us: u64,
    for_us: u64,
}

impl Term {
    fn holds(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.since_us) < self.for_us
    }

    /// The one that begins now, after another one or none.
    fn next(
        before: Option<Self>,
        now_us: u64,
        (min_us, max_us): (u64, u64),
        again_us: u64,
    ) -> Self {
        let is_again =
            |term: &Self| now_us.saturating_sub(term.since_us) < term.for_us * 2 + again_us;
        Self {
            since_us: now_us,
            for_us: match before.filter(is_again) {
                Some(term) => (term.for_us * 2).min(max_us),
                None => min_us,
            },
        }
    }
}

impl Health {
    /// Writing failed.
    pub(super) fn fail(&self, error: &io::Error, now_us: u64) {
        if is_full(error) {
            self.is_full.store(true, Ordering::Relaxed);
            self.said().full_us = Some(now_us);
        } else {
            self.avoid(now_us);
            self.said().failure = Some((now_us, error.to_string()));
        }
    }

    /// It is the last to be asked for a while.
    pub(super) fn avoid(&self, now_us: u64) {
        let mut said = self.said();
        said.avoided = Some(Term::next(
            said.avoided,
            now_us,
            (AVOIDED_US_MIN, AVOIDED_US_MAX),
            AVOIDED_AGAIN_US,
        ));
    }

    /// Something became durable.
    pub(super) fn is_clean(&self, now_us: u64) {
        self.clean_us.store(now_us, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(super) fn set_full(&self, full: bool) {
        self.is_full.store(full, Ordering::Relaxed);
    }

    /// Whether it failed a short while ago.
    pub(super) fn is_avoided(&self, now_us: u64) -> bool {
        self.said().avoided.is_some_and(|term| term.holds(now_us))
    }

    /// Limits it to a little less than it has for a while: it takes nothing, and its file system has room. Whether that is new.
    pub(super) fn limit_to(&self, lying: Lying, now_us: u64) -> bool {
        let Lying {
            used,
            segment,
            piece,
        } = lying;
        let mut said = self.said();
        let before = said.limit;
        let gone = self.gone_bytes.load(Ordering::Relaxed);
        let most = (used / LET_GO_PART).max(piece.min(used / LET_GO_OF_LITTLE_PART));
        // Where what was let go of does not help, more of it would not either.
        let going_on = before.filter(|limit| limit.now(now_us).is_some());
        let may_go = going_on.map_or(most, |limit| {
            let (used_then, gone_then) = limit.counted;
            let taken = (used + gone).saturating_sub(used_then + gone_then);
            let may_go = limit.may_go.saturating_add(taken * WON_BACK);
            may_go.saturating_sub(gone - gone_then).min(most)
        });
        let in_vain = may_go < segment;
        let bytes = match in_vain {
            true => used,
            false => used - piece.min(may_go),
        };
        let (term, bytes) = match before {
            // It holds for as long as before: what was let go of was not enough yet.
            Some(Limit {
                term,
                bytes: before,
                ..
            }) if term.holds(now_us) => {
                let since_us = now_us;
                (Term { since_us, ..term }, before.min(bytes))
            }
            _ => {
                let before = before.map(|limit| limit.term);
                let bounds = (LIMITED_US_MIN, LIMITED_US_MAX);
                let term = Term::next(before, now_us, bounds, LIMITED_AGAIN_US);
                (term, bytes)
            }
        };
        said.limit = Some(Limit {
            term,
            bytes,
            piece,
            may_go,
            counted: (used, gone),
            in_vain,
            is_needed: before.is_some_and(|limit| limit.is_needed),
        });
        before.is_none_or(|limit| !limit.term.holds(now_us))
    }

    /// It took something just now.
    pub(super) fn takes_again(&self) {
        if let Some(limit) = &mut self.said().limit {
            limit.in_vain = false;
        }
    }

    /// Footage was deleted on it.
    pub(super) fn is_rid_of(&self, bytes: u64) {
        self.gone_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether what is recorded has no other disk to go to, and the limited one so many bytes. While it has, nothing is let go of, and what
    /// it takes beyond its limit it can have.
    pub(super) fn set_needed(&self, is_needed: bool, used_bytes: u64) {
        let is_full = self.is_full();
        if let Some(limit) = &mut self.said().limit {
            limit.is_needed = is_needed;
            if !is_needed && !is_full {
                limit.bytes = limit.bytes.max(used_bytes);
            }
        }
    }

    /// The bytes of footage to which it is limited.
    pub(super) fn limit(&self, now_us: u64) -> Option<u64> {
        self.said().limit?.now(now_us)
    }

    /// Whether what it has beyond its limit is to go.
    pub(super) fn lets_go(&self) -> bool {
        let limit = self.said().limit;
        limit.is_some_and(|limit| limit.is_needed && !limit.in_vain)
    }

    /// What is wrong, and that in a sentence that says since when and what to do. A failure lapses when all has gone well for a while since.
    pub(super) fn trouble(&self, now_us: u64) -> Option<(DiskFault, String)> {
        let is_full = self.is_full();
        let clean_us = self.clean_us.load(Ordering::Relaxed);
        let is_told = |at_us: u64| clean_us < at_us.saturating_add(TOLD_US_MIN);
        let said = self.said();
        let ago = |at_us| ago(now_us.saturating_sub(at_us));
        let failure = said.failure.as_ref().filter(|(at_us, _)| is_told(*at_us));
        let limit = said.limit;
        let is_limited = limit.is_some_and(|limit| limit.now(now_us).is_some());
        let full_us = said.full_us;
        let full_us = full_us.filter(|at_us| is_full || is_limited || is_told(*at_us));
        match (full_us, failure) {
            (Some(full_us), failure) if failure.is_none_or(|(at_us, _)| *at_us <= full_us) => {
                let limit = limit.filter(|it| is_limited || it.term.since_us >= full_us);
                Some(out_of_room(limit, &ago(full_us)))
            }
            (_, Some((at_us, error))) => {
                let sentence = format!("writing failed {}: {error}", ago(*at_us));
                Some((DiskFault::Failing, sentence))
            }
            _ => None,
        }
    }

    /// Bytes that it may still take beside its reserve and within `max_bytes`, as it was last looked at.
    pub(super) fn spare_bytes(&self, growing_bytes: u64, max_bytes: Option<u64>) -> i64 {
        let used_bytes = growing_bytes + self.catalogued_bytes.load(Ordering::Relaxed);
        let spare = self.spare_bytes.load(Ordering::Relaxed);
        let allowed = max_bytes.map_or(i64::MAX, |max| less(max, used_bytes));
        spare.min(allowed)
    }

    /// Remembers how much the signed log takes on it.
    pub(super) fn has_log_of(&self, bytes: u64) {
        self.log_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of footage within `max_bytes`: the log counts too, in steps that nobody notices, and leaves half of them to footage.
    pub(super) fn of_footage(&self, max_bytes: u64) -> u64 {
        let log_bytes = self.log_bytes.load(Ordering::Relaxed);
        let counted = log_bytes - log_bytes % LOG_COUNTED_BYTES;
        max_bytes - counted.min(max_bytes / 2)
    }

    /// Remembers how it is: free bytes beyond the reserve, and bytes of catalogued segments.
    pub(super) fn looked_at(&self, spare_bytes: i64, catalogued_bytes: u64) {
        self.spare_bytes.store(spare_bytes, Ordering::Relaxed);
        self.catalogued_bytes
            .store(catalogued_bytes, Ordering::Relaxed);
    }

    pub(super) fn oldest_us(&self) -> i64 {
        self.oldest_us.load(Ordering::Relaxed)
    }

    pub(super) fn set_oldest_us(&self, oldest_us: i64) {
        self.oldest_us.store(oldest_us, Ordering::Relaxed);
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left of bytes, negative where there are not enough.
pub(super) fn less(of: u64, taken: u64) -> i64 {
    let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    signed(of).saturating_sub(signed(taken))
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn out_of_room(limit: Option<Limit>, ago: &str) -> (DiskFault, String) {
    match limit {
        Some(limit) if limit.in_vain => (
            DiskFault::Limited,
            format!(
                "it said {ago} that it is full, though its file system has room, and deleting does not help: no more of its footage goes \
                 for that, and it takes nothing new. Free inodes, raise the quota, give room to what it lies on, or add a disk"
            ),
        ),
        Some(_) => (
            DiskFault::Limited,
            format!(
                "it said {ago} that it is full, though its file system has room: it is out of inodes, or a quota is used up. New footage \
                 goes where another disk has room; where none has, its oldest goes, a little at a time. Free inodes, raise the quota, or \
                 set its max_bytes to what it takes"
            ),
        ),
        None => (
            DiskFault::Full,
            format!(
                "it was full {ago}: other files take its room, and the oldest footage on it goes for new. Move them elsewhere, or add a \
                 disk"
            ),
        ),
    }
}

fn ago(us: u64) -> String {
    match us / 1_000_000 {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    fn full() -> io::Error {
        io::ErrorKind::StorageFull.into()
    }

    #[test]
    fn a_failure_says_when_it_was_and_lapses_when_all_has_gone_well_since() {
        let health = Health::default();
        health.is_clean(SECOND_US);
        health.fail(&io::Error::other("no luck"), 10 * SECOND_US);
        let (fault, told) = health.trouble(130 * SECOND_US).unwrap();
        assert_eq!(told, "writing failed 2 min ago: no luck");
        assert_eq!(fault, DiskFault::Failing);
        // Nothing was written since: nobody knows whether it works.
        assert!(health.trouble(90_000 * SECOND_US).is_some());
        health.is_clean(609 * SECOND_US);
        assert!(health.trouble(609 * SECOND_US).is_some());
        health.is_clean(610 * SECOND_US);
        assert_eq!(health.trouble(610 * SECOND_US), None);
        health.fail(&io::Error::other("again"), 700 * SECOND_US);
        assert!(health.trouble(700 * SECOND_US).unwrap().1.contains("again"));
    }

    #[test]
    fn a_full_disk_is_told_in_words_also_where_nothing_failed_before() {
        let health = Health::default();
        health.fail(&full(), SECOND_US);
        assert!(health.is_full() && !health.is_avoided(SECOND_US));
        let quota = Health::default();
        quota.fail(&rustix::io::Errno::DQUOT.into(), SECOND_US);
        assert!(quota.is_full() && !quota.is_avoided(SECOND_US));
        let (_, told) = health.trouble(4 * SECOND_US).unwrap();
        assert!(told.starts_with("it was full 3 s ago"), "{told}");
        health.set_full(false);
        let (fault, _) = health.trouble(4 * SECOND_US).unwrap();
        assert_eq!(fault, DiskFault::Full, "also when room was made just now");
        health.is_clean(602 * SECOND_US);
        assert_eq!(health.trouble(602 * SECOND_US), None);
    }

    const LYING: Lying = Lying {
        used: 800,
        segment: 10,
        piece: 50,
    };

    #[test]
    fn a_disk_that_takes_nothing_is_limited_for_longer_each_time() {
        let health = Health::default();
        health.fail(&full(), SECOND_US);
        assert!(health.limit_to(LYING, SECOND_US));
        assert_eq!(health.limit(SECOND_US), Some(750));
        let less = Lying { used: 750, ..LYING };
        assert!(!health.limit_to(less, 2 * SECOND_US));
        assert!(!health.limit_to(LYING, 3 * SECOND_US), "not of this second");
        assert_eq!(health.limit(62 * SECOND_US), Some(700));
        // By pieces, each twice as large; and it is told as long.
        assert_eq!(health.limit(63 * SECOND_US), Some(750));
        assert_eq!(health.limit(123 * SECOND_US), Some(800));
        for at_us in [62 * SECOND_US, 123 * SECOND_US] {
            let (fault, told) = health.trouble(at_us).unwrap();
            assert!(told.contains("inodes"), "{told}");
            assert_eq!(fault, DiskFault::Limited);
        }
        assert_eq!(health.limit(1_024 * SECOND_US), None);
        health.limit_to(LYING, 1_100 * SECOND_US);
        assert_eq!(health.limit(1_219 * SECOND_US), Some(750));
        assert_eq!(health.limit(1_220 * SECOND_US), Some(800));
        // After a long while in which it took all, it is believed again.
        health.limit_to(LYING, 9_000 * SECOND_US);
        assert_eq!(health.limit(9_059 * SECOND_US), Some(750));
        assert_eq!(health.limit(9_060 * SECOND_US), Some(800));
    }

    #[test]
    fn where_letting_go_does_not_help_it_ends_until_footage_was_taken() {
        let health = Health::default();
        health.fail(&full(), SECOND_US);
        let let_go = |used: &mut u64, at_us: u64| {
            health.limit_to(
                Lying {
                    used: *used,
                    ..LYING
                },
                at_us,
            );
            health.set_needed(true, *used);
            if health.lets_go() {
                let left = health.limit(at_us).unwrap();
                health.is_rid_of(used.saturating_sub(left));
                *used = left.min(*used);
            }
            *used
        };
        let mut used = 800;
        let left: Vec<_> = (1..100).map(|s| let_go(&mut used, s * SECOND_US)).collect();
        assert_eq!((left[0], left[1], left[98]), (750, 700, 700), "of 800");
        let (_, told) = health.trouble(100 * SECOND_US).unwrap();
        assert!(told.contains("deleting does not help"), "{told}");
        // It took next to nothing, and then no more.
        health.takes_again();
        assert!(!health.trouble(101 * SECOND_US).unwrap().1.contains("help"));
        health.fail(&full(), 101 * SECOND_US);
        used += 4;
        assert_eq!(let_go(&mut used, 101 * SECOND_US), 704);
        // As long as it takes half as much as is let go of, that goes on.
        for at_s in 102..150 {
            used += 25;
            let before = used;
            assert!(before - let_go(&mut used, at_s * SECOND_US) >= 25);
            used += 25;
        }
    }

    #[test]
    fn nothing_is_let_go_of_beside_another_disk_and_what_is_taken_can_be_had() {
        let health = Health::default();
        health.fail(&full(), SECOND_US);
        health.limit_to(LYING, SECOND_US);
        health.set_needed(false, 800);
        assert!(!health.lets_go());
        assert_eq!(health.limit(SECOND_US), Some(750), "it takes nothing yet");
        health.set_full(false);
        health.set_needed(false, 900);
        health.set_needed(true, 900);
        assert!(health.lets_go());
        assert_eq!(health.limit(SECOND_US), Some(900));
    }
}
