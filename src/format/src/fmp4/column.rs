//! The columns of a sample table, and walking through them.

use super::{Error, Result, SampleInfo};

/// One track of a sample table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub track_id: u32,
    pub first_decode_time: u64,
    /// Decode time after the last sample.
    pub end: u64,
    /// Samples in each chunk.
    pub chunk_samples: Vec<u32>,
    /// Size and, in the lowest bit, whether it is a key frame.
    pub sizes: Vec<u32>,
    pub durations: Runs<u32>,
    pub composition_offsets: Runs<i32>,
}

/// Equal values in a row, as (how many, value).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Runs<T>(Vec<(u32, T)>);

/// Refuses what [`Column::push_run`] could not add.
pub(super) fn check_run(
    column: Option<&Column>,
    track_id: u32,
    decode_time: u64,
    samples: impl Iterator<Item = SampleInfo>,
) -> Result<()> {
    let mut end = decode_time;
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return Err(Error::Tracks {
            what: "a run has no samples",
        });
    }
    for info in samples {
        if info.size == 0 || info.size > u32::MAX >> 1 {
            return Err(Error::EmptySample { track: track_id });
        }
        end = end
            .checked_add(u64::from(info.duration))
            .ok_or(Error::TimeOutOfRange { track: track_id })?;
    }
    let Some(column) = column else { return Ok(()) };
    let hole = decode_time
        .checked_sub(column.end)
        .ok_or(Error::NotMonotonic {
            track: track_id,
            previous: column.end,
            next: decode_time,
        })?;
    let last = column
        .durations
        .0
        .last()
        .map_or(0, |&(_, duration)| u64::from(duration));
    if hole + last > u64::from(u32::MAX) {
        return Err(Error::GapTooLong {
            track: track_id,
            ticks: hole + last,
        });
    }
    Ok(())
}

impl Column {
    pub fn new(track_id: u32, first_decode_time: u64) -> Self {
        Self {
            track_id,
            first_decode_time,
            end: first_decode_time,
            chunk_samples: Vec::new(),
            sizes: Vec::new(),
            durations: Runs::new(),
            composition_offsets: Runs::new(),
        }
    }

    pub fn push_run(&mut self, decode_time: u64, samples: impl Iterator<Item = SampleInfo>) {
        let hole = decode_time - self.end;
        if hole > 0 {
            self.durations
                .change_last(|duration| duration + hole as u32);
            self.end = decode_time;
        }
        let before = self.sizes.len();
        samples.for_each(|info| self.push(info));
        self.chunk_samples.push((self.sizes.len() - before) as u32);
    }

    pub fn push(&mut self, info: SampleInfo) {
        self.sizes.push(info.size << 1 | u32::from(info.key));
        self.durations.push(info.duration);
        self.composition_offsets.push(info.composition_offset);
        self.end += u64::from(info.duration);
    }
}

impl<T: Copy + PartialEq> Runs<T> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// (How many, value), with neighbours that differ.
    pub fn as_slice(&self) -> &[(u32, T)] {
        &self.0
    }

    pub fn push(&mut self, value: T) {
        match self.0.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            _ => self.0.push((1, value)),
        }
    }

    fn change_last(&mut self, change: impl FnOnce(T) -> T) {
        let Some((count, value)) = self.0.last_mut() else {
            return;
        };
        let changed = change(*value);
        *count -= 1;
        if *count == 0 {
            self.0.pop();
        }
        self.push(changed);
    }
}

/// Goes through a column from its first sample.
pub(super) struct Walk<'a> {
    column: &'a Column,
    chunk: usize,
    sample: usize,
    decode_time: u64,
    durations: RunsIter<'a, u32>,
    composition_offsets: RunsIter<'a, i32>,
}

struct RunsIter<'a, T> {
    runs: core::slice::Iter<'a, (u32, T)>,
    left: u32,
    value: Option<T>,
}

impl<'a> Walk<'a> {
    pub fn new(column: &'a Column) -> Self {
        Self {
            column,
            chunk: 0,
            sample: 0,
            decode_time: column.first_decode_time,
            durations: RunsIter::new(&column.durations),
            composition_offsets: RunsIter::new(&column.composition_offsets),
        }
    }

    /// Decode time of the next sample.
    pub fn decode_time(&self) -> u64 {
        self.decode_time
    }

    /// Samples of the next chunk, which must be taken before the chunk after it; `None` at the end.
    pub fn next_chunk(&mut self) -> Option<u32> {
        let samples = *self.column.chunk_samples.get(self.chunk)?;
        self.chunk += 1;
        Some(samples)
    }

    /// Takes the next `count` samples.
    pub fn samples(&mut self, count: u32) -> impl Iterator<Item = SampleInfo> {
        (0..count).map_while(|_| self.next_sample())
    }

    /// Whether any of the next `chunks` chunks has samples.
    pub fn has_samples(&self, chunks: usize) -> bool {
        self.column
            .chunk_samples
            .iter()
            .skip(self.chunk)
            .take(chunks)
            .any(|&count| count > 0)
    }

    /// Whether the next sample is a key frame.
    pub fn starts_with_key(&self) -> bool {
        self.column
            .sizes
            .get(self.sample)
            .is_some_and(|size| size & 1 != 0)
    }

    /// Takes the next sample.
    pub fn next_sample(&mut self) -> Option<SampleInfo> {
        let size = *self.column.sizes.get(self.sample)?;
        self.sample += 1;
        let duration = self.durations.next()?;
        self.decode_time += u64::from(duration);
        Some(SampleInfo {
            size: size >> 1,
            duration,
            composition_offset: self.composition_offsets.next()?,
            key: size & 1 != 0,
        })
    }
}

impl<'a, T: Copy> RunsIter<'a, T> {
    fn new(runs: &'a Runs<T>) -> Self {
        Self {
            runs: runs.0.iter(),
            left: 0,
            value: None,
        }
    }

    fn next(&mut self) -> Option<T> {
        if self.left == 0 {
            let &(count, value) = self.runs.next()?;
            (self.left, self.value) = (count, Some(value));
        }
        self.left -= 1;
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_the_last_value_keeps_neighbours_apart() {
        let mut runs = Runs::new();
        [1, 1, 2].into_iter().for_each(|value| runs.push(value));
        runs.change_last(|value| value - 1);
        assert_eq!(runs.as_slice(), [(3, 1)]);
        runs.change_last(|value| value + 7);
        assert_eq!(runs.as_slice(), [(2, 1), (1, 8)]);
    }

    #[test]
    fn walking_gives_chunks_samples_and_times() {
        let info = |size, duration| SampleInfo {
            size,
            duration,
            composition_offset: -(size as i32),
            key: size == 5,
        };
        let mut column = Column::new(1, 100);
        column.push_run(100, [info(5, 10), info(6, 10)].into_iter());
        column.push_run(125, [info(7, 3)].into_iter());
        let mut walk = Walk::new(&column);
        let first = walk.next_chunk().unwrap();
        assert_eq!(
            walk.samples(first).collect::<Vec<_>>(),
            [info(5, 10), info(6, 15)]
        );
        assert_eq!(walk.decode_time(), 125);
        let second = walk.next_chunk().unwrap();
        assert_eq!(walk.samples(second).collect::<Vec<_>>(), [info(7, 3)]);
        assert_eq!((walk.decode_time(), walk.next_chunk()), (128, None));
    }
}
