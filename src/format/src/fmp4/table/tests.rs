//! Tests of the table's bytes and of its bounds.

use super::*;
use crate::fmp4::fragment::tests::{any_info, fragment, run};
use crate::fmp4::parse_fragment;
use proptest::prelude::*;

const LIMITS: TableLimits = TableLimits {
    chunks_max: 100,
    samples_max: 1000,
};

fn encoded(table: &SampleTable) -> Vec<u8> {
    let mut out = Vec::new();
    table.encode(&mut out);
    out
}

fn info(size: u32, duration: u32, key: bool) -> SampleInfo {
    SampleInfo {
        size,
        duration,
        composition_offset: 0,
        key,
    }
}

/// Two chunks; the second has no sound.
fn two_chunks() -> SampleTable {
    let mut table = SampleTable::new();
    let video = run(1, 300, &[info(500, 3000, true), info(3, 3001, false)]);
    let audio = run(2, 20, &[info(9, 1024, true)]);
    table.push_fragment(&fragment(vec![video, audio])).unwrap();
    let video = run(1, 6301, &[info(4, 3001, false)]);
    table.push_fragment(&fragment(vec![video])).unwrap();
    table
}

#[test]
fn the_bytes_are_as_documented() {
    let table = two_chunks();
    let bytes = [
        &[1, 2, 2][..],
        &[1, 0xac, 0x02, 2, 20],
        &[2, 1, 1, 0],
        &[0xe9, 0x07, 0xf0, 0x2e, 0, 6, 2, 0, 8, 0, 0],
        &[19, 0x80, 0x10, 0],
    ];
    assert_eq!(encoded(&table), bytes.concat());
    assert_eq!(SampleTable::decode(&bytes.concat(), LIMITS).unwrap(), table);
    assert_eq!(table.track_ids().collect::<Vec<_>>(), [1, 2]);
    assert_eq!((table.chunks(), table.samples()), (2, 4));
    assert_eq!(
        (table.span(1), table.span(2), table.span(3)),
        (Some(300..9302), Some(20..1044), None)
    );
}

#[test]
fn a_hole_becomes_part_of_the_duration_before_it() {
    let mut table = two_chunks();
    let audio = run(2, 1144, &[info(9, 1024, true)]);
    table.push_fragment(&fragment(vec![audio])).unwrap();
    let mut walk = table.walk(2).unwrap();
    assert_eq!(
        walk.samples(2).map(|s| s.duration).collect::<Vec<_>>(),
        [1124, 1024]
    );
    assert_eq!(
        SampleTable::decode(&encoded(&table), LIMITS).unwrap(),
        table
    );
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let mut table = two_chunks();
    let before = table.clone();
    let audio = run(2, 1043, &[info(9, 1024, true)]);
    let video = run(1, 9302, &[info(9, 1, true)]);
    assert_eq!(
        table.push_fragment(&fragment(vec![video, audio])),
        Err(Error::NotMonotonic {
            track: 2,
            previous: 1044,
            next: 1043
        })
    );
    let late = run(1, 1 << 40, &[info(9, 1, true)]);
    assert!(matches!(
        table.push_fragment(&fragment(vec![late])),
        Err(Error::GapTooLong { track: 1, .. })
    ));
    assert_eq!(table, before);
}

#[test]
fn limits_and_cuts_are_errors() {
    let bytes = encoded(&two_chunks());
    for cut in 0..bytes.len() {
        assert!(
            SampleTable::decode(&bytes[..cut], LIMITS).is_err(),
            "cut at {cut}"
        );
    }
    for limits in [
        TableLimits {
            chunks_max: 1,
            ..LIMITS
        },
        TableLimits {
            samples_max: 3,
            ..LIMITS
        },
    ] {
        assert!(matches!(
            SampleTable::decode(&bytes, limits),
            Err(Error::TooMany { .. })
        ));
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(
        SampleTable::decode(&longer, LIMITS),
        Err(Error::Malformed { .. })
    ));
}

proptest! {
    #[test]
    fn tables_come_back_and_can_be_rebuilt(
        chunks in prop::collection::vec(
            [prop::collection::vec(any_info(), 0..6), prop::collection::vec(any_info(), 0..6)],
            1..8,
        ),
        start in 0..u64::MAX / 2,
    ) {
        let mut ends = [start, 0];
        let mut table = SampleTable::new();
        let mut views = Vec::new();
        for tracks in &chunks {
            let mut runs = Vec::new();
            for (id, (end, infos)) in (1..).zip(ends.iter_mut().zip(tracks)) {
                if !infos.is_empty() {
                    runs.push(run(id, *end, infos));
                    *end += infos.iter().map(|info| u64::from(info.duration)).sum::<u64>();
                }
            }
            if runs.is_empty() {
                continue;
            }
            let fragment = fragment(runs);
            table.push_fragment(&fragment).unwrap();
            let mut out = Vec::new();
            fragment.write_to(1, &mut out);
            views.push(parse_fragment(&out).unwrap());
        }
        prop_assert_eq!(&SampleTable::from_views(&views).unwrap(), &table);
        prop_assert_eq!(&SampleTable::decode(&encoded(&table), LIMITS).unwrap(), &table);
    }

    #[test]
    fn random_bytes_give_a_result(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = SampleTable::decode(&[&[1], &bytes[..]].concat(), LIMITS);
    }

    #[test]
    fn what_is_accepted_is_the_only_encoding(
        changes in prop::collection::vec((0..64_usize, any::<u8>()), 1..5),
    ) {
        let mut bytes = encoded(&two_chunks());
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(table) = SampleTable::decode(&bytes, LIMITS) {
            prop_assert_eq!(encoded(&table), bytes);
        }
    }
}
