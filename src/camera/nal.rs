//! What retina does not say of an access unit: whether an H.265 picture decodes alone.

/// Whether a length-prefixed (4 bytes) H.265 access unit is an intra random access point: NAL types 16
/// to 23 (ITU-T H.265, table 7-1). retina calls only IDR pictures so, and a camera with open GOPs sends
/// one IDR and then only CRA pictures.
pub(super) fn is_h265_irap(access_unit: &[u8]) -> bool {
    let mut rest = access_unit;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some(nal) = after.get(..length) else {
            return false;
        };
        let Some(first) = nal.first() else {
            return false;
        };
        let nal_type = first >> 1 & 0x3f;
        // The first slice says it: all slices of an IRAP picture have its type.
        if nal_type < 32 {
            return (16..=23).contains(&nal_type);
        }
        rest = &after[length..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_h265_irap;

    fn unit(types: &[u8]) -> Vec<u8> {
        let nal = |nal_type: &u8| [&[0, 0, 0, 3][..], &[nal_type << 1, 1, 0xaf]].concat();
        types.iter().flat_map(nal).collect()
    }

    #[test]
    fn irap_pictures_are_key_frames() {
        assert!(is_h265_irap(&unit(&[19])), "IDR_W_RADL");
        assert!(
            is_h265_irap(&unit(&[35, 39, 21, 21])),
            "AUD, SEI, CRA in two slices"
        );
        assert!(!is_h265_irap(&unit(&[1])), "TRAIL_R");
        assert!(!is_h265_irap(&unit(&[35, 39])), "no picture at all");
        assert!(!is_h265_irap(&[0, 0, 0, 9, 38]), "cut short");
        assert!(!is_h265_irap(&[0, 0, 0, 0, 38]), "an empty NAL unit");
    }
}
