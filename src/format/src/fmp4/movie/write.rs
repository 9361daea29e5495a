//! Writing a movie's `ftyp`, `moov` and the header of its `mdat`.

use mp4_atom::{Edts, Elst, ElstEntry, Ftyp};

use super::columns::MovieTrack;
use crate::fmp4::bytes::{put_u32, put_u64, put_version_and_flags, write_box};
use crate::fmp4::leaf::{put_atom, put_mdia, put_mvhd, put_stsd, put_tkhd};
use crate::fmp4::{Error, Result};

/// Seconds from 1904, where MP4 counts from (section 8.2.2), to 1970.
const SECONDS_1904_TO_1970: i64 = 2_082_844_800;

/// A movie's timescale is the tracks' least common multiple, up to here, so that edits are exact.
const TIMESCALE_MAX: u64 = 10_000_000;

/// A track's place in the movie, in the movie's ticks.
struct Extent {
    /// Time before the first sample is shown.
    delay: u64,
    duration: u64,
    /// When the first sample is shown, after it is decoded, in the track's ticks: players look for a
    /// key frame where an edit begins.
    media_time: u64,
}

/// Writes everything before the payload.
pub(super) fn head(
    tracks: &[MovieTrack],
    origin_us: i64,
    date: Option<&str>,
    payload_bytes: u64,
) -> Result<Vec<u8>> {
    let timescale = movie_timescale(tracks);
    let extents = extents(tracks, timescale)?;
    let created = created(tracks, origin_us);
    // Offsets of 32 bits reach when even the longest head in front of the payload is counted.
    let rows: usize = tracks.iter().map(MovieTrack::table_bytes_max).sum();
    let rows = rows + date.map_or(0, |date| 256 + date.len());
    let large = payload_bytes + rows as u64 > u64::from(u32::MAX);

    let mut out = Vec::with_capacity(rows);
    put_ftyp(&mut out);
    let mut offsets_at = Vec::new();
    write_box(&mut out, b"moov", |out| {
        let end = |extent: &Extent| extent.delay + extent.duration;
        let duration = extents.iter().map(end).max().unwrap_or(0);
        put_mvhd(out, created, timescale, duration, tracks.len() as u32 + 1);
        for (track, extent) in tracks.iter().zip(&extents) {
            let header = TrakHeader {
                created,
                extent,
                large,
            };
            offsets_at.push(put_trak(out, track, &header));
        }
        if let Some(date) = date {
            put_date(out, date);
        }
    });
    put_mdat_header(&mut out, payload_bytes, large);
    debug_assert!(out.len() <= rows, "the longest head was not counted");
    let payload_start = out.len() as u64;
    for (track, at) in tracks.iter().zip(offsets_at) {
        fill_offsets(&mut out[at..], &track.chunk_offsets, payload_start, large);
    }
    Ok(out)
}

struct TrakHeader<'a> {
    created: u64,
    extent: &'a Extent,
    large: bool,
}

/// The one place in an MP4 file where a time can have an offset (QuickTime File Format, Metadata): `mvhd` has UTC.
fn put_date(out: &mut Vec<u8>, date: &str) {
    const KEY: &[u8] = b"com.apple.quicktime.creationdate";
    const UTF_8: u32 = 1;
    write_box(out, b"meta", |out| {
        put_version_and_flags(out, 0, 0);
        write_box(out, b"hdlr", |out| {
            put_version_and_flags(out, 0, 0);
            put_u32(out, 0);
            out.extend_from_slice(b"mdta");
            out.extend_from_slice(&[0; 13]);
        });
        write_box(out, b"keys", |out| {
            put_version_and_flags(out, 0, 0);
            put_u32(out, 1);
            write_box(out, b"mdta", |out| out.extend_from_slice(KEY));
        });
        write_box(out, b"ilst", |out| {
            // The first of the keys.
            write_box(out, &1_u32.to_be_bytes(), |out| {
                write_box(out, b"data", |out| {
                    put_u32(out, UTF_8);
                    put_u32(out, 0);
                    out.extend_from_slice(date.as_bytes());
                });
            });
        });
    });
}

fn put_ftyp(out: &mut Vec<u8>) {
    let brands = [b"isom", b"iso6", b"mp41", b"mp42"];
    let ftyp = Ftyp {
        major_brand: b"isom".into(),
        minor_version: 0x200,
        compatible_brands: brands.map(Into::into).to_vec(),
    };
    put_atom(out, &ftyp);
}

/// `mdat`'s header. One of 64 bits goes with offsets of 64 bits.
fn put_mdat_header(out: &mut Vec<u8>, payload_bytes: u64, large: bool) {
    if large {
        put_u32(out, 1);
        out.extend_from_slice(b"mdat");
        put_u64(out, payload_bytes + 16);
    } else {
        put_u32(out, payload_bytes as u32 + 8);
        out.extend_from_slice(b"mdat");
    }
}

fn movie_timescale(tracks: &[MovieTrack]) -> u32 {
    let mut common = 1_u64;
    for track in tracks {
        let timescale = u64::from(track.track().timescale);
        common = common / greatest_common_divisor(common, timescale) * timescale;
        if common > TIMESCALE_MAX {
            // Edits are then exact to a microsecond.
            return 1_000_000;
        }
    }
    common as u32
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

fn extents(tracks: &[MovieTrack], timescale: u32) -> Result<Vec<Extent>> {
    let scaled = |track: &MovieTrack, ticks: i64| {
        let own = i128::from(track.track().timescale);
        (i128::from(ticks) * i128::from(timescale) + own / 2).div_euclid(own)
    };
    let shown = |track: &MovieTrack| track.first_time().unwrap_or(0) + track.first_composition();
    let starts: Vec<i128> = tracks
        .iter()
        .map(|track| scaled(track, shown(track)))
        .collect();
    let first = starts.iter().min().copied().ok_or(Error::NoSamples)?;
    let extent = |(track, start): (&MovieTrack, i128)| {
        let out_of_range = |_| Error::TimeOutOfRange {
            track: track.track().id,
        };
        let duration = scaled(track, track.duration() as i64);
        // Half of what 64 bits hold, so that the two can be added.
        u64::try_from(2 * (start - first + duration)).map_err(out_of_range)?;
        Ok(Extent {
            delay: (start - first) as u64,
            duration: duration as u64,
            media_time: track.first_composition() as u64,
        })
    };
    tracks.iter().zip(starts).map(extent).collect()
}

/// The first sample's wall time, in seconds since 1904.
fn created(tracks: &[MovieTrack], origin_us: i64) -> u64 {
    let start_us = |track: &MovieTrack| {
        let ticks = i128::from(track.first_time().unwrap_or(0));
        ticks * 1_000_000 / i128::from(track.track().timescale)
    };
    let first_us = tracks.iter().map(start_us).min().unwrap_or(0) + i128::from(origin_us);
    let seconds = first_us.div_euclid(1_000_000) + i128::from(SECONDS_1904_TO_1970);
    u64::try_from(seconds).unwrap_or(0)
}

/// `trak`; gives where the chunk offsets are to be filled in.
fn put_trak(out: &mut Vec<u8>, track: &MovieTrack, header: &TrakHeader<'_>) -> usize {
    let mut offsets_at = 0;
    let extent = header.extent;
    write_box(out, b"trak", |out| {
        put_tkhd(
            out,
            track.track(),
            header.created,
            extent.delay + extent.duration,
        );
        put_edits(out, extent);
        put_mdia(
            out,
            track.track(),
            header.created,
            track.duration(),
            |out| {
                put_stsd(out, track.entries());
                put_time_tables(out, track);
                offsets_at = put_place_tables(out, track, header.large);
            },
        );
    });
    offsets_at
}

/// `edts` (section 8.6.5), unless the track simply begins with the movie.
fn put_edits(out: &mut Vec<u8>, extent: &Extent) {
    let edit = |segment_duration, media_time| ElstEntry {
        segment_duration,
        media_time,
        media_rate: 1.into(),
    };
    let wait = (extent.delay > 0).then(|| edit(extent.delay, None));
    if wait.is_none() && extent.media_time == 0 {
        return;
    }
    let media = edit(extent.duration, Some(extent.media_time));
    let entries = wait.into_iter().chain([media]).collect();
    put_atom(
        out,
        &Edts {
            elst: Some(Elst { entries }),
        },
    );
}

/// `stts`, `ctts` and `stss` (sections 8.6.1 and 8.6.2).
fn put_time_tables(out: &mut Vec<u8>, track: &MovieTrack) {
    put_table(
        out,
        b"stts",
        0,
        track.durations.as_slice(),
        |out, &(count, duration)| {
            put_u32(out, count);
            put_u32(out, duration);
        },
    );
    let offsets = track.composition_offsets.as_slice();
    if offsets.iter().any(|&(_, offset)| offset != 0) {
        let version = u8::from(offsets.iter().any(|&(_, offset)| offset < 0));
        put_table(out, b"ctts", version, offsets, |out, &(count, offset)| {
            put_u32(out, count);
            put_u32(out, offset as u32);
        });
    }
    if track.keys.len() < track.sizes.len() {
        put_table(out, b"stss", 0, &track.keys, |out, &number| {
            put_u32(out, number)
        });
    }
}

/// `stsc`, `stsz` and `stco` or `co64` (sections 8.7.3 to 8.7.5); the offsets are left zero, and where
/// they are is given.
fn put_place_tables(out: &mut Vec<u8>, track: &MovieTrack, large: bool) -> usize {
    put_table(
        out,
        b"stsc",
        0,
        &track.chunk_runs,
        |out, &(first, samples, entry)| {
            put_u32(out, first);
            put_u32(out, samples);
            put_u32(out, entry);
        },
    );
    write_box(out, b"stsz", |out| {
        put_version_and_flags(out, 0, 0);
        put_u32(out, 0);
        put_u32(out, track.sizes.len() as u32);
        track.sizes.iter().for_each(|&size| put_u32(out, size));
    });
    let (kind, width) = if large { (b"co64", 8) } else { (b"stco", 4) };
    put_table(out, kind, 0, &track.chunk_offsets, |out, _| {
        out.resize(out.len() + width, 0)
    });
    out.len() - width * track.chunk_offsets.len()
}

fn fill_offsets(out: &mut [u8], chunk_offsets: &[u64], payload_start: u64, large: bool) {
    let width = if large { 8 } else { 4 };
    for (place, offset) in out.chunks_exact_mut(width).zip(chunk_offsets) {
        // Without `large`, the upper four bytes are zero.
        place.copy_from_slice(&(payload_start + offset).to_be_bytes()[8 - width..]);
    }
}

/// A full box of a count and rows.
fn put_table<T>(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    rows: &[T],
    put_row: impl Fn(&mut Vec<u8>, &T),
) {
    write_box(out, kind, |out| {
        put_version_and_flags(out, version, 0);
        put_u32(
            out,
            u32::try_from(rows.len()).expect("a movie's samples are bounded"),
        );
        rows.iter().for_each(|row| put_row(out, row));
    });
}
