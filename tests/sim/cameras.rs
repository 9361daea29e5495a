//! Simulated cameras: what they send, each picture known again by its bytes.

use hearthkeep::camera::{Sample, Track, TrackKind};
use hearthkeep::clock::Clock;
use hearthkeep::record::ByHand;
use hearthkeep_format::StreamId;
use hearthkeep_format::segment::GapCause;

use crate::chance::Chance;

const TIMESCALE: u64 = 90_000;

/// How a camera is.
#[derive(Debug, Clone)]
pub struct Model {
    pub stream: StreamId,
    pub period_us: u64,
    /// Pictures from one key frame to the next.
    pub gop: usize,
    /// By how much its clock is fast, millionths.
    pub drift: i64,
    pub bytes: u64,
}

/// A camera on the wall.
pub struct Camera {
    pub model: Model,
    /// True times of the pictures that it has sent, us.
    pub sent: Vec<u64>,
    pub is_on: bool,
    /// When the next picture is due.
    next_us: u64,
    session_us: Option<u64>,
    recording: Option<ByHand>,
    variant: u16,
}

impl Camera {
    pub fn new(model: Model, offset_us: u64) -> Self {
        Self {
            model,
            sent: Vec::new(),
            is_on: true,
            next_us: offset_us,
            session_us: None,
            recording: None,
            variant: 0,
        }
    }

    /// When it sends next.
    pub const fn next_us(&self) -> u64 {
        self.next_us
    }

    /// The box listens from now on.
    pub fn connect(&mut self, recording: ByHand) {
        self.recording = Some(recording);
        self.session_us = None;
    }

    /// The box ends as it should, having handed over everything.
    pub fn disconnect(&mut self) {
        if let Some(mut recording) = self.recording.take() {
            recording.end(GapCause::Shutdown);
        }
    }

    /// The process is gone.
    pub fn lose_box(&mut self) {
        self.recording = None;
    }

    pub fn switch(&mut self, on: bool) {
        self.is_on = on;
        self.session_us = None;
        if let Some(recording) = self.recording.as_mut().filter(|_| !on) {
            recording.end(GapCause::CameraLost);
        }
    }

    /// From the next picture on, it describes itself anew.
    pub fn change(&mut self) {
        self.variant += 1;
        if let (Some(recording), Some(_)) = (&mut self.recording, self.session_us) {
            recording.connected(&[track(self.variant)]);
        }
    }

    /// Sends the picture that is due.
    pub fn send(&mut self, now_us: u64, clock: &dyn Clock) -> Result<(), String> {
        self.next_us += self.model.period_us;
        if !self.is_on {
            return Ok(());
        }
        let number = self.sent.len();
        self.sent.push(now_us);
        let Some(recording) = &mut self.recording else {
            return Ok(());
        };
        if self.session_us.is_none() {
            self.session_us = Some(now_us);
            recording.connected(&[track(self.variant)]);
        }
        let since_us = (now_us - self.session_us.unwrap_or(now_us)) as i64;
        let shown_us = since_us + since_us * self.model.drift / 1_000_000;
        let sample = Sample {
            track: 0,
            decode_time: shown_us * TIMESCALE as i64 / 1_000_000,
            composition_offset: 0,
            key: number.is_multiple_of(self.model.gop),
            data: picture(&self.model, number),
            arrived_us: clock.monotonic_us(),
        };
        let taken = recording.take(sample);
        taken.map_err(|error| format!("picture {number} was not taken: {error}"))
    }
}

/// The bytes of a picture: its number first.
pub fn picture(model: &Model, number: usize) -> Vec<u8> {
    let mut chance = Chance::of(number as u64 ^ u64::from(model.stream.as_bytes()[0]) << 32);
    let length = 8 + chance.below(model.bytes) as usize;
    let mut bytes = (number as u64).to_be_bytes().to_vec();
    bytes.resize_with(length, || chance.below(256) as u8);
    bytes
}

/// Its number, if these are the bytes of one of this camera's pictures.
pub fn number_of(model: &Model, bytes: &[u8]) -> Option<usize> {
    let number = u64::from_be_bytes(*bytes.first_chunk()?) as usize;
    (picture(model, number) == bytes).then_some(number)
}

fn track(variant: u16) -> Track {
    let mut sample_entry = vec![0; 86];
    sample_entry[3] = 86;
    sample_entry[4..8].copy_from_slice(b"avc1");
    sample_entry[32..36].copy_from_slice(&[0, 160, 0, 90]);
    sample_entry[84..86].copy_from_slice(&variant.to_be_bytes());
    Track {
        timescale: TIMESCALE as u32,
        kind: TrackKind::Video {
            width: 160,
            height: 90,
        },
        codec: "avc1.640028".to_owned(),
        sample_entry,
    }
}
