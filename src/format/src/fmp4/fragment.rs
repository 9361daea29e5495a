//! A fragment to be written: `moof` and `mdat` (sections 8.8 and 8.1.1).
//!
//! ```text
//! moof
//!   mfhd   sequence number
//!   traf   one a track that has samples, in the order of tracks
//!     tfhd   default-base-is-moof, default flags; default duration or size if all samples agree
//!     tfdt   version 1: decode time of the first sample, from the start of the run
//!     trun   one; per sample only what differs
//! mdat     all samples of the first track, then all samples of the second …
//! ```

use core::num::NonZeroU32;

use super::SampleInfo;
use super::bytes::{put_u32, put_u64, put_version_and_flags, write_box};

/// `sample_depends_on` = 2: others are not needed to decode it (section 8.8.3.1).
const FLAGS_KEY: u32 = 0x0200_0000;
/// `sample_depends_on` = 1 and `sample_is_non_sync_sample`.
const FLAGS_NOT_KEY: u32 = 0x0101_0000;

pub(super) const TFHD_DEFAULT_DURATION: u32 = 0x08;
pub(super) const TFHD_DEFAULT_SIZE: u32 = 0x10;
pub(super) const TFHD_DEFAULT_FLAGS: u32 = 0x20;
pub(super) const TFHD_BASE_IS_MOOF: u32 = 0x02_0000;
pub(super) const TRUN_DATA_OFFSET: u32 = 0x001;
pub(super) const TRUN_FIRST_FLAGS: u32 = 0x004;
pub(super) const TRUN_DURATION: u32 = 0x100;
pub(super) const TRUN_SIZE: u32 = 0x200;
pub(super) const TRUN_FLAGS: u32 = 0x400;
pub(super) const TRUN_COMPOSITION: u32 = 0x800;

/// Bytes of a fragment without its tracks: `moof` header, `mfhd`, `mdat` header.
const FIXED_BYTES: usize = 8 + 16 + 8;
/// Bytes of `traf` header, `tfdt` and the fixed fields of `tfhd` and `trun`.
const TRACK_BYTES: usize = 8 + 20 + 16 + 20;

/// The most that the boxes of a fragment can take, without its samples' bytes.
pub(crate) const fn overhead_bytes_max(tracks: usize) -> usize {
    FIXED_BYTES + tracks * (TRACK_BYTES + 16)
}

/// The most that one more sample can add to the boxes.
pub(crate) const SAMPLE_OVERHEAD_BYTES_MAX: usize = 16;

/// The samples of one track in a [`Fragment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<D = Vec<u8>> {
    track_id: NonZeroU32,
    decode_time: u64,
    samples: Vec<FragmentSample<D>>,
    layout: RunLayout,
}

/// A sample on its way into a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentSample<D = Vec<u8>> {
    /// Size, duration, composition offset and whether it is a key frame.
    pub info: SampleInfo,
    /// Its bytes, `info.size` of them.
    pub data: D,
}

impl<D> Run<D> {
    /// The track's identifier, from 1.
    pub fn track_id(&self) -> u32 {
        self.track_id.get()
    }

    /// Decode time of the first sample, in the track's ticks from the start of the run.
    pub fn decode_time(&self) -> u64 {
        self.decode_time
    }

    /// The samples in decoding order; at least one.
    pub fn samples(&self) -> &[FragmentSample<D>] {
        &self.samples
    }

    pub(crate) fn new(
        track_id: NonZeroU32,
        decode_time: u64,
        samples: Vec<FragmentSample<D>>,
    ) -> Self {
        let layout = RunLayout::of(&samples);
        Self {
            track_id,
            decode_time,
            samples,
            layout,
        }
    }

    fn payload_bytes(&self) -> u32 {
        self.samples.iter().map(|sample| sample.info.size).sum()
    }
}

/// A piece of a run, ready to be written and sealed. Samples are held as they were pushed; their
/// only copy is made by [`Self::write_to`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment<D = Vec<u8>> {
    runs: Vec<Run<D>>,
    payload_bytes: u32,
    starts_with_key: bool,
    decode_time_us: u64,
    duration_us: u32,
}

/// A fragment's place on the run's time line, as the fragmenter knows it.
pub(crate) struct FragmentTimes {
    pub starts_with_key: bool,
    pub decode_time_us: u64,
    pub duration_us: u32,
}

impl<D> Fragment<D> {
    /// Collects runs; their total is bounded by the fragmenter.
    pub(crate) fn new(runs: Vec<Run<D>>, times: FragmentTimes) -> Self {
        Self {
            payload_bytes: runs.iter().map(Run::payload_bytes).sum(),
            runs,
            starts_with_key: times.starts_with_key,
            decode_time_us: times.decode_time_us,
            duration_us: times.duration_us,
        }
    }

    /// Whether playing can begin here: its first video sample is a key frame, or the run has no
    /// video at all.
    pub fn starts_with_key(&self) -> bool {
        self.starts_with_key
    }

    /// When the first video sample (of a fragment without one: the first audio sample) is decoded,
    /// in microseconds from the start of the run, rounded down.
    pub fn decode_time_us(&self) -> u64 {
        self.decode_time_us
    }

    /// From [`Self::decode_time_us`] to that track's end, in microseconds. Fragments of one track
    /// abut: the rounding does not add up.
    pub fn duration_us(&self) -> u32 {
        self.duration_us
    }

    /// Each track's samples, in the order in which their bytes are written.
    pub fn runs(&self) -> &[Run<D>] {
        &self.runs
    }

    /// Bytes of all samples together: the content of `mdat`.
    pub fn payload_len(&self) -> usize {
        self.payload_bytes as usize
    }

    /// Bytes that [`Self::write_to`] appends.
    pub fn encoded_len(&self) -> usize {
        8 + self.moof_len() + self.payload_len()
    }

    fn moof_len(&self) -> usize {
        8 + 16
            + self
                .runs
                .iter()
                .map(|run| run.layout.traf_len(run.samples.len()))
                .sum::<usize>()
    }
}

impl<D: AsRef<[u8]>> Fragment<D> {
    /// Appends `moof` and `mdat` to `out` and leaves what is there alone: the caller keeps room for
    /// a chunk's header in front and seals in place.
    ///
    /// `sequence` is the number for `mfhd` (section 8.8.5); it should grow from fragment to fragment.
    pub fn write_to(&self, sequence: u32, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        let moof_len = self.moof_len() as u32;
        write_box(out, b"moof", |out| {
            write_box(out, b"mfhd", |out| {
                put_version_and_flags(out, 0, 0);
                put_u32(out, sequence);
            });
            let mut data_offset = moof_len + 8;
            for run in &self.runs {
                put_traf(out, run, data_offset);
                data_offset += run.payload_bytes();
            }
        });
        put_u32(out, 8 + self.payload_bytes);
        out.extend_from_slice(b"mdat");
        for sample in self.runs.iter().flat_map(|run| &run.samples) {
            out.extend_from_slice(sample.data.as_ref());
        }
    }
}

/// Which fields the samples of a run share, decided once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RunLayout {
    default_duration: Option<u32>,
    default_size: Option<u32>,
    default_flags: u32,
    trun_flags: u32,
    /// 1 when composition offsets are signed (section 8.8.8.2).
    trun_version: u8,
}

impl RunLayout {
    fn of<D>(samples: &[FragmentSample<D>]) -> Self {
        let mut layout = Self {
            default_duration: None,
            default_size: None,
            default_flags: FLAGS_KEY,
            trun_flags: TRUN_DATA_OFFSET,
            trun_version: 0,
        };
        let [first, rest @ ..] = samples else {
            return layout;
        };
        let all = |agrees: fn(&SampleInfo, &SampleInfo) -> bool| {
            rest.iter().all(|sample| agrees(&sample.info, &first.info))
        };
        if all(|a, b| a.duration == b.duration) {
            layout.default_duration = Some(first.info.duration);
        } else {
            layout.trun_flags |= TRUN_DURATION;
        }
        if all(|a, b| a.size == b.size) {
            layout.default_size = Some(first.info.size);
        } else {
            layout.trun_flags |= TRUN_SIZE;
        }
        let most = rest.first().unwrap_or(first);
        layout.default_flags = sample_flags(most.info.key);
        if rest.iter().any(|sample| sample.info.key != most.info.key) {
            layout.trun_flags |= TRUN_FLAGS;
        } else if first.info.key != most.info.key {
            layout.trun_flags |= TRUN_FIRST_FLAGS;
        }
        if samples
            .iter()
            .any(|sample| sample.info.composition_offset != 0)
        {
            layout.trun_flags |= TRUN_COMPOSITION;
            layout.trun_version = u8::from(
                samples
                    .iter()
                    .any(|sample| sample.info.composition_offset < 0),
            );
        }
        layout
    }

    fn traf_len(&self, samples: usize) -> usize {
        let has = |flag| usize::from(self.trun_flags & flag != 0);
        let a_sample = 4 * [TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION]
            .map(has)
            .iter()
            .sum::<usize>();
        let optional = usize::from(self.default_duration.is_some())
            + usize::from(self.default_size.is_some())
            + 1
            + has(TRUN_FIRST_FLAGS);
        TRACK_BYTES + 4 * optional + samples * a_sample
    }
}

fn sample_flags(key: bool) -> u32 {
    if key { FLAGS_KEY } else { FLAGS_NOT_KEY }
}

fn put_traf<D>(out: &mut Vec<u8>, run: &Run<D>, data_offset: u32) {
    let layout = &run.layout;
    write_box(out, b"traf", |out| {
        write_box(out, b"tfhd", |out| {
            let optional = layout.default_duration.map_or(0, |_| TFHD_DEFAULT_DURATION)
                | layout.default_size.map_or(0, |_| TFHD_DEFAULT_SIZE);
            put_version_and_flags(out, 0, TFHD_BASE_IS_MOOF | TFHD_DEFAULT_FLAGS | optional);
            put_u32(out, run.track_id.get());
            for default in [layout.default_duration, layout.default_size]
                .into_iter()
                .flatten()
            {
                put_u32(out, default);
            }
            put_u32(out, layout.default_flags);
        });
        write_box(out, b"tfdt", |out| {
            put_version_and_flags(out, 1, 0);
            put_u64(out, run.decode_time);
        });
        write_box(out, b"trun", |out| put_trun(out, run, data_offset));
    });
}

fn put_trun<D>(out: &mut Vec<u8>, run: &Run<D>, data_offset: u32) {
    let flags = run.layout.trun_flags;
    put_version_and_flags(out, run.layout.trun_version, flags);
    put_u32(out, run.samples.len() as u32);
    put_u32(out, data_offset);
    if flags & TRUN_FIRST_FLAGS != 0 {
        put_u32(out, sample_flags(run.samples[0].info.key));
    }
    for FragmentSample { info, .. } in &run.samples {
        if flags & TRUN_DURATION != 0 {
            put_u32(out, info.duration);
        }
        if flags & TRUN_SIZE != 0 {
            put_u32(out, info.size);
        }
        if flags & TRUN_FLAGS != 0 {
            put_u32(out, sample_flags(info.key));
        }
        if flags & TRUN_COMPOSITION != 0 {
            out.extend_from_slice(&info.composition_offset.to_be_bytes());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use mp4_atom::{Any, Decode};
    use proptest::prelude::*;

    /// A run of samples whose bytes count up.
    pub(crate) fn run(track_id: u32, decode_time: u64, infos: &[SampleInfo]) -> Run {
        let mut next = 0_u8;
        let sample = |&info: &SampleInfo| {
            let mut byte = || {
                next = next.wrapping_add(1);
                next
            };
            FragmentSample {
                info,
                data: (0..info.size).map(|_| byte()).collect(),
            }
        };
        let samples = infos.iter().map(sample).collect();
        Run::new(NonZeroU32::new(track_id).unwrap(), decode_time, samples)
    }

    /// A fragment of runs, with times that do not matter.
    pub(crate) fn fragment(runs: Vec<Run>) -> Fragment {
        let times = FragmentTimes {
            starts_with_key: true,
            decode_time_us: 0,
            duration_us: 0,
        };
        Fragment::new(runs, times)
    }

    /// Any sample.
    pub(crate) fn any_info() -> impl Strategy<Value = SampleInfo> {
        let offset = prop_oneof![3 => Just(0), 1 => any::<i32>()];
        let duration = prop_oneof![2 => Just(3000_u32), 1 => 0..u32::MAX];
        (1..200_u32, duration, offset, any::<bool>()).prop_map(
            |(size, duration, composition_offset, key)| SampleInfo {
                size,
                duration,
                composition_offset,
                key,
            },
        )
    }

    #[test]
    fn another_parser_reads_the_same_samples() {
        let sample = |size, key| SampleInfo {
            size,
            duration: 3000,
            composition_offset: 0,
            key,
        };
        let video = run(
            1,
            1 << 40,
            &[sample(50, true), sample(5, false), sample(7, false)],
        );
        let audio = run(2, 77, &[sample(9, true), sample(9, true)]);
        let fragment = fragment(vec![video, audio]);
        let mut out = b"headroom".to_vec();
        fragment.write_to(5, &mut out);
        assert_eq!(&out[..8], b"headroom");
        assert_eq!(out.len(), 8 + fragment.encoded_len());

        let mut input = &out[8..];
        let Any::Moof(moof) = Any::decode(&mut input).unwrap() else {
            panic!("not a moof")
        };
        assert_eq!(moof.mfhd.sequence_number, 5);
        let [video, audio] = &moof.traf[..] else {
            panic!("not two tracks")
        };
        assert_eq!(video.tfdt.as_ref().unwrap().base_media_decode_time, 1 << 40);
        assert!(video.tfhd.default_base_is_moof);
        assert_eq!(video.tfhd.default_sample_duration, Some(3000));
        assert_eq!(video.tfhd.default_sample_flags, Some(FLAGS_NOT_KEY));
        let sizes: Vec<_> = video.trun[0].samples.iter().map(|s| s.size).collect();
        assert_eq!(sizes, [Some(50), Some(5), Some(7)]);
        assert_eq!(video.trun[0].samples.get(0).unwrap().flags, Some(FLAGS_KEY));
        assert_eq!(audio.tfhd.default_sample_size, Some(9));
        assert_eq!(audio.trun[0].samples.len(), 2);
        let moof_len = (out.len() - 8 - input.len()) as i32;
        assert_eq!(video.trun[0].data_offset, Some(moof_len + 8));
        assert_eq!(audio.trun[0].data_offset, Some(moof_len + 8 + 62));
    }

    proptest! {
        #[test]
        fn the_length_is_known_before_writing(
            infos in prop::collection::vec(any_info(), 1..20),
            more in prop::collection::vec(any_info(), 1..20),
        ) {
            let fragment = fragment(vec![run(1, 0, &infos), run(2, 0, &more)]);
            let mut out = Vec::new();
            fragment.write_to(0, &mut out);
            prop_assert_eq!(out.len(), fragment.encoded_len());
            let boxes = out.len() - fragment.payload_len();
            let samples = infos.len() + more.len();
            prop_assert!(boxes <= overhead_bytes_max(2) + samples * SAMPLE_OVERHEAD_BYTES_MAX);
        }
    }
}
