//! Live: sealed chunks over a WebSocket, as they are sealed (`docs/format.md`, 6).
//!
//! A viewer who does not keep up is dropped, with close code 1013, and joins again at the next key frame. Recording never
//! waits for anybody: what is published goes into a bounded broadcast, and each viewer may hold
//! [`LIVE_QUEUE_BYTES_MAX`] of it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session as Socket};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::error::{ApiError, ErrorBody};
use super::footage::LiveFeed;
use super::house::{House, blocking};
use super::streams::stream_id;
use crate::limits::{
    LIVE_CHECK_MS, LIVE_FRAME_BYTES_MAX, LIVE_PING_MS, LIVE_QUEUE_BYTES_MAX, LIVE_SEND_MS_MAX,
    LIVE_SILENCE_MS_MAX,
};
use crate::people::{People, Session};

/// `GET /api/v1/live/{stream}`, a WebSocket.
#[utoipa::path(get, path = "/api/v1/live/{stream}", tag = "footage",
    params(("stream" = String, Path, description = "32 hex digits")),
    responses((status = 101, description = "Binary messages as docs/format.md, 6, describes them"),
        (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn live(
    request: HttpRequest,
    payload: web::Payload,
    house: web::Data<House>,
    path: web::Path<String>,
    session: web::ReqData<Session>,
) -> Result<HttpResponse, ApiError> {
    let stream = stream_id(&path)?;
    let place = house.live.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        ApiError::busy("Too many people are watching live. Close another view first.")
    })?;
    let joined = house.clone();
    let feed = blocking(move || {
        let feed = joined.footage.subscribe(stream);
        feed.ok_or_else(|| ApiError::not_found("stream"))
    });
    let feed = feed.await?;
    let no_socket = |_| ApiError::bad_request("This address is for a WebSocket.");
    let (response, socket, messages) = actix_ws::handle(&request, payload).map_err(no_socket)?;
    let people = house.people.clone();
    let viewer = Viewer {
        socket,
        people,
        session: session.into_inner(),
        queue: Queue::new(),
        place,
    };
    actix_web::rt::spawn(viewer.watch(feed, messages.max_frame_size(LIVE_FRAME_BYTES_MAX)));
    Ok(response)
}

struct Viewer {
    socket: Socket,
    people: Arc<People>,
    session: Session,
    queue: Queue,
    place: OwnedSemaphorePermit,
}

/// Why a viewer's socket ends.
enum End {
    /// The other end closed it, or is gone.
    Gone,
    /// It did not keep up.
    Slow,
    /// The login session ended.
    SignedOut,
    /// It sent what nobody asked for.
    Talks,
    /// The stream or the box ended.
    Over,
}

impl Viewer {
    async fn watch(mut self, feed: LiveFeed, messages: MessageStream) {
        let end = match self.follow(feed, messages).await {
            Ok(()) => End::Over,
            Err(end) => end,
        };
        let reason = |code, text: &str| {
            Some(CloseReason {
                code,
                description: Some(text.to_owned()),
            })
        };
        let reason = match end {
            End::Gone => None,
            End::Slow => reason(CloseCode::Again, "too slow: join again"),
            End::SignedOut => reason(CloseCode::Policy, "signed out"),
            End::Talks => reason(CloseCode::Unsupported, "nothing is expected here"),
            End::Over => reason(CloseCode::Away, "the stream has ended"),
        };
        // Somebody too slow may not take this either: then the connection ends without it.
        let _ = timeout(Duration::from_secs(1), self.socket.close(reason)).await;
    }

    async fn follow(&mut self, mut feed: LiveFeed, mut messages: MessageStream) -> Result<(), End> {
        for message in std::mem::take(&mut feed.backlog) {
            self.send(message).await?;
        }
        let mut check = interval(Duration::from_millis(LIVE_CHECK_MS));
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut pinged) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                published = feed.messages.recv() => match published {
                    Ok(message) => self.send(message).await?,
                    Err(RecvError::Lagged(_)) => return Err(End::Slow),
                    Err(RecvError::Closed) => return Ok(()),
                },
                said = messages.next() => {
                    self.hear(said).await?;
                    heard = Instant::now();
                }
                _ = check.tick() => {
                    if self.place.semaphore().is_closed() {
                        return Ok(());
                    }
                    if !self.people.is_live(&self.session.id) {
                        return Err(End::SignedOut);
                    }
                    if heard.elapsed() > Duration::from_millis(LIVE_SILENCE_MS_MAX) {
                        return Err(End::Gone);
                    }
                    if pinged.elapsed() > Duration::from_millis(LIVE_PING_MS) {
                        pinged = Instant::now();
                        self.socket.ping(b"").await.map_err(|_| End::Gone)?;
                    }
                }
            }
        }
    }

    async fn hear(
        &mut self,
        said: Option<Result<Message, actix_ws::ProtocolError>>,
    ) -> Result<(), End> {
        match said {
            Some(Ok(Message::Ping(bytes))) => self.socket.pong(&bytes).await.map_err(|_| End::Gone),
            Some(Ok(Message::Pong(_) | Message::Nop)) => Ok(()),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Continuation(_)) | Err(_)) => {
                Err(End::Talks)
            }
        }
    }

    async fn send(&mut self, message: Bytes) -> Result<(), End> {
        let sending = async {
            let message = self.queue.admit(message).await;
            self.socket.binary(message).await.map_err(|_| End::Gone)
        };
        timeout(Duration::from_millis(LIVE_SEND_MS_MAX), sending)
            .await
            .unwrap_or(Err(End::Slow))
    }
}

/// What is on its way to one viewer, counted in bytes.
struct Queue(Arc<Semaphore>);

impl Queue {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(LIVE_QUEUE_BYTES_MAX)))
    }

    /// Waits until there is room, which the message then takes until the socket has dropped it. One that is larger than
    /// the queue goes alone.
    async fn admit(&self, message: Bytes) -> Bytes {
        let bytes = message.len().min(LIVE_QUEUE_BYTES_MAX) as u32;
        let room = self.0.clone().acquire_many_owned(bytes).await;
        let room = room.expect("nobody closes this semaphore");
        Bytes::from_owner(Queued {
            message,
            _room: room,
        })
    }
}

struct Queued {
    message: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Queued {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_queue_is_bounded_in_bytes() {
        let queue = Queue::new();
        let half = Bytes::from(vec![0; LIVE_QUEUE_BYTES_MAX / 2]);
        let (first, _second) = (
            queue.admit(half.clone()).await,
            queue.admit(half.clone()).await,
        );
        let soon = Duration::from_millis(20);
        assert!(
            timeout(soon, queue.admit(half.clone())).await.is_err(),
            "there is no room"
        );
        let part = first.slice(..1);
        drop(first);
        assert!(
            timeout(soon, queue.admit(half.clone())).await.is_err(),
            "a part of it is still there"
        );
        drop(part);
        assert!(timeout(soon, queue.admit(half)).await.is_ok());
        let larger = Bytes::from(vec![0; 2 * LIVE_QUEUE_BYTES_MAX]);
        assert!(timeout(soon, Queue::new().admit(larger)).await.is_ok());
    }
}
