//! Published answers of the algorithms that the formats rest on. They guard against a dependency
//! that changes: these must hold for every file that was ever written.
#![allow(clippy::unwrap_used, missing_docs)]

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use hearthkeep_format::{Identity, Recipient};
use hpke::aead::ChaCha20Poly1305 as HpkeChaCha;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeR, Serializable};

/// RFC 8439, 2.8.2.
#[test]
fn chacha20_poly1305() {
    let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
    let sealed = ChaCha20Poly1305::new(&key.into())
        .encrypt(
            &Nonce::try_from(unhex("070000004041424344454647").as_slice()).unwrap(),
            Payload {
                msg: b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                       the future, sunscreen would be it.",
                aad: &unhex("50515253c0c1c2c3c4c5c6c7"),
            },
        )
        .unwrap();
    let expected = unhex(
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
         1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
         3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    );
    assert_eq!(sealed, expected);
}

/// RFC 9106, 5.3.
#[test]
fn argon2id() {
    let params = ParamsBuilder::new()
        .m_cost(32)
        .t_cost(3)
        .p_cost(4)
        .data(AssociatedData::new(&[4; 12]).unwrap())
        .build()
        .unwrap();
    let mut tag = [0; 32];
    Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
        .unwrap()
        .hash_password_into(&[1; 32], &[2; 16], &mut tag)
        .unwrap();
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(tag.as_slice(), unhex(expected));
}

/// RFC 9180, A.2.1 (base mode, sequence number 0): HPKE with the KDF and the AEAD of our stanza.
#[test]
fn hpke_base_mode() {
    let key = unhex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
    let encapsulated = unhex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let opened = hpke::single_shot_open::<HpkeChaCha, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &<X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&key).unwrap(),
        &<X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&encapsulated).unwrap(),
        b"Ode on a Grecian Urn",
        &unhex(
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        ),
        b"Count-0",
    );
    assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
}

/// draft-connolly-cfrg-xwing-kem, appendix C.
#[test]
fn x_wing() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/data/x-wing/test-vectors.json")).unwrap();
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let field = |name: &str| unhex(vector[name].as_str().unwrap());
        let identity = Identity::from_seed(field("sk").try_into().unwrap());
        assert_eq!(identity.recipient().as_bytes(), field("pk"));
        let recipient = Recipient::from_bytes(&field("pk")).unwrap();

        let public = <XWing as Kem>::PublicKey::from_bytes(recipient.as_bytes()).unwrap();
        let (shared, encapsulated) =
            XWing::encap_with_rng(&public, None, &mut Fixed(field("eseed"))).unwrap();
        assert_eq!(encapsulated.to_bytes().as_slice(), field("ct"));
        assert_eq!(shared.0.as_slice(), field("ss"));

        let private = <XWing as Kem>::PrivateKey::from_bytes(identity.seed()).unwrap();
        let shared = XWing::decap(&private, None, &encapsulated).unwrap();
        assert_eq!(shared.0.as_slice(), field("ss"));
    }
}

/// The example identity and recipient of age's specification.
#[test]
fn age_texts() {
    let identity = Identity::from_text(
        "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR",
    )
    .unwrap();
    let text = identity.recipient().to_text();
    assert!(text.starts_with("age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg87pzf5"));
    assert!(text.ends_with("wze9pyyzk3tlhl53k2ykx3qheyty7saeq0d3fzv49zc0k"));
    assert_eq!(Recipient::from_text(&text).unwrap(), identity.recipient());
}

struct Fixed(Vec<u8>);

impl rand_core::TryRng for Fixed {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        unreachable!("whole buffers are asked for")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        unreachable!("whole buffers are asked for")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.0.drain(..bytes.len()).collect::<Vec<_>>());
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Fixed {}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
