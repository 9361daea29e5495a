//! Which of the streams that a camera describes are recorded.

use retina::client::Stream;
use retina::codec::{AudioParameters, ParametersRef, VideoParameters};

use super::ErrorKind;
use super::error::printable;
use super::nal::NalCodec;
use crate::limits::CAMERA_STREAMS_MAX;

/// One track of a camera, as an MP4 file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Ticks a second of the track's times: 90,000 for pictures, the sampling rate for sound.
    pub timescale: u32,
    /// Pictures or sound.
    pub kind: TrackKind,
    /// The codec as RFC 6381 writes it, such as `avc1.640028`.
    pub codec: String,
    /// The complete sample entry (`avc1`, `hvc1`, `mp4a`): ISO/IEC 14496-12, 8.5.2.
    pub sample_entry: Vec<u8>,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackKind {
    /// Pictures.
    Video {
        /// Pixels a line, as shown.
        width: u16,
        /// Lines, as shown.
        height: u16,
    },
    /// Sound.
    Audio {
        /// Samples a second.
        sample_rate: u32,
        /// Channels.
        channels: u16,
    },
}

/// A stream that a camera offers and that is not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// `video`, `audio`, `application`, as the camera says it.
    pub media: String,
    /// The codec's name, as the camera says it.
    pub codec: String,
    /// Why.
    pub reason: &'static str,
}

/// The choice: indexes into the camera's description.
#[derive(Debug)]
pub(super) struct Selection {
    pub video: usize,
    pub codec: NalCodec,
    /// With its track, for a camera's audio parameters never change.
    pub audio: Option<(usize, Track)>,
    pub ignored: Vec<Ignored>,
}

/// The first H.264 or H.265 video and the first AAC sound. Setting up what retina has no depacketizer
/// for would end the whole session.
pub(super) fn select(streams: &[Stream]) -> Result<Selection, ErrorKind> {
    let (mut video, mut audio, mut ignored) = (None, None, Vec::new());
    let mut foreign_codec = None;
    for (i, stream) in streams.iter().enumerate().take(CAMERA_STREAMS_MAX) {
        let reason = match (stream.media(), stream.encoding_name()) {
            ("video", "h264") if video.is_none() => {
                video = Some((i, NalCodec::H264));
                continue;
            }
            ("video", "h265") if video.is_none() => {
                video = Some((i, NalCodec::H265));
                continue;
            }
            ("video", "h264" | "h265") => "one video is enough",
            ("video", codec) => {
                foreign_codec.get_or_insert_with(|| printable(codec, 32).to_uppercase());
                "its codec cannot be recorded"
            }
            ("audio", "mpeg4-generic") if audio.is_none() => match audio_track(stream) {
                Some(track) => {
                    audio = Some((i, track));
                    continue;
                }
                None => "its description is not complete",
            },
            ("audio", "mpeg4-generic") => "one sound is enough",
            ("audio", _) => "its codec cannot be recorded",
            _ => "it is neither picture nor sound",
        };
        let (media, codec) = (
            printable(stream.media(), 32),
            printable(stream.encoding_name(), 32),
        );
        ignored.push(Ignored {
            media,
            codec,
            reason,
        });
    }
    match (video, foreign_codec) {
        (Some((video, codec)), _) => Ok(Selection {
            video,
            codec,
            audio,
            ignored,
        }),
        (None, Some(codec)) => Err(ErrorKind::UnsupportedCodec { codec }),
        (None, None) => Err(ErrorKind::NoVideo),
    }
}

/// The track of the pictures as their parameter sets are now; `None` while there are none.
pub(super) fn video_track(stream: &Stream) -> Option<Result<Track, ErrorKind>> {
    match stream.parameters()? {
        ParametersRef::Video(parameters) => Some(
            build_video(stream.clock_rate_hz(), parameters).ok_or(ErrorKind::BadData {
                detail: "unusable parameter sets".to_owned(),
            }),
        ),
        _ => None,
    }
}

fn build_video(timescale: u32, parameters: &VideoParameters) -> Option<Track> {
    let (width, height) = parameters.pixel_dimensions();
    let (width, height) = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
    let aspect = parameters
        .pixel_aspect_ratio()
        .and_then(|(horizontal, vertical)| {
            Some((
                u16::try_from(horizontal).ok()?,
                u16::try_from(vertical).ok()?,
            ))
        });
    let mut entry = parameters.mp4_sample_entry();
    if let Some(aspect) = aspect.filter(|(horizontal, vertical)| horizontal != vertical) {
        entry = entry.with_aspect_ratio(aspect);
    }
    Some(Track {
        timescale,
        kind: TrackKind::Video { width, height },
        codec: parameters.rfc6381_codec().to_owned(),
        sample_entry: entry.build().ok()?,
    })
}

fn audio_track(stream: &Stream) -> Option<Track> {
    match stream.parameters()? {
        ParametersRef::Audio(parameters) => build_audio(parameters),
        _ => None,
    }
}

fn build_audio(parameters: &AudioParameters) -> Option<Track> {
    let sample_rate = parameters.clock_rate();
    let channels = parameters.channels().get();
    Some(Track {
        timescale: std::num::NonZeroU32::new(sample_rate)?.get(),
        kind: TrackKind::Audio {
            sample_rate,
            channels,
        },
        codec: parameters.rfc6381_codec()?.to_owned(),
        sample_entry: parameters.mp4_sample_entry().build().ok()?,
    })
}
