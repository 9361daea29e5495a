//! Bech32 (BIP 173) as age uses it: without a limit on the length.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Checksum, Hrp};
use zeroize::Zeroizing;

/// `data` under this prefix, in lower case.
pub(crate) fn encode(prefix: &str, data: &[u8]) -> Zeroizing<String> {
    let prefix = Hrp::parse_unchecked(prefix);
    let length = prefix.len() + 1 + data.len().div_ceil(5) * 8 + 6;
    // Allocated once: a secret leaves no half-written copies behind.
    let mut text = Zeroizing::new(String::with_capacity(length));
    bech32::encode_lower_to_fmt::<Unlimited, String>(&mut text, prefix, data)
        .expect("a String takes all that is written, and no length is too long");
    text
}

/// The bytes of `text`; `None` unless it is what [`encode`] writes for them, in one case
/// throughout.
pub(crate) fn decode(prefix: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let parsed = CheckedHrpstring::new::<Unlimited>(text).ok()?;
    if parsed.hrp() != Hrp::parse_unchecked(prefix) {
        return None;
    }
    let mut data = Zeroizing::new(Vec::with_capacity(text.len()));
    data.extend(parsed.byte_iter());
    // The last character may carry bits that belong to no byte: written otherwise, it is another
    // text.
    encode(prefix, &data)
        .eq_ignore_ascii_case(text)
        .then_some(data)
}

/// The checksum of BIP 173 without its limit of 90 characters.
enum Unlimited {}

impl Checksum for Unlimited {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = bech32::Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = bech32::Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = bech32::Bech32::TARGET_RESIDUE;
}
