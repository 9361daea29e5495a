//! Time as an input: the trait, the machine's clock and a simulated twin for tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hearthkeep_format::BootId;

use crate::limits::CLOCK_JUMP_US_MIN;
use crate::random::OsRandom;

/// 2026-01-01T00:00:00Z in µs: this program did not exist before, so an earlier clock is wrong.
pub(crate) const EARLIEST_WALL_US: i64 = 1_767_225_600_000_000;

/// What time it is, three ways. Rooms take a `&dyn Clock` and never ask the machine themselves.
pub trait Clock: Send + Sync {
    /// Wall time in µs since 1970-01-01T00:00:00Z, UTC, without leap seconds. It may jump.
    fn wall_us(&self) -> i64;

    /// µs since the machine was started, its sleep included. Never goes back within one boot, and
    /// is the same in all processes of that boot.
    fn monotonic_us(&self) -> u64;

    /// The boot that [`Clock::monotonic_us`] counts from.
    fn boot_id(&self) -> BootId;

    /// Whether the wall time may be believed: false on a machine that has not learnt it yet.
    fn trusted(&self) -> bool;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    boot: BootId,
    signs: Signs,
}

impl SystemClock {
    /// Reads the boot id once. Where the kernel does not tell one, a random one is taken: this
    /// process is then a boot of its own, which is true of what can be compared with it.
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| BootId::from_hex(&text.trim().replace('-', "")))
            .unwrap_or_else(|| BootId::random(&mut OsRandom));
        Self {
            boot,
            signs: Signs::of_this_machine(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_us(&self) -> i64 {
        let now = SystemTime::now();
        match now.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros)
            }
        }
    }

    fn monotonic_us(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
    }

    fn boot_id(&self) -> BootId {
        self.boot
    }

    fn trusted(&self) -> bool {
        self.wall_us() >= EARLIEST_WALL_US && self.signs.say_known()
    }
}

/// Where a Linux machine shows whether its clock was set since it started.
#[derive(Debug)]
struct Signs {
    /// Exists while systemd-timesyncd runs; holds the file `synchronized` once it has succeeded.
    timesync: PathBuf,
    /// `1` when the kernel took its first time from a battery-backed clock.
    hctosys: PathBuf,
}

impl Signs {
    fn of_this_machine() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        Self {
            timesync: root.join("run/systemd/timesync"),
            hctosys: root.join("sys/class/rtc/rtc0/hctosys"),
        }
    }

    /// A board without a battery starts where timesyncd last saw it: plausible and wrong until
    /// the file appears. Where there is no timesyncd (chrony, a container), nothing speaks against
    /// the clock.
    fn say_known(&self) -> bool {
        !self.timesync.is_dir()
            || self.timesync.join("synchronized").exists()
            || std::fs::read_to_string(&self.hctosys).is_ok_and(|text| text.trim() == "1")
    }
}

/// Wall time for what cannot be taken back: it is told only after a clock was trusted, and did not jump, for some time.
pub struct SteadyClock {
    clock: Arc<dyn Clock>,
    doubted_us: u64,
    seen: Mutex<Seen>,
}

/// What was seen when the time was last asked for.
struct Seen {
    /// Wall time less monotonic time: it stays the same while nobody sets the clock.
    offset_us: i64,
    /// Monotonic time from which on the wall time is told.
    believed_from_us: u64,
}

impl SteadyClock {
    /// Begins to watch a clock, which is doubted for `doubted_s` from now on.
    pub fn new(clock: Arc<dyn Clock>, doubted_s: u32) -> Self {
        let doubted_us = u64::from(doubted_s) * 1_000_000;
        let seen = Mutex::new(Seen {
            offset_us: offset_us(&*clock),
            believed_from_us: clock.monotonic_us().saturating_add(doubted_us),
        });
        Self {
            clock,
            doubted_us,
            seen,
        }
    }

    /// The wall time in µs; `None` while it is doubted. To be asked every few minutes at least: a jump there and back between
    /// two questions is not seen.
    pub fn wall_us(&self) -> Option<i64> {
        let (now_us, offset_us) = (self.clock.monotonic_us(), offset_us(&*self.clock));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let has_jumped = offset_us.abs_diff(seen.offset_us) >= CLOCK_JUMP_US_MIN;
        seen.offset_us = offset_us;
        if has_jumped || !self.clock.trusted() {
            seen.believed_from_us = now_us.saturating_add(self.doubted_us);
        }
        (now_us >= seen.believed_from_us).then(|| self.clock.wall_us())
    }

    /// The clock itself, doubted or not.
    pub fn inner(&self) -> &dyn Clock {
        &*self.clock
    }
}

/// Wall time less monotonic time, us: it stays the same while nobody sets or slews the clock.
pub fn offset_us(clock: &dyn Clock) -> i64 {
    clock
        .wall_us()
        .saturating_sub_unsigned(clock.monotonic_us())
}

/// A clock that stands still until it is told to go on: a day of recording in milliseconds. See also [`SimClock::going`].
#[derive(Debug)]
pub struct SimClock {
    wall_us: AtomicI64,
    monotonic_us: AtomicU64,
    trusted: AtomicBool,
    boot: BootId,
    /// Where it goes on by itself: since when.
    going_since: Option<Instant>,
}

impl SimClock {
    /// A trusted clock at this wall time, one hour after the boot.
    pub fn new(wall_us: i64) -> Self {
        Self {
            wall_us: AtomicI64::new(wall_us),
            monotonic_us: AtomicU64::new(3_600_000_000),
            trusted: AtomicBool::new(true),
            boot: BootId::from_bytes([0xb0; 16]),
            going_since: None,
        }
    }

    /// The same clock, which from now on goes on by itself as well, for what has threads that wait by it.
    #[must_use]
    pub fn going(self) -> Self {
        Self {
            going_since: Some(Instant::now()),
            ..self
        }
    }

    fn gone_us(&self) -> u64 {
        let gone = self.going_since.map(|since| since.elapsed().as_micros());
        gone.map_or(0, |us| u64::try_from(us).unwrap_or(u64::MAX))
    }

    /// The same clock in another boot of the machine.
    #[must_use]
    pub fn with_boot(self, boot: BootId) -> Self {
        Self { boot, ..self }
    }

    /// Lets this many µs pass.
    pub fn advance_us(&self, micros: u32) {
        self.wall_us.fetch_add(i64::from(micros), Ordering::SeqCst);
        self.monotonic_us
            .fetch_add(u64::from(micros), Ordering::SeqCst);
    }

    /// Sets the wall time, as an administrator or NTP would: monotonic time is not touched.
    pub fn set_wall_us(&self, wall_us: i64) {
        let wall_us = wall_us.saturating_sub_unsigned(self.gone_us());
        self.wall_us.store(wall_us, Ordering::SeqCst);
    }

    /// Sets what [`Clock::trusted`] answers.
    pub fn set_trusted(&self, trusted: bool) {
        self.trusted.store(trusted, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn wall_us(&self) -> i64 {
        let wall_us = self.wall_us.load(Ordering::SeqCst);
        wall_us.saturating_add_unsigned(self.gone_us())
    }

    fn monotonic_us(&self) -> u64 {
        self.monotonic_us.load(Ordering::SeqCst) + self.gone_us()
    }

    fn boot_id(&self) -> BootId {
        self.boot
    }

    fn trusted(&self) -> bool {
        self.trusted.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_goes_on() {
        let clock = SystemClock::new();
        assert!(clock.wall_us() > 0);
        let first = clock.monotonic_us();
        assert!(first > 0 && clock.monotonic_us() >= first);
        assert_eq!(
            clock.boot_id(),
            SystemClock::new().boot_id(),
            "one boot, one id"
        );
    }

    #[test]
    fn a_clock_that_was_not_set_is_not_believed() {
        let root = tempfile::tempdir().unwrap();
        let signs = Signs::below(root.path());
        assert!(
            signs.say_known(),
            "without timesyncd nothing speaks against it"
        );
        let timesync = root.path().join("run/systemd/timesync");
        std::fs::create_dir_all(&timesync).unwrap();
        assert!(!signs.say_known());
        std::fs::write(timesync.join("synchronized"), "").unwrap();
        assert!(signs.say_known());
        std::fs::remove_file(timesync.join("synchronized")).unwrap();
        std::fs::create_dir_all(signs.hctosys.parent().unwrap()).unwrap();
        std::fs::write(&signs.hctosys, "1\n").unwrap();
        assert!(signs.say_known(), "a battery-backed clock");
    }

    #[test]
    fn a_steady_clock_is_silent_after_a_start_a_jump_and_while_untrusted() {
        let clock = Arc::new(SimClock::new(EARLIEST_WALL_US));
        let steady = SteadyClock::new(clock.clone(), 100);
        let passes = |seconds: u32| clock.advance_us(seconds * 1_000_000);
        assert_eq!(steady.wall_us(), None);
        passes(99);
        assert_eq!(steady.wall_us(), None);
        passes(1);
        assert_eq!(steady.wall_us(), Some(clock.wall_us()));
        clock.set_wall_us(clock.wall_us() + 59_000_000);
        assert_eq!(steady.wall_us(), Some(clock.wall_us()), "slewed");

        clock.set_wall_us(clock.wall_us() + 60_000_000);
        assert_eq!(steady.wall_us(), None, "a jump");
        passes(99);
        clock.set_wall_us(clock.wall_us() - 60_000_000);
        assert_eq!(steady.wall_us(), None, "another");
        passes(99);
        assert_eq!(steady.wall_us(), None);
        passes(1);
        assert_eq!(steady.wall_us(), Some(clock.wall_us()));

        clock.set_trusted(false);
        assert_eq!(steady.wall_us(), None);
        clock.set_trusted(true);
        assert_eq!(steady.wall_us(), None);
        passes(100);
        assert_eq!(steady.wall_us(), Some(clock.wall_us()));
    }

    #[test]
    fn a_simulated_day_takes_no_time() {
        let clock = SimClock::new(EARLIEST_WALL_US);
        let start = clock.monotonic_us();
        (0..24).for_each(|_| clock.advance_us(3_600_000_000));
        assert_eq!(clock.wall_us() - EARLIEST_WALL_US, 86_400_000_000);
        clock.set_wall_us(0);
        clock.set_trusted(false);
        assert_eq!(
            clock.monotonic_us() - start,
            86_400_000_000,
            "a jump is not a passing"
        );
        assert!(!clock.trusted());
    }
}
