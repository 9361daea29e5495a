//! The streams of a recorder that has no disk to record to: nothing is kept, and that is told as long as it lasts.

use std::sync::Arc;

use hearthkeep_format::StreamId;
use hearthkeep_format::segment::GapCause;

use super::Stream;
use super::writing::{Before, Moment};
use crate::clock::Clock;
use crate::store::LastFootage;

/// Streams that wait for a disk. [`Recorder::start_after`](super::Recorder::start_after) goes on with them.
pub struct Waiting {
    since: Moment,
    streams: Vec<Stream>,
}

impl Waiting {
    /// Streams that wait from now on: each with its camera, and with its last footage, where it has some.
    pub fn new(
        streams: impl IntoIterator<Item = (StreamId, String, Option<LastFootage>)>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let wait = |(id, camera, last): (_, _, Option<LastFootage>)| {
            let before = last.map(Before::from);
            let stream = Stream::new(id, camera, Before::gap(before.as_ref()), clock);
            stream.progress.turned(GapCause::DiskError);
            stream
        };
        Self {
            since: Moment::now(&**clock),
            streams: streams.into_iter().map(wait).collect(),
        }
    }

    /// The streams.
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Since when they have waited.
    pub(super) const fn since(&self) -> Moment {
        self.since
    }
}
