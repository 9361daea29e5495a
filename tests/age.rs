//! How old footage is taken to be, and what is deleted for it, where clocks jump and boxes are switched off.
#![allow(clippy::unwrap_used, missing_docs)]

mod store_support;

use std::collections::HashSet;

use hearthkeep::store::age::{
    DAY_US, History, Now, Old, Part, Piece, Run, known_since_us, tail_us,
};
use hearthkeep::store::catalog::Entry;
use hearthkeep::store::held::Held;
use hearthkeep::store::retention::{
    Bucket, Buckets, CameraBudget, DiskState, Reason, Situation, StreamState, plan,
};
use hearthkeep_format::{EpochId, Kind, SegmentId, StreamId};
use proptest::prelude::*;
use store_support::{Home, START_US, Sealed, Stream, until};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const YEAR_US: i64 = 365 * DAY_US;

/// A stream of a box whose clock can be wrong, and what time it really is.
struct Footage {
    entries: Vec<Entry>,
    /// When each of them really ended.
    ended_us: Vec<i64>,
    true_us: i64,
    error_us: i64,
    trusted: bool,
}

impl Footage {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            ended_us: Vec::new(),
            true_us: START_US,
            error_us: 0,
            trusted: true,
        }
    }

    fn record(&mut self, minutes: i64) -> &mut Self {
        for _ in 0..minutes {
            let sequence = self.entries.last().map_or(0, |last| last.sequence + 1);
            let mut id = [1; 16];
            id[..8].copy_from_slice(&sequence.to_be_bytes());
            self.entries.push(Entry {
                stream: StreamId::from_bytes([1; 16]),
                kind: Kind::Media,
                epoch: EpochId::from_bytes([0; 16]),
                segment: SegmentId::from_bytes(id),
                disk: 0,
                start_us: self.true_us + self.error_us,
                duration_us: MINUTE_US as u64,
                bytes: 100,
                sequence,
                clock_trusted: self.trusted,
                recovered: false,
                tombstone: false,
                torn: false,
                gap: None,
            });
            self.true_us += MINUTE_US;
            self.ended_us.push(self.true_us);
        }
        self
    }

    fn off(&mut self, us: i64) -> &mut Self {
        self.true_us += us;
        self
    }

    fn clock_is_wrong_by(&mut self, us: i64) -> &mut Self {
        self.error_us = us;
        self
    }

    fn wall_us(&self) -> i64 {
        self.true_us + self.error_us
    }

    /// What a pass deletes right after a start.
    fn deleted(&self, keep_days: i64) -> Vec<Entry> {
        let now = Now {
            wall_us: self.wall_us(),
            steady_us: 0,
        };
        let tail_us = tail_us(self.entries.last().unwrap().end_us(), now, || 0);
        let state = StreamState {
            stream: self.entries[0].stream,
            used: vec![(0, 100 * self.entries.len() as u64)],
            growing_bytes: 0,
            held_bytes: 0,
            old: Old::find(self, keep_days * DAY_US, tail_us, now),
            last_day: u64::MAX,
        };
        let disk = DiskState {
            disk: 0,
            used_bytes: 0,
            max_bytes: None,
            free_bytes: 1,
            reserve_bytes: 1,
        };
        let situation = Situation {
            streams: vec![state],
            cameras: &[],
            disks: &[disk],
            spared: &HashSet::new(),
            held: &Held::default(),
            now_us: Some(now.wall_us),
            deletions_max: usize::MAX,
        };
        let deletions = plan(self, situation);
        assert!(deletions.iter().all(|d| d.reason == Reason::Age));
        deletions
            .into_iter()
            .map(|deletion| deletion.entry)
            .collect()
    }

    /// Deletes it, and goes on.
    fn delete(&mut self, keep_days: i64) -> usize {
        let gone: HashSet<_> = self.deleted(keep_days).iter().map(|e| e.segment).collect();
        let keep: Vec<_> = self
            .entries
            .iter()
            .map(|e| !gone.contains(&e.segment))
            .collect();
        let mut kept = keep.iter();
        self.entries.retain(|_| *kept.next().unwrap());
        let mut kept = keep.iter();
        self.ended_us.retain(|_| *kept.next().unwrap());
        gone.len()
    }

    fn bucket(&self, number: u64) -> Option<Bucket> {
        let entries = Buckets::segments(self, &self.entries[0].stream, number);
        Some(Bucket {
            number,
            from_us: entries.iter().map(|e| e.start_us).min()?,
            to_us: entries.iter().map(Entry::end_us).max()?,
            segments: entries.len(),
            bytes: vec![(0, 100 * entries.len() as u64)],
        })
    }

    /// How many are really older than this.
    fn older(&self, keep_us: i64) -> usize {
        let older = |ended: &&i64| self.true_us - **ended > keep_us;
        self.ended_us.iter().filter(older).count()
    }

    /// How many of those are so by a date that can be believed too: what was recorded while the clock was ahead is kept until its
    /// own date is old.
    fn older_by_its_date(&self, keep_us: i64) -> usize {
        let wall_us = self.wall_us();
        let is_older = |(entry, ended): &(&Entry, &i64)| {
            let believed = entry.clock_trusted && entry.end_us() <= wall_us;
            self.true_us - **ended > keep_us && (!believed || wall_us - entry.end_us() > keep_us)
        };
        self.entries
            .iter()
            .zip(&self.ended_us)
            .filter(is_older)
            .count()
    }
}

impl Footage {
    /// In buckets of 64, as the catalog has it, the newest first.
    fn pieces(&self) -> Vec<Part> {
        let bucket = |entry: &Entry| entry.sequence / 64;
        let buckets = self.entries.chunk_by(|a, b| bucket(a) == bucket(b));
        let piece = |some: &[Entry]| Piece {
            number: bucket(&some[0]),
            from_us: some.iter().map(|e| e.start_us).min().unwrap(),
            to_us: some.iter().map(Entry::end_us).max().unwrap(),
            dated: true,
        };
        let part = |some: &[Entry]| Part {
            level: 0,
            number: bucket(&some[0]),
            run: Run::of(&piece(some)),
        };
        let mut parts: Vec<_> = buckets.map(part).collect();
        parts.reverse();
        parts
    }
}

/// Its pieces one by one: nothing is counted at once.
impl History for Footage {
    fn parts(&self, _: Option<&Part>) -> Vec<Part> {
        self.pieces()
    }

    fn segments(&self, number: u64) -> Option<Vec<Piece>> {
        let of_it = self.entries.iter().filter(|e| e.sequence / 64 == number);
        Some(of_it.rev().map(Piece::of).collect())
    }
}

impl Buckets for Footage {
    fn from(&self, _: &StreamId, number: u64) -> Option<Bucket> {
        let first = self.entries.iter().find(|e| e.sequence / 64 >= number)?;
        self.bucket(first.sequence / 64)
    }

    fn before(&self, _: &StreamId, number: u64) -> Option<Bucket> {
        let last = self.entries.iter().rfind(|e| e.sequence / 64 < number)?;
        self.bucket(last.sequence / 64)
    }

    fn segments(&self, _: &StreamId, number: u64) -> Vec<Entry> {
        let of_it = self.entries.iter().filter(|e| e.sequence / 64 == number);
        of_it.copied().collect()
    }
}

/// The same with pieces counted together, four by four, and four of those.
struct Together<'a>(&'a Footage);

impl History for Together<'_> {
    fn parts(&self, of: Option<&Part>) -> Vec<Part> {
        let (level, number) = of.map_or((2, None), |of| (of.level - 1, Some(of.number)));
        let mut parts = self.0.pieces();
        for level in 1..=level {
            let groups = parts.chunk_by(|a, b| a.number / 4 == b.number / 4);
            let together = |group: &[Part]| Part {
                level,
                number: group[0].number / 4,
                run: group[1..]
                    .iter()
                    .fold(group[0].run, |run, older| run.after(&older.run)),
            };
            parts = groups.map(together).collect();
        }
        parts.retain(|part| number.is_none_or(|number| part.number / 4 == number));
        parts
    }

    fn segments(&self, number: u64) -> Option<Vec<Piece>> {
        History::segments(self.0, number)
    }
}

#[test]
fn footage_grows_old_by_the_minute() {
    let mut footage = Footage::new();
    footage.record(2880);
    let deleted = footage.deleted(1);
    assert_eq!(deleted.len(), 1439, "those that ended more than a day ago");
    assert!(deleted.is_sorted_by_key(|entry| entry.sequence));
    assert_eq!(
        footage.off(HOUR_US).deleted(1).len(),
        1499,
        "the last hour is believed"
    );
}

#[test]
fn a_clock_that_is_years_ahead_costs_nothing_however_often_it_starts_anew() {
    for years in [1, 3, 50] {
        let mut footage = Footage::new();
        footage.record(600).clock_is_wrong_by(years * YEAR_US);
        assert_eq!(
            footage.deleted(1),
            [],
            "before anything is recorded under it"
        );
        for start in 0..20 {
            footage.off(MINUTE_US).record(5);
            assert_eq!(footage.deleted(1), [], "start {start}");
        }
        footage.record(1500);
        let deleted = footage.delete(1);
        assert_eq!(
            deleted,
            footage.older(DAY_US) + deleted,
            "what is really old goes all the same"
        );
        assert!(deleted > 0);
        footage.clock_is_wrong_by(0).record(1441);
        footage.delete(1);
        assert_eq!(
            footage.older(DAY_US + HOUR_US),
            0,
            "also what was recorded under it"
        );
    }
}

#[test]
fn a_box_that_was_off_deletes_what_is_too_old_after_a_day() {
    let mut footage = Footage::new();
    footage.record(10 * 1440).off(14 * DAY_US).record(60);
    assert_eq!(footage.deleted(14), [], "it may be the clock");
    footage.record(1440 - 60);
    assert_eq!(footage.deleted(14).len(), footage.older(14 * DAY_US));
    assert!(footage.older(14 * DAY_US) > 14_000);
    // Off for half a year: known after two weeks, and by then it is old anyway.
    let mut footage = Footage::new();
    footage.record(1440).off(180 * DAY_US).record(13 * 1440);
    assert_eq!(footage.deleted(14).len(), 1440);
}

#[test]
fn switched_off_each_night_it_keeps_to_its_days() {
    let mut footage = Footage::new();
    for _ in 0..20 {
        footage.record(16 * 60).off(8 * HOUR_US);
    }
    footage.record(60);
    footage.delete(7);
    assert_eq!(footage.older(7 * DAY_US + 16 * HOUR_US), 0);
}

#[test]
fn what_has_no_date_is_old_when_what_came_after_it_is() {
    let mut footage = Footage::new();
    for _ in 0..20 {
        // A board without a clock of its own: the first segment of each start is of 1970.
        footage.clock_is_wrong_by(-START_US).trusted = false;
        footage.record(1).clock_is_wrong_by(0).trusted = true;
        footage.record(400);
    }
    let too_old = footage.older(DAY_US);
    assert!(too_old > 6000);
    assert_eq!(footage.delete(1), too_old);
    assert_eq!(footage.older(DAY_US), 0);
    // One that is dated tomorrow does not stand before those behind it.
    let mut footage = Footage::new();
    footage.clock_is_wrong_by(20 * HOUR_US).record(1);
    footage.clock_is_wrong_by(0).record(3 * 1440);
    let too_old = footage.older(DAY_US);
    assert!(footage.delete(1) >= too_old - 1);
    assert!(footage.older(DAY_US) <= 1);
}

#[test]
fn another_stream_knows_for_how_long_one_has_been_silent() {
    let (mut silent, mut other) = (Footage::new(), Footage::new());
    silent.record(60);
    other.record(60);
    let mut known = |hours_a_day: i64| {
        other
            .off((24 - hours_a_day) * HOUR_US)
            .record(hours_a_day * 60);
        known_since_us(&other, 0, silent.ended_us[59])
    };
    for _ in 0..9 {
        known(16);
    }
    let known_us = known(16);
    assert!(known_us > 9 * DAY_US && known_us <= 10 * DAY_US);
    let now = Now {
        wall_us: silent.ended_us[59] + 10 * DAY_US,
        steady_us: 0,
    };
    assert_eq!(tail_us(silent.ended_us[59], now, || known_us), 10 * DAY_US);
}

/// What may happen to a box: minutes of recording, hours off, and hours by which its clock is wrong for how many minutes.
fn lives() -> impl Strategy<Value = Vec<(i64, i64, i64, i64)>> {
    prop::collection::vec((1i64..1500, 0i64..100, -3000i64..30_000, 0i64..300), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever jumps there are that do not stand, at every moment: nothing goes that is not really older than is kept. And once
    /// enough has been recorded under a right clock, everything goes that is old by its date too.
    #[test]
    fn only_what_is_really_old_goes_and_all_of_it_in_the_end(lives in lives(), keep_days in 1i64..5) {
        let mut footage = Footage::new();
        let keep_us = keep_days * DAY_US;
        for (recorded, off, wrong_hours, wrong_for) in lives {
            footage.record(recorded);
            prop_assert!(footage.deleted(keep_days).len() <= footage.older(keep_us));
            footage.off(off * HOUR_US);
            footage.clock_is_wrong_by(wrong_hours * HOUR_US).trusted = wrong_hours >= 0;
            if footage.trusted {
                prop_assert!(footage.deleted(keep_days).len() <= footage.older(keep_us));
            }
            footage.record(wrong_for);
            if footage.trusted {
                let older = footage.older(keep_us);
                prop_assert!(footage.delete(keep_days) <= older);
            }
            footage.clock_is_wrong_by(0).trusted = true;
            footage.record(1);
            let older = footage.older(keep_us);
            let deleted = footage.deleted(keep_days);
            prop_assert!(deleted.len() <= older, "{} of {}", deleted.len(), older);
            let now = Now { wall_us: footage.wall_us(), steady_us: 0 };
            for keep_us in [keep_us / 7, keep_us, 3 * keep_us] {
                let old = |history: &dyn History| Old::find(history, keep_us, 0, now);
                prop_assert_eq!(old(&footage), old(&Together(&footage)));
                let known = |history: &dyn History| known_since_us(history, 0, now.wall_us - keep_us);
                prop_assert_eq!(known(&footage), known(&Together(&footage)));
            }
        }
        // By then what was recorded after them is enough, whatever became of the gaps.
        footage.record(keep_days * 1440 + 60);
        footage.delete(keep_days);
        prop_assert_eq!(footage.older_by_its_date(keep_us + HOUR_US), 0);
    }
}

#[test]
fn what_was_recorded_while_the_clock_was_ahead_is_kept_until_its_date_is_old() {
    let mut footage = Footage::new();
    footage.record(1).clock_is_wrong_by(40 * HOUR_US).record(1);
    footage.clock_is_wrong_by(0).record(3 * 1440);
    footage.delete(2);
    assert_eq!(
        (
            footage.older(2 * DAY_US),
            footage.older_by_its_date(2 * DAY_US)
        ),
        (1, 0)
    );
    footage.record(40 * 60);
    footage.delete(2);
    assert_eq!(footage.older(2 * DAY_US + HOUR_US), 0);
}

/// Opens the store, which keeps a day, records these, and waits until a pass of retention was made.
fn run(home: &Home, stream: StreamId, sealed: &[Sealed]) {
    // What may have no bytes at all is deleted by the first pass.
    let sign = home.stream(99).seal(1, 10);
    sign.leave_whole(home);
    let mut options = home.options();
    let budget = |stream, keep_days, max_bytes| CameraBudget {
        name: String::new(),
        streams: vec![stream],
        keep_days,
        max_bytes,
    };
    options.cameras = vec![
        budget(stream, Some(1), None),
        budget(sign.new.stream, None, Some(0)),
    ];
    let (store, _) = home.open_with(options);
    until("a pass was made", || !home.path_of(&sign.new).exists());
    sealed.iter().for_each(|sealed| sealed.record(&store));
}

/// So many segments, one each half hour.
fn half_hours(home: &Home, stream: &mut Stream, count: usize) -> Vec<Sealed> {
    let mut seal = || {
        stream.wall_us += 30 * MINUTE_US;
        stream.seal(4, 100)
    };
    let sealed = (0..count).map(|_| seal()).collect();
    home.clock.set_wall_us(stream.wall_us);
    sealed
}

#[test]
fn a_store_keeps_its_footage_when_the_clock_is_ahead_after_a_restart() {
    let home = Home::new(45);
    let mut stream = home.stream(0);
    let good = half_hours(&home, &mut stream, 8);
    run(&home, stream.id, &good);
    stream.wall_us += 3 * YEAR_US;
    for _ in 0..3 {
        let more = half_hours(&home, &mut stream, 1);
        run(&home, stream.id, &more);
    }
    assert!(good.iter().all(|sealed| home.path_of(&sealed.new).exists()));
}

#[test]
fn a_store_deletes_by_age_after_an_honest_absence() {
    let home = Home::new(46);
    let mut stream = home.stream(0);
    let old = half_hours(&home, &mut stream, 8);
    run(&home, stream.id, &old);
    stream.wall_us += 14 * DAY_US;
    let since = half_hours(&home, &mut stream, 40);
    run(&home, stream.id, &since);
    run(&home, stream.id, &[]);
    let are_there = || {
        old.iter()
            .filter(|sealed| home.path_of(&sealed.new).exists())
            .count()
    };
    assert_eq!(are_there(), 8, "it may still be the clock");
    let later = half_hours(&home, &mut stream, 10);
    run(&home, stream.id, &later);
    run(&home, stream.id, &[]);
    assert_eq!(are_there(), 0);
    assert!(
        since[3..]
            .iter()
            .all(|sealed| home.path_of(&sealed.new).exists())
    );
}
