//! Epochs: the key E, the envelope that seals it to the generation, and the chain of segment
//! secrets that follows from it.

use zeroize::Zeroizing;

use crate::kdf::{Key, expand};
use crate::{EpochId, Error, Identity, Kind, Random, Recipient, Result, StoreId, StreamId, age};

/// Steps of a chain that a reader walks at most: a header that claims more is refused, so that it
/// cannot keep a reader busy. An epoch of 24 h with a segment each second has 86,400.
pub const CHAIN_STEPS_MAX: u64 = 1 << 20;

/// Length of an envelope in bytes at most.
pub const ENVELOPE_LEN_MAX: usize = 64 * 1024;

const LABEL: &[u8] = b"hearthkeep/v1/epoch";

/// What the recorder keeps of an epoch to write it into segments. There is no secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The epoch's identifier.
    pub id: EpochId,
    /// The generation that can open it.
    pub generation: u32,
    /// An age file to the generation's recipient, which holds E and what E is for.
    pub envelope: Vec<u8>,
}

/// What an envelope is for: every field is sealed with E and compared when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The store.
    pub store: StoreId,
    /// The stream.
    pub stream: StreamId,
    /// The kind of the segments.
    pub kind: Kind,
    /// The epoch.
    pub epoch: EpochId,
    /// The generation that it is sealed to.
    pub generation: u32,
}

/// Begins an epoch: makes E, seals it, and keeps only the chain that begins with it.
pub fn begin(
    generation: u32,
    recipient: &Recipient,
    store: &StoreId,
    stream: &StreamId,
    kind: Kind,
    random: &mut dyn Random,
) -> (Epoch, Chain) {
    let id = EpochId::random(random);
    let place = Place {
        store: *store,
        stream: *stream,
        kind,
        epoch: id,
        generation,
    };
    let mut e = Key::default();
    random.fill(e.as_mut_slice());
    let mut plaintext = bound(&place);
    plaintext.extend_from_slice(e.as_slice());
    let envelope = age::seal(&[recipient], &plaintext, random);
    (
        Epoch {
            id,
            generation,
            envelope,
        },
        Chain {
            step: 0,
            link: first_link(&e, stream, kind),
        },
    )
}

/// Opens an envelope with the generation's identity.
///
/// # Errors
/// [`Error::Limit`] when the envelope is too long or has more stanzas than one: then somebody else
/// can open it too. [`Error::Foreign`] when it was sealed for another place than `expect`. Else as
/// [`age::open`].
pub fn open(
    envelope: &[u8],
    generation_identity: &Identity,
    expect: &Place,
) -> Result<EpochSecret> {
    if envelope.len() > ENVELOPE_LEN_MAX {
        return Err(Error::Limit {
            what: "envelope",
            limit: ENVELOPE_LEN_MAX as u64,
        });
    }
    if age::stanza_count(envelope)? != 1 {
        return Err(Error::Limit {
            what: "number of stanzas of the envelope",
            limit: 1,
        });
    }
    let plaintext = age::open(&[generation_identity], envelope)?;
    let (place, e) = plaintext.split_last_chunk::<32>().ok_or(Error::Malformed {
        what: "envelope",
        offset: 0,
    })?;
    if place != bound(expect).as_slice() {
        return Err(Error::Foreign { what: "envelope" });
    }
    Ok(EpochSecret {
        first: first_link(e, &expect.stream, expect.kind),
    })
}

/// The writer's end of the chain: it holds the next step only, so what it holds opens nothing that
/// is finished.
pub struct Chain {
    step: u64,
    link: Key,
}

impl Chain {
    /// The secret of the next segment. The step it leaves is erased.
    #[expect(
        clippy::should_implement_trait,
        reason = "a chain does not end, and is no iterator"
    )]
    pub fn next(&mut self) -> SegmentSecret {
        let secret = SegmentSecret::of(self.step, &self.link);
        self.link = following(&self.link);
        self.step += 1;
        secret
    }

    /// The step that [`Chain::next`] will give.
    pub const fn step(&self) -> u64 {
        self.step
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chain(at step {}, ..)", self.step)
    }
}

/// The reader's end of the chain: opens every segment of the epoch.
pub struct EpochSecret {
    first: Key,
}

impl EpochSecret {
    /// From E itself, for a reader that was given it instead of an identity.
    pub fn from_bytes(e: [u8; 32], stream: &StreamId, kind: Kind) -> Self {
        Self {
            first: first_link(&Zeroizing::new(e), stream, kind),
        }
    }

    /// The secret of the segment at this step.
    ///
    /// # Errors
    /// [`Error::Limit`] beyond [`CHAIN_STEPS_MAX`].
    pub fn segment(&self, step: u64) -> Result<SegmentSecret> {
        if step >= CHAIN_STEPS_MAX {
            return Err(Error::Limit {
                what: "step of the chain",
                limit: CHAIN_STEPS_MAX,
            });
        }
        let mut link = self.first.clone();
        for _ in 0..step {
            link = following(&link);
        }
        Ok(SegmentSecret::of(step, &link))
    }
}

impl std::fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochSecret(..)")
    }
}

/// The secret from which the keys of one segment follow.
pub struct SegmentSecret {
    /// Its step in the chain, as the segment's header says it.
    pub step: u64,
    secret: Key,
}

impl SegmentSecret {
    /// `segment(i)` of `docs/format.md`, 4.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    fn of(step: u64, link: &[u8; 32]) -> Self {
        Self {
            step,
            secret: expand(link, &[b"hearthkeep/v1/segment"]),
        }
    }
}

impl std::fmt::Debug for SegmentSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentSecret(step {}, ..)", self.step)
    }
}

fn first_link(e: &[u8; 32], stream: &StreamId, kind: Kind) -> Key {
    expand(
        e,
        &[b"hearthkeep/v1/chain", stream.as_bytes(), &[kind.as_u8()]],
    )
}

fn following(link: &[u8; 32]) -> Key {
    expand(link, &[b"hearthkeep/v1/next"])
}

/// All of the envelope's plaintext but E, with room for E.
fn bound(place: &Place) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LABEL.len() + 16 * 3 + 1 + 4 + 32));
    bytes.extend_from_slice(LABEL);
    bytes.extend_from_slice(place.store.as_bytes());
    bytes.extend_from_slice(place.stream.as_bytes());
    bytes.push(place.kind.as_u8());
    bytes.extend_from_slice(place.epoch.as_bytes());
    bytes.extend_from_slice(&place.generation.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;

    const STORE: StoreId = StoreId::from_bytes([1; 16]);
    const STREAM: StreamId = StreamId::from_bytes([2; 16]);

    fn begun(identity: &Identity) -> (Epoch, Chain, Place) {
        let mut random = SeededRandom::new(3);
        let (epoch, chain) = begin(
            5,
            &identity.recipient(),
            &STORE,
            &STREAM,
            Kind::Media,
            &mut random,
        );
        let place = Place {
            store: STORE,
            stream: STREAM,
            kind: Kind::Media,
            epoch: epoch.id,
            generation: 5,
        };
        (epoch, chain, place)
    }

    #[test]
    fn the_reader_finds_the_writers_secrets() {
        let identity = Identity::from_seed([9; 32]);
        let (epoch, mut chain, place) = begun(&identity);
        let opened = open(&epoch.envelope, &identity, &place).unwrap();
        for step in 0..100 {
            let written = chain.next();
            assert_eq!(written.step, step);
            assert_eq!(chain.step(), step + 1);
            let read = opened.segment(step).unwrap();
            assert_eq!((read.step, read.secret()), (step, written.secret()));
        }
    }

    #[test]
    fn secrets_follow_from_e_as_specified() {
        let e = [4; 32];
        let c0 = expand::<32>(&e, &[b"hearthkeep/v1/chain", &[2; 16], &[1]]);
        let c1 = expand::<32>(&c0, &[b"hearthkeep/v1/next"]);
        let segment_1 = expand::<32>(&c1, &[b"hearthkeep/v1/segment"]);
        let secret = EpochSecret::from_bytes(e, &STREAM, Kind::Media)
            .segment(1)
            .unwrap();
        assert_eq!(secret.secret(), &*segment_1);
        let other = EpochSecret::from_bytes(e, &STREAM, Kind::Previews)
            .segment(1)
            .unwrap();
        assert_ne!(secret.secret(), other.secret());
    }

    #[test]
    fn an_envelope_of_another_place_is_refused() {
        let identity = Identity::from_seed([9; 32]);
        let (epoch, _, place) = begun(&identity);
        for other in [
            Place {
                store: StoreId::from_bytes([8; 16]),
                ..place
            },
            Place {
                stream: StreamId::from_bytes([8; 16]),
                ..place
            },
            Place {
                kind: Kind::Events,
                ..place
            },
            Place {
                epoch: EpochId::from_bytes([8; 16]),
                ..place
            },
            Place {
                generation: 6,
                ..place
            },
        ] {
            let error = open(&epoch.envelope, &identity, &other).unwrap_err();
            assert_eq!(error, Error::Foreign { what: "envelope" });
        }
    }

    #[test]
    fn an_envelope_that_others_can_open_is_refused() {
        let (one, two) = (Identity::from_seed([9; 32]), Identity::from_seed([10; 32]));
        let (_, _, place) = begun(&one);
        let mut plaintext = bound(&place);
        plaintext.extend_from_slice(&[7; 32]);
        let both = [&one.recipient(), &two.recipient()];
        let envelope = age::seal(&both, &plaintext, &mut SeededRandom::new(1));
        assert!(matches!(
            open(&envelope, &one, &place),
            Err(Error::Limit { limit: 1, .. })
        ));
    }

    #[test]
    fn other_contents_are_refused() {
        let identity = Identity::from_seed([9; 32]);
        let (epoch, _, place) = begun(&identity);
        for plaintext in [b"".as_slice(), &[0; 31], &[0; 32], &[0; 200]] {
            let envelope = age::seal(
                &[&identity.recipient()],
                plaintext,
                &mut SeededRandom::new(1),
            );
            assert!(open(&envelope, &identity, &place).is_err());
        }
        let long = [epoch.envelope.as_slice(), &[0; ENVELOPE_LEN_MAX]].concat();
        assert!(matches!(
            open(&long, &identity, &place),
            Err(Error::Limit { .. })
        ));
        assert_eq!(
            open(&epoch.envelope, &Identity::from_seed([1; 32]), &place).unwrap_err(),
            Error::NoMatchingIdentity
        );
    }

    #[test]
    fn the_chain_is_not_walked_without_end() {
        let secret = EpochSecret::from_bytes([4; 32], &STREAM, Kind::Media);
        assert!(matches!(secret.segment(u64::MAX), Err(Error::Limit { .. })));
        assert!(matches!(
            secret.segment(CHAIN_STEPS_MAX),
            Err(Error::Limit { .. })
        ));
    }
}
