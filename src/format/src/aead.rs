//! The two forms of authenticated encryption: `Seal` and `XSeal` of `docs/format.md`.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

use crate::kdf::Key;
use crate::{Error, Random, Result};

/// Length of an authentication tag.
pub(crate) const TAG_LEN: usize = 16;

/// `Seal`: encrypts `text` in place and returns the tag. The nonce is zero, so a key MUST seal once
/// only.
pub(crate) fn seal(key: &Key, ad: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
    #[cfg(test)]
    record::push(key, &[0; 12]);
    ChaCha20Poly1305::new((&**key).into())
        .encrypt_inout_detached(&[0; 12].into(), ad, InOutBuf::from(text))
        .expect("a chunk is far below the 256 GiB that ChaCha20-Poly1305 seals")
        .into()
}

/// Opens what [`seal`] sealed, in place. After an error `text` is as it was.
pub(crate) fn open(
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

/// `XSeal`: nonce, ciphertext and tag.
pub(crate) fn xseal(key: &Key, plaintext: &[u8], ad: &[u8], rng: &mut dyn Random) -> Vec<u8> {
    let sealed = crate::xseal::xseal(key, plaintext, ad, rng);
    #[cfg(test)]
    record::push(key, &sealed[..24]);
    sealed
}

/// Opens what [`xseal`] sealed.
pub(crate) fn xopen<const N: usize>(
    key: &Key,
    sealed: &[u8],
    ad: &[u8],
    what: &'static str,
) -> Result<[u8; N]> {
    let text = crate::xseal::xopen(key, sealed, ad).ok_or(Error::Tampered { what })?;
    text.as_slice()
        .try_into()
        .map_err(|_| Error::Truncated { what })
}

/// Remembers every (key, nonce) that sealed something, so that a test can look for one used twice.
#[cfg(test)]
pub(crate) mod record {
    use std::cell::RefCell;

    type Used = Vec<([u8; 32], Vec<u8>)>;
    thread_local! { static USED: RefCell<Option<Used>> = const { RefCell::new(None) }; }

    pub(crate) fn push(key: &[u8; 32], nonce: &[u8]) {
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
