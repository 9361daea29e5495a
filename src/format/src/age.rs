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
