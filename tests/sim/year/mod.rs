//! A year of sixteen cameras: what retention and the catalog cost a day does not grow with how much was ever recorded, nor with how
//! much is kept.
//!
//! It is counted what is asked for, not for how long: entries and sums that are looked at, reads and writes of the catalog's
//! database, calls of the disks. What passes through is everything but the bytes of footage: the writers, the keeper, its passes.
//! CPU time is told, of an old store beside a young one, turn by turn: a machine's own speed varies more than it should grow.
//! `make test` lets a month be a day of three cameras, and there are six; `HEARTHKEEP_SIM_YEAR=full` is a year, as `make soak`
//! has it.

mod database;
mod disk;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hearthkeep::clock::{Clock, SimClock};
use hearthkeep::disk::Disk;
use hearthkeep::store::layout::{self, DiskIdentity};
use hearthkeep::store::retention::CameraBudget;
use hearthkeep::store::turns::Hands;
use hearthkeep::store::writer::NewSegment;
use hearthkeep::store::{MountedDisk, Options, Store, lock};
use hearthkeep_format::segment::Start;
use hearthkeep_format::{DiskId, EpochId, Kind, MetadataKey, SegmentId, StoreId, StreamId};

use crate::chance::Chance;
use database::{Counted, cpu_ns};
use disk::LeanDisk;

const START_US: i64 = 1_790_000_000_000_000;
const DAY_S: u64 = 86_400;
const SEGMENT_BYTES: usize = 4 << 10;
/// What a day may cost more at the end than at the beginning.
const GROWTH_MAX: f64 = 1.2;

/// How long it lasts, and how much of it is kept.
struct Plan {
    cameras: u64,
    months: usize,
    month_days: u64,
    /// No longer than a minute and a half: more of it in a bucket would be looked at closely, as if there were gaps.
    segment_s: u64,
    /// Segments of each camera between two turns of the store.
    segments_at_once: u64,
    /// Whether footage goes after a month; else nothing ever goes.
    has_limits: bool,
}

impl Plan {
    fn of(has_limits: bool) -> Self {
        match std::env::var("HEARTHKEEP_SIM_YEAR").as_deref() {
            Ok("full") => Self {
                cameras: 16,
                months: 13,
                month_days: 30,
                segment_s: 108,
                segments_at_once: 2,
                has_limits,
            },
            _ => Self {
                cameras: 3,
                months: 6,
                month_days: 1,
                segment_s: 108,
                segments_at_once: 8,
                has_limits,
            },
        }
    }

    fn day_bytes(&self) -> u64 {
        self.cameras * (DAY_S / self.segment_s) * SEGMENT_BYTES as u64
    }
}

/// What was asked for, since the beginning.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    looks: u64,
    reads: u64,
    read_bytes: u64,
    writes: u64,
    written_bytes: u64,
    disk_calls: u64,
    cpu_us: u64,
    /// That of the simulated database and disks, which is part of it.
    simulated_us: u64,
}

impl Cost {
    fn since(self, before: Self) -> Self {
        Self {
            looks: self.looks - before.looks,
            reads: self.reads - before.reads,
            read_bytes: self.read_bytes - before.read_bytes,
            writes: self.writes - before.writes,
            written_bytes: self.written_bytes - before.written_bytes,
            disk_calls: self.disk_calls - before.disk_calls,
            cpu_us: self.cpu_us - before.cpu_us,
            simulated_us: self.simulated_us - before.simulated_us,
        }
    }

    /// What is counted, each with its name; time is not.
    fn counted(&self) -> [(&'static str, u64); 6] {
        [
            ("looks", self.looks),
            ("reads", self.reads),
            ("bytes read", self.read_bytes),
            ("writes", self.writes),
            ("bytes written", self.written_bytes),
            ("disk calls", self.disk_calls),
        ]
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.counted() {
            write!(f, "{count} {name}, ")?;
        }
        let (all, simulated) = (self.cpu_us / 1_000, self.simulated_us / 1_000);
        write!(
            f,
            "{all} ms of CPU, {simulated} of them in simulated disks and database"
        )
    }
}

/// A box and its cameras.
struct House {
    plan: Plan,
    clock: Arc<SimClock>,
    disks: Vec<LeanDisk>,
    database: Counted,
    store: Store,
    hands: Hands,
    chance: Chance,
    segment: Bytes,
    sequence: u64,
    _state: tempfile::TempDir,
}

impl House {
    fn new(plan: Plan) -> Self {
        let state = tempfile::tempdir().unwrap();
        let store_id = StoreId::from_bytes([7; 16]);
        let clock = Arc::new(SimClock::new(START_US));
        // Both disks together: 16 months without limits, less than a month and a half with them.
        let months = if plan.has_limits { 3 } else { 32 };
        let capacity = plan.day_bytes() * plan.month_days * months / 4;
        let disks = vec![LeanDisk::new(capacity), LeanDisk::new(capacity)];
        let database = Counted::default();
        let mounted = disks.iter().enumerate().map(|(number, disk)| {
            let path = Path::new("disk").join(number.to_string());
            let id = DiskId::from_bytes([number as u8 + 1; 16]);
            let identity = DiskIdentity {
                store: store_id,
                disk: id,
            };
            layout::mark(disk, &path, &identity).unwrap();
            let disk: Arc<dyn Disk> = Arc::new(disk.clone());
            MountedDisk::with(disk, &path, store_id, id, None).unwrap()
        });
        let keys = Arc::new(|_| Some(MetadataKey::from_bytes([3; 32])));
        let folder = state.path().to_owned();
        let mut options = Options::new(
            folder,
            store_id,
            mounted.collect(),
            keys,
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        options.reserve_bytes_min = 0;
        options.catalog = Some(Arc::new(database.clone()));
        options.cameras = (0..plan.cameras).map(|of| plan.camera(of)).collect();
        let lock = lock::acquire(state.path()).unwrap();
        let (store, hands, _) = Store::open_driven(options, lock).unwrap();
        Self {
            plan,
            clock,
            disks,
            database,
            store,
            hands,
            chance: Chance::of(5),
            segment: Bytes::from(vec![0; SEGMENT_BYTES / 2]),
            sequence: 0,
            _state: state,
        }
    }

    /// Some segments of each camera, and all that is due when they have ended.
    fn record(&mut self) {
        let length_us = self.plan.segment_s * 1_000_000;
        let begun = (self.clock.wall_us(), self.clock.monotonic_us());
        for nth in 0..self.plan.segments_at_once {
            let (wall_us, monotonic_us) = begun;
            let later_us = nth * length_us;
            self.record_one(
                wall_us.saturating_add_unsigned(later_us),
                monotonic_us + later_us,
            );
        }
        let passed_us = self.plan.segments_at_once * length_us;
        self.clock.advance_us(u32::try_from(passed_us).unwrap());
        let mut is_due = true;
        while is_due {
            let now_us = self.clock.monotonic_us();
            let waiting = self.hands.waiting();
            let due: Vec<_> = waiting
                .iter()
                .filter(|(at_us, _)| *at_us <= now_us)
                .collect();
            is_due = !due.is_empty();
            due.iter().for_each(|(_, number)| self.hands.turn(*number));
        }
    }

    fn record_one(&mut self, wall_us: i64, begun_us: u64) {
        let length_us = self.plan.segment_s * 1_000_000;
        for of in 0..self.plan.cameras {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&self.chance.below(u64::MAX).to_be_bytes());
            id[8..].copy_from_slice(&self.sequence.to_be_bytes());
            let mut epoch = [of as u8; 16];
            epoch[..8].copy_from_slice(&(begun_us / 1_000_000 / DAY_S).to_be_bytes());
            let new = NewSegment {
                stream: stream(of),
                kind: Kind::Media,
                epoch: EpochId::from_bytes(epoch),
                segment: SegmentId::from_bytes(id),
                start: Start {
                    wall_us,
                    monotonic_us: begun_us,
                    boot: self.clock.boot_id(),
                    clock_trusted: true,
                    gap: None,
                    sequence: self.sequence,
                },
            };
            let handle = self.store.begin(new, self.segment.clone()).unwrap();
            handle.finish(self.segment.clone(), length_us);
        }
        self.sequence += 1;
    }

    fn cost(&self) -> Cost {
        let counts = self.database.counts();
        let disks = self.disks.iter().map(LeanDisk::counts);
        let (calls, disk_ns) = disks.fold((0, 0), |(calls, ns), of_one| {
            (calls + of_one.calls, ns + of_one.cpu_ns)
        });
        Cost {
            looks: self.store.looks(),
            reads: counts.reads,
            read_bytes: counts.read_bytes,
            writes: counts.writes,
            written_bytes: counts.written_bytes,
            disk_calls: calls,
            cpu_us: cpu_ns() / 1_000,
            simulated_us: (counts.cpu_ns + disk_ns) / 1_000,
        }
    }

    /// What a month costs, each after the other.
    fn months(&mut self, months: usize) -> Vec<Cost> {
        let mut costs = Vec::new();
        for month in 1..=months {
            let before = self.cost();
            for _ in 0..self.plan.month_turns() {
                self.record();
            }
            let cost = self.cost().since(before);
            let used: u64 = self.disks.iter().map(LeanDisk::used).sum();
            let segments = used / SEGMENT_BYTES as u64;
            println!("month {month}: {segments} segments are kept; {cost}");
            costs.push(cost);
        }
        costs
    }

    /// What each camera keeps: how much there is, and its oldest start.
    fn kept(&self) -> Vec<(u64, i64)> {
        let usage = (0..self.plan.cameras).map(|of| self.store.usage(&stream(of)));
        usage
            .map(|usage| (usage.bytes, usage.first_us.unwrap_or(0)))
            .collect()
    }
}

impl Plan {
    fn month_turns(&self) -> u64 {
        self.month_days * DAY_S / self.segment_s / self.segments_at_once
    }

    /// A third keeps a month, a third what it has room for, a third a number of bytes.
    fn camera(&self, of: u64) -> CameraBudget {
        let month_bytes = self.day_bytes() * self.month_days / self.cameras;
        let keeps = |kind| self.has_limits && of % 3 == kind;
        CameraBudget {
            name: of.to_string(),
            streams: vec![stream(of)],
            keep_days: match self.has_limits {
                true => keeps(0).then_some(self.month_days as u32),
                // Longer than it lasts.
                false => Some(self.month_days as u32 * 20),
            },
            max_bytes: keeps(2).then_some(month_bytes),
        }
    }
}

fn stream(of: u64) -> StreamId {
    StreamId::from_bytes([of as u8 + 1; 16])
}

/// A month costs no more than an earlier one.
fn compare(first: &Cost, last: &Cost) {
    let counted = first.counted().into_iter().zip(last.counted());
    for ((what, before), (_, after)) in counted {
        let ratio = after as f64 / before.max(1) as f64;
        println!("{what}: {ratio:.3} times as many");
        assert!(ratio < GROWTH_MAX, "{what}: {before} and then {after}");
    }
}

/// Tells the CPU time of another month of an old store, and of a month of a young one beside it: after so many that fill it.
fn compare_cpu(old: &mut House, filling: usize) {
    let mut young = House::new(Plan::of(old.plan.has_limits));
    young.months(filling);
    let [mut young_us, mut old_us] = [0; 2];
    for _ in 0..old.plan.month_turns() {
        for (house, cpu_us) in [(&mut young, &mut young_us), (&mut *old, &mut old_us)] {
            let before = house.cost();
            house.record();
            let cost = house.cost().since(before);
            *cpu_us += cost.cpu_us - cost.simulated_us;
        }
    }
    println!(
        "CPU time without simulated disks and database, turn by turn beside a store that is {filling} months old: {:.2} times, {} ms and {} ms",
        old_us as f64 / young_us.max(1) as f64,
        old_us / 1_000,
        young_us / 1_000
    );
}

#[test]
fn a_day_costs_the_same_after_a_year_in_which_the_oldest_goes() {
    let mut house = House::new(Plan::of(true));
    let costs = house.months(house.plan.months);
    let now_us = house.clock.wall_us();
    let month_us = (house.plan.month_days * DAY_S) as i64 * 1_000_000;
    let month_bytes = house.plan.day_bytes() * house.plan.month_days / house.plan.cameras;
    for (of, (bytes, first_us)) in house.kept().into_iter().enumerate() {
        let kept_us = now_us - first_us;
        let length_us = (house.plan.segment_s * 1_000_000) as i64;
        match of % 3 {
            0 => assert!(
                (month_us..month_us + 20 * length_us).contains(&kept_us),
                "{kept_us}"
            ),
            1 => assert!(kept_us > month_us, "{kept_us}"),
            _ => assert!(
                bytes <= month_bytes && bytes > month_bytes / 8 * 7,
                "{bytes}"
            ),
        }
    }
    // In the first two the disks fill.
    compare(&costs[2], costs.last().unwrap());
    compare_cpu(&mut house, 2);
}

#[test]
fn a_day_costs_the_same_after_a_year_of_which_all_is_kept() {
    let mut house = House::new(Plan::of(false));
    let costs = house.months(house.plan.months);
    let segments = house.plan.cameras * house.sequence;
    let bytes: u64 = house.kept().iter().map(|(bytes, _)| bytes).sum();
    assert_eq!(bytes, segments * SEGMENT_BYTES as u64, "nothing went");
    // In the first, half of what there is to look at is not there yet.
    compare(&costs[1], costs.last().unwrap());
    compare_cpu(&mut house, 1);
}
