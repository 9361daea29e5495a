//! `XSeal` of `docs/format.md`: XChaCha20-Poly1305 with its random nonce in front.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::Random;

const NONCE_LEN: usize = 24;

/// Seals `plaintext`, bound to `associated_data`.
pub(crate) fn xseal(
    key: &[u8; 32],
    plaintext: &[u8],
    associated_data: &[u8],
    random: &mut dyn Random,
) -> Vec<u8> {
    let mut sealed = vec![0; NONCE_LEN];
    random.fill(&mut sealed);
    let nonce = XNonce::try_from(sealed.as_slice()).expect("the nonce has its length");
    let ciphertext = XChaCha20Poly1305::new(key.into())
        .encrypt(
            &nonce,
            Payload {
                msg: plaintext,
                aad: associated_data,
            },
        )
        .expect("what is sealed is far below the cipher's limit of 256 GiB");
    sealed.extend_from_slice(&ciphertext);
    sealed
}

/// Opens what [`xseal`] wrote; `None` when it was changed or the key or the associated data differ.
pub(crate) fn xopen(
    key: &[u8; 32],
    sealed: &[u8],
    associated_data: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
    XChaCha20Poly1305::new(key.into())
        .decrypt(
            &XNonce::from(*nonce),
            Payload {
                msg: ciphertext,
                aad: associated_data,
            },
        )
        .ok()
        .map(Zeroizing::new)
}
