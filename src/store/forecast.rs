//! For how long footage will be kept at the rate at which it comes: a pure reckoning, from what the catalog has of the last week.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::StreamId;

use super::age::{DAY_US, Now};
use super::{DiskStatus, DiskUse, MountedDisk, Shared};
use crate::config::{Tier, size_text};

/// How far back rates are measured: a camera that is off at night, or on Sundays, is not taken for one that records more or less.
pub(super) const RATE_US_MAX: i64 = 7 * DAY_US;
/// Of less footage than this no rate is told.
pub(super) const RATE_US_MIN: i64 = 600_000_000;
/// A disk of which held footage leaves less than this part to new footage is told of.
const HELD_LEAVES_PART: u64 = 5;

/// What a disk has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The disk's folder.
    pub path: PathBuf,
    /// Whether it is for old footage only.
    pub cold: bool,
    /// Bytes that footage may take of it, in all.
    pub bytes: u64,
    /// Bytes that it takes now.
    pub used_bytes: u64,
    /// Those of them that are held.
    pub held_bytes: u64,
    /// What is recorded to it in a day.
    pub bytes_per_day: Option<u64>,
}

/// A camera and what it records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// The camera's name.
    pub camera: String,
    /// The folder of the disk that it is recorded to, where it has one.
    pub pinned: Option<PathBuf>,
    /// What it records in a day, on average.
    pub bytes_per_day: Option<u64>,
    /// Days after which its segments are deleted.
    pub keep_days: Option<u32>,
    /// Bytes that it may keep.
    pub max_bytes: Option<u64>,
}

/// What will be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forecast {
    /// The mounted disks.
    pub disks: Vec<DiskForecast>,
    /// The cameras of the configuration.
    pub cameras: Vec<CameraForecast>,
}

/// What will be of a disk.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskForecast {
    /// What it has room for.
    pub room: Room,
    /// Days until it is full and its oldest footage begins to go; 0 where it does already. `None` where that is not known.
    pub full_in_days: Option<f64>,
    /// What will go wrong, and what to do, in a sentence.
    pub trouble: Option<String>,
}

/// What will be of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraForecast {
    /// What it records.
    pub load: Load,
    /// For how many days its footage will be kept; `None` where that is not known, or there is no end.
    pub days: Option<f64>,
    /// What will go wrong, and what to do, in a sentence.
    pub trouble: Option<String>,
}

/// Makes a forecast for all who ask, and says in the log what troubles are new. While the time is not known none is made.
pub(super) fn tell(shared: &Shared, now: Option<Now>, held: &HashMap<(StreamId, u16), u64>) {
    let Some(now) = now else { return };
    let rates = Rates::measure(shared, now.wall_us);
    let room = |disk: &Arc<MountedDisk>| {
        let number = disk.number();
        let on_it = held.iter().filter(|((_, on), _)| *on == number);
        Room {
            held_bytes: on_it.map(|(_, bytes)| bytes).sum(),
            bytes_per_day: rates.of_disks.get(&number).copied(),
            ..room_of(shared, disk)
        }
    };
    let rooms: Vec<_> = in_use(shared).iter().map(room).collect();
    let load = |camera: &super::CameraBudget| {
        let of_it = camera.streams.iter();
        let known: Vec<_> = of_it
            .filter_map(|stream| rates.of_streams.get(stream))
            .collect();
        Load {
            camera: camera.name.clone(),
            pinned: camera
                .streams
                .iter()
                .find_map(|stream| shared.slots.pinned_to(stream))
                .map(Path::to_owned),
            bytes_per_day: (!known.is_empty()).then(|| known.into_iter().sum()),
            keep_days: camera.keep_days,
            max_bytes: camera.max_bytes,
        }
    };
    let loads = shared.cameras.iter().map(load).collect();
    let told = forecast(&rooms, loads, shared.cold_after_days);
    let mut last = shared.forecast();
    let before: Vec<_> = last.troubles().map(str::to_owned).collect();
    for trouble in told
        .troubles()
        .filter(|trouble| !before.iter().any(|known| known == trouble))
    {
        tracing::warn!("{trouble}");
    }
    *last = told;
}

/// Bytes that footage may take of all disks together.
pub(super) fn room_bytes(shared: &Shared) -> u64 {
    let rooms = in_use(shared);
    rooms.iter().map(|disk| room_of(shared, disk).bytes).sum()
}

/// The mounted disks to which something new goes: none that is emptied.
fn in_use(shared: &Shared) -> Vec<Arc<MountedDisk>> {
    let mut mounted = shared.slots.mounted();
    mounted.retain(|disk| !shared.slots.is_draining(disk.id));
    mounted
}

/// What a disk has room for, nothing being held or recorded.
fn room_of(shared: &Shared, disk: &MountedDisk) -> Room {
    let state = shared.state(disk);
    // A file system that does not answer promises no room.
    let free = match state.free_bytes {
        u64::MAX => 0,
        free_bytes => free_bytes.saturating_sub(state.reserve_bytes),
    };
    let most = state.used_bytes.saturating_add(free);
    Room {
        path: disk.path.clone(),
        cold: disk.tier == Tier::Cold,
        bytes: state.max_bytes.map_or(most, |max| max.min(most)),
        used_bytes: state.used_bytes,
        held_bytes: 0,
        bytes_per_day: None,
    }
}

/// Bytes a day.
#[derive(Default)]
struct Rates {
    of_streams: HashMap<StreamId, u64>,
    of_disks: BTreeMap<u16, u64>,
}

impl Rates {
    fn measure(shared: &Shared, now_us: i64) -> Self {
        let mut rates = Self::default();
        let since_us = now_us.saturating_sub(RATE_US_MAX);
        for stream in shared.catalog.streams() {
            let recorded = shared.catalog.recorded_since(&stream, since_us);
            let Some((first_us, bytes)) = recorded else {
                continue;
            };
            let passed_us = now_us.saturating_sub(first_us);
            if passed_us < RATE_US_MIN {
                continue;
            }
            let per_day = |bytes: u64| (bytes as f64 * DAY_US as f64 / passed_us as f64) as u64;
            rates
                .of_streams
                .insert(stream, per_day(bytes.values().sum()));
            for (disk, bytes) in bytes {
                *rates.of_disks.entry(disk).or_default() += per_day(bytes);
            }
        }
        rates
    }
}

impl Forecast {
    /// What will be of a disk; `None` where nothing new goes to it, also where that was not so yet when this was reckoned.
    pub fn of_disk(&self, disk: &DiskStatus) -> Option<&DiskForecast> {
        let mut foreseen = self.disks.iter();
        let found = foreseen.find(|foreseen| foreseen.room.path == disk.path);
        found.filter(|_| disk.state == DiskUse::InUse)
    }

    /// What will go wrong, in sentences.
    pub fn troubles(&self) -> impl Iterator<Item = &str> {
        let disks = self.disks.iter().map(|disk| &disk.trouble);
        let cameras = self.cameras.iter().map(|camera| &camera.trouble);
        disks
            .chain(cameras)
            .filter_map(|trouble| trouble.as_deref())
    }
}

/// What follows from what is recorded and the room that there is. `cold_after_days` is the age at which footage moves to cold disks.
///
/// Disks for new footage are taken together, since of all that is on them the oldest goes; but for a disk that cameras which are
/// bound to it fill before the others are full. Cold disks have what has grown old enough on the others, or has no room there any more.
pub fn forecast(rooms: &[Room], loads: Vec<Load>, cold_after_days: Option<u32>) -> Forecast {
    let new_days = new_days(rooms, &loads);
    let days = with_cold(rooms, &loads, &new_days, cold_after_days.map(f64::from));
    let camera = |(load, by_room): (Load, Option<f64>)| {
        let days = match (by_room, limit_days(&load)) {
            (Some(all), Some(own)) => Some(all.min(own)),
            (days, own) => days.or(own),
        };
        let days = days.filter(|_| load.bytes_per_day.is_some());
        CameraForecast {
            trouble: days.and_then(|days| keeps_less(&load, days)),
            days,
            load,
        }
    };
    Forecast {
        disks: rooms.iter().map(disk).collect(),
        cameras: loads.into_iter().zip(days).map(camera).collect(),
    }
}

/// For how many days the disks for new footage have room for each camera; `None` where they have for all that it is to keep.
fn new_days(rooms: &[Room], loads: &[Load]) -> Vec<Option<f64>> {
    let mut days = vec![None; loads.len()];
    let mut pool: Vec<_> = rooms.iter().filter(|room| !room.cold).collect();
    let mut left: Vec<_> = (0..loads.len()).collect();
    loop {
        let all = days_for_all(pool.iter().map(|room| free(room)).sum(), of(loads, &left));
        let is_bound =
            |index: &usize, room: &Room| loads[*index].pinned.as_ref() == Some(&room.path);
        let alone = |room: &&Room| {
            let bound: Vec<_> = left
                .iter()
                .copied()
                .filter(|index| is_bound(index, room))
                .collect();
            let own = days_for_all(free(room), of(loads, &bound))?;
            all.is_none_or(|all| own < all).then_some((own, bound))
        };
        let mut fuller = pool.iter().enumerate();
        let fuller = fuller.find_map(|(at, room)| Some((at, alone(room)?)));
        let Some((at, (own, bound))) = fuller else {
            left.into_iter().for_each(|index| days[index] = all);
            return days;
        };
        pool.remove(at);
        left.retain(|index| !bound.contains(index));
        bound.into_iter().for_each(|index| days[index] = Some(own));
    }
}

/// The same with cold disks, for what gets there: at the age at which it moves, or when the others are full.
fn with_cold(
    rooms: &[Room],
    loads: &[Load],
    new_days: &[Option<f64>],
    after: Option<f64>,
) -> Vec<Option<f64>> {
    if !rooms.iter().any(|room| room.cold) {
        return new_days.to_vec();
    }
    let cold_bytes: u64 = rooms.iter().filter(|room| room.cold).map(free).sum();
    let moves = |index: usize| match (new_days[index], after) {
        (Some(full), Some(after)) => Some(full.min(after)),
        (full, after) => full.or(after),
    };
    let (old, moves_after): (Vec<_>, Vec<_>) = (0..loads.len())
        .filter_map(|index| Some((index, moves(index)?)))
        .unzip();
    let left = |((limit, rate), after): ((f64, f64), &f64)| ((limit - after).max(0.0), rate);
    let cold = days_for_all(cold_bytes, of(loads, &old).zip(&moves_after).map(left));
    let total = |(index, new): (usize, &Option<f64>)| match (new, moves(index)) {
        (Some(new), Some(after)) => cold.map(|cold| new.max(after + cold)),
        (new, _) => *new,
    };
    new_days.iter().enumerate().map(total).collect()
}

fn free(room: &Room) -> u64 {
    room.bytes.saturating_sub(room.held_bytes)
}

/// For how many days cameras are to keep their footage, without end where nothing says so, and bytes a day.
fn of<'a>(loads: &'a [Load], indices: &'a [usize]) -> impl Iterator<Item = (f64, f64)> + 'a {
    let limit = |load: &Load| limit_days(load).unwrap_or(f64::INFINITY);
    let rate = |load: &Load| load.bytes_per_day.unwrap_or(0) as f64;
    let loads = indices.iter().map(|index| &loads[*index]);
    loads.map(move |load| (limit(load), rate(load)))
}

fn disk(room: &Room) -> DiskForecast {
    let left = room.bytes.saturating_sub(room.used_bytes);
    let days = |per_day: u64| left as f64 / per_day.max(1) as f64;
    let is_held = room.held_bytes > room.bytes - room.bytes / HELD_LEAVES_PART;
    let trouble = is_held.then(|| {
        format!(
            "footage that is held takes {} of the {} that this disk has for footage, and new footage is deleted early for it: end holds \
             that are not needed any more, or add a disk",
            size_text(room.held_bytes),
            size_text(room.bytes)
        )
    });
    DiskForecast {
        full_in_days: match left {
            0 => Some(0.0),
            _ => room.bytes_per_day.map(days),
        },
        room: room.clone(),
        trouble,
    }
}

/// The days for which there is room where the oldest of all goes; `None` where everything is kept for as long as it is to be.
fn days_for_all(room_bytes: u64, limits: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let mut limits: Vec<_> = limits.collect();
    limits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut growing: f64 = limits.iter().map(|(_, rate)| rate).sum();
    let (mut days, mut left) = (0.0, room_bytes as f64);
    for (limit, rate) in limits {
        // All that still grow do so until the next one has what it is to keep.
        let needed = growing * (limit - days);
        if growing > 0.0 && needed > left {
            return Some(days + left / growing);
        }
        if limit.is_infinite() {
            return None;
        }
        left -= needed;
        days = limit;
        growing -= rate;
    }
    None
}

/// For how long a camera's footage is kept where there is room.
fn limit_days(load: &Load) -> Option<f64> {
    let by_age = load.keep_days.map(f64::from);
    let by_bytes = match (load.max_bytes, load.bytes_per_day) {
        (Some(max), Some(rate)) if rate > 0 => Some(max as f64 / rate as f64),
        _ => None,
    };
    match (by_age, by_bytes) {
        (Some(age), Some(bytes)) => Some(age.min(bytes)),
        (age, bytes) => age.or(bytes),
    }
}

fn keeps_less(load: &Load, days: f64) -> Option<String> {
    let wanted = load.keep_days?;
    // What is measured varies: a hundredth less is no news.
    if days >= f64::from(wanted) * 0.99 {
        return None;
    }
    let remedy = match limit_days(load).is_some_and(|limit| limit <= days) {
        true => "raise its max_bytes, or lower its keep_days",
        false => "add a disk, or lower keep_days",
    };
    Some(format!(
        "camera \"{}\": keep_days is {wanted}, and at the rate at which it records there is room for {days:.1} days: {remedy}",
        load.camera
    ))
}

#[cfg(test)]
mod tests {
    use super::super::AbsentDisk;
    use super::*;
    use crate::config;

    fn room(bytes: u64, held_bytes: u64) -> Room {
        Room {
            path: PathBuf::from("/disk"),
            cold: false,
            bytes,
            used_bytes: bytes / 2,
            held_bytes,
            bytes_per_day: Some(10),
        }
    }

    fn load(rate: u64, keep_days: Option<u32>, max_bytes: Option<u64>) -> Load {
        Load {
            camera: "yard".to_owned(),
            pinned: None,
            bytes_per_day: Some(rate),
            keep_days,
            max_bytes,
        }
    }

    fn days(room_bytes: u64, loads: &[Load]) -> Vec<Option<f64>> {
        let told = forecast(&[room(room_bytes, 0)], loads.to_vec(), None);
        told.cameras.iter().map(|camera| camera.days).collect()
    }

    #[test]
    fn the_room_is_shared_by_those_who_still_need_it() {
        // 5 for 2 days are 10; the other has 90 left, at 10 a day.
        let two = [load(5, Some(2), None), load(10, None, None)];
        assert_eq!(days(100, &two), [Some(2.0), Some(9.0)]);
        assert_eq!(days(15, &two), [Some(1.0), Some(1.0)]);
        let limited = [load(5, Some(2), None), load(10, None, Some(40))];
        assert_eq!(days(100, &limited), [Some(2.0), Some(4.0)]);
        assert_eq!(days(0, &two), [Some(0.0), Some(0.0)]);
        let mut unknown = load(0, Some(2), None);
        unknown.bytes_per_day = None;
        assert_eq!(days(100, &[unknown]), [None]);
        assert_eq!(days(100, &[load(0, None, None)]), [None]);
    }

    #[test]
    fn who_cannot_keep_what_he_promises_is_told_so_before() {
        let trouble = |room_bytes, load| {
            forecast(&[room(room_bytes, 0)], vec![load], None).cameras[0]
                .trouble
                .clone()
        };
        assert_eq!(trouble(100, load(10, Some(10), None)), None);
        let small = trouble(50, load(10, Some(10), None)).unwrap();
        assert!(small.contains("5.0 days: add a disk"), "{small}");
        let budget = trouble(500, load(10, Some(10), Some(40))).unwrap();
        assert!(budget.contains("4.0 days: raise its max_bytes"), "{budget}");
    }

    #[test]
    fn held_footage_takes_room_and_is_told_of_before_it_takes_all() {
        let told = |held| forecast(&[room(100, held)], vec![load(10, None, None)], None);
        assert_eq!(told(20).cameras[0].days, Some(8.0));
        assert_eq!(told(80).disks[0].trouble, None);
        let trouble = told(81).disks[0].trouble.clone().unwrap();
        assert!(trouble.contains("end holds"), "{trouble}");
        assert_eq!(told(0).disks[0].full_in_days, Some(5.0));
    }

    #[test]
    fn of_a_disk_that_is_not_in_use_any_more_nothing_is_told() {
        let told = forecast(&[room(100, 0)], Vec::new(), None);
        let mut disk = AbsentDisk {
            wanted: config::Disk {
                path: told.disks[0].room.path.clone(),
                max_bytes: None,
                tier: Tier::Hot,
            },
            index: 0,
            id: None,
            error: "it is not mounted".to_owned(),
        }
        .status();
        for state in [DiskUse::Absent, DiskUse::Draining, DiskUse::Drained] {
            disk.state = state;
            assert_eq!(told.of_disk(&disk), None, "{state:?}");
        }
        disk.state = DiskUse::InUse;
        assert_eq!(told.of_disk(&disk), told.disks.first());
    }

    fn at(path: &str, bytes: u64, cold: bool) -> Room {
        Room {
            path: PathBuf::from(path),
            cold,
            ..room(bytes, 0)
        }
    }

    fn told(rooms: &[Room], loads: &[Load], cold_after_days: Option<u32>) -> Vec<Option<f64>> {
        let told = forecast(rooms, loads.to_vec(), cold_after_days);
        told.cameras.iter().map(|camera| camera.days).collect()
    }

    #[test]
    fn a_camera_that_is_bound_to_a_disk_has_the_room_of_that_disk() {
        let rooms = [at("/small", 50, false), at("/large", 1000, false)];
        let bound = |rate, path: &str| Load {
            pinned: Some(PathBuf::from(path)),
            ..load(rate, None, None)
        };
        let free = load(10, None, None);
        // The small one is full after 5 days, and the others have all of the large one.
        let one = [bound(10, "/small"), free.clone()];
        assert_eq!(told(&rooms, &one, None), [Some(5.0), Some(100.0)]);
        // Who is bound to a disk with more than its share leaves the rest of it to the others.
        let other = [bound(10, "/large"), free.clone()];
        assert_eq!(told(&rooms, &other, None), [Some(52.5), Some(52.5)]);
        let gone = [bound(10, "/away"), free];
        assert_eq!(told(&rooms, &gone, None), [Some(52.5), Some(52.5)]);
    }

    #[test]
    fn cold_disks_have_what_moves_there() {
        let rooms = [at("/new", 100, false), at("/old", 500, true)];
        let one = [load(10, None, None)];
        let full = Some(60.0);
        assert_eq!(told(&rooms, &one, None), [full], "as the other is full");
        assert_eq!(told(&rooms, &one, Some(7)), [Some(57.0)]);
        assert_eq!(told(&rooms, &one, Some(11)), [full], "before it is old");
        assert_eq!(
            told(&rooms, &[load(10, Some(30), None)], Some(7)),
            [Some(30.0)]
        );
    }
}
