//! The summaries of a stream's buckets, summed up in a tree: what is asked of all of a stream's history costs a few groups of it,
//! however long that is.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::directory::Summary;
use crate::store::age::{Piece, Run};

/// Levels above the buckets, and how many of the level below a group has, as a power of two: the highest ones have 65,536 buckets.
pub(crate) const LEVELS: u8 = 4;
const BITS: u8 = 4;

/// A bucket, or buckets that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// 0 for a bucket.
    pub(crate) level: u8,
    /// Its number among those of its level.
    pub(crate) number: u64,
    /// The earliest start and the latest end of its segments, wall time in us.
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) segments: usize,
    /// Each disk that has any of them, how many bytes, and the earliest start of a bucket that has some there.
    pub(crate) disks: Vec<(u16, u64, i64)>,
    /// What ages are counted by.
    pub(crate) run: Run,
}

/// How a walk goes on after a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// What is in it is not looked at.
    Over,
    /// With what is in it.
    Into,
    /// Not at all.
    Stop,
}

/// From which end a walk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

/// The groups of a stream, by level and number.
#[derive(Debug, Default)]
pub(crate) struct Groups([BTreeMap<u64, Group>; LEVELS as usize]);

type Summaries = BTreeMap<u64, Summary>;

/// The numbers of the buckets of a group.
pub(crate) fn buckets(level: u8, number: u64) -> RangeInclusive<u64> {
    let bits = level * BITS;
    let first = number << bits;
    first..=first | ((1 << bits) - 1)
}

impl Group {
    pub(crate) fn of(number: u64, summary: &Summary) -> Self {
        let on_it = summary.bytes.iter();
        let piece = Piece {
            number,
            from_us: summary.from_us,
            to_us: summary.to_us,
            dated: true,
        };
        Self {
            level: 0,
            number,
            from_us: summary.from_us,
            to_us: summary.to_us,
            segments: summary.fingerprints.len(),
            disks: on_it
                .map(|(d, bytes)| (*d, *bytes, summary.from_us))
                .collect(),
            run: Run::of(&piece),
        }
    }

    /// The numbers of its buckets.
    pub(crate) fn buckets(&self) -> RangeInclusive<u64> {
        buckets(self.level, self.number)
    }

    /// Takes in what is older than all that it has.
    fn take_in(&mut self, older: &Self) {
        self.from_us = self.from_us.min(older.from_us);
        self.to_us = self.to_us.max(older.to_us);
        self.segments += older.segments;
        for (disk, bytes, from_us) in &older.disks {
            match self.disks.iter_mut().find(|(known, ..)| known == disk) {
                Some((_, sum, since_us)) => {
                    *sum += bytes;
                    *since_us = (*since_us).min(*from_us);
                }
                None => self.disks.push((*disk, *bytes, *from_us)),
            }
        }
        self.run = self.run.after(&older.run);
    }
}

impl Groups {
    /// Sums all up anew.
    pub(crate) fn of(summaries: &Summaries) -> Self {
        let mut groups = Self::default();
        for level in 1..=LEVELS {
            let mut last = None;
            let mut numbers = Vec::new();
            let mut add = |below: u64| {
                if last.replace(below >> BITS) != Some(below >> BITS) {
                    numbers.push(below >> BITS);
                }
            };
            match level {
                1 => summaries.keys().for_each(|number| add(*number)),
                _ => groups.0[usize::from(level) - 2]
                    .keys()
                    .for_each(|number| add(*number)),
            }
            numbers
                .into_iter()
                .for_each(|number| groups.sum_up(summaries, level, number));
        }
        groups
    }

    /// Sums up what a bucket is in, which has changed.
    pub(crate) fn renew(&mut self, summaries: &Summaries, bucket: u64) {
        for level in 1..=LEVELS {
            self.sum_up(summaries, level, bucket >> (level * BITS));
        }
    }

    fn sum_up(&mut self, summaries: &Summaries, level: u8, number: u64) {
        let first = number << BITS;
        let below = first..=first | ((1 << BITS) - 1);
        let mut sum: Option<Group> = None;
        let mut add = |group: &Group| match &mut sum {
            Some(sum) => sum.take_in(group),
            None => {
                sum = Some(Group {
                    level,
                    number,
                    ..group.clone()
                });
            }
        };
        match level {
            1 => {
                let buckets = summaries.range(below).rev();
                buckets.for_each(|(number, summary)| add(&Group::of(*number, summary)));
            }
            _ => {
                let groups = self.0[usize::from(level) - 2].range(below).rev();
                groups.for_each(|(_, group)| add(group));
            }
        }
        let of_level = &mut self.0[usize::from(level) - 1];
        match sum {
            Some(sum) => _ = of_level.insert(number, sum),
            None => _ = of_level.remove(&number),
        }
    }

    /// Looks at groups from the highest level down, as far as `look` says, and at the buckets in them; only at what has some of the
    /// buckets of these numbers. Whether it was stopped.
    pub(crate) fn walk(
        &self,
        summaries: &Summaries,
        level: u8,
        buckets: RangeInclusive<u64>,
        order: Order,
        look: &mut dyn FnMut(&Group) -> Step,
    ) -> bool {
        let bits = level * BITS;
        let (first, last) = (buckets.start() >> bits, buckets.end() >> bits);
        let mut at = match level {
            0 => Range::Buckets(summaries.range(first..=last)),
            _ => Range::Groups(self.0[usize::from(level) - 1].range(first..=last)),
        };
        while let Some(group) = at.next(order) {
            match look(&group) {
                Step::Over => {}
                Step::Into if level == 0 => {}
                Step::Into => {
                    let of_it = group.buckets();
                    let from = *of_it.start().max(buckets.start());
                    let to = *of_it.end().min(buckets.end());
                    if self.walk(summaries, level - 1, from..=to, order, look) {
                        return true;
                    }
                }
                Step::Stop => return true,
            }
        }
        false
    }
}

enum Range<'a> {
    Buckets(std::collections::btree_map::Range<'a, u64, Summary>),
    Groups(std::collections::btree_map::Range<'a, u64, Group>),
}

impl<'a> Range<'a> {
    fn next(&mut self, order: Order) -> Option<std::borrow::Cow<'a, Group>> {
        use std::borrow::Cow;
        match self {
            Self::Buckets(range) => {
                let next = match order {
                    Order::OldestFirst => range.next(),
                    Order::NewestFirst => range.next_back(),
                };
                next.map(|(number, summary)| Cow::Owned(Group::of(*number, summary)))
            }
            Self::Groups(range) => {
                let next = match order {
                    Order::OldestFirst => range.next(),
                    Order::NewestFirst => range.next_back(),
                };
                next.map(|(_, group)| Cow::Borrowed(group))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hearthkeep_format::{Random, SeededRandom, StreamId};

    use super::super::directory::Directory;
    use super::*;

    const STREAM: StreamId = StreamId::from_bytes([1; 16]);

    fn below(random: &mut SeededRandom, end: u64) -> u64 {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        u64::from_be_bytes(bytes) % end
    }

    fn summary(random: &mut SeededRandom, number: u64) -> Summary {
        // Mostly in order, now and then by a clock that is wrong.
        let off = if below(random, 9) == 0 { 5_000 } else { 20 };
        let from_us = (number * 10 + below(random, off)) as i64;
        Summary {
            from_us,
            to_us: from_us + below(random, 30) as i64,
            bytes: [(below(random, 3) as u16, 1 + below(random, 9))].into(),
            fingerprints: vec![0; 1 + below(random, 4) as usize].into(),
        }
    }

    /// Whatever is set and forgotten, in whichever order: the sums are those of all there is, and what is found by them is what one
    /// finds who looks at every bucket.
    #[test]
    fn sums_are_those_of_what_is_there() {
        let mut random = SeededRandom::new(8);
        let mut directory = Directory::default();
        for round in 0..3_000 {
            let number = below(&mut random, 700) + below(&mut random, 2) * (1 << 40);
            let set = match below(&mut random, 3) {
                0 => None,
                _ => Some(summary(&mut random, number)),
            };
            directory.set(STREAM, number, set);
            if round % 50 > 0 {
                continue;
            }
            let summaries = directory.streams[&STREAM].clone();
            let at_us = below(&mut random, 8_000) as i64;
            let disk = below(&mut random, 3) as u16;
            let has = |s: &Summary| s.bytes.iter().any(|(on, _)| *on == disk);
            let mut wanted = |group: &Group| group.disks.iter().any(|(on, ..)| *on == disk);
            let first = directory.first_wanted(&STREAM, number, &mut wanted);
            let naive = summaries.range(number..).find(|(_, s)| has(s));
            assert_eq!(first.map(|group| group.number), naive.map(|(n, _)| *n));
            let within = summaries.iter();
            let within = within.filter(|(_, s)| s.from_us < at_us + 90 && s.to_us > at_us);
            let within: Vec<_> = within.map(|(number, _)| *number).collect();
            assert_eq!(directory.within(&STREAM, at_us, at_us + 90), within);
            let later = summaries.values().filter(|s| s.to_us > at_us);
            let later = later.map(|s| s.from_us.max(at_us)).min();
            let found = directory.first_from(&STREAM, at_us);
            assert_eq!(found.map(|n| summaries[&n].from_us.max(at_us)), later);
            let earlier = summaries.values().filter(|s| s.from_us < at_us);
            let earlier = earlier.map(|s| s.to_us.min(at_us)).max();
            let found = directory.last_before(&STREAM, at_us);
            assert_eq!(found.map(|n| summaries[&n].to_us.min(at_us)), earlier);
            let sums = |directory: &Directory| {
                let mut all = Vec::new();
                directory.walk(&STREAM, 0..=u64::MAX, Order::NewestFirst, &mut |group| {
                    all.push(group.clone());
                    Step::Into
                });
                all
            };
            let kept = sums(&directory);
            let bytes: u64 = summaries.values().flat_map(|s| &s.bytes).map(|b| b.1).sum();
            let highest = kept.iter().filter(|group| group.level == LEVELS);
            let summed = highest
                .flat_map(|group| &group.disks)
                .map(|d| d.1)
                .sum::<u64>();
            assert_eq!(summed, bytes);
            directory.sum_up();
            // On which disk which bytes are, is told in no order.
            let sorted = |mut groups: Vec<Group>| {
                groups.iter_mut().for_each(|group| group.disks.sort());
                groups
            };
            assert_eq!(sorted(kept), sorted(sums(&directory)));
        }
    }
}
