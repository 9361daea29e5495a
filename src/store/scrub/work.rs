//! The work, a segment a turn.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hearthkeep_format::{DiskId, SegmentId};

use super::round::{Position, Round, rate};
use super::walk::{self, Step};
use super::{ScrubPhase, ScrubSettings, Told, kept};
use crate::limits::{SCRUB_FINDINGS_MAX, SCRUB_SAVED_EVERY_US, SCRUB_SLOW_RESTS, WATCH_PERIOD_MS};
use crate::store::Shared;
use crate::store::catalog::Entry;
use crate::store::check::{self, Finding, Kind, Known, Reading, Subject};
use crate::store::inspect::Place;
use crate::store::mount::MountedDisk;
use crate::store::turns::{self, Next, Rest};
use crate::store::watch::is_still_there;

/// Until it is looked again whether the next round is due, and whether disks have come.
const IDLE_US: u64 = 60_000_000;
/// While recording needs the disk.
const PAUSE_US: u64 = 10_000_000;
/// A disk that recording needs for longer than this within a segment is left for the others; the segment is read again later.
const NEEDED_US_MAX: u64 = 60_000_000;
/// What is not as it should be is looked at again after this: a disk that has gone is known to be by then.
const AGAIN_US: u64 = 5 * WATCH_PERIOD_MS * 1_000;
/// The longest pause within a segment before it is looked whether to end; and the shortest, since a pause is a wake-up: what may be
/// read in so long is read at once.
const BREATH: Duration = Duration::from_secs(1);

pub(super) struct Work {
    shared: Arc<Shared>,
    settings: ScrubSettings,
    state_dir: PathBuf,
    rest: Rest,
    seats: HashMap<DiskId, Seat>,
    /// How long it has paused within segments.
    paused_us: AtomicU64,
    saved_us: u64,
    /// Whether there is anything new to save, and whether at once.
    news: News,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    Some,
    Urgent,
}

/// A disk's place in the work.
struct Seat {
    due_us: u64,
    /// Up to when its time was counted.
    counted_us: u64,
    /// A segment that was not as it should be when it was looked at for the first time.
    suspect: Option<SegmentId>,
    /// Of what something was told before the start: it may have been repaired.
    again: Vec<Place>,
    /// What was not as it should be beside the footage when that was looked at for the first time.
    beside: Option<Vec<PathBuf>>,
}

/// What a look at a segment came to.
enum Verdict {
    /// Nothing is wrong, or it is not to be there any more.
    Well,
    Bad(Box<Finding>),
    /// The work is to end, or the disk has gone: nothing was found out.
    Nothing,
}

impl turns::Work for Work {
    fn turn(&mut self) -> Next {
        if self.shared.scrub.is_over() {
            self.save();
            return Next::Never;
        }
        let now_us = self.now_us();
        let disks = self.disks();
        self.seat(&disks, now_us);
        let due = disks.iter().min_by_key(|disk| self.due_us(disk));
        if let Some(disk) = due.filter(|disk| self.due_us(disk) <= now_us)
            && let Some(mut seat) = self.seats.remove(&disk.id)
        {
            let paused_us = self.paused_us.load(Ordering::Relaxed);
            seat.due_us = self.step(disk, &mut seat);
            if disk.is_slow() {
                // It may be so for good, and is to be read through all the same.
                let paused_us = self.paused_us.load(Ordering::Relaxed) - paused_us;
                let took_us = self.now_us().saturating_sub(now_us);
                let rest_us = took_us.saturating_sub(paused_us) * SCRUB_SLOW_RESTS;
                seat.due_us = seat.due_us.max(self.now_us() + rest_us);
            }
            self.seats.insert(disk.id, seat);
        }
        // A pause within a segment may have heard the bell, which then rings no more.
        if self.shared.scrub.is_over() {
            self.save();
            return Next::Never;
        }
        let since_saved_us = now_us.saturating_sub(self.saved_us);
        match self.news {
            News::Urgent => self.save(),
            News::Some if since_saved_us >= SCRUB_SAVED_EVERY_US => self.save(),
            _ => {}
        }
        let next_us = self.seats.values().map(|seat| seat.due_us).min();
        let idle_us = now_us.saturating_add(IDLE_US);
        Next::At(next_us.map_or(idle_us, |next_us| next_us.min(idle_us)))
    }

    fn is_in_no_hurry(&self) -> bool {
        true
    }
}

impl Work {
    pub(super) fn new(
        shared: Arc<Shared>,
        settings: ScrubSettings,
        state_dir: &Path,
        rest: Rest,
    ) -> Self {
        let told = |round| Told {
            round,
            ..Told::default()
        };
        let kept = kept::read(state_dir).into_iter();
        *shared.scrub.lock() = kept.map(|(disk, round)| (disk, told(round))).collect();
        Self {
            saved_us: shared.clock.monotonic_us(),
            shared,
            settings,
            state_dir: state_dir.to_owned(),
            rest,
            seats: HashMap::new(),
            paused_us: AtomicU64::new(0),
            news: News::None,
        }
    }

    fn now_us(&self) -> u64 {
        self.shared.clock.monotonic_us()
    }

    /// The disks that are there to stay: what is moved off one is read for that anyway.
    fn disks(&self) -> Vec<Arc<MountedDisk>> {
        let mut disks = self.shared.slots.mounted();
        disks.retain(|disk| !self.shared.slots.is_draining(disk.id));
        disks
    }

    fn seat(&mut self, disks: &[Arc<MountedDisk>], now_us: u64) {
        let is_there = |id: &DiskId| disks.iter().any(|disk| disk.id == *id);
        self.seats.retain(|id, _| {
            let stays = is_there(id);
            if !stays && let Some(told) = self.shared.scrub.lock().get_mut(id) {
                told.late_days = None;
            }
            stays
        });
        let peace_us = u64::try_from(self.settings.peace.as_micros()).unwrap_or(u64::MAX);
        for disk in disks {
            let board = self.shared.scrub.lock();
            self.seats.entry(disk.id).or_insert_with(|| Seat {
                due_us: now_us.saturating_add(peace_us),
                counted_us: now_us,
                suspect: None,
                again: board
                    .get(&disk.id)
                    .map_or_else(Vec::new, |told| told.round.told()),
                beside: None,
            });
        }
    }

    fn due_us(&self, disk: &MountedDisk) -> u64 {
        self.seats
            .get(&disk.id)
            .map_or(u64::MAX, |seat| seat.due_us)
    }

    /// Does the next thing there is to do on a disk; says when the one after it is due.
    fn step(&mut self, disk: &Arc<MountedDisk>, seat: &mut Seat) -> u64 {
        let now_us = self.now_us();
        let since_us = std::mem::replace(&mut seat.counted_us, now_us);
        let days = self.settings.days;
        let is_under_way = self.change(disk, |told| {
            told.round.goes_on(now_us.saturating_sub(since_us));
            told.late_days = told.round.late_days(days);
            !told.round.is_over
        });
        if is_under_way && self.news == News::None {
            self.news = News::Some;
        }
        if disk.is_needed() {
            self.change(disk, |told| told.phase = ScrubPhase::Waiting);
            return now_us.saturating_add(PAUSE_US);
        }
        if let Some(place) = seat.again.last().copied() {
            return self.look_again(disk, seat, &place);
        }
        let Some(mut at) = self.position(disk) else {
            return now_us.saturating_add(IDLE_US);
        };
        match walk::next(&self.shared.catalog, disk.number(), &mut at) {
            Step::Look(entry) => self.look_at(disk, seat, &entry, at),
            Step::Ask => {
                self.change(disk, |told| told.round.at = at);
                now_us
            }
            Step::End => match self.look_beside(disk, seat) {
                Some(due_us) => due_us,
                None => {
                    self.finish(disk);
                    now_us
                }
            },
        }
    }

    /// Where a disk's round stands; `None` while the next one is not due.
    fn position(&mut self, disk: &MountedDisk) -> Option<Option<Position>> {
        let (now_us, days) = (self.shared.clock.wall_us(), self.settings.days);
        self.change(disk, |told| {
            let round = &mut told.round;
            let has_begun = round.begun_us != 0;
            if !has_begun || (round.is_over && round.is_next_due(now_us, days)) {
                round.begin(now_us);
            }
            told.phase = match round.is_over {
                true => ScrubPhase::Resting,
                false => ScrubPhase::Reading,
            };
            (!round.is_over).then(|| round.at.clone())
        })
    }

    fn finish(&mut self, disk: &MountedDisk) {
        let now_us = self.shared.clock.wall_us();
        let gone = self.change(disk, |told| told.round.told());
        let gone = gone
            .into_iter()
            .filter(|place| self.entry(disk, place).is_none());
        let gone: Vec<_> = gone.collect();
        let (bytes, damaged) = self.change(disk, |told| {
            gone.iter().for_each(|place| told.round.forget(place));
            told.round.finish(now_us);
            (told.round.read_bytes, told.round.damaged())
        });
        self.news = News::Urgent;
        let path = disk.path.display();
        tracing::info!(%path, bytes, damaged, "all footage of a disk was read again");
    }

    /// What the catalog has of a segment on a disk, if it is to be there.
    fn entry(&self, disk: &MountedDisk, place: &Place) -> Option<Entry> {
        let entry = self.shared.catalog.find(&place.stream, &place.segment);
        let is_there = |entry: &Entry| entry.disk == disk.number() && entry.is_settled();
        entry.ok().flatten().filter(is_there)
    }

    fn look_again(&mut self, disk: &Arc<MountedDisk>, seat: &mut Seat, place: &Place) -> u64 {
        let (verdict, due_us) = match self.entry(disk, place) {
            Some(entry) => self.look(disk, &entry),
            None => (Verdict::Well, self.now_us()),
        };
        match verdict {
            Verdict::Nothing => return due_us.saturating_add(PAUSE_US),
            Verdict::Well => self.forget(disk, place),
            Verdict::Bad(finding) => self.tell(disk, &finding),
        }
        seat.again.pop();
        due_us
    }

    fn look_at(
        &mut self,
        disk: &Arc<MountedDisk>,
        seat: &mut Seat,
        entry: &Entry,
        mut at: Option<Position>,
    ) -> u64 {
        let (verdict, due_us) = self.look(disk, entry);
        let suspect = seat.suspect.take().filter(|seen| *seen == entry.segment);
        let place = Place::of(entry);
        match (verdict, suspect) {
            (Verdict::Nothing, suspect) => {
                seat.suspect = suspect;
                return due_us.saturating_add(PAUSE_US);
            }
            (Verdict::Bad(_), None) => {
                seat.suspect = Some(entry.segment);
                return due_us.max(self.now_us().saturating_add(AGAIN_US));
            }
            (Verdict::Bad(finding), Some(_)) => self.tell(disk, &finding),
            (Verdict::Well, seen) => {
                if seen.is_some() && self.entry(disk, &place).is_some() {
                    let path = disk.path.join(place.path());
                    tracing::warn!(path = %path.display(), "was read wrongly once and rightly the second time: the disk, its cable or the memory may fail");
                }
                self.forget(disk, &place);
            }
        }
        if let Some(at) = &mut at {
            at.pass(entry.sequence, &entry.segment);
        }
        self.change(disk, |told| told.round.at = at);
        due_us
    }

    /// Reads what lies beside the footage, the log as slowly as footage. Says when to look again, where that is not done with.
    fn look_beside(&mut self, disk: &Arc<MountedDisk>, seat: &mut Seat) -> Option<u64> {
        let shared = Arc::clone(&self.shared);
        let footage_bytes = shared.catalog.disk_bytes(disk.number());
        let (begun_us, rate) = (self.now_us(), rate(footage_bytes, self.settings.days));
        let (read, is_stopped) = (AtomicU64::new(0), AtomicBool::new(false));
        let pace = |bytes: u64| {
            let before = read.fetch_add(bytes, Ordering::Relaxed);
            let due_us = begun_us.saturating_add(before.saturating_mul(1_000_000) / rate);
            self.go_on(disk, due_us, &is_stopped)
        };
        let Ok(unhurried) = disk.unhurried() else {
            return Some(begun_us.saturating_add(PAUSE_US));
        };
        let given_up = disk.given_up_unhurried();
        let subject = Subject {
            path: disk.path.clone(),
            disk: unhurried,
            id: Some(disk.id),
            readers: 1,
        };
        let found = check::look_beside(&subject, &known(&shared), &pace);
        let is_known = !is_stopped.into_inner() && disk.given_up_unhurried() == given_up;
        if !is_known || !found.is_empty() && !self.is_there(disk) {
            return Some(self.now_us().saturating_add(PAUSE_US));
        }
        let Some(suspects) = seat
            .beside
            .take()
            .or_else(|| found.is_empty().then(Vec::new))
        else {
            seat.beside = Some(found.into_iter().map(|finding| finding.path).collect());
            return Some(self.now_us().saturating_add(AGAIN_US));
        };
        let twice = found.into_iter();
        let twice: Vec<_> = twice.filter(|f| suspects.contains(&f.path)).collect();
        self.change(disk, |told| told.round.keep_beside(&twice));
        twice.iter().for_each(|finding| self.tell(disk, finding));
        None
    }

    /// Reads a segment. Says also when the next may be.
    fn look(&mut self, disk: &Arc<MountedDisk>, entry: &Entry) -> (Verdict, u64) {
        let place = Place::of(entry);
        let shared = Arc::clone(&self.shared);
        let footage_bytes = shared.catalog.disk_bytes(disk.number());
        let (begun_us, rate) = (self.now_us(), rate(footage_bytes, self.settings.days));
        let due_us = |bytes: u64| begun_us.saturating_add(bytes.saturating_mul(1_000_000) / rate);
        let (read, is_stopped) = (AtomicU64::new(0), AtomicBool::new(false));
        let pace = |bytes: u64| {
            let before = read.fetch_add(bytes, Ordering::Relaxed);
            self.go_on(disk, due_us(before), &is_stopped)
        };
        let Ok(unhurried) = disk.unhurried() else {
            return (Verdict::Nothing, begun_us);
        };
        let given_up = disk.given_up_unhurried();
        let looked = check::look(
            0,
            &*unhurried,
            &place,
            &known(&shared),
            Reading::Through,
            &pace,
        );
        // A drive that does not answer has said nothing of its footage, and keeps the others no longer.
        if disk.given_up_unhurried() != given_up {
            is_stopped.store(true, Ordering::Relaxed);
        }
        let finding = match looked {
            None => Some(Finding::gone(0, &place)),
            Some(looked) => looked.of_a_closed_one(0, &place),
        };
        let verdict = match finding {
            _ if is_stopped.into_inner() => Verdict::Nothing,
            None => Verdict::Well,
            Some(_) if !self.is_there(disk) => Verdict::Nothing,
            // Deleted or moved meanwhile.
            Some(_) if self.entry(disk, &place).is_none() => Verdict::Well,
            Some(finding) => Verdict::Bad(Box::new(finding)),
        };
        let bytes = read.into_inner();
        if self.news == News::None {
            self.news = News::Some;
        }
        self.change(disk, |told| {
            told.round.read_bytes += bytes;
            told.read_since_start_bytes += bytes;
        });
        (verdict, due_us(bytes))
    }

    /// Waits until more may be read; an error where nothing more is to be.
    fn go_on(
        &self,
        disk: &Arc<MountedDisk>,
        due_us: u64,
        is_stopped: &AtomicBool,
    ) -> io::Result<()> {
        if self.pause(disk, due_us) {
            return Ok(());
        }
        is_stopped.store(true, Ordering::Relaxed);
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Waits until more may be read; false where nothing more is to be.
    fn pause(&self, disk: &Arc<MountedDisk>, due_us: u64) -> bool {
        let begun_us = self.now_us();
        let is_to_go_on = self.wait(disk, due_us);
        let paused_us = self.now_us().saturating_sub(begun_us);
        self.paused_us.fetch_add(paused_us, Ordering::Relaxed);
        is_to_go_on
    }

    fn wait(&self, disk: &Arc<MountedDisk>, due_us: u64) -> bool {
        let is_to_go_on = || !self.shared.scrub.is_over() && self.is_mounted(disk);
        let left = || Duration::from_micros(due_us.saturating_sub(self.now_us()));
        if left() < BREATH && !disk.is_needed() {
            return is_to_go_on();
        }
        let mut needed_since_us = None;
        while !left().is_zero() || disk.is_needed() {
            // The other disks are not to wait for this one.
            match disk.is_needed() {
                true => _ = needed_since_us.get_or_insert_with(|| self.now_us()),
                false => needed_since_us = None,
            }
            let needed_us = needed_since_us.map(|since_us| self.now_us().saturating_sub(since_us));
            if needed_us.is_some_and(|needed_us| needed_us > NEEDED_US_MAX) {
                return false;
            }
            let breath = match left() {
                Duration::ZERO => BREATH,
                left => left.min(BREATH),
            };
            if !self.rest.pause(breath) || !is_to_go_on() {
                break;
            }
        }
        is_to_go_on()
    }

    fn is_mounted(&self, disk: &Arc<MountedDisk>) -> bool {
        let there = self.shared.slots.disk(disk.number());
        there.is_some_and(|there| Arc::ptr_eq(&there, disk))
    }

    fn is_there(&self, disk: &Arc<MountedDisk>) -> bool {
        self.is_mounted(disk) && is_still_there(&self.shared, disk).is_ok()
    }

    fn tell(&mut self, disk: &MountedDisk, finding: &Finding) {
        if finding.kind == Kind::Gone
            && self.shared.log.is_kept()
            && let Some(place) = Place::of_path(&finding.path)
        {
            let epoch = (disk.number(), place.stream, place.epoch);
            self.shared.scrub.missed().push(epoch);
        }
        let (is_new, damaged) = self.change(disk, |told| {
            let is_new = told.round.take(finding);
            (is_new, told.round.damaged())
        });
        if !is_new {
            return;
        }
        let path = disk.path.join(&finding.path);
        let (path, what) = (path.display(), &finding.what);
        let told_max = SCRUB_FINDINGS_MAX as u64;
        if damaged <= told_max {
            self.news = News::Urgent;
            tracing::warn!(%path, "a file is damaged: {what}. `hearthkeep check` says what is lost, `hearthkeep repair --dry-run` what can be made whole");
        } else if damaged == told_max + 1 {
            tracing::warn!(
                "more of this disk is damaged than is told one by one: `hearthkeep check` names all of it"
            );
        }
    }

    fn forget(&mut self, disk: &MountedDisk, place: &Place) {
        self.change(disk, |told| told.round.forget(place));
    }

    /// Changes what is told of a disk.
    fn change<T>(&mut self, disk: &MountedDisk, change: impl FnOnce(&mut Told) -> T) -> T {
        change(self.shared.scrub.lock().entry(disk.id).or_default())
    }

    fn save(&mut self) {
        self.saved_us = self.now_us();
        if std::mem::replace(&mut self.news, News::None) == News::None {
            return;
        }
        let slots = self.shared.slots.read();
        let ids: Vec<_> = slots.iter().map(|slot| slot.id).collect();
        drop(slots);
        // One that was taken out is forgotten.
        let is_used = |id: &DiskId| ids.iter().any(|slot| slot.is_none_or(|slot| slot == *id));
        self.shared.scrub.lock().retain(|id, _| is_used(id));
        let board = self.shared.scrub.lock();
        let rounds = board.iter().map(|(id, told)| (*id, told.round.clone()));
        let rounds: BTreeMap<DiskId, Round> = rounds.collect();
        drop(board);
        if let Err(error) = kept::write(&self.state_dir, &rounds) {
            tracing::warn!(
                "after a start, footage is read again from where that was last noted: {error}"
            );
        }
    }
}

/// What is known of a store here; the disks vouch for the keyring themselves.
fn known(shared: &Shared) -> Known<'_> {
    Known {
        store: shared.store,
        keys: &*shared.keys,
        streams: None,
        keyring: None,
        anchors: &shared.anchors,
        folders: Vec::new(),
        at_work: true,
        open: None,
    }
}
