//! Segments and chunks.

use hearthkeep_format::StreamId;
use hearthkeep_format::fmp4::{self, Track, TrackKind};
use hearthkeep_format::segment::{ChunkType, Header, SegmentOpener};

use crate::fields::{Answer, Fields};
use crate::people::sentence;
use crate::{Failure, Vault};

/// Segments open at once; the page keeps fewer.
const SEGMENTS_MAX: usize = 256;

/// A segment whose chunks can be opened.
pub(crate) struct Opened {
    opener: SegmentOpener,
    /// Identifier and ticks a second of the track with the pictures.
    pictures: Option<(u32, u32)>,
}

impl Vault {
    /// head, stream, segment -> handle, length of the head, run, anchor, start, init segment, codecs, width, height
    pub(crate) fn open_segment(
        &mut self,
        fields: &mut Fields<'_>,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let head = fields.bytes()?;
        let (stream, segment) = (fields.text()?, fields.text()?);
        let keyring = self
            .keyring
            .as_ref()
            .ok_or("the vault is closed: sign in again")?;
        let header = Header::parse(head).map_err(sentence)?;
        if Some(header.stream) != StreamId::from_hex(stream)
            || header.segment_id().to_string() != segment
        {
            return Err("the box sent another segment than the one asked for".into());
        }
        let (identity, metadata_key) = keyring
            .generation(header.generation)
            .ok_or("this was recorded for a generation of keys that you do not have")?;
        let opener = SegmentOpener::open(head, identity, metadata_key).map_err(sentence)?;
        if self.segments.len() >= SEGMENTS_MAX {
            return Err("too many segments are open at once".into());
        }
        let preamble = opener.preamble();
        let tracks = fmp4::parse_init(&preamble.init).map_err(|error| error.to_string())?;
        let (codecs, (width, height)) = describe(&tracks);
        let handle = self.next_segment;
        answer
            .number(handle.into())
            .number(opener.head_len() as f64)
            .text(&preamble.run.to_string())
            .number(preamble.anchor_us as f64)
            .number(opener.start().map_err(sentence)?.wall_us as f64)
            .bytes(&preamble.init)
            .text(&codecs)
            .number(width.into())
            .number(height.into());
        let pictures = tracks
            .iter()
            .find(|track| track.kind.is_video())
            .map(|track| (track.id, track.timescale));
        self.segments.insert(handle, Opened { opener, pictures });
        self.next_segment = handle.wrapping_add(1);
        Ok(())
    }

    /// handle
    pub(crate) fn close_segment(&mut self, fields: &mut Fields<'_>) -> Result<(), Failure> {
        self.segments.remove(&fields.u32()?);
        Ok(())
    }

    /// handle, chunk -> k, type, start, duration, key frame, where its body now lies in `given` (offset and length), and the
    /// times of its pictures. The body is opened in place.
    pub(crate) fn open_chunk(
        &mut self,
        given: &mut [u8],
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let mut fields = Fields::new(given);
        let handle = fields.u32()?;
        let length = fields.bytes()?.len();
        let from = given.len() - length;
        let Opened { opener, pictures } = self
            .segments
            .get(&handle)
            .ok_or("this segment was closed")?;
        let chunk = &mut given[from..];
        let opened = opener.open_chunk_in_place(chunk).map_err(sentence)?;
        let entry = opened
            .entry
            .ok_or("the index of this chunk cannot be opened")?;
        let body = &chunk[opened.body.clone()];
        let times = match pictures {
            Some(track) if opened.chunk_type == ChunkType::Fragment => picture_times(body, *track)?,
            _ => Vec::new(),
        };
        answer
            .number(opened.k.into())
            .number(opened.chunk_type.as_u8().into())
            .number(entry.start_us as f64)
            .number(entry.duration_us.into())
            .number(f64::from(u8::from(entry.key_frame)))
            .number((from + opened.body.start) as f64)
            .number(opened.body.len() as f64)
            .bytes(
                &times
                    .iter()
                    .flat_map(|time| time.to_le_bytes())
                    .collect::<Vec<_>>(),
            );
        Ok(())
    }
}

/// Codec names for Media Source Extensions, pictures first, and the pictures' size.
fn describe(tracks: &[Track]) -> (String, (u16, u16)) {
    let mut codecs = Vec::new();
    let mut size = (0, 0);
    for track in tracks {
        // A codec without a name here is one that the page says it cannot play.
        let name = track
            .codec_string()
            .unwrap_or_else(|error| error.to_string().replace(['"', ','], ""));
        if let TrackKind::Video { width, height } = track.kind {
            size = (width, height);
            codecs.insert(0, name);
        } else {
            codecs.push(name);
        }
    }
    (codecs.join(","), size)
}

/// When each picture of a fragment is shown, in seconds from the start of the run, ascending.
fn picture_times(fragment: &[u8], (track_id, timescale): (u32, u32)) -> Result<Vec<f64>, Failure> {
    let view = fmp4::parse_fragment(fragment).map_err(|error| error.to_string())?;
    let mut times = Vec::new();
    for run in view.runs.iter().filter(|run| run.track_id == track_id) {
        let mut decode_time = run.decode_time as f64;
        for sample in &run.samples {
            let shown = decode_time + f64::from(sample.composition_offset);
            times.push(shown / f64::from(timescale));
            decode_time += f64::from(sample.duration);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
