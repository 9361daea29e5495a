//! Binary age v1 files (<https://c2sp.org/age>) with recipients of type `mlkem768x25519`.
//!
//! Small files in one piece: envelopes, sealed seeds and metadata keys. `age` from 1.3 on and
//! typage open what [`seal`] writes. Why the `age` crate is not used:
//! `docs/decisions/0001-age-files-without-the-age-crate.md`.

mod header;
mod stanza;
mod stream;

use zeroize::Zeroizing;

use crate::{Error, Identity, Random, Recipient, Result};

/// A key for one file, wrapped by each of its stanzas.
type FileKey = Zeroizing<[u8; 16]>;

/// Seals `plaintext` so that each of `recipients` can open it: one stanza each, in this order.
///
/// # Panics
/// Without a recipient: nobody could open the file.
pub fn seal(recipients: &[&Recipient], plaintext: &[u8], random: &mut dyn Random) -> Vec<u8> {
    assert!(!recipients.is_empty(), "an age file needs a recipient");
    let mut file_key = FileKey::default();
    random.fill(file_key.as_mut_slice());
    let mut file = header::start();
    for recipient in recipients {
        stanza::write(&mut file, recipient, &file_key, random);
    }
    header::finish(&mut file, &file_key);
    stream::seal(&mut file, &file_key, plaintext, random);
    file
}

/// Opens a file that was sealed to one of `identities`. Nothing is returned before the whole file
/// was verified.
///
/// # Errors
/// [`Error::NoMatchingIdentity`] when no stanza is for these identities, [`Error::Tampered`] or
/// [`Error::Truncated`] when the file is not as it was sealed, [`Error::Malformed`] when it is no
/// such file. Stanzas of types other than
/// `mlkem768x25519` are passed over, as the specification asks; see [`stanza_count`].
pub fn open(identities: &[&Identity], file: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let header = header::parse(file)?;
    let wrapped = stanza::recognise(&header.stanzas)?;
    let file_key = stanza::unwrap(&wrapped, identities).ok_or(Error::NoMatchingIdentity)?;
    open_payload(file, &header, &file_key)
}

/// How many stanzas the file has, of whatever type: as many as can open it.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Truncated`] when the file has no whole header.
pub fn stanza_count(file: &[u8]) -> Result<usize> {
    Ok(header::parse(file)?.stanzas.len())
}

/// Opens a file with its file key, for vectors whose stanzas are of other types.
///
/// # Errors
/// As [`open`].
#[cfg(any(test, feature = "test-util"))]
pub fn open_with_file_key(file_key: [u8; 16], file: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let header = header::parse(file)?;
    open_payload(file, &header, &Zeroizing::new(file_key))
}

fn open_payload(
    file: &[u8],
    header: &header::Header<'_>,
    file_key: &FileKey,
) -> Result<Zeroizing<Vec<u8>>> {
    header::check_mac(file, header, file_key)?;
    stream::open(&header.nonce, &file[header.payload_at..], file_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    fn identity(seed: u8) -> Identity {
        Identity::from_seed([seed; 32])
    }

    fn sealed_to(identities: &[&Identity], plaintext: &[u8]) -> Vec<u8> {
        let recipients: Vec<Recipient> = identities.iter().map(|i| i.recipient()).collect();
        let recipients: Vec<&Recipient> = recipients.iter().collect();
        seal(&recipients, plaintext, &mut SeededRandom::new(1))
    }

    static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| sealed_to(&[&identity(1)], b"footage"));

    #[test]
    fn payloads_of_every_shape_come_back() {
        let one = identity(1);
        for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073] {
            let plaintext: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let file = sealed_to(&[&one], &plaintext);
            assert_eq!(*open(&[&one], &file).unwrap(), plaintext, "{length}");
        }
    }

    #[test]
    fn each_recipient_opens_and_nobody_else() {
        let (one, two, three) = (identity(1), identity(2), identity(3));
        let file = sealed_to(&[&one, &two], b"footage");
        assert_eq!(stanza_count(&file), Ok(2));
        assert_eq!(open(&[&one], &file).unwrap().as_slice(), b"footage");
        assert_eq!(open(&[&three, &two], &file).unwrap().as_slice(), b"footage");
        assert_eq!(
            open(&[&three], &file).unwrap_err(),
            Error::NoMatchingIdentity
        );
        assert_eq!(open(&[], &file).unwrap_err(), Error::NoMatchingIdentity);
    }

    #[test]
    fn the_header_is_laid_out_as_specified() {
        let file = sealed_to(&[&identity(1)], b"");
        let header: Vec<&[u8]> = file.split(|&byte| byte == b'\n').take(4).collect();
        assert_eq!(header[0], b"age-encryption.org/v1");
        // 1,120 bytes are 1,494 characters of base64 without padding, 32 bytes are 43.
        assert_eq!(header[1].len(), "-> mlkem768x25519 ".len() + 1494);
        assert_eq!(header[2].len(), 43);
        assert_eq!(header[3].len(), "--- ".len() + 43);
    }

    #[test]
    fn a_body_of_whole_lines_ends_in_an_empty_one() {
        let mut file = header::start();
        header::write_stanza(&mut file, &["grease", "x"], &[0; 48]);
        header::write_stanza(&mut file, &["grease"], &[0; 49]);
        let file_key = FileKey::default();
        header::finish(&mut file, &file_key);
        stream::seal(&mut file, &file_key, b"footage", &mut SeededRandom::new(1));
        assert_eq!(stanza_count(&file), Ok(2));
        assert_eq!(
            open_with_file_key(*file_key, &file).unwrap().as_slice(),
            b"footage"
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let one = identity(1);
        let file = sealed_to(&[&one], b"footage");
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(open(&[&one], &changed).is_err(), "byte {at}");
            assert!(open(&[&one], &file[..at]).is_err(), "cut at {at}");
        }
        assert!(open(&[&one], &[file.as_slice(), b"\0"].concat()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes: Vec<u8>,
            text in "(-> ?|--- ?|[a-zA-Z0-9+/]{0,65}|\n){0,20}",
        ) {
            for bytes in [bytes, format!("age-encryption.org/v1\n{text}").into_bytes()] {
                prop_assert!(stanza_count(&bytes).is_err());
                prop_assert!(open(&[&identity(1)], &bytes).is_err());
            }
        }

        #[test]
        fn mutations_never_open_as_something_else(at in 0_usize..1800, replacement: Vec<u8>) {
            let file = &*FILE;
            let at = at.min(file.len());
            let end = (at + replacement.len()).min(file.len());
            let mut changed = file.clone();
            changed.splice(at..end, replacement);
            match open(&[&identity(1)], &changed) {
                Ok(_) => prop_assert_eq!(&changed, file),
                Err(_) => prop_assert_ne!(&changed, file),
            }
        }
    }
}
