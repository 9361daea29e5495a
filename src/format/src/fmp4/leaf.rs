//! The boxes that an init segment and a movie have in common.

use mp4_atom::{Dinf, Dref, DrefEntry, Encode, Hdlr, Mdhd, Mvhd, Smhd, Tkhd, Url, Vmhd};

use super::bytes::{put_u32, put_version_and_flags, write_box};
use super::{Track, TrackKind};

/// Appends a box of `mp4-atom`.
pub(super) fn put_atom(out: &mut Vec<u8>, atom: &impl Encode) {
    atom.encode(out)
        .expect("a box of constant form can be written to memory");
}

/// `mvhd` (section 8.2.2). `created` is in seconds since 1904.
pub(super) fn put_mvhd(
    out: &mut Vec<u8>,
    created: u64,
    timescale: u32,
    duration: u64,
    next_track_id: u32,
) {
    put_atom(
        out,
        &Mvhd {
            creation_time: created,
            modification_time: created,
            timescale,
            duration,
            rate: 1.into(),
            volume: 1.into(),
            matrix: Default::default(),
            next_track_id,
        },
    );
}

/// `tkhd` (section 8.3.2). `duration` is in the movie's ticks.
pub(super) fn put_tkhd(out: &mut Vec<u8>, track: &Track, created: u64, duration: u64) {
    let (volume, width, height) = match track.kind {
        TrackKind::Video { width, height } => (0, width, height),
        TrackKind::Audio { .. } => (1, 0, 0),
    };
    put_atom(
        out,
        &Tkhd {
            creation_time: created,
            modification_time: created,
            track_id: track.id,
            duration,
            // Two tracks of one group are alternatives of which a player shows one.
            alternate_group: 0,
            enabled: true,
            in_movie: true,
            volume: volume.into(),
            width: width.into(),
            height: height.into(),
            ..Default::default()
        },
    );
}

/// `mdia` (section 8.4) around the track's `stbl`, whose content `sample_table` appends.
pub(super) fn put_mdia(
    out: &mut Vec<u8>,
    track: &Track,
    created: u64,
    duration: u64,
    sample_table: impl FnOnce(&mut Vec<u8>),
) {
    write_box(out, b"mdia", |out| {
        let mdhd = Mdhd {
            creation_time: created,
            modification_time: created,
            timescale: track.timescale,
            duration,
            language: "und".to_owned(),
        };
        put_atom(out, &mdhd);
        let (handler, name) = if track.kind.is_video() {
            (b"vide", "Video")
        } else {
            (b"soun", "Audio")
        };
        put_atom(
            out,
            &Hdlr {
                handler: handler.into(),
                name: name.to_owned(),
            },
        );
        write_box(out, b"minf", |out| {
            match track.kind {
                TrackKind::Video { .. } => put_atom(out, &Vmhd::default()),
                TrackKind::Audio { .. } => put_atom(out, &Smhd::default()),
            }
            let in_this_file = DrefEntry::Url(Url::default());
            put_atom(
                out,
                &Dinf {
                    dref: Dref {
                        entries: vec![in_this_file],
                    },
                },
            );
            write_box(out, b"stbl", sample_table);
        });
    });
}

/// `stsd` (section 8.5.2) with sample entries as they are.
pub(super) fn put_stsd<'a>(out: &mut Vec<u8>, entries: impl ExactSizeIterator<Item = &'a [u8]>) {
    write_box(out, b"stsd", |out| {
        put_version_and_flags(out, 0, 0);
        put_u32(
            out,
            u32::try_from(entries.len()).expect("sample entries are few"),
        );
        entries.for_each(|entry| out.extend_from_slice(entry));
    });
}
