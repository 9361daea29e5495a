//! Which footage is held: the spans of all holds, by stream.

use std::collections::HashMap;

use hearthkeep_format::StreamId;
use hearthkeep_format::log::Hold;

/// Spans of wall time, us: in order, none touching another.
type Spans = Vec<(i64, i64)>;

/// What holds cover.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Of the streams that holds name, those for all streams included.
    streams: HashMap<StreamId, Spans>,
    /// Of all others.
    others: Spans,
}

impl Held {
    /// What these cover together.
    pub fn by<'a>(holds: impl IntoIterator<Item = &'a Hold>) -> Self {
        let (mut streams, mut others) = (HashMap::<_, Spans>::new(), Spans::new());
        for hold in holds {
            let span = (hold.from_us, hold.to_us);
            if hold.streams.is_empty() {
                others.push(span);
            }
            for stream in &hold.streams {
                streams.entry(*stream).or_default().push(span);
            }
        }
        join(&mut others);
        for spans in streams.values_mut() {
            spans.extend(&others);
            join(spans);
        }
        Self { streams, others }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.others.is_empty()
    }

    /// Whether something of a span of a stream is held.
    pub fn touches(&self, stream: &StreamId, from_us: i64, to_us: i64) -> bool {
        let to_us = to_us.max(from_us.saturating_add(1));
        self.from(stream, from_us)
            .first()
            .is_some_and(|(begin_us, _)| *begin_us < to_us)
    }

    /// Whether all of a span of a stream is held.
    pub fn covers(&self, stream: &StreamId, from_us: i64, to_us: i64) -> bool {
        self.from(stream, from_us)
            .first()
            .is_some_and(|(begin_us, end_us)| *begin_us <= from_us && *end_us >= to_us)
    }

    /// How much of a span of a stream is held, from 0 to 1.
    pub fn share(&self, stream: &StreamId, from_us: i64, to_us: i64) -> f64 {
        let later = self.from(stream, from_us).iter();
        let within = later.take_while(|(begin_us, _)| *begin_us < to_us);
        let held_us: i64 = within
            .map(|(begin_us, end_us)| (*end_us).min(to_us) - (*begin_us).max(from_us))
            .sum();
        let span_us = to_us.saturating_sub(from_us).max(1);
        (held_us as f64 / span_us as f64).min(1.0)
    }

    /// The spans of a stream that end after a time.
    fn from(&self, stream: &StreamId, at_us: i64) -> &[(i64, i64)] {
        let spans = self.streams.get(stream).unwrap_or(&self.others);
        let first = spans.partition_point(|(_, end_us)| *end_us <= at_us);
        &spans[first..]
    }
}

fn join(spans: &mut Spans) {
    spans.sort_unstable();
    let mut joined: Spans = Vec::with_capacity(spans.len());
    for (from_us, to_us) in spans.drain(..) {
        match joined.last_mut() {
            Some((_, end_us)) if *end_us >= from_us => *end_us = (*end_us).max(to_us),
            _ => joined.push((from_us, to_us)),
        }
    }
    *spans = joined;
}

#[cfg(test)]
mod tests {
    use hearthkeep_format::HoldId;
    use proptest::prelude::*;

    use super::*;

    fn stream(number: u8) -> StreamId {
        StreamId::from_bytes([number; 16])
    }

    fn hold((streams, from_us, length_us): (Vec<u8>, i64, i64)) -> Hold {
        Hold {
            id: HoldId::from_bytes([0; 16]),
            streams: streams.into_iter().map(stream).collect(),
            from_us,
            to_us: from_us + length_us,
            until_us: i64::MAX,
            reason: String::new(),
            who: String::new(),
        }
    }

    proptest! {
        /// Whatever the holds are, it is the same as asking each of them about each moment.
        #[test]
        fn all_agree_with_the_holds_one_by_one(
            holds in prop::collection::vec((prop::collection::vec(0u8..3, 0..3), 0i64..60, 1i64..20), 0..8),
            of in 0u8..4,
            from_us in 0i64..70,
            length_us in 1i64..20,
        ) {
            let holds: Vec<_> = holds.into_iter().map(hold).collect();
            let held = Held::by(&holds);
            let of = stream(of);
            let is_held = |us: i64| holds.iter().any(|hold| {
                (hold.streams.is_empty() || hold.streams.contains(&of)) && hold.from_us <= us && us < hold.to_us
            });
            let to_us = from_us + length_us;
            let count = (from_us..to_us).filter(|us| is_held(*us)).count();
            prop_assert_eq!(held.touches(&of, from_us, to_us), count > 0);
            prop_assert_eq!(held.covers(&of, from_us, to_us), count == length_us as usize);
            let share = held.share(&of, from_us, to_us);
            prop_assert!((share - count as f64 / length_us as f64).abs() < 1e-9);
            prop_assert_eq!(held.is_empty(), holds.is_empty());
        }
    }

    #[test]
    fn what_has_no_length_is_held_where_it_lies() {
        let held = Held::by(&[hold((vec![], 5, 5))]);
        let touches = [4, 5, 9, 10].map(|at_us| held.touches(&stream(1), at_us, at_us));
        assert_eq!(touches, [false, true, true, false]);
    }
}
