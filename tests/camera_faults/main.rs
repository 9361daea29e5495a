//! Cameras that misbehave: each fault ends the session with its own error, in time, and with no
//! secret in any word of ours or of a library's.
#![allow(clippy::unwrap_used)]

mod answers;
#[path = "../common/scripted.rs"]
mod scripted;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use hearthkeep::camera::{Error, ErrorKind, Event, Session, Timeouts};
use hearthkeep::clock::SystemClock;
use hearthkeep::config::{Camera, Config};
use scripted::{Script, Scripted};

const QUICK: Timeouts = Timeouts {
    describe: Duration::from_secs(2),
    play: Duration::from_secs(2),
    parameters: Duration::from_millis(500),
    stall: Duration::from_millis(500),
};

fn camera(port: u16, more: &str) -> Camera {
    let text = format!(
        "state_dir = \"s\"\n[[disk]]\npath = \"d\"\n[[camera]]\nname = \"c\"\n\
         url = \"rtsp://127.0.0.1:{port}/live\"\n{more}"
    );
    let config = Config::parse(&text, std::path::Path::new("test.toml")).unwrap();
    config.cameras.into_iter().next().unwrap()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let within = Duration::from_secs(30);
    runtime.block_on(async {
        tokio::time::timeout(within, work)
            .await
            .expect("it ends in time")
    })
}

async fn connect(camera: &Camera) -> Result<Session, Error> {
    Session::connect(camera, Arc::new(SystemClock::new()), QUICK).await
}

/// All events of a scripted camera, and what ended it.
fn play(script: Script) -> (Vec<Event>, ErrorKind) {
    play_within(QUICK, script)
}

fn play_within(timeouts: Timeouts, script: Script) -> (Vec<Event>, ErrorKind) {
    let server = Scripted::start(script);
    run(async {
        let mut events = Vec::new();
        let camera = camera(server.port, "");
        let clock = Arc::new(SystemClock::new());
        let mut session = match Session::connect(&camera, clock, timeouts).await {
            Ok(session) => session,
            Err(error) => return (events, error.kind),
        };
        loop {
            match session.next().await {
                Ok(event) => events.push(event),
                Err(error) => return (events, error.kind),
            }
        }
    })
}

fn refusal(script: Script, more: &str) -> Error {
    let server = Scripted::start(script);
    run(async {
        connect(&camera(server.port, more))
            .await
            .err()
            .expect("it is refused")
    })
}
