//! A track: its clock, its kind and its sample entry.

use super::bytes::Reader;
use super::{Error, Result, codec};

/// One track of an init segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Track {
    /// Identifier, from 1; by convention 1 more than the track's index.
    pub id: u32,
    /// Ticks a second of the track's times; never 0.
    pub timescale: u32,
    /// Video or audio, as the sample entry says it.
    pub kind: TrackKind,
    /// The complete box (`avc1`, `hvc1`, `mp4a` …), kept byte for byte.
    pub sample_entry: Vec<u8>,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// Pictures.
    Video {
        /// Pixels a line.
        width: u16,
        /// Lines.
        height: u16,
    },
    /// Sound.
    Audio {
        /// Samples a second, whole (the sample entry's 16.16 number without its fraction).
        sample_rate: u32,
        /// Channels.
        channels: u16,
    },
}

impl TrackKind {
    /// Whether the track carries pictures.
    pub fn is_video(&self) -> bool {
        matches!(self, Self::Video { .. })
    }
}

impl Track {
    /// A video track with the size that its sample entry (section 12.1.3) gives.
    ///
    /// # Errors
    /// [`Error::Tracks`] for an identifier or timescale of 0, [`Error::Truncated`] or
    /// [`Error::Malformed`] when `sample_entry` is not one box with a video sample entry's fields.
    pub fn video(id: u32, timescale: u32, sample_entry: Vec<u8>) -> Result<Self> {
        let mut fields = sample_entry_body(&sample_entry)?;
        fields.take(24, "a video sample entry")?;
        let width = fields.u16("a video sample entry")?;
        let height = fields.u16("a video sample entry")?;
        Self::checked(
            id,
            timescale,
            TrackKind::Video { width, height },
            sample_entry,
        )
    }

    /// An audio track with the rate and channels that its sample entry (section 12.2.3) gives.
    ///
    /// # Errors
    /// As [`Self::video`].
    pub fn audio(id: u32, timescale: u32, sample_entry: Vec<u8>) -> Result<Self> {
        let mut fields = sample_entry_body(&sample_entry)?;
        fields.take(16, "an audio sample entry")?;
        let channels = fields.u16("an audio sample entry")?;
        fields.take(6, "an audio sample entry")?;
        let sample_rate = fields.u32("an audio sample entry")? >> 16;
        Self::checked(
            id,
            timescale,
            TrackKind::Audio {
                sample_rate,
                channels,
            },
            sample_entry,
        )
    }

    /// The codec's name for Media Source Extensions, such as `avc1.640028`, `hvc1.1.6.L120.90` or
    /// `mp4a.40.2` (RFC 6381 section 3.3; ISO/IEC 14496-15 annex E).
    ///
    /// # Errors
    /// [`Error::UnknownCodec`] for a sample entry that has no such name here; [`Error::Truncated`],
    /// [`Error::Malformed`] or [`Error::MissingBox`] when its configuration box cannot be read.
    pub fn codec_string(&self) -> Result<String> {
        codec::codec_string(&self.sample_entry)
    }

    fn checked(id: u32, timescale: u32, kind: TrackKind, sample_entry: Vec<u8>) -> Result<Self> {
        if id == 0 {
            return Err(Error::Tracks {
                what: "track identifiers begin at 1",
            });
        }
        if timescale == 0 {
            return Err(Error::Tracks {
                what: "a timescale is 0",
            });
        }
        Ok(Self {
            id,
            timescale,
            kind,
            sample_entry,
        })
    }
}

/// The content of the one box that a sample entry is.
fn sample_entry_body(sample_entry: &[u8]) -> Result<Reader<'_>> {
    let mut reader = Reader::new(sample_entry);
    let Some(entry) = reader.next_box()? else {
        return Err(Error::Truncated {
            offset: 0,
            what: "a sample entry",
        });
    };
    if !reader.is_empty() {
        return Err(reader.malformed("bytes follow the sample entry"));
    }
    Ok(entry.body)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fmp4::bytes::{put_u32, write_box};

    /// A video sample entry with `config` as its only child box.
    pub(crate) fn video_entry(
        kind: &[u8; 4],
        size: (u16, u16),
        config: (&[u8; 4], &[u8]),
    ) -> Vec<u8> {
        let mut out = Vec::new();
        write_box(&mut out, kind, |out| {
            out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
            out.extend_from_slice(&[0; 16]);
            out.extend_from_slice(&size.0.to_be_bytes());
            out.extend_from_slice(&size.1.to_be_bytes());
            out.extend_from_slice(&[0, 0x48, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 1]);
            out.extend_from_slice(&[0; 32]);
            out.extend_from_slice(&[0, 0x18, 0xff, 0xff]);
            write_box(out, config.0, |out| out.extend_from_slice(config.1));
        });
        out
    }

    /// An AAC-LC sample entry in the form that RTSP clients build.
    pub(crate) fn aac_entry(sample_rate: u16, channels: u16, audio_config: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_box(&mut out, b"mp4a", |out| {
            out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(&channels.to_be_bytes());
            out.extend_from_slice(&[0, 16, 0, 0, 0, 0]);
            put_u32(out, u32::from(sample_rate) << 16);
            write_box(out, b"esds", |out| {
                let length = audio_config.len() as u8;
                out.extend_from_slice(&[0, 0, 0, 0, 3, 23 + length, 0, 0, 0, 4, 15 + length]);
                out.extend_from_slice(&[0x40, 0x15, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, length]);
                out.extend_from_slice(audio_config);
                out.extend_from_slice(&[6, 1, 2]);
            });
        });
        out
    }

    /// A 160x90 H.264 track and a 48 kHz AAC track.
    pub(crate) fn two_tracks() -> Vec<Track> {
        let avc = video_entry(
            b"avc1",
            (160, 90),
            (b"avcC", &[1, 0x64, 0, 0x28, 0xff, 0xe0, 0]),
        );
        vec![
            Track::video(1, 90_000, avc).unwrap(),
            Track::audio(2, 48_000, aac_entry(48_000, 2, &[0x11, 0x90])).unwrap(),
        ]
    }

    #[test]
    fn the_kind_is_read_from_the_sample_entry() {
        let [video, audio] = two_tracks().try_into().unwrap();
        assert_eq!(
            video.kind,
            TrackKind::Video {
                width: 160,
                height: 90
            }
        );
        assert_eq!(
            audio.kind,
            TrackKind::Audio {
                sample_rate: 48_000,
                channels: 2
            }
        );
    }

    #[test]
    fn broken_sample_entries_are_refused() {
        let entry = two_tracks().remove(0).sample_entry;
        for cut in 0..entry.len() {
            assert!(Track::video(1, 90_000, entry[..cut].to_vec()).is_err());
        }
        let mut longer = entry.clone();
        longer.push(0);
        assert!(matches!(
            Track::video(1, 1, longer),
            Err(Error::Malformed { .. })
        ));
        assert!(matches!(
            Track::video(0, 1, entry.clone()),
            Err(Error::Tracks { .. })
        ));
        assert!(matches!(
            Track::video(1, 0, entry),
            Err(Error::Tracks { .. })
        ));
    }
}
