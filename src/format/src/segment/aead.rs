//! The two forms of authenticated encryption in a segment: `Seal` and `XSeal` of `docs/format.md`.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, XChaCha20Poly1305};

use crate::kdf::Key;
use crate::{Error, Random, Result};

/// Length of an authentication tag.
pub(super) const TAG_LEN: usize = 16;
/// What [`xseal`] adds to a plaintext: nonce and tag.
pub(super) const XSEAL_OVERHEAD: usize = 24 + TAG_LEN;

/// `Seal`: encrypts `text` in place and returns the tag. The nonce is zero, so a key MUST seal once only.
pub(super) fn seal(key: &Key, ad: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
    #[cfg(test)]
    record::push(key, &[0; 12]);
    ChaCha20Poly1305::new((&**key).into())
        .encrypt_inout_detached(&[0; 12].into(), ad, InOutBuf::from(text))
        .expect("a chunk is far below the 256 GiB that ChaCha20-Poly1305 seals")
        .into()
}

/// Opens what [`seal`] sealed, in place. After an error `text` is as it was.
pub(super) fn open(
    key: &Key,
    ad: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_LEN],
    what: &'static str,
) -> Result<()> {
    ChaCha20Poly1305::new((&**key).into())
        .decrypt_inout_detached(&[0; 12].into(), ad, InOutBuf::from(text), tag.into())
        .map_err(|_| Error::Tampered { what })
}

/// `XSeal` of a block of fixed size, into `out` (nonce, ciphertext, tag).
pub(super) fn xseal(key: &Key, plaintext: &[u8], ad: &[u8], out: &mut [u8], rng: &mut dyn Random) {
    debug_assert_eq!(out.len(), plaintext.len() + XSEAL_OVERHEAD);
    let (nonce, rest) = out.split_at_mut(24);
    let (text, tag) = rest.split_at_mut(plaintext.len());
    rng.fill(nonce);
    text.copy_from_slice(plaintext);
    let nonce: [u8; 24] = std::array::from_fn(|i| nonce[i]);
    #[cfg(test)]
    record::push(key, &nonce);
    let sealed = XChaCha20Poly1305::new((&**key).into())
        .encrypt_inout_detached(&nonce.into(), ad, InOutBuf::from(text))
        .expect("a block is far below the 256 GiB that XChaCha20-Poly1305 seals");
    tag.copy_from_slice(&sealed);
}

/// Opens what [`xseal`] sealed.
pub(super) fn xopen<const N: usize>(
    key: &Key,
    sealed: &[u8],
    ad: &[u8],
    what: &'static str,
) -> Result<[u8; N]> {
    let cut = Error::Truncated { what };
    let (nonce, rest) = sealed.split_first_chunk::<24>().ok_or(cut.clone())?;
    let (text, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(cut.clone())?;
    let mut text: [u8; N] = text.try_into().map_err(|_| cut)?;
    XChaCha20Poly1305::new((&**key).into())
        .decrypt_inout_detached(nonce.into(), ad, InOutBuf::from(&mut text[..]), tag.into())
        .map_err(|_| Error::Tampered { what })?;
    Ok(text)
}

/// Remembers every (key, nonce) that sealed something, so that a test can look for one used twice.
#[cfg(test)]
pub(super) mod record {
    use std::cell::RefCell;

    type Used = Vec<([u8; 32], Vec<u8>)>;
    thread_local! { static USED: RefCell<Option<Used>> = const { RefCell::new(None) }; }

    pub(super) fn push(key: &[u8; 32], nonce: &[u8]) {
        USED.with_borrow_mut(|used| {
            if let Some(used) = used {
                used.push((*key, nonce.to_vec()));
            }
        });
    }

    /// Runs `work` and returns every (key, nonce) it sealed with.
    pub(crate) fn during(work: impl FnOnce()) -> Used {
        USED.set(Some(Vec::new()));
        work();
        USED.take().expect("set above")
    }
}
