//! Hours of recording in seconds, with clocks that are wrong: the box's, which starts in 1970 or jumps, and the camera's, which
//! drifts. What is shown is one line of time without holes or overlaps.
#![allow(clippy::unwrap_used)]

mod store_support;

use std::sync::Arc;

use hearthkeep::camera::{Sample, Track, TrackKind};
use hearthkeep::clock::{Clock, SimClock};
use hearthkeep::keys::Sealing;
use hearthkeep::random::SharedRandom;
use hearthkeep::record::ByHand;
use hearthkeep::store::lock;
use hearthkeep::store::turns::Hands;
use hearthkeep::store::{Span, Store, Timeline};
use hearthkeep_format::segment::GapCause;
use hearthkeep_format::{BootId, MetadataKey, SeededRandom, StreamId};
use store_support::{GENERATION, Home, START_US};

const STREAM: StreamId = StreamId::from_bytes([7; 16]);
const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// Ten pictures a second, and as many pieces of sound.
const STEP_US: u32 = 100_000;

/// A box and a camera, which get on when they are told to.
struct World {
    home: Home,
    clock: Arc<SimClock>,
    store: Option<(Arc<Store>, Hands)>,
    recording: Option<ByHand>,
    /// How many ticks of a camera's millisecond are one too many, in a million.
    drift: i64,
    /// Steps of the camera's clock since it was switched on.
    steps: i64,
}

impl World {
    fn new(seed: u64, wall_us: i64) -> Self {
        let mut world = Self {
            home: Home::new(seed),
            clock: Arc::new(SimClock::new(wall_us)),
            store: None,
            recording: None,
            drift: 0,
            steps: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let mut options = self.home.options();
        options.clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let lock = lock::acquire(self.home.state.path()).unwrap();
        let (store, hands, _) = Store::open_driven(options, lock).unwrap();
        self.store = Some((Arc::new(store), hands));
        let sealing = Sealing {
            generation: GENERATION,
            recipient: self.home.generation.recipient(),
            metadata_key: MetadataKey::from_bytes(self.home.m),
        };
        self.recording = Some(ByHand::new(
            STREAM,
            self.home.store,
            Arc::new(sealing),
            Arc::clone(self.store()),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            SharedRandom::new(SeededRandom::new(self.clock.monotonic_us())),
        ));
        self.connect();
    }

    fn stop(&mut self) {
        self.lose(GapCause::Shutdown);
        self.recording = None;
        let (store, _hands) = self.store.take().unwrap();
        store.close();
    }

    fn store(&self) -> &Arc<Store> {
        &self.store.as_ref().unwrap().0
    }

    fn connect(&mut self) {
        let video = TrackKind::Video {
            width: 640,
            height: 360,
        };
        let audio = TrackKind::Audio {
            sample_rate: 48_000,
            channels: 1,
        };
        let track = |kind, timescale| Track {
            timescale,
            kind,
            codec: String::new(),
            sample_entry: b"\0\0\0\x08test".to_vec(),
        };
        let tracks = [track(video, 90_000), track(audio, 48_000)];
        self.recording.as_mut().unwrap().connected(&tracks);
        self.steps = 0;
    }

    /// The camera is gone. What it sent is durable soon.
    fn lose(&mut self, cause: GapCause) {
        self.recording.as_mut().unwrap().end(cause);
        self.wait(3);
    }

    /// The camera sends for so long.
    fn record(&mut self, seconds: i64) {
        for _ in 0..seconds * 10 {
            self.pass();
            for (track, timescale) in [(0, 90_000), (1, 48_000)] {
                let us = self.steps * i64::from(STEP_US) * (1_000_000 + self.drift) / 1_000_000;
                let sample = Sample {
                    track,
                    decode_time: us * timescale / 1_000_000,
                    composition_offset: 0,
                    key: track == 1 || self.steps % 20 == 0,
                    data: vec![self.steps as u8; 40],
                    // Up to 40 ms late, each a little differently.
                    arrived_us: self.clock.monotonic_us() - (self.steps * 7_919 % 40_000) as u64,
                };
                self.recording.as_mut().unwrap().take(sample).unwrap();
            }
            self.steps += 1;
        }
    }

    /// Nothing is sent for so long.
    fn wait(&mut self, seconds: i64) {
        (0..seconds * 10).for_each(|_| self.pass());
    }

    fn pass(&mut self) {
        self.clock.advance_us(STEP_US);
        self.work();
    }

    /// All that is due is done.
    fn work(&self) {
        let (_, hands) = self.store.as_ref().unwrap();
        loop {
            let now_us = self.clock.monotonic_us();
            let due = hands.waiting().into_iter().filter(|(at, _)| *at <= now_us);
            let Some((_, number)) = due.min() else {
                return;
            };
            hands.turn(number);
        }
    }

    fn set_clock(&self, by_us: i64) {
        self.clock.set_wall_us(self.clock.wall_us() + by_us);
    }

    fn timeline(&self) -> Timeline {
        self.store().timeline(&STREAM, i64::MIN, i64::MAX).unwrap()
    }
}

/// Fails where segments are not one line of time in the order in which they were recorded, to within so much.
#[track_caller]
fn one_line(segments: &[Span], within_us: i64) {
    for two in segments.windows(2) {
        assert_eq!(two[1].sequence, two[0].sequence + 1, "{two:#?}");
        let between_us = two[1].start_us - two[0].end_us();
        assert!(between_us.abs() <= within_us, "{between_us} us in {two:#?}");
    }
}

#[test]
fn a_cameras_clock_that_drifts_is_followed_for_an_hour() {
    for drift in [1_000, -1_000] {
        let mut world = World::new(1, START_US);
        world.drift = drift;
        world.record(3_600);
        let ended_us = world.clock.wall_us();
        world.lose(GapCause::CameraLost);
        let timeline = world.timeline();
        assert_eq!(timeline.gaps, [], "{drift}");
        // A segment of a minute is 60 ms off before the next one is put right.
        one_line(&timeline.segments, 80_000);
        let mut media_us = 0;
        for span in &timeline.segments {
            let passed_us = media_us * 1_000_000 / (1_000_000 + drift);
            let error_us = span.start_us - (START_US + i64::from(STEP_US) + passed_us);
            assert!(error_us.abs() < 250_000, "{drift}: {error_us} us, {span:?}");
            media_us += span.duration_us as i64;
        }
        let error_us = timeline.segments.last().unwrap().end_us() - ended_us;
        assert!(error_us.abs() < 300_000, "{drift}: {error_us} us");
    }
}

#[test]
fn jumps_of_the_clock_leave_one_line_of_time() {
    let mut world = World::new(2, START_US);
    let begun_us = world.clock.wall_us();
    let jumps = [
        3 * DAY_US,
        -5 * DAY_US,
        800 * DAY_US,
        -798 * DAY_US,
        3 * SECOND_US,
    ];
    for jump_us in jumps {
        world.record(150);
        world.set_clock(jump_us);
    }
    world.record(150);
    let ended_us = world.clock.wall_us();
    world.lose(GapCause::CameraLost);
    let check = |world: &World| {
        let timeline = world.timeline();
        assert_eq!(timeline.gaps, []);
        one_line(&timeline.segments, 150_000);
        let (first, last) = (timeline.segments[0], timeline.segments.last().unwrap());
        assert!((last.end_us() - ended_us).abs() < 300_000);
        let moved_us = jumps.iter().sum::<i64>();
        assert!((first.start_us - begun_us - moved_us).abs() < 300_000);
    };
    check(&world);
    world.stop();
    world.start();
    check(&world);
}

#[test]
fn what_was_recorded_in_1970_is_shown_when_it_was() {
    let mut world = World::new(3, 1_000 * SECOND_US);
    world.clock.set_trusted(false);
    world.record(200);
    let before = world.timeline().segments;
    assert!(before.len() >= 3 && before.iter().all(|span| span.end_us() < DAY_US));
    // A segment is open while the time becomes known.
    world.clock.set_wall_us(START_US);
    world.clock.set_trusted(true);
    world.record(100);
    world.lose(GapCause::CameraLost);
    let check = |world: &World, spans: usize| {
        let timeline = world.timeline();
        assert_eq!(timeline.gaps, []);
        assert_eq!(timeline.segments.len(), spans);
        one_line(&timeline.segments, 150_000);
        let first = timeline.segments[0].start_us;
        assert!(
            (first - (START_US - 200 * SECOND_US)).abs() < 300_000,
            "{first}"
        );
        let usage = world.store().usage(&STREAM);
        assert_eq!(usage.first_us, Some(first));
    };
    let spans = world.timeline().segments.len();
    check(&world, spans);

    // After a restart, a rebuilt catalog, and a restart of the machine, whose clock is wrong again.
    world.stop();
    let mut options = world.home.options();
    options.clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    let locked = lock::acquire(world.home.state.path()).unwrap();
    Store::reindex(options, &locked).unwrap();
    drop(locked);
    let another = SimClock::new(2_000 * SECOND_US).with_boot(BootId::from_bytes([9; 16]));
    another.set_trusted(false);
    world.clock = Arc::new(another);
    world.start();
    world.work();
    check(&world, spans);
}

#[test]
fn a_gap_is_as_long_as_it_was_whatever_the_clock_did_meanwhile() {
    let mut world = World::new(4, START_US);
    for jump_us in [-DAY_US, 400 * DAY_US] {
        world.record(70);
        world.lose(GapCause::CameraLost);
        world.wait(27);
        world.set_clock(jump_us);
        world.wait(30);
        world.connect();
    }
    world.record(70);
    world.lose(GapCause::CameraLost);
    let timeline = world.timeline();
    assert_eq!(timeline.gaps.len(), 2, "{:#?}", timeline.gaps);
    for gap in &timeline.gaps {
        let length_us = gap.end_us - gap.start_us;
        assert_eq!(gap.cause, Some(GapCause::CameraLost));
        assert!((length_us - 60 * SECOND_US).abs() < 300_000, "{length_us}");
    }
    let mut ends = timeline.segments.iter().map(Span::end_us);
    assert!(
        timeline
            .gaps
            .iter()
            .all(|gap| ends.any(|end| (end - gap.start_us).abs() < 150_000))
    );
}
