//! Numbers that mostly follow each other, kept as ranges: a year of a stream's sequences takes a few bytes.

use std::collections::BTreeMap;

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// By their first number, where they end (the first number that is not in them).
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    pub fn insert(&mut self, number: u64) {
        if self.contains(number) || number == u64::MAX {
            return;
        }
        let (mut from, mut end) = (number, number + 1);
        if let Some((before, _)) = self.ends.range(..=number).next_back()
            && self.ends[before] == number
        {
            from = *before;
        }
        if let Some(after) = self.ends.remove(&end) {
            end = after;
        }
        self.ends.insert(from, end);
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
                0 | 1 => {
                    ranges.insert(number);
                    set.insert(number);
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
