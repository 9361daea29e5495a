//! Identities: an X-Wing key pair (ML-KEM-768 with X25519) and the Ed25519 key that follows from
//! it.

use hpke::kem::XWing;
use hpke::{Deserializable, Kem, Serializable};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::kdf::{Key, expand};
use crate::{Error, Random, Result, bech32};

/// Length of a [`Recipient`] in bytes.
pub const RECIPIENT_LEN: usize = 1216;

const IDENTITY_PREFIX: &str = "AGE-SECRET-KEY-PQ-";
const RECIPIENT_PREFIX: &str = "age1pq";

/// The secret of a person, a recovery kit or a generation: 32 bytes, erased when dropped.
pub struct Identity(Key);

impl Identity {
    /// A new one.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut seed = Key::default();
        random.fill(seed.as_mut_slice());
        Self(seed)
    }

    /// The identity with this X-Wing seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// Its seed: the secret itself.
    pub fn seed(&self) -> &[u8; 32] {
        &self.0
    }

    /// As age writes it: `AGE-SECRET-KEY-PQ-1…`.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = bech32::encode(IDENTITY_PREFIX, self.seed());
        text.make_ascii_uppercase();
        text
    }

    /// Reads what [`Identity::to_text`] writes; all lower case is fine too.
    ///
    /// # Errors
    /// [`Error::Mistyped`] for anything else; it does not quote the text.
    pub fn from_text(text: &str) -> Result<Self> {
        let bytes = bech32::decode(IDENTITY_PREFIX, text)
            .and_then(|bytes| Some(Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?)))
            .ok_or(Error::Mistyped {
                what: "the identity",
            })?;
        Ok(Self(bytes))
    }

    /// Its public half.
    pub fn recipient(&self) -> Recipient {
        let public = XWing::sk_to_pk(&self.kem_key());
        let mut bytes = Box::new([0; RECIPIENT_LEN]);
        public.write_exact(bytes.as_mut_slice());
        Recipient(bytes)
    }

    /// The key with which it signs statements.
    pub fn signing_key(&self) -> SigningKey {
        let seed: Key = expand(&self.0, &[b"hearthkeep/v1/sign"]);
        SigningKey(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    pub(crate) fn kem_key(&self) -> <XWing as Kem>::PrivateKey {
        <XWing as Kem>::PrivateKey::from_bytes(self.0.as_slice())
            .expect("every 32 bytes are an X-Wing seed")
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// The public half of an [`Identity`]: an X-Wing public key of 1,216 bytes that was checked when it
/// was read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Recipient(Box<[u8; RECIPIENT_LEN]>);

impl Recipient {
    /// Its bytes: the ML-KEM-768 key, then the X25519 key.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The recipient with these bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] when they are not 1,216 bytes, when the ML-KEM part fails the modulus
    /// check of FIPS 203, section 7.2, or when the X25519 part is a point of low order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        const WRONG: Error = Error::Malformed {
            what: "recipient",
            offset: 0,
        };
        let bytes: Box<[u8; RECIPIENT_LEN]> =
            Box::new(<[u8; RECIPIENT_LEN]>::try_from(bytes).map_err(|_| WRONG)?);
        <XWing as Kem>::PublicKey::from_bytes(bytes.as_slice()).map_err(|_| WRONG)?;
        if has_low_order(last_32(bytes.as_slice())) {
            return Err(WRONG);
        }
        Ok(Self(bytes))
    }

    /// As age writes it: `age1pq1…`.
    pub fn to_text(&self) -> String {
        std::mem::take(&mut *bech32::encode(RECIPIENT_PREFIX, self.as_bytes()))
    }

    /// Reads what [`Recipient::to_text`] writes.
    ///
    /// # Errors
    /// [`Error::Mistyped`] when it is not Bech32 with the prefix `age1pq`, else as
    /// [`Recipient::from_bytes`].
    pub fn from_text(text: &str) -> Result<Self> {
        let bytes = bech32::decode(RECIPIENT_PREFIX, text).ok_or(Error::Mistyped {
            what: "the recipient",
        })?;
        Self::from_bytes(&bytes)
    }

    pub(crate) fn kem_key(&self) -> <XWing as Kem>::PublicKey {
        <XWing as Kem>::PublicKey::from_bytes(self.as_bytes())
            .expect("a recipient was checked when it was read")
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hash = Sha256::digest(self.as_bytes());
        write!(
            f,
            "Recipient({:02x}{:02x}{:02x}{:02x}..)",
            hash[0], hash[1], hash[2], hash[3]
        )
    }
}

/// An Ed25519 signing key (RFC 8032), erased when dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Its public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key().to_bytes())
    }

    /// The signature over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        use ed25519_dalek::Signer;
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// An Ed25519 public key (RFC 8032) that was checked when it was read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key with these bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] when they are not a point of the curve, or one of low order: everything
    /// would verify.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        match ed25519_dalek::VerifyingKey::from_bytes(bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(*bytes)),
            _ => Err(Error::Malformed {
                what: "signing key",
                offset: 0,
            }),
        }
    }

    /// Checks a signature, strictly: no signature has a second form that verifies too.
    ///
    /// # Errors
    /// [`Error::Tampered`] when it is not this key's over this message.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<()> {
        ed25519_dalek::VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(message, &signature.into()))
            .map_err(|_| Error::Tampered {
                what: "signed statement",
            })
    }

    /// SHA-256 of the key in groups of four hex digits, to be compared by eye.
    pub fn fingerprint(&self) -> String {
        let digits: String = Sha256::digest(self.0)
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let groups: Vec<&str> = (0..digits.len())
            .step_by(4)
            .map(|start| &digits[start..start + 4])
            .collect();
        groups.join(" ")
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyingKey(")?;
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "..)")
    }
}

/// Whether an X25519 point has low order: then every secret gives the shared secret zero (RFC 7748,
/// section 6.1).
pub(crate) fn has_low_order(point: &[u8; 32]) -> bool {
    // Any scalar does: clamping makes it a multiple of 8, the order of every such point divides 8.
    x25519_dalek::x25519([0; 32], *point) == [0; 32]
}

/// The X25519 part at the end of an X-Wing public key or ciphertext.
pub(crate) fn last_32(bytes: &[u8]) -> &[u8; 32] {
    bytes
        .last_chunk()
        .expect("X-Wing keys and ciphertexts are longer than 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    fn identity() -> Identity {
        Identity::generate(&mut SeededRandom::new(7))
    }

    #[test]
    fn texts_are_read_back() {
        let identity = identity();
        let text = identity.to_text();
        assert!(text.starts_with("AGE-SECRET-KEY-PQ-1"));
        assert_eq!(text.len(), 77);
        assert_eq!(Identity::from_text(&text).unwrap().seed(), identity.seed());
        assert_eq!(
            Identity::from_text(&text.to_lowercase()).unwrap().seed(),
            identity.seed()
        );
        let recipient = identity.recipient();
        assert_eq!(
            Recipient::from_text(&recipient.to_text()).unwrap(),
            recipient
        );
        assert_eq!(
            Recipient::from_bytes(recipient.as_bytes()).unwrap(),
            recipient
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let text = identity().to_text();
        let mixed_case = text.replacen('A', "a", 1);
        let recipient = identity().recipient().to_text();
        for wrong in [
            "",
            "AGE-SECRET-KEY-PQ-1",
            &text[..76],
            &mixed_case,
            &recipient,
        ] {
            let error = Identity::from_text(wrong).unwrap_err();
            assert_eq!(
                error,
                Error::Mistyped {
                    what: "the identity"
                }
            );
        }
        assert!(Recipient::from_text(&text).is_err());
        assert!(Recipient::from_text(&recipient[..recipient.len() - 1]).is_err());
        // An X25519 identity of age has another prefix.
        let x25519 = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        assert!(Identity::from_text(x25519).is_err());
    }

    #[test]
    fn recipients_that_are_no_keys_are_refused() {
        let good = identity().recipient();
        assert!(Recipient::from_bytes(&good.as_bytes()[1..]).is_err());
        let mut beyond_modulus = good.as_bytes().to_vec();
        beyond_modulus[..2].fill(0xFF);
        assert!(Recipient::from_bytes(&beyond_modulus).is_err());
        for low_order in [0, 1] {
            let mut recipient = good.as_bytes().to_vec();
            recipient[1184..].fill(0);
            recipient[1184] = low_order;
            assert!(Recipient::from_bytes(&recipient).is_err());
        }
    }

    #[test]
    fn signatures_verify_for_their_message_only() {
        let key = identity().signing_key();
        let signature = key.sign(b"statement");
        let verifying = VerifyingKey::from_bytes(key.verifying_key().as_bytes()).unwrap();
        assert_eq!(verifying.verify(b"statement", &signature), Ok(()));
        assert!(verifying.verify(b"Statement", &signature).is_err());
        for at in 0..64 {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(verifying.verify(b"statement", &changed).is_err());
        }
        // The neutral element would verify everything.
        let mut weak = [0; 32];
        weak[0] = 1;
        assert!(VerifyingKey::from_bytes(&weak).is_err());
    }

    #[test]
    fn debug_hides_secrets() {
        let identity = identity();
        assert_eq!(format!("{identity:?}"), "Identity(..)");
        assert_eq!(format!("{:?}", identity.signing_key()), "SigningKey(..)");
        assert!(format!("{:?}", identity.recipient()).len() < 24);
        assert_eq!(
            identity.signing_key().verifying_key().fingerprint().len(),
            79
        );
    }
}
