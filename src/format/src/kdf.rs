//! Key derivation: HKDF-Expand with SHA-256 (RFC 5869), from keys that are uniform already.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// A secret of 32 bytes, erased when dropped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// `Expand(key, info, N)` of `docs/format.md`; `info` is given in parts that are joined.
pub(crate) fn expand<const N: usize>(key: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::from_prk(key)
        .expect("32 bytes are a whole PRK of SHA-256")
        .expand_multi_info(info, out.as_mut_slice())
        .expect("at most 64 bytes are derived, HKDF gives 8160");
    out
}
