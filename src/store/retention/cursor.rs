//! The segments of a stream that a plan may take, one after the other.

use std::collections::{HashSet, VecDeque};

use hearthkeep_format::{SegmentId, StreamId};

use super::{Bucket, Buckets};
use crate::store::catalog::Entry;
use crate::store::held::Held;

/// Buckets that are read to find a date that can be believed.
const BUCKETS_AHEAD_MAX: usize = 4;

/// What may be taken.
pub(super) struct Rules<'a> {
    pub mounted: HashSet<u16>,
    pub spared: &'a HashSet<SegmentId>,
    pub held: &'a Held,
    pub now_us: Option<i64>,
    pub taken: HashSet<SegmentId>,
}

impl Rules<'_> {
    /// Whether a segment's date can be believed.
    fn believes(&self, entry: &Entry) -> bool {
        entry.clock_trusted && self.now_us.is_none_or(|now_us| entry.end_us() <= now_us)
    }
}

/// A place among a stream's segments.
pub(super) struct Cursor {
    stream: StreamId,
    /// The disk that it keeps to.
    disk: Option<u16>,
    /// The bucket at which it ends.
    until: u64,
    next: u64,
    ahead: VecDeque<Entry>,
    /// Whether the first of these is known to be one that may be taken.
    is_checked: bool,
    /// When the last one before that has a date ended.
    before_us: i64,
    /// Where the next date that can be believed begins, and up to which sequence that was looked for.
    after: Option<(u64, i64)>,
}

impl Cursor {
    pub fn new(stream: StreamId, disk: Option<u16>, until: u64) -> Self {
        Self {
            stream,
            disk,
            until,
            next: 0,
            ahead: VecDeque::new(),
            is_checked: false,
            before_us: i64::MIN,
            after: None,
        }
    }

    /// The next segment that may be taken.
    pub fn peek(&mut self, buckets: &impl Buckets, rules: &Rules<'_>) -> Option<&Entry> {
        while !self.is_checked {
            let Some(entry) = self.ahead.front().copied() else {
                self.read_on(buckets, rules)?;
                continue;
            };
            if self.may_be_taken(&entry, buckets, rules) {
                self.is_checked = true;
            } else {
                self.step(rules.believes(&entry).then(|| entry.end_us()));
            }
        }
        self.ahead.front()
    }

    /// Goes on behind the segment that was looked at.
    pub fn pass(&mut self) {
        let end_us = self.ahead.front().filter(|entry| entry.clock_trusted);
        self.step(end_us.map(Entry::end_us));
    }

    /// When the next segment began at the latest. Of one whose date cannot be believed that is where the next date that can be
    /// begins: so a clock that was wrong makes no footage the oldest.
    pub fn known_us(&mut self, buckets: &impl Buckets, rules: &Rules<'_>) -> Option<i64> {
        let entry = *self.peek(buckets, rules)?;
        Some(match rules.believes(&entry) {
            true => entry.start_us,
            false => self.next_date_us(&entry, buckets, rules),
        })
    }

    fn step(&mut self, end_us: Option<i64>) {
        self.ahead.pop_front();
        self.is_checked = false;
        self.before_us = end_us.unwrap_or(self.before_us);
    }

    fn may_be_taken(&mut self, entry: &Entry, buckets: &impl Buckets, rules: &Rules<'_>) -> bool {
        let is_there = match self.disk {
            Some(disk) => entry.disk == disk,
            None => rules.mounted.contains(&entry.disk),
        };
        is_there
            && !rules.spared.contains(&entry.segment)
            && !rules.taken.contains(&entry.segment)
            && !self.is_held(entry, buckets, rules)
    }

    /// Whether a segment is held: at the time that is shown for it, or at any between its neighbours' where that cannot be
    /// believed.
    fn is_held(&mut self, entry: &Entry, buckets: &impl Buckets, rules: &Rules<'_>) -> bool {
        let held = rules.held;
        if held.is_empty() {
            return false;
        }
        if held.touches(&entry.stream, entry.start_us, entry.end_us()) {
            return true;
        }
        if rules.believes(entry) {
            return false;
        }
        let after_us = self.next_date_us(entry, buckets, rules);
        self.before_us < after_us && held.touches(&entry.stream, self.before_us, after_us)
    }

    /// Reads the next bucket that has something; `None` at the end.
    fn read_on(&mut self, buckets: &impl Buckets, rules: &Rules<'_>) -> Option<()> {
        let is_wanted = &mut |bucket: &Bucket| {
            let is_held = || {
                let held = rules.held;
                held.covers(&self.stream, bucket.from_us, bucket.to_us)
            };
            bucket.number >= self.until || (self.has_some(bucket, rules) && !is_held())
        };
        let bucket = buckets.wanted_from(&self.stream, self.next, is_wanted)?;
        if bucket.number >= self.until {
            return None;
        }
        let last = buckets.before(&self.stream, bucket.number);
        // Passed over, and not read.
        if let Some(last) = last.filter(|last| last.number >= self.next)
            && rules.now_us.is_none_or(|now_us| last.to_us <= now_us)
        {
            self.before_us = last.to_us;
        }
        self.next = bucket.number + 1;
        self.ahead = buckets.segments(&self.stream, bucket.number).into();
        Some(())
    }

    fn has_some(&self, bucket: &Bucket, rules: &Rules<'_>) -> bool {
        let wanted = |disk: &u16| match self.disk {
            Some(own) => *disk == own,
            None => rules.mounted.contains(disk),
        };
        bucket.bytes.iter().any(|(disk, _)| wanted(disk))
    }

    fn next_date_us(&mut self, entry: &Entry, buckets: &impl Buckets, rules: &Rules<'_>) -> i64 {
        if let Some((sequence, after_us)) = self.after
            && entry.sequence < sequence
        {
            return after_us;
        }
        let dated = |entries: &[Entry]| {
            let found = entries.iter().find(|entry| rules.believes(entry))?;
            Some((found.sequence, found.start_us))
        };
        let mut found = dated(self.ahead.make_contiguous());
        let (mut next, mut read) = (self.next, 0);
        while found.is_none()
            && read < BUCKETS_AHEAD_MAX
            && let Some(bucket) = buckets.from(&self.stream, next)
        {
            found = dated(&buckets.segments(&self.stream, bucket.number));
            (next, read) = (bucket.number + 1, read + 1);
        }
        // Recorded after the last date: it is as young as anything, until it is known better.
        let after = found.unwrap_or((entry.sequence + 1, i64::MAX));
        self.after = Some(after);
        after.1
    }
}
