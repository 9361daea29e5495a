//! Which of the footage that is listed is damaged, or may be.

use std::collections::HashMap;

use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{SegmentId, StreamId};
use serde::{Deserialize, Serialize};

use super::gaps::Logged;
use super::local::Local;
use crate::keys::StateFolder;
use crate::record::{DAMAGED, ROTTEN};
use crate::store;
use crate::store::browse::Listed;

/// From when to when something is damaged, or may be. Scripts rely on these names, and a box tells it by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Damage {
    pub start_us: i64,
    pub end_us: i64,
    /// What it is, for people.
    pub sentence: String,
}

impl Damage {
    /// The part that lies within a span.
    pub fn within(&self, start_us: i64, end_us: i64) -> Option<Self> {
        let part = Self {
            start_us: self.start_us.max(start_us),
            end_us: self.end_us.min(end_us),
            ..self.clone()
        };
        (part.start_us < part.end_us).then_some(part)
    }
}

/// How much that is, in microseconds, counted once where two of them overlap. They are in the order in which they begin.
pub(super) fn length_us(all: &[Damage]) -> i64 {
    let mut until_us = i64::MIN;
    let mut length_us = 0;
    for damage in all {
        length_us += (damage.end_us - damage.start_us.max(until_us)).max(0);
        until_us = until_us.max(damage.end_us);
    }
    length_us
}

/// Spans that are damaged, or may be, to be asked for segment by segment.
pub(super) struct Marks {
    /// In the order in which they begin.
    marks: Vec<Damage>,
    /// Until when one of those up to here lasts, which only grows: all before the first that lasts long enough are over.
    until_us: Vec<i64>,
}

impl Marks {
    /// Marks in any order; what is told twice counts once.
    pub fn new(mut all: Vec<Damage>) -> Self {
        all.sort_by(|one, other| {
            (&one.sentence, one.start_us).cmp(&(&other.sentence, other.start_us))
        });
        let mut marks: Vec<Damage> = Vec::new();
        for mark in all {
            match marks.last_mut() {
                Some(last) if last.sentence == mark.sentence && mark.start_us < last.end_us => {
                    last.end_us = last.end_us.max(mark.end_us);
                }
                _ => marks.push(mark),
            }
        }
        marks.sort_by_key(|mark| mark.start_us);
        let lasting = marks.iter().scan(i64::MIN, |until_us, mark| {
            *until_us = mark.end_us.max(*until_us);
            Some(*until_us)
        });
        let until_us = lasting.collect();
        Self { marks, until_us }
    }

    /// What of a span they mark, the earliest first.
    pub fn within(&self, start_us: i64, end_us: i64) -> Vec<Damage> {
        let first = self.until_us.partition_point(|until| *until <= start_us);
        let near = self.marks[first..].iter();
        let near = near.take_while(|mark| mark.start_us < end_us);
        near.filter_map(|mark| mark.within(start_us, end_us))
            .collect()
    }
}

/// What is known here.
pub(super) struct Known {
    /// Where packets of a stream were lost, as the log tells.
    lost_packets: HashMap<StreamId, Marks>,
    /// By segment, as the background scrub has found it.
    rotten: HashMap<SegmentId, Vec<(i64, i64)>>,
}

impl Known {
    /// What the log and the scrub have told; of disks by themselves the log alone.
    pub fn of(local: &Local, logged: &Logged) -> Self {
        let state = local.state().map(StateFolder::folder);
        Self {
            lost_packets: lost_packets(logged),
            rotten: state.map_or_else(HashMap::new, store::scrubbed),
        }
    }

    /// What of a segment is damaged, the earliest first.
    pub fn in_segment(&self, listed: &Listed) -> Vec<Damage> {
        let header = &listed.facts.header;
        let span = listed.span();
        let marks = self.lost_packets.get(&header.stream);
        let mut all = marks.map_or_else(Vec::new, |marks| marks.within(span.start, span.end));
        let rotten = self.rotten.get(&header.segment_id()).into_iter().flatten();
        let rotten = rotten.map(|&part| damage(part, ROTTEN));
        all.extend(rotten.filter_map(|damage| damage.within(span.start, span.end)));
        all.sort_by_key(|damage| damage.start_us);
        all
    }
}

fn damage((start_us, end_us): (i64, i64), what: &str) -> Damage {
    Damage {
        start_us,
        end_us,
        sentence: what.to_owned(),
    }
}

fn lost_packets(logged: &Logged) -> HashMap<StreamId, Marks> {
    let mut lost = HashMap::<_, Vec<_>>::new();
    let data = GapCause::CameraData.as_str();
    for ((stream, from_us), (to_us, _)) in logged.iter().filter(|(_, (_, cause))| *cause == data) {
        lost.entry(*stream)
            .or_default()
            .push(damage((*from_us, *to_us), DAMAGED));
    }
    let marks = |(stream, of_it)| (stream, Marks::new(of_it));
    lost.into_iter().map(marks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(all: &[Damage]) -> Vec<(i64, i64)> {
        let parts = all.iter().map(|damage| (damage.start_us, damage.end_us));
        parts.collect()
    }

    #[test]
    fn a_mark_counts_where_it_lies_over_footage() {
        let mark = damage((10, 20), ROTTEN);
        let part = |from, to| mark.within(from, to).map(|part| parts(&[part])[0]);
        assert_eq!(part(0, 30), Some((10, 20)));
        assert_eq!(part(12, 15), Some((12, 15)));
        assert_eq!(part(0, 11), Some((10, 11)));
        assert_eq!((part(0, 10), part(20, 30)), (None, None));
    }

    #[test]
    fn what_is_damaged_twice_counts_once() {
        let all = [(0, 10), (5, 8), (6, 20), (30, 31)].map(|part| damage(part, DAMAGED));
        assert_eq!(length_us(&all), 21);
        let twice = [(40, 50), (0, 10), (40, 52), (0, 10)].map(|part| damage(part, DAMAGED));
        assert_eq!(
            parts(&Marks::new(twice.to_vec()).marks),
            [(0, 10), (40, 52)]
        );
    }

    #[test]
    fn each_segment_has_the_marks_that_lie_over_it() {
        let all = [(0, 100), (10, 20), (30, 40), (95, 120), (200, 210)];
        let marks = Marks::new(
            (all.iter().zip([DAMAGED, ROTTEN].iter().cycle()))
                .map(|(&part, what)| damage(part, what))
                .collect(),
        );
        for start_us in -5..220 {
            for end_us in [start_us + 1, start_us + 7, start_us + 150] {
                let found = parts(&marks.within(start_us, end_us));
                let each = marks.marks.iter();
                let wanted: Vec<_> = each
                    .filter_map(|one| one.within(start_us, end_us))
                    .collect();
                assert_eq!(found, parts(&wanted), "{start_us} to {end_us}");
            }
        }
    }

    #[test]
    fn only_lost_packets_mark_footage() {
        let streams = [1, 2].map(|byte| StreamId::from_bytes([byte; 16]));
        let data = GapCause::CameraData.as_str();
        let logged = Logged::from([
            ((streams[0], 10), (20, data)),
            ((streams[0], 30), (40, GapCause::DiskError.as_str())),
            ((streams[0], 50), (60, data)),
            ((streams[1], 10), (20, data)),
        ]);
        let lost = lost_packets(&logged);
        assert_eq!(lost[&streams[0]].within(0, 50), [damage((10, 20), DAMAGED)]);
        assert_eq!(
            parts(&lost[&streams[0]].within(0, 60)),
            [(10, 20), (50, 60)]
        );
    }
}
