//! Stand-in until the keys half is merged.
use crate::kdf::{Key, expand};
use crate::segment::Header;
use crate::{EpochId, Error, Kind, Result, StreamId};
use zeroize::Zeroizing;
/// An epoch.
pub struct Epoch {
    /// Its id.
    pub id: EpochId,
    /// Its generation.
    pub generation: u32,
    /// Its envelope.
    pub envelope: Vec<u8>,
}
/// Secret of one segment.
pub struct SegmentSecret {
    /// The step of the chain.
    pub step: u64,
    key: Key,
}
impl SegmentSecret {
    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }
}
/// Secret of an epoch.
pub struct EpochSecret(Key);
impl EpochSecret {
    /// From E.
    pub fn from_bytes(e: [u8; 32], stream: &StreamId, kind: Kind) -> Self {
        let e = Zeroizing::new(e);
        Self(expand(&e, &[b"hearthkeep/v1/chain", stream.as_bytes(), &[kind.as_u8()]]))
    }
    /// The secret of step i.
    pub fn segment(&self, step: u64) -> SegmentSecret {
        let mut c = self.0.clone();
        for _ in 0..step {
            c = expand(&c, &[b"hearthkeep/v1/next"]);
        }
        SegmentSecret { step, key: expand(&c, &[b"hearthkeep/v1/segment"]) }
    }
}
/// Opens an envelope.
pub fn open(
    _envelope: &[u8],
    _identity: &crate::Identity,
    _expect: &Header,
) -> Result<EpochSecret> {
    Err(Error::NoMatchingIdentity)
}
