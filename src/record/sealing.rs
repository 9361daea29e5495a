//! What one stream seals with: its epoch, the chain inside it, and when a new one is due.

use hearthkeep_format::epoch::{self, CHAIN_STEPS_MAX, Chain, Epoch, SegmentSecret};
use hearthkeep_format::{Kind, Random, StoreId, StreamId};

use crate::keys::Sealing;
use crate::limits::EPOCH_US_MAX;

/// The epochs of one stream. Each segment takes the next step of the chain; a new epoch begins after
/// [`EPOCH_US_MAX`], when the generation has changed, and where the chain ends: a full disk and a camera of nothing but key
/// frames take a step for each picture.
#[derive(Debug)]
pub(super) struct Epochs {
    store: StoreId,
    stream: StreamId,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    epoch: Epoch,
    chain: Chain,
    begun_us: u64,
}

impl Epochs {
    pub(super) fn new(store: StoreId, stream: StreamId) -> Self {
        Self {
            store,
            stream,
            running: None,
        }
    }

    /// The epoch and secret of the next segment. `now_us` is monotonic time.
    pub(super) fn next_segment(
        &mut self,
        seal_to: &Sealing,
        now_us: u64,
        random: &mut dyn Random,
    ) -> (&Epoch, SegmentSecret) {
        let due = self.running.as_ref().is_none_or(|running| {
            running.epoch.generation != seal_to.generation
                || now_us.saturating_sub(running.begun_us) >= EPOCH_US_MAX
                || running.chain.step() >= CHAIN_STEPS_MAX
        });
        if due {
            let (epoch, chain) = epoch::begin(
                seal_to.generation,
                &seal_to.recipient,
                &self.store,
                &self.stream,
                Kind::Media,
                random,
            );
            self.running = Some(Running {
                epoch,
                chain,
                begun_us: now_us,
            });
        }
        let running = self
            .running
            .as_mut()
            .expect("begun above where there was none");
        let secret = running.chain.next();
        (&running.epoch, secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearthkeep_format::{Identity, MetadataKey, SeededRandom};

    #[test]
    fn an_epoch_ends_with_its_day_its_generation_and_its_chain() {
        let mut random = SeededRandom::new(1);
        let mut seal_to = Sealing {
            generation: 1,
            recipient: Identity::generate(&mut random).recipient(),
            metadata_key: MetadataKey::from_bytes([1; 32]),
        };
        let mut epochs = Epochs::new(StoreId::random(&mut random), StreamId::random(&mut random));
        let mut next =
            |seal_to: &Sealing, now_us| epochs.next_segment(seal_to, now_us, &mut random).0.id;
        let first = next(&seal_to, 5);
        for _ in 1..CHAIN_STEPS_MAX {
            assert_eq!(next(&seal_to, 5 + EPOCH_US_MAX - 1), first);
        }
        let second = next(&seal_to, 6);
        assert_ne!(second, first, "a reader refuses more steps");
        assert_eq!(next(&seal_to, 6 + EPOCH_US_MAX - 1), second);
        let third = next(&seal_to, 6 + EPOCH_US_MAX);
        assert_ne!(third, second);
        seal_to.generation = 2;
        assert_ne!(next(&seal_to, 6 + EPOCH_US_MAX), third);
    }
}
