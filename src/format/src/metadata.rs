//! The metadata key M of a generation: what the recorder keeps to serve times and offsets of
//! footage it cannot open.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::Random;

/// The metadata key M of one generation, erased when dropped.
///
/// Not `Clone`: whoever needs a second copy says so with `from_bytes(*key.as_bytes())`.
pub struct MetadataKey(Zeroizing<[u8; 32]>);

impl MetadataKey {
    /// A new one.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(key.as_mut_slice());
        Self(key)
    }

    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes: a secret.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a statement says of it (`docs/format.md`, 2.1), so that nobody can be given another M.
    pub fn commitment(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"hearthkeep/v1/metadata-commitment")
            .chain_update(self.as_bytes())
            .finalize()
            .into()
    }
}

impl std::fmt::Debug for MetadataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetadataKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(
            format!("{:?}", MetadataKey::from_bytes([0xAB; 32])),
            "MetadataKey(..)"
        );
    }

    #[test]
    fn commitments_differ() {
        let one = MetadataKey::from_bytes([1; 32]);
        assert_eq!(
            one.commitment(),
            MetadataKey::from_bytes([1; 32]).commitment()
        );
        assert_ne!(
            one.commitment(),
            MetadataKey::from_bytes([2; 32]).commitment()
        );
    }
}
