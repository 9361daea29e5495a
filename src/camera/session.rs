//! One RTSP session: connect, then samples until something ends it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream as _;
use retina::client::{
    Credentials, Demuxed, Described, InitialSequenceNumberPolicy, InitialTimestampPolicy,
    PlayOptions, SessionOptions, SetupOptions,
};
use retina::codec::{AudioFrame, CodecItem, FrameFormat, VideoFrame};
use secrecy::ExposeSecret;

use super::error::{Phase, Teller};
use super::flood::Flood;
use super::nal::{Content, content};
use super::select::{Ignored, Selection, Track, select, video_track};
use super::timeline::{Timeline, Zero};
use super::{Error, ErrorKind};
use crate::clock::Clock;
use crate::config::{Camera, PasswordFileError};
use crate::limits::{
    CAMERA_ANSWER_BYTES_MAX, CAMERA_DESCRIBE_MS_MAX, CAMERA_PARAMETERS_MS_MAX, CAMERA_PLAY_MS_MAX,
    CAMERA_STALL_MS_MAX, CAMERA_UNFINISHED_BYTES_MAX, SAMPLE_BYTES_MAX,
};

/// How long a camera may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until DESCRIBE is answered, name resolution and connecting included.
    pub describe: Duration,
    /// From then until PLAY is answered.
    pub play: Duration,
    /// From then until the parameter sets are there, where DESCRIBE did not bring them.
    pub parameters: Duration,
    /// Between two pictures, and until the first one.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            describe: Duration::from_millis(CAMERA_DESCRIBE_MS_MAX),
            play: Duration::from_millis(CAMERA_PLAY_MS_MAX),
            parameters: Duration::from_millis(CAMERA_PARAMETERS_MS_MAX),
            stall: Duration::from_millis(CAMERA_STALL_MS_MAX),
        }
    }
}

/// What a session gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A picture or a piece of sound.
    Sample(Sample),
    /// The tracks are described anew from the next picture on, which is a key frame where the camera
    /// keeps to its standard. They are as many as before, in the same order.
    Parameters(Vec<Track>),
    /// Packets of a track were lost before its next sample; the pictures up to the next key frame may
    /// be damaged.
    Lost {
        /// The track, as an index.
        track: usize,
        /// How many RTP packets, at least.
        packets: u16,
    },
}

/// One access unit or audio frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The track, as an index into [`Session::tracks`].
    pub track: usize,
    /// In the track's ticks, since the first sample of the session. Later than that of the track's
    /// sample before; slightly negative where this track begins before the one that came first.
    pub decode_time: i64,
    /// Presentation minus decoding, in ticks. Always 0: see the limits of [`camera`](super).
    pub composition_offset: i32,
    /// Whether it decodes alone. Always so for sound.
    pub key: bool,
    /// NAL units, each after its length in 4 bytes; or one raw AAC frame.
    pub data: Vec<u8>,
    /// When it was taken from the kernel, in µs of [`Clock::monotonic_us`]: up to one period of
    /// [`Ingest`](super::ingest::Ingest) after it had arrived.
    pub arrived_us: u64,
}

/// A camera that is playing. To be used on a tokio runtime, and dropped there: dropping it sends
/// TEARDOWN from a task of its own.
pub struct Session {
    demuxed: Demuxed,
    teller: Teller,
    clock: Arc<dyn Clock>,
    selection: Selection,
    tracks: Vec<Track>,
    /// Of the pictures and of the sound.
    timelines: [Timeline; 2],
    zero: Option<Zero>,
    queue: VecDeque<Event>,
    watchdog: Watchdog,
    flood: Flood,
}

const VIDEO: usize = 0;
const AUDIO: usize = 1;

impl Session {
    /// Connects, describes, sets up, plays, and waits until all tracks can be described.
    ///
    /// # Errors
    ///
    /// What keeps the camera from playing; see [`ErrorKind`].
    pub async fn connect(
        camera: &Camera,
        clock: Arc<dyn Clock>,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        let mut teller = Teller::new(&camera.url);
        let options = SessionOptions::default()
            .user_agent(concat!("Hearthkeep/", env!("CARGO_PKG_VERSION")).to_owned())
            .creds(credentials(camera, &mut teller).await?);
        let describe = retina::client::Session::describe(camera.url.expose().clone(), options);
        let described = within(timeouts.describe, &teller, describe).await?;
        let selection = select(described.streams()).map_err(|kind| teller.error(kind))?;
        let play = play(described, &selection);
        let demuxed = within(timeouts.play, &teller, play).await?;
        let audio = selection.audio.as_ref().map(|(_, track)| track.clone());
        let mut session = Self {
            timelines: [
                Timeline::new(demuxed.streams()[selection.video].clock_rate_hz(), true),
                Timeline::new(audio.as_ref().map_or(1, |track| track.timescale), false),
            ],
            demuxed,
            teller,
            watchdog: Watchdog::new(timeouts.stall, clock.monotonic_us()),
            flood: Flood::new(CAMERA_UNFINISHED_BYTES_MAX),
            clock,
            selection,
            tracks: Vec::new(),
            zero: None,
            queue: VecDeque::new(),
        };
        let video = tokio::time::timeout(timeouts.parameters, session.first_parameters()).await;
        let missing = |_| session.teller.error(ErrorKind::NoParameters);
        let video = video.map_err(missing)??;
        session.tracks = std::iter::once(video).chain(audio).collect();
        Ok(session)
    }

    /// The tracks as they are now: the pictures, then the sound if there is any.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Whether a track is the pictures.
    pub fn is_video(&self, track: usize) -> bool {
        track == VIDEO
    }

    /// What the camera offers beside them.
    pub fn ignored(&self) -> &[Ignored] {
        &self.selection.ignored
    }

    /// The next event. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    ///
    /// What ended the session. It gives nothing after that.
    pub async fn next(&mut self) -> Result<Event, Error> {
        std::future::poll_fn(|cx| self.poll_next(cx))
            .await
            .map_err(|kind| match kind {
                Failure::Kind(kind) => self.teller.error(kind),
                Failure::Retina(error) => self.teller.retina(Phase::Playing, &error),
            })
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Poll::Ready(Ok(event));
            }
            let Self { demuxed, flood, .. } = self;
            let item = match flood.poll(cx, |cx| Pin::new(demuxed).poll_next(cx))? {
                Poll::Pending => return self.watchdog.poll(cx, &*self.clock).map(Err),
                Poll::Ready(None) => return Poll::Ready(Err(ErrorKind::Ended.into())),
                Poll::Ready(Some(item)) => item?,
            };
            let arrived_us = self.clock.monotonic_us();
            match item {
                CodecItem::VideoFrame(frame) => self.take_video(frame, arrived_us)?,
                CodecItem::AudioFrame(frame) => self.take_audio(&frame, arrived_us)?,
                _ => {}
            }
            // Here too: a camera that sends sound without end would never be found pending.
            self.watchdog.check(arrived_us)?;
        }
    }

    fn take_video(&mut self, frame: VideoFrame, arrived_us: u64) -> Result<(), ErrorKind> {
        self.flood.fruitful();
        self.lost(VIDEO, frame.loss());
        if frame.has_new_parameters() && !self.tracks.is_empty() {
            let stream = &self.demuxed.streams()[self.selection.video];
            let track = video_track(stream).ok_or(ErrorKind::NoParameters)??;
            if track != self.tracks[VIDEO] {
                self.tracks[VIDEO] = track;
                self.queue.push_back(Event::Parameters(self.tracks.clone()));
            }
        }
        let key = match content(self.selection.codec, frame.data()) {
            Content::KeyFrame => true,
            Content::Picture => false,
            Content::Nothing => return Ok(()),
        };
        self.watchdog.seen(arrived_us);
        let elapsed = frame.timestamp().elapsed();
        self.push(VIDEO, elapsed, key, frame.into_data(), arrived_us)
    }

    fn take_audio(&mut self, frame: &AudioFrame, arrived_us: u64) -> Result<(), ErrorKind> {
        self.lost(AUDIO, frame.loss());
        let elapsed = frame.timestamp().elapsed();
        self.push(AUDIO, elapsed, true, frame.data().to_vec(), arrived_us)
    }

    fn push(
        &mut self,
        track: usize,
        elapsed: i64,
        key: bool,
        data: Vec<u8>,
        arrived_us: u64,
    ) -> Result<(), ErrorKind> {
        if data.len() > SAMPLE_BYTES_MAX {
            return Err(ErrorKind::TooLarge { bytes: data.len() });
        }
        let decode_time = self.timelines[track].place(elapsed, arrived_us, &mut self.zero)?;
        let composition_offset = 0;
        let sample = Sample {
            track,
            decode_time,
            composition_offset,
            key,
            data,
            arrived_us,
        };
        self.queue.push_back(Event::Sample(sample));
        Ok(())
    }

    fn lost(&mut self, track: usize, packets: u16) {
        if packets > 0 {
            self.queue.push_back(Event::Lost { track, packets });
        }
    }

    /// Waits until the pictures can be described. What comes before is of no use to anybody; what the
    /// description came with is kept.
    async fn first_parameters(&mut self) -> Result<Track, Error> {
        loop {
            let stream = &self.demuxed.streams()[self.selection.video];
            if let Some(track) = video_track(stream) {
                return track.map_err(|kind| self.teller.error(kind));
            }
            let event = self.next().await?;
            if video_track(&self.demuxed.streams()[self.selection.video]).is_some() {
                self.queue.push_front(event);
            }
        }
    }
}

async fn credentials(camera: &Camera, teller: &mut Teller) -> Result<Option<Credentials>, Error> {
    let Some(credentials) = camera.credentials.clone() else {
        return Ok(None);
    };
    let username = credentials.username.clone();
    // Off this thread, which all cameras share: the file may stand on a slow disk.
    let password = tokio::task::spawn_blocking(move || credentials.password.reveal())
        .await
        .map_err(|_| {
            teller.error(ErrorKind::PasswordFile {
                reason: "reading it failed".into(),
            })
        })?
        .map_err(|error: PasswordFileError| {
            teller.error(ErrorKind::PasswordFile {
                reason: error.to_string(),
            })
        })?;
    teller.hide(&username, &password);
    Ok(Some(Credentials {
        username,
        password: password.expose_secret().to_owned(),
    }))
}

async fn play(
    mut described: retina::client::Session<Described>,
    selection: &Selection,
) -> Result<Demuxed, retina::Error> {
    let audio = selection.audio.iter().map(|(stream, _)| *stream);
    for stream in std::iter::once(selection.video).chain(audio) {
        described
            .setup(
                stream,
                SetupOptions::default().frame_format(FrameFormat::MP4),
            )
            .await?;
    }
    let options = PlayOptions::default()
        // Joining a shared stream, gst-rtsp-server tells the number of a packet long gone.
        .initial_seq(InitialSequenceNumberPolicy::Ignore)
        .initial_timestamp(InitialTimestampPolicy::Permissive);
    described.play(options).await?.demuxed()
}

async fn within<T>(
    limit: Duration,
    teller: &Teller,
    work: impl Future<Output = Result<T, retina::Error>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(work);
    let mut flood = Flood::new(CAMERA_ANSWER_BYTES_MAX);
    let bounded = std::future::poll_fn(|cx| {
        let polled = flood.poll(cx, |cx| work.as_mut().poll(cx));
        polled.map(|polled| match polled {
            Ok(result) => result.map_err(|error| teller.retina(Phase::Connecting, &error)),
            Err(kind) => Err(teller.error(kind)),
        })
    });
    match tokio::time::timeout(limit, bounded).await {
        Ok(result) => result,
        Err(_) => {
            let waited_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            Err(teller.error(ErrorKind::NoAnswer { waited_ms }))
        }
    }
}

/// Notices when no picture comes: retina waits for ever.
struct Watchdog {
    limit: Duration,
    last_us: u64,
    /// Wakes the task at the earliest time at which the limit can be exceeded; not reset with each
    /// picture, which would cost a timer operation each.
    alarm: Pin<Box<tokio::time::Sleep>>,
}

impl Watchdog {
    fn new(limit: Duration, now_us: u64) -> Self {
        Self {
            limit,
            last_us: now_us,
            alarm: Box::pin(tokio::time::sleep(limit)),
        }
    }

    fn seen(&mut self, now_us: u64) {
        self.last_us = now_us;
    }

    fn check(&self, now_us: u64) -> Result<(), ErrorKind> {
        let silent = Duration::from_micros(now_us.saturating_sub(self.last_us));
        if silent < self.limit {
            return Ok(());
        }
        let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
        Err(ErrorKind::Stalled { silent_ms })
    }

    fn poll(&mut self, cx: &mut Context<'_>, clock: &dyn Clock) -> Poll<Failure> {
        // Not left to the alarm: it does not ring for a task that has used up its turn, as one does whose camera floods it.
        if let Err(kind) = self.check(clock.monotonic_us()) {
            return Poll::Ready(kind.into());
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let now_us = clock.monotonic_us();
            if let Err(kind) = self.check(now_us) {
                return Poll::Ready(kind.into());
            }
            let silent = Duration::from_micros(now_us.saturating_sub(self.last_us));
            let next = tokio::time::Instant::now() + self.limit.saturating_sub(silent);
            self.alarm.as_mut().reset(next);
        }
    }
}

enum Failure {
    Kind(ErrorKind),
    Retina(retina::Error),
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Self::Kind(kind)
    }
}

impl From<retina::Error> for Failure {
    fn from(error: retina::Error) -> Self {
        Self::Retina(error)
    }
}
