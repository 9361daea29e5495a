//! Clips for tests: read with `mp4-atom`, recorded as a camera would send them, exported.

use std::io::Cursor;

use hearthkeep_format::fmp4::{
    FragmentView, MovieBuilder, SampleTable, SegmentPlace, TableLimits, Track, parse_fragment,
};
use hearthkeep_format::fragmenter::{Fragmenter, Limits, Sample, TrackClock};
use mp4_atom::{Any, Decode, DecodeMaybe, Header, Moov, Trak};

/// One sample as a plain MP4 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipSample {
    pub decode_time: u64,
    pub duration: u32,
    pub composition_offset: i32,
    pub key: bool,
    /// Which sample entry, from 0.
    pub entry: usize,
    pub data: Vec<u8>,
}

/// One track of a plain MP4.
#[derive(Debug, Clone)]
pub struct ClipTrack {
    pub timescale: u32,
    pub is_video: bool,
    /// The empty edit at its beginning, in movie ticks.
    pub delay: u64,
    /// Where the edit after it begins, in the track's ticks.
    pub media_time: u64,
    pub entries: Vec<Vec<u8>>,
    pub samples: Vec<ClipSample>,
}

/// A plain MP4.
#[derive(Debug, Clone)]
pub struct Clip {
    pub timescale: u32,
    /// Seconds since 1904.
    pub created: u64,
    pub tracks: Vec<ClipTrack>,
    /// Whether `moov` stands before `mdat`.
    pub moov_first: bool,
}

/// A segment's fragments and their table.
pub struct Segment {
    pub fragments: Vec<Vec<u8>>,
    pub table: SampleTable,
}

impl Clip {
    /// When a track's first sample is shown or heard, in seconds of the movie.
    pub fn begins(&self, track: usize) -> f64 {
        let track = &self.tracks[track];
        let shown = i64::from(track.samples[0].composition_offset) - track.media_time as i64;
        track.delay as f64 / f64::from(self.timescale) + shown as f64 / f64::from(track.timescale)
    }

    pub fn read(file: &[u8]) -> Self {
        let mut moov = None;
        let mut moov_first = false;
        let mut cursor = Cursor::new(file);
        while let Some(header) = Header::decode_maybe(&mut cursor).unwrap() {
            let end = cursor.position() + header.size.unwrap() as u64;
            match &header.kind.to_string()[..] {
                "moov" => {
                    let start = cursor.position() as usize - 8;
                    let Any::Moov(found) = Any::decode(&mut &file[start..end as usize]).unwrap()
                    else {
                        panic!("not a moov");
                    };
                    moov = Some((found, &file[start..end as usize]));
                }
                "mdat" => moov_first = moov.is_some(),
                _ => {}
            }
            cursor.set_position(end);
        }
        let (moov, bytes) = moov.unwrap();
        let mut stsds = stsd_entries(bytes).into_iter();
        let track = |trak: &Trak| clip_track(trak, stsds.next().unwrap(), file);
        let Moov { mvhd, trak, .. } = &moov;
        let tracks = trak.iter().map(track).collect();
        Self {
            timescale: mvhd.timescale,
            created: mvhd.creation_time,
            tracks,
            moov_first,
        }
    }

    /// The tracks of an init segment.
    pub fn tracks(&self) -> Vec<Track> {
        let numbered = (1..).zip(&self.tracks);
        let made = numbered.map(|(id, track)| match track.is_video {
            true => Track::video(id, track.timescale, track.entries[0].clone()).unwrap(),
            false => Track::audio(id, track.timescale, track.entries[0].clone()).unwrap(),
        });
        made.collect()
    }

    /// Sends the clip as one run whose decode times begin at `start_us`, and rolls to a new segment
    /// at each `keys_a_segment`th key frame.
    pub fn record(&self, start_us: u64, keys_a_segment: usize) -> Vec<Segment> {
        let clocks = self.tracks.iter().map(|track| TrackClock {
            timescale: track.timescale,
            is_video: track.is_video,
        });
        let mut fragmenter = Fragmenter::new(clocks.collect(), Limits::default()).unwrap();
        let mut fragments = Vec::new();
        for sample in self.interleaved(start_us) {
            fragmenter.push(sample).unwrap();
            fragmenter.check_invariants();
            fragments.extend(std::iter::from_fn(|| fragmenter.pull()));
        }
        fragments.extend(fragmenter.finish());

        let mut segments: Vec<Segment> = Vec::new();
        let mut keys = 0;
        for (sequence, fragment) in (1..).zip(&fragments) {
            keys += usize::from(fragment.starts_with_key());
            if fragment.starts_with_key() && (keys - 1).is_multiple_of(keys_a_segment) {
                segments.push(Segment {
                    fragments: Vec::new(),
                    table: SampleTable::new(),
                });
            }
            let segment = segments.last_mut().unwrap();
            let mut bytes = Vec::new();
            fragment.write_to(sequence, &mut bytes);
            segment.fragments.push(bytes);
            segment.table.push_fragment(fragment).unwrap();
        }
        segments.iter().for_each(check_table);
        segments
    }

    /// All samples in the order of their times, sound a little behind, as from a camera.
    fn interleaved(&self, start_us: u64) -> Vec<Sample> {
        let mut samples = Vec::new();
        for (index, track) in self.tracks.iter().enumerate() {
            let timescale = u64::from(track.timescale);
            for sample in &track.samples {
                let decode_time = start_us * timescale / 1_000_000 + sample.decode_time;
                let arrival_us = decode_time * 1_000_000 / timescale;
                let arrival_us = arrival_us + if track.is_video { 0 } else { 30_000 };
                samples.push((
                    arrival_us,
                    Sample {
                        track: index,
                        decode_time,
                        composition_offset: sample.composition_offset,
                        key: sample.key,
                        data: sample.data.clone(),
                    },
                ));
            }
        }
        samples.sort_by_key(|(arrival_us, _)| *arrival_us);
        samples.into_iter().map(|(_, sample)| sample).collect()
    }
}

/// The table that was written, read back and rebuilt from fragments are the same.
fn check_table(segment: &Segment) {
    let mut bytes = Vec::new();
    segment.table.encode(&mut bytes);
    let limits = TableLimits {
        chunks_max: 1000,
        samples_max: 10_000,
    };
    assert_eq!(SampleTable::decode(&bytes, limits).unwrap(), segment.table);
    let views: Vec<FragmentView> = segment
        .fragments
        .iter()
        .map(|bytes| parse_fragment(bytes).unwrap())
        .collect();
    assert_eq!(SampleTable::from_views(&views).unwrap(), segment.table);
}

/// A segment on its way into an export.
pub struct Piece<'a> {
    pub tracks: &'a [Track],
    pub segment: &'a Segment,
    pub chunks: std::ops::Range<u32>,
    pub place: SegmentPlace,
}

/// All chunks of segments of one run.
pub fn whole_run<'a>(
    tracks: &'a [Track],
    segments: &'a [Segment],
    origin_us: i64,
) -> Vec<Piece<'a>> {
    let mut place = SegmentPlace::NewRun { origin_us };
    let piece = |segment: &'a Segment| {
        let place = std::mem::replace(&mut place, SegmentPlace::SameRun);
        Piece {
            tracks,
            segment,
            chunks: 0..segment.table.chunks(),
            place,
        }
    };
    segments.iter().map(piece).collect()
}

/// Exports as an exporter does, and keeps the file for a look with other tools.
pub fn export(name: &str, pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut builder = MovieBuilder::new();
    for piece in pieces {
        let (chunks, table) = (piece.chunks.clone(), &piece.segment.table);
        builder
            .add_segment(piece.tracks, table, chunks, piece.place)
            .unwrap();
    }
    let movie = builder.finish().unwrap();
    let mut file = movie.head().to_vec();
    for payload in movie.payloads() {
        let segment = pieces[payload.segment as usize].segment;
        let fragment = &segment.fragments[payload.chunk as usize];
        let view = parse_fragment(fragment).unwrap();
        assert_eq!(view.payload.len(), payload.bytes as usize);
        file.extend_from_slice(&fragment[view.payload]);
    }
    assert_eq!(file.len() as u64, movie.file_bytes());
    keep(name, &file);
    file
}

/// Writes a file under Cargo's folder for tests' files.
pub fn keep(name: &str, file: &[u8]) {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(path, file).unwrap();
}

fn clip_track(trak: &Trak, entries: Vec<Vec<u8>>, file: &[u8]) -> ClipTrack {
    let stbl = &trak.mdia.minf.stbl;
    let durations: Vec<u32> = (stbl.stts.entries.iter())
        .flat_map(|entry| std::iter::repeat_n(entry.sample_delta, entry.sample_count as usize))
        .collect();
    let offsets: Vec<i32> = (stbl.ctts.iter().flat_map(|ctts| &ctts.entries))
        .flat_map(|entry| {
            std::iter::repeat_n(entry.sample_offset as i32, entry.sample_count as usize)
        })
        .collect();
    let places = sample_places(trak, durations.len());
    let mut decode_time = 0;
    let mut samples = Vec::new();
    for (index, &duration) in durations.iter().enumerate() {
        let (offset, size, entry) = places[index];
        samples.push(ClipSample {
            decode_time,
            duration,
            composition_offset: offsets.get(index).copied().unwrap_or(0),
            key: (stbl.stss.as_ref()).is_none_or(|stss| stss.entries.contains(&(index as u32 + 1))),
            entry,
            data: file[offset..offset + size].to_vec(),
        });
        decode_time += u64::from(duration);
    }
    assert_eq!(trak.mdia.mdhd.duration, decode_time);
    let edits = trak
        .edts
        .iter()
        .flat_map(|edts| &edts.elst)
        .flat_map(|elst| &elst.entries);
    let waits = edits.clone().filter(|edit| edit.media_time.is_none());
    ClipTrack {
        timescale: trak.mdia.mdhd.timescale,
        is_video: trak.mdia.hdlr.handler == b"vide".into(),
        delay: waits.map(|edit| edit.segment_duration).sum(),
        media_time: edits.filter_map(|edit| edit.media_time).next().unwrap_or(0),
        entries,
        samples,
    }
}

/// (Offset, size, sample entry) of each sample.
fn sample_places(trak: &Trak, count: usize) -> Vec<(usize, usize, usize)> {
    let stbl = &trak.mdia.minf.stbl;
    let sizes: Vec<u32> = match &stbl.stsz.samples {
        mp4_atom::StszSamples::Identical { count, size } => vec![*size; *count as usize],
        mp4_atom::StszSamples::Different { sizes } => sizes.clone(),
    };
    assert_eq!(sizes.len(), count);
    let offsets: Vec<u64> = match (&stbl.stco, &stbl.co64) {
        (Some(stco), None) => stco
            .entries
            .iter()
            .map(|&offset| u64::from(offset))
            .collect(),
        (None, Some(co64)) => co64.entries.clone(),
        _ => panic!("stco or co64"),
    };
    let mut places = Vec::new();
    let mut sizes = sizes.into_iter();
    for (chunk, offset) in (1..).zip(offsets) {
        let runs = &stbl.stsc.entries;
        let run = runs
            .iter()
            .rev()
            .find(|run| run.first_chunk <= chunk)
            .unwrap();
        let mut offset = offset as usize;
        for size in sizes.by_ref().take(run.samples_per_chunk as usize) {
            places.push((
                offset,
                size as usize,
                run.sample_description_index as usize - 1,
            ));
            offset += size as usize;
        }
    }
    assert_eq!(places.len(), count, "chunks hold all samples");
    places
}

/// The sample entries of each `stsd`, byte for byte.
fn stsd_entries(moov: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let starts = (0..moov.len() - 4).filter(|&at| &moov[at..at + 4] == b"stsd");
    let number = |at: usize| u32::from_be_bytes(moov[at..at + 4].try_into().unwrap()) as usize;
    let entries = |at: usize| {
        let count = number(at + 8);
        let mut at = at + 12;
        let mut next = || {
            let entry = moov[at..at + number(at)].to_vec();
            at += entry.len();
            entry
        };
        (0..count).map(|_| next()).collect()
    };
    starts.map(entries).collect()
}
