//! Codec names for Media Source Extensions, from the bytes of a sample entry.

use core::fmt::Write as _;

use super::bytes::Reader;
use super::{Error, Result};

/// Bytes of a video sample entry before its child boxes (section 12.1.3).
const VIDEO_FIELDS_BYTES: usize = 78;
/// Bytes of an audio sample entry of version 0 before its child boxes (section 12.2.3).
const AUDIO_FIELDS_BYTES: usize = 28;

/// The RFC 6381 name of the codec that a sample entry describes.
pub(super) fn codec_string(sample_entry: &[u8]) -> Result<String> {
    let mut reader = Reader::new(sample_entry);
    let Some(entry) = reader.next_box()? else {
        return Err(Error::Truncated {
            offset: 0,
            what: "a sample entry",
        });
    };
    match &entry.kind {
        b"avc1" | b"avc3" => avc(&entry.kind, children(entry.body, VIDEO_FIELDS_BYTES)?),
        b"hvc1" | b"hev1" => hevc(&entry.kind, children(entry.body, VIDEO_FIELDS_BYTES)?),
        b"mp4a" => mpeg4_audio(children(entry.body, AUDIO_FIELDS_BYTES)?),
        b"Opus" => Ok("opus".to_owned()),
        b"fLaC" => Ok("flac".to_owned()),
        kind => Err(Error::UnknownCodec {
            kind: printable(kind),
        }),
    }
}

fn children(mut body: Reader<'_>, fields_bytes: usize) -> Result<Reader<'_>> {
    body.take(fields_bytes, "a sample entry's fields")?;
    Ok(body)
}

fn printable(kind: &[u8; 4]) -> String {
    let shown = |&byte: &u8| {
        if (b' '..=b'~').contains(&byte) {
            char::from(byte)
        } else {
            '?'
        }
    };
    kind.iter().map(shown).collect()
}

/// `avc1.` and profile, compatibility and level in hexadecimal (RFC 6381 section 3.3).
fn avc(kind: &[u8; 4], children: Reader<'_>) -> Result<String> {
    let mut config = children.only_child("avcC")?;
    config.u8("avcC")?;
    let [profile, compatibility, level] =
        [config.u8("avcC")?, config.u8("avcC")?, config.u8("avcC")?];
    Ok(format!(
        "{}.{profile:02x}{compatibility:02x}{level:02x}",
        printable(kind)
    ))
}

/// Profile, compatibility, tier and level, constraints (ISO/IEC 14496-15 annex E.3).
fn hevc(kind: &[u8; 4], children: Reader<'_>) -> Result<String> {
    let mut config = children.only_child("hvcC")?;
    config.u8("hvcC")?;
    let profile = config.u8("hvcC")?;
    // The bits are named from the other end: flag 0 is the most significant one in the box.
    let compatibility = config.u32("hvcC")?.reverse_bits();
    let constraints = config.take(6, "hvcC")?;
    let level = config.u8("hvcC")?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let mut name = format!(
        "{}.{space}{}.{compatibility:X}.{tier}{level}",
        printable(kind),
        profile & 0x1f
    );
    let used = constraints
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        write!(name, ".{byte:X}").expect("writing to a String cannot fail");
    }
    Ok(name)
}

/// `mp4a.`, the object type and, for MPEG-4 audio (0x40), the audio object type (RFC 6381 section
/// 3.3), found in `esds` (ISO/IEC 14496-14 section 5.6, ISO/IEC 14496-1 section 7.2.6).
fn mpeg4_audio(children: Reader<'_>) -> Result<String> {
    let mut esds = children.only_child("esds")?;
    esds.version_and_flags("esds")?;
    let mut stream = descriptor(&mut esds, 0x03)?;
    stream.u16("an ES descriptor")?;
    let flags = stream.u8("an ES descriptor")?;
    if flags & 0x80 != 0 {
        stream.u16("an ES descriptor")?;
    }
    if flags & 0x40 != 0 {
        let url_bytes = stream.u8("an ES descriptor")?;
        stream.take(usize::from(url_bytes), "an ES descriptor")?;
    }
    if flags & 0x20 != 0 {
        stream.u16("an ES descriptor")?;
    }
    let mut config = descriptor(&mut stream, 0x04)?;
    let object_type = config.u8("a decoder configuration")?;
    if object_type != 0x40 {
        return Ok(format!("mp4a.{object_type:02x}"));
    }
    config.take(12, "a decoder configuration")?;
    let mut specific = descriptor(&mut config, 0x05)?;
    // AudioSpecificConfig, ISO/IEC 14496-3 section 1.6.2.1: five bits, or 31 and six bits more.
    let first = specific.u8("an audio configuration")?;
    let audio_object_type = match first >> 3 {
        31 => 32 + ((first & 7) << 3 | specific.u8("an audio configuration")? >> 5),
        object_type => object_type,
    };
    Ok(format!("mp4a.40.{audio_object_type}"))
}

/// The content of the next descriptor, which must have this tag (ISO/IEC 14496-1 section 8.3.3).
fn descriptor<'a>(reader: &mut Reader<'a>, tag: u8) -> Result<Reader<'a>> {
    if reader.u8("a descriptor")? != tag {
        return Err(reader.malformed("an unexpected descriptor in esds"));
    }
    let mut size = 0;
    for _ in 0..4 {
        let byte = reader.u8("a descriptor's size")?;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return reader.sub(size, "a descriptor");
        }
    }
    Err(reader.malformed("a descriptor's size has more than four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmp4::track::tests::{aac_entry, two_tracks, video_entry};

    #[test]
    fn avc_and_aac() {
        let names: Vec<_> = two_tracks()
            .iter()
            .map(|t| t.codec_string().unwrap())
            .collect();
        assert_eq!(names, ["avc1.640028", "mp4a.40.2"]);
    }

    #[test]
    fn hevc_reverses_compatibility_and_drops_trailing_zeros() {
        let mut config = vec![1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 120];
        let name = |config: &[u8]| {
            codec_string(&video_entry(b"hvc1", (1920, 1080), (b"hvcC", config))).unwrap()
        };
        assert_eq!(name(&config), "hvc1.1.6.L120.90");
        config[1] = 0x62;
        config[8] = 0xb0;
        assert_eq!(name(&config), "hvc1.A2.6.H120.90.0.B0");
        config[6..12].fill(0);
        assert_eq!(name(&config), "hvc1.A2.6.H120");
    }

    #[test]
    fn audio_object_types_above_31() {
        // 42 is USAC: 31, then 10 in six bits.
        let entry = aac_entry(48_000, 2, &[0xf8 | 0b001, 0b010_00000]);
        assert_eq!(codec_string(&entry).unwrap(), "mp4a.40.42");
    }

    #[test]
    fn unknown_and_broken_entries() {
        let entry = video_entry(b"x\x01yz", (1, 1), (b"none", &[]));
        assert_eq!(
            codec_string(&entry),
            Err(Error::UnknownCodec {
                kind: "x?yz".to_owned()
            })
        );
        let entry = video_entry(b"avc1", (1, 1), (b"none", &[]));
        assert!(matches!(
            codec_string(&entry),
            Err(Error::MissingBox { kind: "avcC", .. })
        ));
        let mut entry = aac_entry(8_000, 1, &[0x15, 0x88]);
        let esds = entry
            .windows(4)
            .position(|kind| kind == b"esds")
            .expect("it was just written");
        for at in esds..entry.len() {
            entry[at] ^= 0xff;
            let _ = codec_string(&entry);
            entry[at] ^= 0xff;
        }
    }
}
