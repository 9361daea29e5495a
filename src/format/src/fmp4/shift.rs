//! Moving a fragment in time, where it stands.

use super::bytes::Reader;
use super::{Error, Result};

/// Gives a fragment another place in a stream: writes `sequence` into its `mfhd`, and to the decode
/// time of each track adds what `shift` says for the track's identifier, in the track's ticks. Nothing
/// else changes, not even a length, so that a fragment can be sent on without being written anew.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Malformed`] and [`Error::MissingBox`] name the offset;
/// [`Error::TimeOutOfRange`] when a time would be negative or does not fit its field. After an error
/// the fragment is as it was.
pub fn shift_decode_times(
    fragment: &mut [u8],
    sequence: u32,
    shift: impl Fn(u32) -> i64,
) -> Result<()> {
    let mut top = Reader::new(fragment);
    let mut moof = None;
    while let Some(found) = top.next_box()? {
        if found.kind == *b"moof" && moof.replace(found.body).is_some() {
            return Err(Error::Malformed {
                offset: found.offset,
                what: "a fragment has one moof",
            });
        }
    }
    let moof = moof.ok_or(Error::MissingBox {
        offset: 0,
        kind: "moof",
    })?;
    let mut mfhd = moof.only_child("mfhd")?;
    mfhd.version_and_flags("mfhd")?;
    let mut edits = vec![Edit::word(mfhd.offset(), sequence)];
    mfhd.u32("mfhd")?;
    let mut children = moof;
    while let Some(child) = children.next_box()? {
        if child.kind == *b"traf" {
            edits.push(shifted_tfdt(child.body, &shift)?);
        }
    }
    for edit in &edits {
        edit.apply(fragment);
    }
    Ok(())
}

/// New bytes for a field that was read, and so lies inside the fragment.
struct Edit {
    offset: usize,
    bytes: [u8; 8],
    length: usize,
}

impl Edit {
    fn word(offset: usize, value: u32) -> Self {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&value.to_be_bytes());
        Self {
            offset,
            bytes,
            length: 4,
        }
    }

    fn double_word(offset: usize, value: u64) -> Self {
        Self {
            offset,
            bytes: value.to_be_bytes(),
            length: 8,
        }
    }

    fn apply(&self, fragment: &mut [u8]) {
        fragment[self.offset..self.offset + self.length]
            .copy_from_slice(&self.bytes[..self.length]);
    }
}

/// What `tfdt` (section 8.8.12) of this `traf` is to become.
fn shifted_tfdt(traf: Reader<'_>, shift: &impl Fn(u32) -> i64) -> Result<Edit> {
    let mut tfhd = traf.only_child("tfhd")?;
    tfhd.version_and_flags("tfhd")?;
    let track = tfhd.u32("tfhd")?;
    let mut tfdt = traf.only_child("tfdt")?;
    let version = tfdt.version_and_flags("tfdt")?.0;
    let offset = tfdt.offset();
    let out_of_range = Error::TimeOutOfRange { track };
    match version {
        0 => {
            let time = u64::from(tfdt.u32("tfdt")?).checked_add_signed(shift(track));
            let time = time.and_then(|time| u32::try_from(time).ok());
            Ok(Edit::word(offset, time.ok_or(out_of_range)?))
        }
        1 => {
            let time = tfdt.u64("tfdt")?.checked_add_signed(shift(track));
            Ok(Edit::double_word(offset, time.ok_or(out_of_range)?))
        }
        _ => Err(tfdt.malformed("an unknown version of tfdt")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fmp4::bytes::{put_u32, put_u64, put_version_and_flags, write_box};
    use crate::fmp4::parse_fragment;

    /// A fragment of two tracks, 1 and 2, with one sample each; `version` is that of both `tfdt`.
    fn fragment(version: u8, times: [u64; 2]) -> Vec<u8> {
        let mut out = Vec::new();
        write_box(&mut out, b"moof", |out| {
            write_box(out, b"mfhd", |out| {
                put_version_and_flags(out, 0, 0);
                put_u32(out, 3);
            });
            for (track, time) in (1..).zip(times) {
                write_box(out, b"traf", |out| {
                    write_box(out, b"tfhd", |out| {
                        // default-base-is-moof, and defaults for duration, size and flags
                        put_version_and_flags(out, 0, 0x02_0038);
                        for value in [track, 10, 4, 0x0200_0000] {
                            put_u32(out, value);
                        }
                    });
                    write_box(out, b"tfdt", |out| {
                        put_version_and_flags(out, version, 0);
                        match version {
                            0 => put_u32(out, time as u32),
                            _ => put_u64(out, time),
                        }
                    });
                    write_box(out, b"trun", |out| {
                        put_version_and_flags(out, 0, 1);
                        put_u32(out, 1);
                        // Both tracks' boxes, and the header of mdat.
                        let traf = 8 + 28 + [16, 20][usize::from(version)] + 20;
                        put_u32(out, 8 + 16 + 2 * traf + 8 + 4 * (track - 1));
                    });
                });
            }
        });
        write_box(&mut out, b"mdat", |out| out.extend_from_slice(b"seensaid"));
        out
    }

    #[test]
    fn only_times_and_number_change() {
        for version in [0, 1] {
            let mut bytes = fragment(version, [90_000, 48_000]);
            let before = parse_fragment(&bytes).unwrap();
            let shift = |track| if track == 1 { -90_000 } else { 1_000 };
            shift_decode_times(&mut bytes, 77, shift).unwrap();
            let mut after = parse_fragment(&bytes).unwrap();
            assert_eq!(after.sequence, 77);
            let times: Vec<_> = after.runs.iter().map(|run| run.decode_time).collect();
            assert_eq!(times, [0, 49_000]);
            after.sequence = 3;
            after.runs[0].decode_time = 90_000;
            after.runs[1].decode_time = 48_000;
            assert_eq!(after, before);
        }
    }

    #[test]
    fn a_time_that_does_not_fit_changes_nothing() {
        for (version, shift) in [(0, -5), (1, -5), (0, i64::MAX), (0, 1 << 32)] {
            let whole = fragment(version, [9, 4]);
            let mut bytes = whole.clone();
            let error = shift_decode_times(&mut bytes, 1, |_| shift).unwrap_err();
            assert!(matches!(error, Error::TimeOutOfRange { .. }), "{error}");
            assert_eq!(bytes, whole);
        }
    }

    #[test]
    fn every_cut_is_refused_or_harmless() {
        let whole = fragment(1, [9, 4]);
        for cut in 0..whole.len() {
            let mut bytes = whole[..cut].to_vec();
            assert!(shift_decode_times(&mut bytes, 1, |_| 1).is_err() || cut == whole.len() - 16);
        }
    }

    proptest! {
        #[test]
        fn hostile_fragments_give_a_result(
            changes in prop::collection::vec((0..220_usize, any::<u8>()), 0..6),
            shift: i64,
        ) {
            let mut bytes = fragment(1, [9, 4]);
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let before = bytes.clone();
            if shift_decode_times(&mut bytes, 1, |_| shift).is_err() {
                prop_assert_eq!(bytes, before);
            }
        }
    }
}
