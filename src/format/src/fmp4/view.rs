//! Reading a fragment.

use core::ops::Range;

use super::bytes::Reader;
use super::fragment::{
    TFHD_BASE_IS_MOOF, TFHD_DEFAULT_DURATION, TFHD_DEFAULT_FLAGS, TFHD_DEFAULT_SIZE,
    TRUN_COMPOSITION, TRUN_DATA_OFFSET, TRUN_DURATION, TRUN_FIRST_FLAGS, TRUN_FLAGS, TRUN_SIZE,
};
use super::{Error, FRAGMENT_SAMPLES_MAX, Result, SampleInfo, TRACKS_MAX};

/// What a fragment holds, and where its samples' bytes are in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentView {
    /// The number in `mfhd`.
    pub sequence: u32,
    /// The tracks' samples, in the order of their bytes.
    pub runs: Vec<RunView>,
    /// Content of `mdat`, as bytes of the input: all samples of the first run, then of the second …
    pub payload: Range<usize>,
}

/// One track's samples in a [`FragmentView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// The track's identifier.
    pub track_id: u32,
    /// Decode time of the first sample, in the track's ticks from the start of the run.
    pub decode_time: u64,
    /// The samples; at least one.
    pub samples: Vec<SampleInfo>,
    /// The samples' bytes, one after another, as bytes of the input.
    pub data: Range<usize>,
}

/// Reads a fragment as [`Fragment::write_to`](super::Fragment::write_to) writes it: one `moof`, then
/// one `mdat`; one `trun` a track; samples' bytes in the order of the runs, without holes. Boxes of
/// other kinds are skipped, so that later versions may add some.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Malformed`], [`Error::MissingBox`] and [`Error::TooMany`] name the
/// offset. Any input gives a result; memory is bounded by [`FRAGMENT_SAMPLES_MAX`].
pub fn parse_fragment(fragment: &[u8]) -> Result<FragmentView> {
    let (moof, moof_offset, payload) = moof_and_mdat(Reader::new(fragment))?;
    let mut mfhd = moof.only_child("mfhd")?;
    mfhd.version_and_flags("mfhd")?;
    let sequence = mfhd.u32("mfhd")?;

    let mut runs: Vec<RunView> = Vec::new();
    let mut samples_left = FRAGMENT_SAMPLES_MAX;
    let mut data_start = payload.start;
    let mut children = moof;
    while let Some(child) = children.next_box()? {
        if child.kind != *b"traf" {
            continue;
        }
        if runs.len() == TRACKS_MAX {
            let limit = TRACKS_MAX as u64;
            return Err(Error::TooMany {
                offset: child.offset,
                what: "tracks",
                limit,
            });
        }
        let place = DataPlace {
            moof_offset,
            start: data_start,
            end: payload.end,
        };
        let run = parse_traf(child.body, place, &mut samples_left)?;
        if runs.iter().any(|other| other.track_id == run.track_id) {
            let what = "two runs of one track";
            return Err(Error::Malformed {
                offset: child.offset,
                what,
            });
        }
        data_start = run.data.end;
        runs.push(run);
    }
    if runs.is_empty() {
        return Err(Error::MissingBox {
            offset: moof.offset(),
            kind: "traf",
        });
    }
    if data_start != payload.end {
        let what = "bytes in mdat belong to no sample";
        return Err(Error::Malformed {
            offset: data_start,
            what,
        });
    }
    Ok(FragmentView {
        sequence,
        runs,
        payload,
    })
}

/// Content of `moof`, the offset of its header, and where the content of `mdat` is.
fn moof_and_mdat(mut top: Reader<'_>) -> Result<(Reader<'_>, usize, Range<usize>)> {
    let mut moof = None;
    let mut mdat = None;
    while let Some(found) = top.next_box()? {
        match &found.kind {
            b"moof" if moof.is_none() && mdat.is_none() => moof = Some((found.body, found.offset)),
            b"mdat" if moof.is_some() && mdat.is_none() => {
                let start = found.body.offset();
                mdat = Some(start..start + found.body.rest().len());
            }
            b"moof" | b"mdat" => {
                let what = "a fragment is one moof and then one mdat";
                return Err(Error::Malformed {
                    offset: found.offset,
                    what,
                });
            }
            _ => {}
        }
    }
    let (moof, moof_offset) = moof.ok_or(Error::MissingBox {
        offset: 0,
        kind: "moof",
    })?;
    let payload = mdat.ok_or(Error::MissingBox {
        offset: 0,
        kind: "mdat",
    })?;
    Ok((moof, moof_offset, payload))
}

/// Where a run's bytes must begin, and where the payload ends.
struct DataPlace {
    moof_offset: usize,
    start: usize,
    end: usize,
}

/// What `tfhd` says for samples that say nothing.
struct Defaults {
    track_id: u32,
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
}

fn parse_traf(traf: Reader<'_>, place: DataPlace, samples_left: &mut u32) -> Result<RunView> {
    let defaults = parse_tfhd(traf.only_child("tfhd")?)?;
    let mut tfdt = traf.only_child("tfdt")?;
    let decode_time = match tfdt.version_and_flags("tfdt")?.0 {
        0 => u64::from(tfdt.u32("tfdt")?),
        1 => tfdt.u64("tfdt")?,
        _ => return Err(tfdt.malformed("an unknown version of tfdt")),
    };
    let trun = traf.only_child("trun")?;
    let trun_offset = trun.offset();
    let samples = parse_trun(trun, &defaults, &place, samples_left)?;
    // At most 4096 sizes of 32 bits: the sum stays far below 64 bits.
    let bytes: u64 = samples.iter().map(|sample| u64::from(sample.size)).sum();
    let end = usize::try_from(bytes)
        .ok()
        .and_then(|bytes| place.start.checked_add(bytes))
        .filter(|&end| end <= place.end)
        .ok_or(Error::Malformed {
            offset: trun_offset,
            what: "samples reach beyond mdat",
        })?;
    Ok(RunView {
        track_id: defaults.track_id,
        decode_time,
        samples,
        data: place.start..end,
    })
}

fn parse_tfhd(mut tfhd: Reader<'_>) -> Result<Defaults> {
    let (_, flags) = tfhd.version_and_flags("tfhd")?;
    let known = TFHD_BASE_IS_MOOF | TFHD_DEFAULT_DURATION | TFHD_DEFAULT_SIZE | TFHD_DEFAULT_FLAGS;
    if flags & TFHD_BASE_IS_MOOF == 0 || flags & !known != 0 {
        return Err(tfhd.malformed("tfhd does not count from its moof, or has unknown flags"));
    }
    let track_id = tfhd.u32("tfhd")?;
    if track_id == 0 {
        return Err(tfhd.malformed("a track's identifier is 0"));
    }
    let mut optional = |flag| (flags & flag != 0).then(|| tfhd.u32("tfhd")).transpose();
    Ok(Defaults {
        track_id,
        duration: optional(TFHD_DEFAULT_DURATION)?,
        size: optional(TFHD_DEFAULT_SIZE)?,
        flags: optional(TFHD_DEFAULT_FLAGS)?,
    })
}

fn parse_trun(
    mut trun: Reader<'_>,
    defaults: &Defaults,
    place: &DataPlace,
    samples_left: &mut u32,
) -> Result<Vec<SampleInfo>> {
    let (version, flags) = trun.version_and_flags("trun")?;
    let a_sample = TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | TRUN_COMPOSITION;
    if version > 1 || flags & !(a_sample | TRUN_DATA_OFFSET | TRUN_FIRST_FLAGS) != 0 {
        return Err(trun.malformed("an unknown version or flag of trun"));
    }
    if flags & TRUN_FIRST_FLAGS != 0 && flags & TRUN_FLAGS != 0 {
        return Err(trun.malformed("trun has flags for the first sample and for each"));
    }
    let count = parse_count(&mut trun, samples_left)?;
    let mut optional = |flag| (flags & flag != 0).then(|| trun.u32("trun")).transpose();
    let data_offset = optional(TRUN_DATA_OFFSET)?.unwrap_or(0);
    let mut first_flags = optional(TRUN_FIRST_FLAGS)?;
    if place.moof_offset.checked_add(data_offset as usize) != Some(place.start) {
        return Err(trun.malformed("a run's bytes do not follow those of the run before"));
    }
    let mut samples = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let defaults = Defaults {
            flags: first_flags.take().or(defaults.flags),
            ..*defaults
        };
        samples.push(parse_sample(&mut trun, (version, flags), &defaults)?);
    }
    if !trun.is_empty() {
        return Err(trun.malformed("bytes follow the last sample in trun"));
    }
    Ok(samples)
}

/// How many samples follow: at least one, and no more than may be left in the fragment.
fn parse_count(trun: &mut Reader<'_>, samples_left: &mut u32) -> Result<u32> {
    let offset = trun.offset();
    let count = trun.u32("trun")?;
    *samples_left = samples_left.checked_sub(count).ok_or(Error::TooMany {
        offset,
        what: "samples in a fragment",
        limit: u64::from(FRAGMENT_SAMPLES_MAX),
    })?;
    if count == 0 {
        return Err(Error::Malformed {
            offset,
            what: "a run has no samples",
        });
    }
    Ok(count)
}

fn parse_sample(
    trun: &mut Reader<'_>,
    (version, flags): (u8, u32),
    defaults: &Defaults,
) -> Result<SampleInfo> {
    let offset = trun.offset();
    let malformed = |what| Error::Malformed { offset, what };
    let mut field = |flag, default: Option<u32>| match flags & flag {
        0 => default.ok_or(malformed("a sample lacks duration, size or flags")),
        _ => trun.u32("trun"),
    };
    let duration = field(TRUN_DURATION, defaults.duration)?;
    let size = field(TRUN_SIZE, defaults.size)?;
    let sample_flags = field(TRUN_FLAGS, defaults.flags)?;
    let composition = field(TRUN_COMPOSITION, Some(0))?;
    if size == 0 {
        return Err(malformed("a sample is empty"));
    }
    if version == 0 && composition > i32::MAX as u32 {
        return Err(malformed("a composition offset is too large"));
    }
    Ok(SampleInfo {
        size,
        duration,
        composition_offset: composition as i32,
        key: sample_flags & 0x0001_0000 == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmp4::fragment::tests::{any_info, fragment, run};
    use proptest::prelude::*;

    fn sample_fragment() -> Vec<u8> {
        let sample = |size, key| SampleInfo {
            size,
            duration: 3000,
            composition_offset: 0,
            key,
        };
        let video = run(1, 9000, &[sample(40, true), sample(5, false)]);
        let audio = run(
            2,
            4800,
            &[
                SampleInfo {
                    duration: 1,
                    ..sample(3, true)
                },
                sample(4, true),
            ],
        );
        let mut out = Vec::new();
        fragment(vec![video, audio]).write_to(3, &mut out);
        out
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = sample_fragment();
        let view = parse_fragment(&bytes).unwrap();
        assert_eq!(view.sequence, 3);
        assert_eq!(view.payload, bytes.len() - 52..bytes.len());
        for cut in 0..bytes.len() {
            assert!(parse_fragment(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn unknown_boxes_are_skipped_and_second_ones_refused() {
        let mut bytes = sample_fragment();
        let view = parse_fragment(&bytes).unwrap();
        bytes.extend_from_slice(b"\0\0\0\x08free");
        assert_eq!(parse_fragment(&bytes).unwrap(), view);
        bytes.extend_from_slice(b"\0\0\0\x08mdat");
        assert!(matches!(
            parse_fragment(&bytes),
            Err(Error::Malformed { .. })
        ));
        let moved = [b"\0\0\0\x08styp", &sample_fragment()[..]].concat();
        assert_eq!(
            parse_fragment(&moved).unwrap().payload.start,
            view.payload.start + 8
        );
    }

    #[test]
    fn a_count_is_not_believed() {
        let bytes = sample_fragment();
        let trun = bytes.windows(4).position(|kind| kind == b"trun").unwrap();
        for count in [0_u32, 1, 3, FRAGMENT_SAMPLES_MAX + 1, u32::MAX] {
            let mut changed = bytes.clone();
            changed[trun + 8..trun + 12].copy_from_slice(&count.to_be_bytes());
            assert!(parse_fragment(&changed).is_err(), "{count} samples");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            video in prop::collection::vec(any_info(), 1..20),
            audio in prop::collection::vec(any_info(), 1..20),
            time: u64,
        ) {
            let written = fragment(vec![run(1, time, &video), run(7, 0, &audio)]);
            let mut out = Vec::new();
            written.write_to(1, &mut out);
            let view = parse_fragment(&out).unwrap();
            prop_assert_eq!(&view.runs[0].samples, &video);
            prop_assert_eq!(&view.runs[1].samples, &audio);
            prop_assert_eq!(view.runs[0].decode_time, time);
            prop_assert_eq!(view.runs[1].track_id, 7);
            for (run, view) in written.runs().iter().zip(&view.runs) {
                let data: Vec<u8> = run.samples().iter().flat_map(|s| s.data.clone()).collect();
                prop_assert_eq!(&out[view.data.clone()], &data[..]);
            }
        }

        #[test]
        fn random_bytes_give_a_result(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_fragment(&bytes);
        }

        #[test]
        fn mutated_fragments_give_a_result(
            changes in prop::collection::vec((0..220_usize, any::<u8>()), 1..6),
        ) {
            let mut bytes = sample_fragment();
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if let Ok(view) = parse_fragment(&bytes) {
                prop_assert!(view.payload.end <= bytes.len());
                prop_assert_eq!(view.runs.last().unwrap().data.end, view.payload.end);
            }
        }
    }
}
