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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, A.1 and A.2, from the PRK on.
    #[test]
    fn expands_as_the_rfc_does() {
        let prk = |text: &str| -> [u8; 32] { unhex(text).try_into().unwrap() };
        let info: Vec<u8> = (0xF0..=0xF9).collect();
        let okm = expand::<42>(
            &prk("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"),
            &[&info[..3], &info[3..]],
        );
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf\
                        34007208d5b887185865";
        assert_eq!(okm.as_slice(), unhex(expected));

        let info: Vec<u8> = (0xB0..=0xFF).collect();
        let okm = expand::<82>(
            &prk("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244"),
            &[&info],
        );
        let expected = "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e59\
                        0e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87";
        assert_eq!(okm.as_slice(), unhex(expected));
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }
}
