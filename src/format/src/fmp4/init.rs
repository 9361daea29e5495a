//! The init segment: `ftyp` and `moov` of a fragmented MP4.

use mp4_atom::{Ftyp, Trex};

use super::bytes::{Reader, put_u32, put_version_and_flags, write_box};
use super::leaf::{put_atom, put_mdia, put_mvhd, put_stsd, put_tkhd};
use super::{Error, Result, TRACKS_MAX, Track};

/// Writes the init segment for these tracks: `ftyp` and a `moov` without samples that announces
/// fragments (section 8.8).
///
/// It depends on nothing but `tracks`: the same tracks give the same bytes. [`parse_init`] is its
/// inverse for tracks made by [`Track::video`] and [`Track::audio`].
pub fn init_segment(tracks: &[Track]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let ftyp = Ftyp {
        major_brand: b"iso6".into(),
        minor_version: 0,
        compatible_brands: vec![b"iso6".into(), b"mp41".into()],
    };
    put_atom(&mut out, &ftyp);
    write_box(&mut out, b"moov", |out| {
        let next_track_id = tracks
            .iter()
            .map(|track| track.id)
            .max()
            .unwrap_or(0)
            .saturating_add(1);
        put_mvhd(out, 0, 1000, 0, next_track_id);
        for track in tracks {
            put_trak(out, track);
        }
        write_box(out, b"mvex", |out| {
            tracks.iter().for_each(|track| put_trex(out, track.id))
        });
    });
    out
}

fn put_trak(out: &mut Vec<u8>, track: &Track) {
    write_box(out, b"trak", |out| {
        put_tkhd(out, track, 0, 0);
        put_mdia(out, track, 0, 0, |out| {
            put_stsd(out, [&track.sample_entry[..]].into_iter());
            for kind in [b"stts", b"stsc", b"stco"] {
                write_box(out, kind, |out| {
                    put_version_and_flags(out, 0, 0);
                    put_u32(out, 0);
                });
            }
            write_box(out, b"stsz", |out| {
                put_version_and_flags(out, 0, 0);
                put_u32(out, 0);
                put_u32(out, 0);
            });
        });
    });
}

/// Every fragment states its own defaults, so that it can be read without its init segment.
fn put_trex(out: &mut Vec<u8>, track_id: u32) {
    let trex = Trex {
        track_id,
        default_sample_description_index: 1,
        ..Default::default()
    };
    put_atom(out, &trex);
}

/// Reads the tracks of an init segment; sample entries come back byte for byte.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Malformed`], [`Error::MissingBox`] and [`Error::TooMany`] name the
/// offset. Any input gives a result: nothing is allocated on the word of a length.
pub fn parse_init(init: &[u8]) -> Result<Vec<Track>> {
    let top = Reader::new(init);
    top.only_child("ftyp")?;
    let mut moov = top.only_child("moov")?;
    moov.only_child("mvex")?;
    let moov_offset = moov.offset();
    let mut tracks: Vec<Track> = Vec::new();
    while let Some(child) = moov.next_box()? {
        if child.kind != *b"trak" {
            continue;
        }
        if tracks.len() == TRACKS_MAX {
            let limit = TRACKS_MAX as u64;
            return Err(Error::TooMany {
                offset: child.offset,
                what: "tracks",
                limit,
            });
        }
        let track = parse_trak(child.body)?;
        if tracks.iter().any(|other| other.id == track.id) {
            let what = "two tracks have one identifier";
            return Err(Error::Malformed {
                offset: child.offset,
                what,
            });
        }
        tracks.push(track);
    }
    if tracks.is_empty() {
        return Err(Error::MissingBox {
            offset: moov_offset,
            kind: "trak",
        });
    }
    Ok(tracks)
}

fn parse_trak(trak: Reader<'_>) -> Result<Track> {
    let mut tkhd = trak.only_child("tkhd")?;
    skip_times(&mut tkhd, "tkhd")?;
    let id_offset = tkhd.offset();
    let id = tkhd.u32("tkhd")?;
    let mdia = trak.only_child("mdia")?;
    let mut mdhd = mdia.only_child("mdhd")?;
    skip_times(&mut mdhd, "mdhd")?;
    let timescale_offset = mdhd.offset();
    let timescale = mdhd.u32("mdhd")?;
    if id == 0 {
        return Err(Error::Malformed {
            offset: id_offset,
            what: "a track's identifier is 0",
        });
    }
    if timescale == 0 {
        return Err(Error::Malformed {
            offset: timescale_offset,
            what: "a timescale is 0",
        });
    }
    let mut hdlr = mdia.only_child("hdlr")?;
    hdlr.take(8, "hdlr")?;
    let handler_offset = hdlr.offset();
    let handler = hdlr.take(4, "hdlr")?;

    let mut stsd = mdia
        .only_child("minf")?
        .only_child("stbl")?
        .only_child("stsd")?;
    stsd.version_and_flags("stsd")?;
    if stsd.u32("stsd")? != 1 {
        return Err(stsd.malformed("an init segment has one sample entry a track"));
    }
    let entry_offset = stsd.offset();
    let entry = stsd.rest().to_vec();
    let track = match handler {
        b"vide" => Track::video(id, timescale, entry),
        b"soun" => Track::audio(id, timescale, entry),
        _ => {
            let what = "a track is neither video nor audio";
            return Err(Error::Malformed {
                offset: handler_offset,
                what,
            });
        }
    };
    track.map_err(|error| within(error, entry_offset))
}

/// Skips version, flags, creation and modification time, 32 or 64 bits wide.
fn skip_times(reader: &mut Reader<'_>, what: &'static str) -> Result<()> {
    let (version, _) = reader.version_and_flags(what)?;
    let bytes = match version {
        0 => 8,
        1 => 16,
        _ => return Err(reader.malformed("an unknown version of a header box")),
    };
    reader.take(bytes, what)?;
    Ok(())
}

/// An error inside a sample entry, seen from the whole input.
fn within(error: Error, base: usize) -> Error {
    match error {
        Error::Truncated { offset, what } => Error::Truncated {
            offset: base + offset,
            what,
        },
        Error::Malformed { offset, what } => Error::Malformed {
            offset: base + offset,
            what,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmp4::track::tests::{two_tracks, video_entry};
    use mp4_atom::{Any, Decode};
    use proptest::prelude::*;

    #[test]
    fn parsing_is_the_inverse_of_writing() {
        let tracks = two_tracks();
        let init = init_segment(&tracks);
        assert_eq!(parse_init(&init).unwrap(), tracks);
        assert_eq!(init, init_segment(&tracks));
    }

    #[test]
    fn another_parser_reads_the_same_tracks() {
        let init = init_segment(&two_tracks()[1..]);
        let mut input = &init[..];
        assert!(matches!(Any::decode(&mut input).unwrap(), Any::Ftyp(_)));
        let Any::Moov(moov) = Any::decode(&mut input).unwrap() else {
            panic!("not a moov")
        };
        assert!(input.is_empty());
        assert_eq!(moov.trak.len(), 1);
        assert_eq!(moov.trak[0].mdia.mdhd.timescale, 48_000);
        assert_eq!(moov.trak[0].tkhd.track_id, 2);
        assert_eq!(moov.mvex.unwrap().trex[0].track_id, 2);
    }

    #[test]
    fn every_cut_is_refused() {
        let init = init_segment(&two_tracks());
        for cut in 0..init.len() {
            assert!(parse_init(&init[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn tracks_are_counted_and_told_apart() {
        let track = two_tracks().remove(0);
        let numbered = |id| Track {
            id,
            ..track.clone()
        };
        let many: Vec<_> = (1..=9).map(numbered).collect();
        assert!(matches!(
            parse_init(&init_segment(&many)),
            Err(Error::TooMany { limit: 8, .. })
        ));
        let twice = [track.clone(), track];
        assert!(matches!(
            parse_init(&init_segment(&twice)),
            Err(Error::Malformed { .. })
        ));
        assert!(matches!(
            parse_init(&init_segment(&[])),
            Err(Error::MissingBox { kind: "trak", .. })
        ));
    }

    proptest! {
        #[test]
        fn any_sample_entry_comes_back(config in prop::collection::vec(any::<u8>(), 0..80),
                                       id in 1..u32::MAX, timescale in 1u32.., width: u16) {
            let entry = video_entry(b"hvc1", (width, 90), (b"hvcC", &config));
            let tracks = [Track::video(id, timescale, entry).unwrap()];
            prop_assert_eq!(parse_init(&init_segment(&tracks)).unwrap(), tracks);
        }

        #[test]
        fn random_bytes_give_a_result(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_init(&bytes);
        }

        #[test]
        fn mutated_init_segments_give_a_result(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut init = init_segment(&two_tracks());
            for (at, byte) in changes {
                let at = at.index(init.len());
                init[at] = byte;
            }
            if let Ok(tracks) = parse_init(&init) {
                for track in &tracks {
                    let _ = track.codec_string();
                }
                prop_assert_eq!(parse_init(&init_segment(&tracks)).unwrap(), tracks);
            }
        }
    }
}
