//! The payload: STREAM of ChaCha20-Poly1305 in chunks of 64 KiB.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::FileKey;
use super::header::NONCE_LEN;
use crate::{Error, Random, Result};

const CHUNK_LEN: usize = 64 * 1024;
const TAG_LEN: usize = 16;
const WHAT: &str = "age payload";

/// Appends nonce and sealed chunks.
pub(super) fn seal(
    file: &mut Vec<u8>,
    file_key: &FileKey,
    plaintext: &[u8],
    random: &mut dyn Random,
) {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce);
    file.extend_from_slice(&nonce);
    let cipher = cipher(file_key, &nonce);
    // An empty payload is one empty chunk; otherwise no chunk is empty.
    let count = plaintext.len().div_ceil(CHUNK_LEN).max(1);
    file.reserve_exact(plaintext.len() + count * TAG_LEN);
    for index in 0..count {
        let chunk = &plaintext[index * CHUNK_LEN..plaintext.len().min((index + 1) * CHUNK_LEN)];
        let at = file.len();
        file.extend_from_slice(chunk);
        let tag = cipher
            .encrypt_inout_detached(
                &chunk_nonce(index, index + 1 == count),
                b"",
                file[at..].as_mut().into(),
            )
            .expect("a chunk of 64 KiB is within the cipher's limit");
        file.extend_from_slice(&tag);
    }
}

/// The plaintext of all chunks, each verified, the last one marked so.
pub(super) fn open(
    nonce: &[u8; NONCE_LEN],
    sealed: &[u8],
    file_key: &FileKey,
) -> Result<Zeroizing<Vec<u8>>> {
    let cipher = cipher(file_key, nonce);
    let count = sealed.len().div_ceil(CHUNK_LEN + TAG_LEN);
    // Room for all of it at once: plaintext must not be left behind in buffers that were outgrown.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(sealed.len()));
    for (index, chunk) in sealed.chunks(CHUNK_LEN + TAG_LEN).enumerate() {
        let (text, tag) = chunk
            .split_last_chunk::<TAG_LEN>()
            .ok_or(Error::Truncated { what: WHAT })?;
        if text.is_empty() && index > 0 {
            return Err(Error::Malformed {
                what: WHAT,
                offset: index * (CHUNK_LEN + TAG_LEN),
            });
        }
        let at = plaintext.len();
        plaintext.extend_from_slice(text);
        cipher
            .decrypt_inout_detached(
                &chunk_nonce(index, index + 1 == count),
                b"",
                plaintext[at..].as_mut().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| Error::Tampered { what: WHAT })?;
    }
    if count == 0 {
        return Err(Error::Truncated { what: WHAT });
    }
    Ok(plaintext)
}

fn cipher(file_key: &FileKey, nonce: &[u8; NONCE_LEN]) -> ChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(nonce), file_key.as_slice())
        .expand(b"payload", key.as_mut_slice())
        .expect("32 bytes are a length HKDF gives");
    ChaCha20Poly1305::new((&*key).into())
}

/// Eleven bytes of counter, one that says whether the chunk is the last.
fn chunk_nonce(index: usize, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&(index as u64).to_be_bytes());
    nonce[11] = u8::from(last);
    nonce.into()
}
