//! What is not asked of the recorder: each excuse is about a time, and about a camera, a disk or some segments.

use std::collections::{BTreeMap, BTreeSet};

use hearthkeep_format::{SegmentId, StreamId};

/// From trouble with footage on a disk, what may be missing before and after it: until it is over, a disk is asked again and a key frame
/// comes.
const TROUBLE_BEFORE_US: u64 = 4_000_000;
const TROUBLE_AFTER_US: u64 = 16_000_000;
/// From a plan that could not be carried out to the next.
const PLAN_WAITS_US: u64 = 60_000_000;
/// Two spans that are no further apart are one.
const TOGETHER_US: u64 = 1_000_000;

/// From when to when, true time, us.
type Span = (u64, u64);

#[derive(Default)]
pub struct Excuses {
    /// When footage may be missing of all cameras, or of one.
    spans: Vec<(Span, Option<usize>)>,
    /// When a disk gave trouble with footage.
    troubles: BTreeMap<usize, Vec<Span>>,
    /// When any of them did, but for saying that it is full while it shows room.
    failures: Vec<Span>,
    /// When a stream's footage was written to a disk, or was to be.
    touched: BTreeMap<(usize, StreamId), Vec<Span>>,
    plans: Vec<Plan>,
}

/// What was planned before may be deleted later, though its reason has gone meanwhile.
struct Plan {
    /// Of one disk, or of all.
    disk: Option<usize>,
    segments: BTreeSet<SegmentId>,
    until_us: u64,
    /// The next start, or the disk's return, goes on with it.
    goes_on: bool,
}

impl Excuses {
    pub fn excuse(&mut self, from_us: u64, to_us: u64, camera: Option<usize>) {
        match self.spans.last_mut() {
            Some(((from, to), of)) if *of == camera && from_us <= *to && from_us >= *from => {
                *to = to_us.max(*to);
            }
            _ => self.spans.push(((from_us, to_us), camera)),
        }
    }

    /// A disk gave trouble with footage from one time to another.
    pub fn trouble(&mut self, disk: usize, from_us: u64, to_us: u64) {
        add(&mut self.failures, (from_us, to_us));
        self.is_full(disk, from_us, to_us);
    }

    /// A disk did not take footage, which it may say while it shows room.
    pub fn is_full(&mut self, disk: usize, from_us: u64, to_us: u64) {
        add(self.troubles.entry(disk).or_default(), (from_us, to_us));
    }

    /// A stream's footage is written to a disk.
    pub fn touch(&mut self, disk: usize, stream: StreamId, now_us: u64) {
        add(
            self.touched.entry((disk, stream)).or_default(),
            (now_us, now_us),
        );
    }

    /// Whether a picture of this time may be missing: nobody took it, or the disk gave trouble to which it, or what came around it, went;
    /// or all `disks` of them did.
    pub fn is_excused(
        &self,
        at_us: u64,
        (camera, stream): (usize, StreamId),
        disks: usize,
    ) -> bool {
        let mut spans = self.spans.iter();
        if spans.any(|((from, to), of)| {
            (*from..=*to).contains(&at_us) && of.is_none_or(|of| of == camera)
        }) {
            return true;
        }
        let (mut is_touched, mut in_trouble) = (false, 0);
        for (disk, troubles) in &self.troubles {
            let around = troubles.iter().map(|(from, to)| {
                let from = from.saturating_sub(TROUBLE_BEFORE_US);
                (from, to + TROUBLE_AFTER_US)
            });
            let around = around.filter(|(from, to)| (*from..=*to).contains(&at_us));
            let around: Vec<_> = around.collect();
            let touched = self.touched.get(&(*disk, stream));
            is_touched |=
                touched.is_some_and(|touched| around.iter().any(|span| meets(touched, *span)));
            in_trouble += usize::from(!around.is_empty());
        }
        is_touched || in_trouble == disks
    }

    /// Whether nothing was excused since a time, and no plan waits.
    pub fn is_quiet(&self, since_us: u64, now_us: u64) -> bool {
        let spans = self.spans.iter().map(|(span, _)| span);
        let mut all = spans.chain(self.troubles.values().flatten());
        all.all(|(_, to_us)| *to_us < since_us)
            && self.plans.iter().all(|plan| plan.until_us <= now_us)
    }

    /// The same, whatever disks did not take that show room.
    pub fn is_quiet_but_for_room(&self, since_us: u64) -> bool {
        let spans = self.spans.iter().map(|(span, _)| span);
        let mut all = spans.chain(&self.failures);
        all.all(|(_, to_us)| *to_us < since_us)
    }

    /// What is planned for these segments is carried out later, and may have no reason then.
    pub fn plan_waits(
        &mut self,
        now_us: u64,
        disk: Option<usize>,
        segments: BTreeSet<SegmentId>,
        goes_on: bool,
    ) {
        self.plans.push(Plan {
            disk,
            segments,
            until_us: now_us + PLAN_WAITS_US,
            goes_on,
        });
    }

    /// The recorder starts with a disk, or takes it in: it goes on with what was begun there.
    pub fn begins_with(&mut self, disk: usize, now_us: u64) {
        let of_it = |plan: &&mut Plan| plan.goes_on && plan.disk.is_none_or(|of| of == disk);
        for plan in self.plans.iter_mut().filter(of_it) {
            plan.until_us = now_us + PLAN_WAITS_US;
            plan.goes_on = plan.disk.is_none();
        }
    }

    /// Whether a segment may have been planned to be deleted from a disk.
    pub fn is_planned(&self, now_us: u64, disk: usize, segment: &SegmentId) -> bool {
        self.plans.iter().any(|plan| {
            now_us < plan.until_us
                && plan.disk.is_none_or(|of| of == disk)
                && plan.segments.contains(segment)
        })
    }
}

fn add(spans: &mut Vec<Span>, (from_us, to_us): Span) {
    match spans.last_mut() {
        Some((from, to)) if from_us <= *to + TOGETHER_US && to_us >= *from => {
            *from = from_us.min(*from);
            *to = to_us.max(*to);
        }
        _ => spans.push((from_us, to_us)),
    }
}

fn meets(spans: &[Span], (from_us, to_us): Span) -> bool {
    spans
        .iter()
        .any(|(from, to)| *from <= to_us && *to >= from_us)
}
