//! A stream that is recorded without its task: what a camera would send is handed over by whoever has it, such as a simulator.

use std::sync::Arc;

use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{StoreId, StreamId, fmp4};

use super::live::LiveHub;
use super::progress::Progress;
use super::run::Run;
use super::writing::{Before, Materials, Writing};
use crate::camera::{Sample, Track};
use crate::clock::Clock;
use crate::keys::Sealing;
use crate::limits::SEGMENT_US_MAX;
use crate::random::SharedRandom;
use crate::store::Store;

/// A stream that is recorded by hand.
pub struct ByHand {
    run: Option<Run>,
    writing: Writing,
    clock: Arc<dyn Clock>,
    random: SharedRandom,
}

impl ByHand {
    /// Begins where the store says that the stream ended.
    pub fn new(
        stream: StreamId,
        store_id: StoreId,
        sealing: Arc<Sealing>,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        random: SharedRandom,
    ) -> Self {
        let before = Before::of(&store, &stream);
        let progress = Progress::new(Arc::clone(&clock), Before::gap(before.as_ref()));
        let materials = Materials {
            store_id,
            stream,
            sealing,
            store,
            hub: Arc::new(LiveHub::default()),
            clock: Arc::clone(&clock),
            progress: Arc::new(progress),
            random: random.clone(),
            first_target_us: SEGMENT_US_MAX,
        };
        Self {
            run: None,
            writing: Writing::new(materials, before, None),
            clock,
            random,
        }
    }

    /// The camera answers, and describes its tracks; or it describes them anew.
    pub fn connected(&mut self, tracks: &[Track]) {
        if let Some(run) = self.run.take() {
            run.finish(&mut self.writing);
            self.writing.lost(GapCause::Parameters);
        }
        self.run = Some(Run::new(tracks, Arc::clone(&self.clock), &mut self.random));
    }

    /// It sends a sample. Those before a run's first key frame are left out.
    ///
    /// # Errors
    /// It cannot be recorded: the session is over.
    pub fn take(&mut self, sample: Sample) -> fmp4::Result<()> {
        match &mut self.run {
            Some(run) => run.take(sample, &mut self.writing),
            None => Ok(()),
        }
    }

    /// The session ends, or the stream does.
    pub fn end(&mut self, cause: GapCause) {
        if let Some(run) = self.run.take() {
            run.finish(&mut self.writing);
        }
        self.writing.end(cause);
    }
}
