//! Variable-length integers: LEB128, and zigzag for signed ones.

use super::bytes::Reader;
use super::{Error, Result};

/// Appends `value` as unsigned LEB128: seven bits a byte, lowest first, the top bit set on all bytes
/// but the last.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads what [`put`] writes.
///
/// # Errors
/// [`Error::Malformed`] for a value above 64 bits and for one with needless bytes: each value has
/// exactly one encoding, so that a table has, too.
pub(crate) fn get(reader: &mut Reader<'_>, what: &'static str) -> Result<u64> {
    let offset = reader.offset();
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8(what)?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            if byte == 0 && shift > 0 {
                return Err(Error::Malformed {
                    offset,
                    what: "a varint has needless bytes",
                });
            }
            return Ok(value);
        }
    }
    Err(Error::Malformed {
        offset,
        what: "a varint is above 64 bits",
    })
}

/// Maps 0, -1, 1, -2 … to 0, 1, 2, 3 …
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_value_comes_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            put(&mut out, value);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(get(&mut reader, "value").unwrap(), value);
            prop_assert!(reader.is_empty());
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }

        #[test]
        fn what_is_accepted_is_the_only_encoding(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = get(&mut reader, "value") {
                let mut out = Vec::new();
                put(&mut out, value);
                prop_assert_eq!(&out[..], &bytes[..reader.offset()]);
            }
        }
    }

    #[test]
    fn needless_and_excess_bits_are_refused() {
        for bytes in [
            &b"\x80\x00"[..],
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            &[0x80; 11],
        ] {
            assert!(matches!(
                get(&mut Reader::new(bytes), "value"),
                Err(Error::Malformed { offset: 0, .. })
            ));
        }
    }
}
