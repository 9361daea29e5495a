//! Live viewers of one stream: each chunk is theirs as soon as it is sealed, before it is durable.
//!
//! A viewer who joins gets the segment's head, the chunks since the last key frame and then every further chunk, in order and
//! without a hole. What is durable already is read back from the file by whoever serves the viewer, so that the hub
//! holds in memory only what is still on its way, and at most [`LIVE_RECENT_BYTES_MAX`]. Of a segment that has no file it holds
//! nothing while nobody watches. Where it had to let go of a chunk, a viewer who joins begins with the next key frame.
//! Messages are those of `docs/format.md`, section 6.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hearthkeep_format::SegmentId;
use tokio::sync::broadcast;

use crate::limits::{LIVE_QUEUE_CHUNKS_MAX, LIVE_RECENT_BYTES_MAX};

const HEAD: u8 = 1;
const CHUNK: u8 = 2;

/// The message that begins a segment. `head` is header, envelope and chunk 0.
pub fn head_message(segment: &SegmentId, head: &[u8]) -> Bytes {
    message(HEAD, segment, head)
}

/// The message of a chunk as it stands in the file.
pub fn chunk_message(segment: &SegmentId, chunk: &[u8]) -> Bytes {
    message(CHUNK, segment, chunk)
}

/// A chunk that a joining viewer needs: in memory, or in the file by now.
#[derive(Debug, Clone)]
pub struct RecentChunk {
    /// Offset in the segment's file, in bytes.
    pub offset: u64,
    /// Length, in bytes.
    pub length: usize,
    /// The chunk, while it may not be in the file yet.
    pub bytes: Option<Bytes>,
}

/// What a viewer starts with; the receiver goes on exactly after it.
#[derive(Debug)]
pub struct Joined {
    /// The running segment and its head; `None` until the first one has begun.
    pub head: Option<(SegmentId, Bytes)>,
    /// Chunks from the last key frame on; none where they were let go, until the next key frame.
    pub recent: Vec<RecentChunk>,
    /// Every message after. Who lags behind by [`LIVE_QUEUE_CHUNKS_MAX`] is told so and must join again.
    pub messages: broadcast::Receiver<Bytes>,
}

/// The hub of one stream. It is watched as long as a receiver lives.
#[derive(Debug)]
pub struct LiveHub {
    state: Mutex<State>,
    messages: broadcast::Sender<Bytes>,
}

#[derive(Debug, Default)]
struct State {
    head: Option<(SegmentId, Bytes)>,
    /// Empty, or from a key frame on without a hole.
    recent: VecDeque<RecentChunk>,
}

impl State {
    fn forget_durable(&mut self, durable: u64) {
        for chunk in &mut self.recent {
            if chunk.offset + chunk.length as u64 <= durable {
                chunk.bytes = None;
            }
        }
    }

    fn bytes_in_memory(&self) -> u64 {
        let kept = self.recent.iter().filter_map(|chunk| chunk.bytes.as_ref());
        kept.map(|bytes| bytes.len() as u64).sum()
    }
}

impl Default for LiveHub {
    fn default() -> Self {
        let (messages, _) = broadcast::channel(LIVE_QUEUE_CHUNKS_MAX);
        Self {
            state: Mutex::default(),
            messages,
        }
    }
}

impl LiveHub {
    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.messages.receiver_count() > 0
    }

    /// A new segment begins with these bytes.
    pub fn begin(&self, segment: SegmentId, head: Bytes) {
        let mut state = self.lock();
        state.recent.clear();
        self.send(|| head_message(&segment, &head));
        state.head = Some((segment, head));
    }

    /// A chunk was sealed. `durable` is how much of the segment's file is durable, in bytes; `None` where it has no file.
    pub fn publish(&self, offset: u64, bytes: Bytes, key_frame: bool, durable: Option<u64>) {
        let mut state = self.lock();
        let Some((segment, _)) = state.head else {
            return;
        };
        if key_frame {
            state.recent.clear();
        }
        state.forget_durable(durable.unwrap_or(0));
        self.send(|| chunk_message(&segment, &bytes));
        if key_frame || !state.recent.is_empty() {
            state.recent.push_back(RecentChunk {
                offset,
                length: bytes.len(),
                bytes: Some(bytes),
            });
        }
        let is_for_nobody = durable.is_none() && !self.is_watched();
        if is_for_nobody || state.bytes_in_memory() > LIVE_RECENT_BYTES_MAX {
            state.recent.clear();
        }
    }

    /// The run ended; viewers stay and wait for the next segment.
    pub fn pause(&self) {
        *self.lock() = State::default();
    }

    /// Adds a viewer.
    pub fn join(&self) -> Joined {
        let state = self.lock();
        Joined {
            head: state.head.clone(),
            recent: state.recent.iter().cloned().collect(),
            messages: self.messages.subscribe(),
        }
    }

    /// Copies a message together only where somebody waits for it. Called with the state locked, so that who joins misses
    /// nothing and gets nothing twice.
    fn send(&self, message: impl FnOnce() -> Bytes) {
        if self.is_watched() {
            // An error says that the last viewer has just left.
            let _ = self.messages.send(message());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(kind: u8, segment: &SegmentId, content: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(1 + 16 + content.len());
    message.push(kind);
    message.extend_from_slice(segment.as_bytes());
    message.extend_from_slice(content);
    message.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(n: u8) -> SegmentId {
        SegmentId::from_bytes([n; 16])
    }

    fn chunk(n: u8) -> Bytes {
        Bytes::from(vec![n; 10])
    }

    #[test]
    fn a_viewer_joins_at_the_last_key_frame_without_a_hole() {
        let hub = LiveHub::default();
        hub.begin(segment(1), chunk(0));
        for (k, key) in [(1, true), (2, false), (3, true), (4, false)] {
            hub.publish(u64::from(k) * 10, chunk(k), key, Some(0));
        }
        let mut joined = hub.join();
        assert_eq!(joined.head, Some((segment(1), chunk(0))));
        let recent: Vec<_> = joined
            .recent
            .iter()
            .map(|c| c.bytes.clone().unwrap()[0])
            .collect();
        assert_eq!(recent, [3, 4]);
        hub.publish(50, chunk(5), false, Some(0));
        hub.begin(segment(2), chunk(6));
        let next = joined.messages.try_recv().unwrap();
        assert_eq!((next[0], next[1], next[17]), (CHUNK, 1, 5));
        let next = joined.messages.try_recv().unwrap();
        assert_eq!((next[0], next[1], next[17]), (HEAD, 2, 6));
    }

    #[test]
    fn what_is_durable_is_not_kept_in_memory() {
        let hub = LiveHub::default();
        hub.begin(segment(1), chunk(0));
        hub.publish(10, chunk(1), true, Some(10));
        hub.publish(20, chunk(2), false, Some(20));
        hub.publish(30, chunk(3), false, Some(30));
        let kept: Vec<_> = hub
            .join()
            .recent
            .iter()
            .map(|c| c.bytes.is_some())
            .collect();
        assert_eq!(kept, [false, false, true]);
    }

    /// First bytes of what a viewer who joins now is given.
    fn given(hub: &LiveHub) -> Vec<u8> {
        let recent = hub.join().recent;
        recent
            .iter()
            .map(|c| c.bytes.as_ref().unwrap()[0])
            .collect()
    }

    #[test]
    fn what_no_file_has_is_kept_only_while_somebody_watches() {
        let hub = LiveHub::default();
        hub.begin(segment(1), chunk(0));
        hub.publish(10, chunk(1), true, None);
        hub.publish(20, chunk(2), false, None);
        assert!(given(&hub).is_empty());
        let viewer = hub.join();
        hub.publish(30, chunk(3), false, None);
        assert!(
            given(&hub).is_empty(),
            "it could not be shown without the key frame"
        );
        hub.publish(40, chunk(4), true, None);
        hub.publish(50, chunk(5), false, None);
        assert_eq!(given(&hub), [4, 5]);
        drop(viewer);
        hub.publish(60, chunk(6), false, None);
        assert!(given(&hub).is_empty());
    }

    #[test]
    fn memory_is_bounded_whoever_watches() {
        let hub = LiveHub::default();
        let _viewer = hub.join();
        let large = |n: u8| Bytes::from(vec![n; 1 << 20]);
        for durable in [None, Some(0)] {
            hub.begin(segment(1), chunk(0));
            hub.publish(10, large(1), true, durable);
            for n in 1..100 {
                hub.publish(10 + n * (1 << 20), large(2), false, durable);
                assert!(hub.lock().bytes_in_memory() <= LIVE_RECENT_BYTES_MAX);
            }
            assert!(
                given(&hub).is_empty(),
                "behind a hole nothing could be shown"
            );
            hub.publish(200 << 20, large(3), true, durable);
            assert_eq!(given(&hub), [3]);
        }
    }

    #[test]
    fn a_slow_viewer_is_told_and_one_who_left_is_not_counted() {
        let hub = LiveHub::default();
        hub.begin(segment(1), chunk(0));
        let mut joined = hub.join();
        assert!(hub.is_watched());
        for k in 0..=LIVE_QUEUE_CHUNKS_MAX {
            hub.publish(10 * k as u64, chunk(1), false, Some(0));
        }
        let lagged = joined.messages.try_recv().unwrap_err();
        assert!(matches!(lagged, broadcast::error::TryRecvError::Lagged(_)));
        drop(joined);
        assert!(!hub.is_watched());
    }
}
