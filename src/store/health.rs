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
/// For how long a disk is limited to what it had when it took nothing more although its file system has room.
const LIMITED_US_MIN: u64 = 60_000_000;
/// The same for one that has said so again each time after that.
const LIMITED_US_MAX: u64 = 3_600_000_000;

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
    limit: Option<(Term, u64)>,
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
    fn next(before: Option<Self>, now_us: u64, (min_us, max_us): (u64, u64)) -> Self {
        let is_again = |term: &Self| {
            now_us.saturating_sub(term.since_us) < term.for_us * 2 + max_us.min(60_000_000)
        };
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
            self.avoid(error, now_us);
        }
    }

    /// What no writer tells of failed, as what is moved there. It is the last to be asked for a while.
    pub(super) fn avoid(&self, error: &io::Error, now_us: u64) {
        let mut said = self.said();
        said.avoided = Some(Term::next(
            said.avoided,
            now_us,
            (AVOIDED_US_MIN, AVOIDED_US_MAX),
        ));
        match is_full(error) {
            true => said.full_us = Some(now_us),
            false => said.failure = Some((now_us, error.to_string())),
        }
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

    /// Limits it to so many bytes of footage for a while: it says that it is full, and its file system says that it is not. Whether that is
    /// new.
    pub(super) fn limit_to(&self, bytes: u64, now_us: u64) -> bool {
        let mut said = self.said();
        let before = said.limit;
        said.limit = Some(match before {
            // It holds for as long as before: what was let go of was not enough yet.
            Some((term, before)) if term.holds(now_us) => {
                let since_us = now_us;
                (Term { since_us, ..term }, before.min(bytes))
            }
            _ => {
                let before = before.map(|(term, _)| term);
                let bounds = (LIMITED_US_MIN, LIMITED_US_MAX);
                (Term::next(before, now_us, bounds), bytes)
            }
        });
        before.is_none_or(|(term, _)| !term.holds(now_us))
    }

    /// The bytes of footage to which it is limited.
    pub(super) fn limit(&self, now_us: u64) -> Option<u64> {
        let limit = self.said().limit;
        let (_, bytes) = limit.filter(|(term, _)| term.holds(now_us))?;
        Some(bytes)
    }

    /// What is wrong, in a sentence that says since when and what to do. A failure lapses when all has gone well for a while since.
    pub(super) fn trouble(&self, now_us: u64) -> Option<String> {
        let is_full = self.is_full();
        let clean_us = self.clean_us.load(Ordering::Relaxed);
        let is_told = |at_us: u64| clean_us < at_us.saturating_add(TOLD_US_MIN);
        let said = self.said();
        let ago = |at_us| ago(now_us.saturating_sub(at_us));
        let failure = said.failure.as_ref().filter(|(at_us, _)| is_told(*at_us));
        let limit = said.limit.map(|(term, _)| term);
        let is_limited = limit.is_some_and(|term| term.holds(now_us));
        let full_us = said.full_us;
        let full_us = full_us.filter(|at_us| is_full || is_limited || is_told(*at_us));
        match (full_us, failure) {
            (Some(full_us), failure) if failure.is_none_or(|(at_us, _)| *at_us <= full_us) => {
                let ago = ago(full_us);
                Some(
                    match is_limited || limit.is_some_and(|term| term.since_us >= full_us) {
                        true => format!(
                            "it said {ago} that it is full, though its file system has room: it is out of inodes, or a quota is used up. Its \
                         oldest footage goes, a little at a time, and new footage where another disk has room. Free inodes, raise the \
                         quota, or set its max_bytes to what it takes"
                        ),
                        false => format!(
                            "it was full {ago}: other files take its room, and the oldest footage on it goes for new. Move them elsewhere, or \
                         add a disk"
                        ),
                    },
                )
            }
            (_, Some((at_us, error))) => Some(format!("writing failed {}: {error}", ago(*at_us))),
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
        let told = health.trouble(130 * SECOND_US).unwrap();
        assert_eq!(told, "writing failed 2 min ago: no luck");
        // Nothing was written since: nobody knows whether it works.
        assert!(health.trouble(90_000 * SECOND_US).is_some());
        health.is_clean(609 * SECOND_US);
        assert!(health.trouble(609 * SECOND_US).is_some());
        health.is_clean(610 * SECOND_US);
        assert_eq!(health.trouble(610 * SECOND_US), None);
        health.fail(&io::Error::other("again"), 700 * SECOND_US);
        assert!(health.trouble(700 * SECOND_US).unwrap().contains("again"));
    }

    #[test]
    fn a_full_disk_is_told_in_words_also_where_nothing_failed_before() {
        let health = Health::default();
        health.fail(&full(), SECOND_US);
        assert!(health.is_full() && !health.is_avoided(SECOND_US));
        let quota = Health::default();
        quota.fail(&rustix::io::Errno::DQUOT.into(), SECOND_US);
        assert!(quota.is_full() && !quota.is_avoided(SECOND_US));
        let told = health.trouble(4 * SECOND_US).unwrap();
        assert!(told.starts_with("it was full 3 s ago"), "{told}");
        health.set_full(false);
        assert!(health.trouble(4 * SECOND_US).is_some(), "a moment later");
        health.is_clean(602 * SECOND_US);
        assert_eq!(health.trouble(602 * SECOND_US), None);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_limited_for_longer_each_time() {
        let health = Health::default();
        health.fail(&full(), SECOND_US);
        health.limit_to(1000, SECOND_US);
        health.limit_to(900, 2 * SECOND_US);
        health.limit_to(950, 3 * SECOND_US);
        assert_eq!(health.limit(62 * SECOND_US), Some(900));
        assert_eq!(health.limit(63 * SECOND_US), None);
        for at_us in [62 * SECOND_US, 63 * SECOND_US] {
            let told = health.trouble(at_us).unwrap();
            assert!(told.contains("inodes"), "{told}");
        }
        health.limit_to(2000, 100 * SECOND_US);
        assert_eq!(health.limit(219 * SECOND_US), Some(2000));
        assert_eq!(health.limit(220 * SECOND_US), None);
        // After a long while in which it took all, it is believed again.
        health.limit_to(2000, 9_000 * SECOND_US);
        assert_eq!(health.limit(9_060 * SECOND_US), None);
    }
}
