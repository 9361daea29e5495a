//! Live viewers of one stream: each chunk is theirs as soon as it is sealed, before it is durable.
//!
//! A viewer who joins gets the segment's head, the chunks since the last key frame and then every further chunk, in order and
//! without a hole. What is durable already is read back from the file by whoever serves the viewer,
//! so that the hub holds in memory only what is still on its way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use hearthkeep_format::SegmentId;
use tokio::sync::mpsc;

use crate::limits::{LIVE_QUEUE_CHUNKS_MAX, LIVE_VIEWERS_MAX};

/// What a viewer is sent, in order.
#[derive(Debug, Clone)]
pub enum LiveMessage {
    /// A segment begins: header, envelope and chunk 0.
    Head {
        /// The segment.
        segment: SegmentId,
        /// Its first bytes.
        bytes: Bytes,
    },
    /// A chunk of that segment.
    Chunk {
        /// The segment.
        segment: SegmentId,
        /// The chunk as it stands in the file.
        bytes: Bytes,
    },
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
    /// Chunks from the last key frame on.
    pub recent: Vec<RecentChunk>,
    /// Everything after.
    pub viewer: Viewer,
}

/// A viewer's queue. When it falls behind by [`LIVE_QUEUE_CHUNKS_MAX`] chunks it is dropped: the stream ends for it.
#[derive(Debug)]
pub struct Viewer {
    messages: mpsc::Receiver<LiveMessage>,
    watched: Arc<AtomicUsize>,
}

impl Viewer {
    /// The next message; `None` when the stream ended or the viewer was too slow.
    pub async fn next(&mut self) -> Option<LiveMessage> {
        self.messages.recv().await
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.watched.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Too many viewers at once.
#[derive(Debug, thiserror::Error)]
#[error("this stream has {LIVE_VIEWERS_MAX} viewers already; close one of them")]
pub struct TooManyViewers;

/// The hub of one stream.
#[derive(Debug, Default)]
pub struct LiveHub {
    state: Mutex<State>,
    watched: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct State {
    head: Option<(SegmentId, Bytes)>,
    recent: VecDeque<RecentChunk>,
    viewers: Vec<mpsc::Sender<LiveMessage>>,
}

impl LiveHub {
    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed) > 0
    }

    /// A new segment begins with these bytes.
    pub fn begin(&self, segment: SegmentId, head: Bytes) {
        let mut state = self.lock();
        state.recent.clear();
        state.head = Some((segment, head.clone()));
        state.send(&LiveMessage::Head {
            segment,
            bytes: head,
        });
    }

    /// A chunk was sealed. `durable` is how much of the segment's file is durable, in bytes.
    pub fn publish(&self, offset: u64, bytes: Bytes, key_frame: bool, durable: u64) {
        let mut state = self.lock();
        let Some((segment, _)) = state.head else {
            return;
        };
        if key_frame {
            state.recent.clear();
        }
        for chunk in &mut state.recent {
            if chunk.offset + chunk.length as u64 <= durable {
                chunk.bytes = None;
            }
        }
        let length = bytes.len();
        state.recent.push_back(RecentChunk {
            offset,
            length,
            bytes: Some(bytes.clone()),
        });
        state.send(&LiveMessage::Chunk { segment, bytes });
    }

    /// The run ended; viewers stay and wait for the next segment.
    pub fn pause(&self) {
        let mut state = self.lock();
        state.head = None;
        state.recent.clear();
    }

    /// Adds a viewer.
    pub fn join(&self) -> Result<Joined, TooManyViewers> {
        let mut state = self.lock();
        state.viewers.retain(|viewer| !viewer.is_closed());
        if state.viewers.len() >= LIVE_VIEWERS_MAX {
            return Err(TooManyViewers);
        }
        let (sender, messages) = mpsc::channel(LIVE_QUEUE_CHUNKS_MAX);
        state.viewers.push(sender);
        self.watched.fetch_add(1, Ordering::Relaxed);
        Ok(Joined {
            head: state.head.clone(),
            recent: state.recent.iter().cloned().collect(),
            viewer: Viewer {
                messages,
                watched: Arc::clone(&self.watched),
            },
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    /// Hands a message to all viewers; one whose queue is full is let go, since a hole would be worse.
    fn send(&mut self, message: &LiveMessage) {
        self.viewers
            .retain(|viewer| viewer.try_send(message.clone()).is_ok());
    }
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
            hub.publish(u64::from(k) * 10, chunk(k), key, 0);
        }
        let mut joined = hub.join().unwrap();
        assert_eq!(joined.head, Some((segment(1), chunk(0))));
        let recent: Vec<_> = joined
            .recent
            .iter()
            .map(|c| c.bytes.clone().unwrap()[0])
            .collect();
        assert_eq!(recent, [3, 4]);
        hub.publish(50, chunk(5), false, 0);
        match joined.viewer.messages.try_recv().unwrap() {
            LiveMessage::Chunk { bytes, .. } => assert_eq!(bytes[0], 5),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_durable_is_not_kept_in_memory() {
        let hub = LiveHub::default();
        hub.begin(segment(1), chunk(0));
        hub.publish(10, chunk(1), true, 10);
        hub.publish(20, chunk(2), false, 20);
        hub.publish(30, chunk(3), false, 30);
        let kept: Vec<_> = hub
            .join()
            .unwrap()
            .recent
            .iter()
            .map(|c| c.bytes.is_some())
            .collect();
        assert_eq!(kept, [false, false, true]);
    }

    #[test]
    fn a_slow_viewer_is_let_go_and_no_longer_counted() {
        let hub = LiveHub::default();
        hub.begin(segment(1), chunk(0));
        let joined = hub.join().unwrap();
        assert!(hub.is_watched());
        for k in 0..=LIVE_QUEUE_CHUNKS_MAX {
            hub.publish(10 * k as u64, chunk(1), false, 0);
        }
        assert!(joined.viewer.messages.is_closed());
        drop(joined);
        assert!(!hub.is_watched());
    }

    #[test]
    fn the_number_of_viewers_is_bounded() {
        let hub = LiveHub::default();
        let viewers: Vec<_> = (0..LIVE_VIEWERS_MAX).map(|_| hub.join().unwrap()).collect();
        assert!(hub.join().is_err());
        drop(viewers);
        assert!(hub.join().is_ok());
    }
}
