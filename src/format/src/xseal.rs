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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    /// draft-irtf-cfrg-xchacha-03, A.3.1.
    #[test]
    fn seals_as_the_draft_does() {
        struct Nonce;
        impl Random for Nonce {
            fn fill(&mut self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&std::array::from_fn::<u8, 24, _>(|i| 0x40 + i as u8));
            }
        }
        let key = std::array::from_fn(|i| 0x80 + i as u8);
        let plaintext =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
                          future, sunscreen would be it.";
        let bound = [
            0x50, 0x51, 0x52, 0x53, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7,
        ];
        let sealed = xseal(&key, plaintext, &bound, &mut Nonce);
        assert_eq!(sealed.len(), 24 + plaintext.len() + 16);
        assert_eq!(
            sealed[24..32],
            [0xBD, 0x6D, 0x17, 0x9D, 0x3E, 0x83, 0xD4, 0x3B]
        );
        let tag = 0xc087_5924_c1c7_9879_47de_afd8_780a_cf49_u128.to_be_bytes();
        assert_eq!(sealed[sealed.len() - 16..], tag);
        assert_eq!(xopen(&key, &sealed, &bound).unwrap().as_slice(), plaintext);
    }

    #[test]
    fn every_change_is_refused() {
        let sealed = xseal(&[7; 32], b"hearth", b"keep", &mut SeededRandom::new(1));
        assert!(xopen(&[7; 32], &sealed, b"keep").is_some());
        assert!(xopen(&[8; 32], &sealed, b"keep").is_none());
        assert!(xopen(&[7; 32], &sealed, b"kept").is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(xopen(&[7; 32], &changed, b"keep").is_none());
            assert!(xopen(&[7; 32], &sealed[..at], b"keep").is_none());
        }
    }
}
