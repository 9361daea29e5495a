//! Numbers that mostly follow each other, kept as ranges: a year of a stream's sequences takes a few bytes.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// By their first number, where they end (the first number that is not in them).
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    pub fn insert(&mut self, number: u64) {
        if let Some(end) = number.checked_add(1) {
            self.insert_all(number..end);
        }
    }

    pub fn insert_all(&mut self, numbers: Range<u64>) {
        let Range { mut start, mut end } = numbers;
        if start >= end {
            return;
        }
        if let Some((before, its_end)) = self.ends.range(..=start).next_back()
            && *its_end >= start
        {
            (start, end) = (*before, end.max(*its_end));
        }
        // Those that it reaches are one with it.
        while let Some((after, its_end)) = self.ends.range(start..=end).next() {
            let (after, its_end) = (*after, *its_end);
            self.ends.remove(&after);
            end = end.max(its_end);
        }
        self.ends.insert(start, end);
    }

    pub fn remove(&mut self, number: u64) {
        let Some((from, end)) = self.around(number) else {
            return;
        };
        self.ends.remove(&from);
        if from < number {
            self.ends.insert(from, number);
        }
        if number + 1 < end {
            self.ends.insert(number + 1, end);
        }
    }

    pub fn contains(&self, number: u64) -> bool {
        self.around(number).is_some()
    }

    /// The numbers that are here and not there, at most `max` of them.
    pub fn without(&self, other: &Self, max: usize) -> Vec<u64> {
        let mut found = Vec::new();
        for (from, end) in &self.ends {
            let mut at = *from;
            while at < *end && found.len() < max {
                match other.around(at) {
                    Some((_, known)) => at = known,
                    None => {
                        found.push(at);
                        at += 1;
                    }
                }
            }
        }
        found
    }

    fn around(&self, number: u64) -> Option<(u64, u64)> {
        let (from, end) = self.ends.range(..=number).next_back()?;
        (number < *end).then_some((*from, *end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hearthkeep_format::{Random, SeededRandom};

    use super::*;

    #[test]
    fn they_are_a_set_of_numbers() {
        let mut random = SeededRandom::new(3);
        let (mut ranges, mut other) = (Ranges::default(), Ranges::default());
        let (mut set, mut known) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..4000 {
            let mut bytes = [0; 2];
            random.fill(&mut bytes);
            let number = u64::from(bytes[0] % 64);
            match bytes[1] % 5 {
                0 => {
                    ranges.insert(number);
                    set.insert(number);
                }
                1 => {
                    let numbers = number..number + u64::from(bytes[1] / 5 % 7);
                    ranges.insert_all(numbers.clone());
                    set.extend(numbers);
                }
                2 | 3 => {
                    ranges.remove(number);
                    set.remove(&number);
                }
                _ => {
                    other.insert(number);
                    known.insert(number);
                    other.remove(number / 2);
                    known.remove(&(number / 2));
                }
            }
            assert!((0..70).all(|n| ranges.contains(n) == set.contains(&n)));
            let expected: Vec<u64> = set.difference(&known).copied().collect();
            assert_eq!(ranges.without(&other, 100), expected);
        }
        let joined: Vec<_> = ranges.ends.iter().collect();
        assert!(
            joined.windows(2).all(|two| two[0].1 < two[1].0),
            "{joined:?}"
        );
    }
}
