//! A fragmented MP4 stream out of sealed segments: one init segment, then the fragments as they were recorded, moved in
//! time so that the stream begins at 0 and goes on over runs.
//!
//! A run keeps the distances that its camera's clock gave it; a new run begins at its wall time, so that gaps stay. Where a
//! clock was slow and something would begin before what came before it has ended, all that follows in the run is moved
//! to begin right after it, on all tracks alike. Memory does not grow with the span: one fragment is held at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use hearthkeep_format::RunId;
use hearthkeep_format::fmp4::{FragmentView, Track, parse_fragment, shift_decode_times};

use super::export::nothing;
use super::piece::{Piece, Unusable};
use super::{Error, Export, Loss, Segment, Skipped};

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streamed {
    /// Fragments that were written.
    pub fragments: u32,
    /// What had to be left out.
    pub skipped: Vec<Skipped>,
}

/// Writes the footage as fragmented MP4. It begins at the key frame before the span's start, and ends with the fragment
/// that the span's end lies in.
///
/// # Errors
/// See [`Error`]. [`Error::FormatChanged`] comes after everything before the change has been written.
pub fn stream(export: &Export<'_>, output: &mut dyn Write) -> Result<Streamed, Error> {
    let mut streamer = Streamer {
        export,
        output,
        tracks: Vec::new(),
        timing: None,
        done: Streamed {
            fragments: 0,
            skipped: export.unusable.to_vec(),
        },
    };
    for segment in export.segments {
        streamer.segment(*segment)?;
    }
    streamer.output.flush()?;
    let Streamer { done, .. } = streamer;
    match done.fragments {
        0 => Err(nothing(done.skipped)),
        _ => Ok(done),
    }
}

struct Streamer<'a> {
    export: &'a Export<'a>,
    output: &'a mut dyn Write,
    /// Those of the init segment that was written; empty before.
    tracks: Vec<Track>,
    timing: Option<Timing>,
    done: Streamed,
}

impl Streamer<'_> {
    fn segment(&mut self, segment: &dyn Segment) -> Result<(), Error> {
        let piece = match Piece::open(segment, self.export.keyring) {
            Ok(piece) => piece,
            Err(Unusable::Fatal(error)) => return Err(error),
            Err(Unusable::Lost(loss)) => {
                self.done.skipped.push(Skipped::whole(segment, loss));
                return Ok(());
            }
        };
        let mut bad = BTreeSet::new();
        let wanted = piece.wanted(&self.export.span, &bad);
        if let Some(first) = wanted.ranges.first() {
            self.begin(&piece, first.start)?;
        }
        let mut buffer = Vec::new();
        let mut whole = true;
        for chunk in wanted.ranges.into_iter().flatten() {
            let place = &piece.places[chunk as usize];
            let key = place.entry.is_some_and(|entry| entry.key_frame);
            if !whole && !key {
                continue;
            }
            whole = match piece.file.read_into(place, &mut buffer) {
                Ok(body) => self.fragment(&piece, &mut buffer[body])?,
                Err(source) => match Loss::of(segment, source)? {
                    Loss::Damaged(_) => false,
                    Loss::Deleted => {
                        let skipped = Skipped::whole(segment, Loss::Deleted);
                        self.done.skipped.push(skipped);
                        return Ok(());
                    }
                },
            };
            if !whole {
                bad.insert(place.k);
            }
        }
        let lost = piece.wanted(&self.export.span, &bad).lost;
        self.done.skipped.extend(Skipped::chunks(segment, lost));
        Ok(())
    }

    /// The stream begins with the init segment of its first fragment, and goes on only with the same tracks.
    fn begin(&mut self, piece: &Piece<'_>, fragment: u32) -> Result<(), Error> {
        if self.tracks.is_empty() {
            self.output.write_all(&piece.file.preamble().init)?;
            self.tracks.clone_from(&piece.tracks);
        } else if self.tracks != piece.tracks {
            self.output.flush()?;
            let at_us = piece.wall_us_of(&piece.places[fragment as usize]);
            return Err(Error::FormatChanged { at_us });
        }
        Ok(())
    }

    /// Writes a fragment at its new time; false when it is damaged.
    fn fragment(&mut self, piece: &Piece<'_>, fragment: &mut [u8]) -> Result<bool, Error> {
        let Ok(view) = parse_fragment(fragment) else {
            return Ok(false);
        };
        let timing = self
            .timing
            .get_or_insert_with(|| Timing::beginning_with(&self.tracks, &view, piece));
        timing.place(&self.tracks, &view, piece.run(), piece.origin_us());
        let (tracks, shift_us) = (&self.tracks, timing.shift_us);
        let shift = |track| ticks(shift_us, timescale(tracks, track));
        let sequence = self.done.fragments.wrapping_add(1);
        if shift_decode_times(fragment, sequence, shift).is_err() {
            return Ok(false);
        }
        timing.wrote(&self.tracks, &view);
        self.output.write_all(fragment)?;
        self.done.fragments = sequence;
        Ok(true)
    }
}

/// Where the stream is.
struct Timing {
    run: RunId,
    /// Wall time of the stream's time 0.
    zero_us: i64,
    /// What is added to times of the run.
    shift_us: i64,
    /// Where each track has got to, in its ticks of the stream.
    ends: BTreeMap<u32, u64>,
}

impl Timing {
    /// The stream begins with the first sample of any track.
    fn beginning_with(tracks: &[Track], view: &FragmentView, piece: &Piece<'_>) -> Self {
        let starts = view
            .runs
            .iter()
            .map(|run| micros(run.decode_time, timescale(tracks, run.track_id)));
        let first_us = starts.min().unwrap_or(0);
        Self {
            run: piece.run(),
            zero_us: piece.origin_us().saturating_add(first_us),
            shift_us: first_us.saturating_neg(),
            ends: BTreeMap::new(),
        }
    }

    /// Finds the shift of a fragment: that of its run, unless a track would go back.
    fn place(&mut self, tracks: &[Track], view: &FragmentView, run: RunId, origin_us: i64) {
        if run != self.run {
            self.run = run;
            self.shift_us = origin_us.saturating_sub(self.zero_us);
        }
        let mut missing_us = 0;
        for run in &view.runs {
            let timescale = timescale(tracks, run.track_id);
            let end = self.ends.get(&run.track_id).copied().unwrap_or(0);
            let start = i128::from(run.decode_time) + i128::from(ticks(self.shift_us, timescale));
            let missing = i128::from(end) - start;
            let missing = u64::try_from(missing).unwrap_or(0);
            // One more than the division says: rounding must not take it back again.
            let needed_us = if missing == 0 {
                0
            } else {
                micros(missing, timescale) + 1
            };
            missing_us = missing_us.max(needed_us);
        }
        self.shift_us = self.shift_us.saturating_add(missing_us);
    }

    fn wrote(&mut self, tracks: &[Track], view: &FragmentView) {
        for run in &view.runs {
            let shift = ticks(self.shift_us, timescale(tracks, run.track_id));
            let length: u64 = run.samples.iter().map(|s| u64::from(s.duration)).sum();
            let start = run.decode_time.saturating_add_signed(shift);
            self.ends.insert(run.track_id, start.saturating_add(length));
        }
    }
}

fn timescale(tracks: &[Track], id: u32) -> u32 {
    let track = tracks.iter().find(|track| track.id == id);
    // A track that the init segment does not know is not played: its times do not matter.
    track.map_or(1, |track| track.timescale)
}

fn micros(ticks: u64, timescale: u32) -> i64 {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(timescale);
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// To the nearest tick; halves go up.
fn ticks(us: i64, timescale: u32) -> i64 {
    let doubled = i128::from(us) * i128::from(timescale) * 2 + 1_000_000;
    i64::try_from(doubled.div_euclid(2_000_000)).unwrap_or(i64::MAX)
}
