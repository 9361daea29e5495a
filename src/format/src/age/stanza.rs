//! The stanza type `mlkem768x25519`: the file key under HPKE (RFC 9180, base mode) with X-Wing as
//! its KEM.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use super::FileKey;
use super::header::{Stanza, write_stanza};
use crate::identity::{has_low_order, last_32};
use crate::random::RandCore;
use crate::{Error, Identity, Random, Recipient, Result};

const TYPE: &str = "mlkem768x25519";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
const ENCAPSULATED_LEN: usize = 1120;
/// The file key and its tag.
const BODY_LEN: usize = 32;

/// A stanza of our type, its form checked.
pub(super) struct Wrapped<'a> {
    encapsulated: <XWing as Kem>::EncappedKey,
    body: &'a [u8],
}

/// Appends the stanza that lets `recipient` open the file.
pub(super) fn write(
    file: &mut Vec<u8>,
    recipient: &Recipient,
    file_key: &FileKey,
    random: &mut dyn Random,
) {
    let (encapsulated, body) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeS::Base,
            &recipient.kem_key(),
            INFO,
            file_key.as_slice(),
            b"",
            &mut RandCore(random),
        )
        .expect("X-Wing encapsulates to every key that was checked, and 16 bytes can be sealed");
    let encapsulated = BASE64_STANDARD_NO_PAD.encode(encapsulated.to_bytes());
    write_stanza(file, &[TYPE, &encapsulated], &body);
}

/// The stanzas of our type. Others are left to those who know them, but one of ours must be well
/// formed.
pub(super) fn recognise<'a>(stanzas: &'a [Stanza<'_>]) -> Result<Vec<Wrapped<'a>>> {
    stanzas
        .iter()
        .filter(|stanza| stanza.arguments.first() == Some(&TYPE))
        .map(|stanza| {
            parse(stanza).ok_or(Error::Malformed {
                what: "age stanza",
                offset: stanza.offset,
            })
        })
        .collect()
}

/// The file key, if one of the stanzas is for one of the identities.
pub(super) fn unwrap(stanzas: &[Wrapped<'_>], identities: &[&Identity]) -> Option<FileKey> {
    identities.iter().find_map(|identity| {
        let key = identity.kem_key();
        stanzas.iter().find_map(|stanza| {
            let file_key = Zeroizing::new(
                hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
                    &OpModeR::Base,
                    &key,
                    &stanza.encapsulated,
                    INFO,
                    stanza.body,
                    b"",
                )
                .ok()?,
            );
            file_key.as_slice().try_into().ok().map(Zeroizing::new)
        })
    })
}

fn parse<'a>(stanza: &'a Stanza<'_>) -> Option<Wrapped<'a>> {
    let [_, encapsulated] = stanza.arguments[..] else {
        return None;
    };
    let encapsulated = BASE64_STANDARD_NO_PAD.decode(encapsulated).ok()?;
    // An exact length of the body keeps partitioning oracles out (age, section "mlkem768x25519
    // recipient stanza"). Low order would make the X25519 half of the secret zero whoever the
    // recipient is; ML-KEM's half would still hold, but what other implementations refuse is
    // refused here.
    if encapsulated.len() != ENCAPSULATED_LEN
        || stanza.body.len() != BODY_LEN
        || has_low_order(last_32(&encapsulated))
    {
        return None;
    }
    let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(&encapsulated).ok()?;
    Some(Wrapped {
        encapsulated,
        body: &stanza.body,
    })
}
