//! What retina does not say of an access unit: whether there is a picture in it, and whether that
//! decodes alone.

/// A codec made of NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NalCodec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
}

/// What an access unit is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A picture that decodes alone.
    KeyFrame,
    /// Another picture.
    Picture,
    /// No slice at all: parameter sets or messages that a camera sends with a time of their own.
    /// retina calls such a unit a random access point.
    Nothing,
}

/// Reads it from the NAL unit types of a unit whose NAL units each follow their length in 4 bytes.
///
/// H.264: type 5 (table 7-1) is a slice of an IDR picture. H.265: types 16 to 23 (table 7-1) are
/// slices of an intra random access picture. retina says so of IDR only, and a camera with open GOPs
/// sends one IDR picture and then only CRA. The first slice speaks for all of the picture.
pub(super) fn content(codec: NalCodec, access_unit: &[u8]) -> Content {
    let mut rest = access_unit;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((nal, next)) = after.split_at_checked(length) else {
            return Content::Nothing;
        };
        let Some(header) = nal.first() else {
            return Content::Nothing;
        };
        let (is_slice, is_key) = match codec {
            NalCodec::H264 => ((1..=5).contains(&(header & 0x1f)), header & 0x1f == 5),
            NalCodec::H265 => (
                header >> 1 & 0x3f < 32,
                (16..=23).contains(&(header >> 1 & 0x3f)),
            ),
        };
        match (is_slice, is_key) {
            (true, true) => return Content::KeyFrame,
            (true, false) => return Content::Picture,
            (false, _) => rest = next,
        }
    }
    Content::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(headers: &[u8]) -> Vec<u8> {
        headers
            .iter()
            .flat_map(|&header| [0, 0, 0, 3, header, 1, 0xaf])
            .collect()
    }

    #[test]
    fn h264_slices_tell_what_a_unit_is() {
        let content = |headers: &[u8]| content(NalCodec::H264, &unit(headers));
        assert_eq!(content(&[0x65]), Content::KeyFrame);
        assert_eq!(
            content(&[0x09, 0x06, 0x65, 0x65]),
            Content::KeyFrame,
            "AUD, SEI, two slices"
        );
        assert_eq!(content(&[0x41]), Content::Picture);
        assert_eq!(content(&[0x01]), Content::Picture, "not referred to");
        assert_eq!(content(&[0x67, 0x68, 0x06]), Content::Nothing);
        assert_eq!(content(&[]), Content::Nothing);
    }

    #[test]
    fn h265_irap_pictures_are_key_frames() {
        let content = |types: &[u8]| {
            let headers: Vec<u8> = types.iter().map(|nal_type| nal_type << 1).collect();
            content(NalCodec::H265, &unit(&headers))
        };
        assert_eq!(content(&[19]), Content::KeyFrame, "IDR_W_RADL");
        assert_eq!(
            content(&[35, 39, 21, 21]),
            Content::KeyFrame,
            "AUD, SEI, CRA in two slices"
        );
        assert_eq!(content(&[1]), Content::Picture, "TRAIL_R");
        assert_eq!(content(&[35, 39]), Content::Nothing);
    }

    #[test]
    fn a_unit_that_is_cut_short_holds_nothing() {
        for codec in [NalCodec::H264, NalCodec::H265] {
            assert_eq!(content(codec, &[0, 0, 0, 9, 0x65]), Content::Nothing);
            assert_eq!(content(codec, &[0, 0, 0, 0, 0x65]), Content::Nothing);
            assert_eq!(content(codec, &[0, 0]), Content::Nothing);
        }
    }
}
