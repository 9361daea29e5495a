//! A part of the footage, chosen so that the parts together are all of it.

use hearthkeep_format::{Random, SegmentId};

/// The `part`th of `of` parts of all segments. Which segments it has follows from their ids, so that it is the same part
/// tomorrow, and on another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    part: u32,
    of: u32,
}

impl Slice {
    /// Everything.
    pub const ALL: Self = Self { part: 1, of: 1 };
    /// The most parts there may be.
    pub const PARTS_MAX: u32 = 10_000;

    /// The `part`th of `of`, counted from 1; `None` where there is no such part.
    pub fn new(part: u32, of: u32) -> Option<Self> {
        let is_one = (1..=of).contains(&part) && of <= Self::PARTS_MAX;
        is_one.then_some(Self { part, of })
    }

    /// Reads `n/m`, or a percentage such as `5%`, of which any part of that size is taken.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str, random: &mut dyn Random) -> Result<Self, &'static str> {
        const WANTED: &str =
            "must be a part such as 3/20, or a percentage from 0.01% to 100% such as 5%";
        if let Some((part, of)) = text.split_once('/') {
            let number = |text: &str| text.trim().parse().ok();
            let slice = number(part).zip(number(of));
            return slice
                .and_then(|(part, of)| Self::new(part, of))
                .ok_or(WANTED);
        }
        let percent = text.trim().strip_suffix('%').ok_or(WANTED)?;
        let percent: f64 = percent.trim().parse().map_err(|_| WANTED)?;
        if !(0.01..=100.0).contains(&percent) {
            return Err(WANTED);
        }
        // Not less than was asked for.
        let of = ((100.0 / percent).floor() as u32).clamp(1, Self::PARTS_MAX);
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        let part = (u64::from_be_bytes(bytes) % u64::from(of)) as u32 + 1;
        Self::new(part, of).ok_or(WANTED)
    }

    /// How many parts there are.
    pub fn parts(&self) -> u32 {
        self.of
    }

    /// Whether a segment is of it.
    pub fn has(&self, segment: &SegmentId) -> bool {
        let (first, _) = segment.as_bytes().split_at(8);
        let number = u64::from_be_bytes(first.try_into().expect("half of 16 bytes"));
        number % u64::from(self.of) == u64::from(self.part - 1)
    }
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearthkeep_format::SeededRandom;

    #[test]
    fn the_parts_together_are_all_and_none_twice() {
        let mut random = SeededRandom::new(1);
        let ids: Vec<_> = (0..2000).map(|_| SegmentId::random(&mut random)).collect();
        for of in [1, 2, 20] {
            let parts: Vec<_> = (1..=of).map(|part| Slice::new(part, of).unwrap()).collect();
            for id in &ids {
                assert_eq!(parts.iter().filter(|part| part.has(id)).count(), 1);
            }
            for part in parts {
                let share = ids.iter().filter(|id| part.has(id)).count();
                assert!((1000 / of as usize..=3000 / of as usize).contains(&share));
            }
        }
    }

    #[test]
    fn parts_and_percentages_are_read() {
        let mut random = SeededRandom::new(2);
        let mut parse = |text: &str| Slice::parse(text, &mut random);
        assert_eq!(parse("3/20"), Ok(Slice { part: 3, of: 20 }));
        assert_eq!(parse("100%"), Ok(Slice::ALL));
        assert_eq!(parse("5%").unwrap().of, 20);
        assert_eq!(parse(" 33 %").unwrap().of, 3);
        assert_eq!(parse("0.01%").unwrap().of, 10_000);
        let wrong = [
            "", "5", "0/3", "4/3", "1/0", "0%", "101%", "-1%", "NaN%", "1/10001",
        ];
        for text in wrong {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
