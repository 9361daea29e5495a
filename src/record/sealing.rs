//! What one stream seals with: its epoch, the chain inside it, and when a new one is due.

use hearthkeep_format::epoch::{self, Chain, Epoch, SegmentSecret};
use hearthkeep_format::{Kind, Random, StoreId, StreamId};

use crate::keys::Sealing;
use crate::limits::EPOCH_US_MAX;

/// The epochs of one stream. Each segment takes the next step of the chain; a new epoch begins after
/// [`EPOCH_US_MAX`] and when the generation has changed.
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
