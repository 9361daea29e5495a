//! A recorder that is stopped for a while, as by a debugger or a machine that sleeps.

use std::time::Duration;

use super::durable::{are_durable, until_durable, visited};
use super::installation::{Installation, await_condition, signal};
use super::rows::{cause, end_us, now_us, of_stream, start_us};
use super::street::Street;

const CAMERAS: usize = 3;
const LONG: Duration = Duration::from_secs(60);
/// From when it goes on until something of then is durable.
const BACK: Duration = Duration::from_secs(10);
const BACK_US_MAX: i64 = BACK.as_micros() as i64;

fn stopped_for() -> Duration {
    let seconds = std::env::var("HEARTHKEEP_TEST_STOP_SECONDS");
    Duration::from_secs(seconds.map_or(15, |seconds| seconds.parse().unwrap()))
}

pub fn for_a_while() {
    let street = Street::new(CAMERAS);
    let installation = Installation::new(&street.entries());
    let mut recorder = installation.start();
    let (visit, ids) = visited(&installation, &mut recorder);
    until_durable(&visit, &ids, 0);

    signal(recorder.pid(), "STOP");
    let stopped_us = now_us();
    // To be stopped for so long is the subject here.
    std::thread::sleep(stopped_for());
    signal(recorder.pid(), "CONT");
    let continued_us = now_us();
    await_condition("all are recorded again", BACK, || {
        are_durable(&visit, &ids, continued_us)
    });
    await_condition("some more is recorded", LONG, || {
        are_durable(&visit, &ids, continued_us + 3_000_000)
    });
    recorder.terminate();

    let list = installation.list(&[]);
    for id in &ids {
        for row in of_stream(&list, id) {
            println!(
                "{} +{} {:?}",
                start_us(row) - stopped_us,
                end_us(row) - start_us(row),
                cause(row)
            );
        }
        for pair in of_stream(&list, id).windows(2) {
            let is_gap = start_us(pair[1]) - end_us(pair[0]) > 100_000;
            let of_it = ["camera-stalled", "timestamps"];
            let is_told = cause(pair[1]).map(|cause| of_it.contains(&cause));
            assert_eq!(is_told, is_gap.then_some(true), "{pair:#?}");
            if is_gap {
                assert!(start_us(pair[1]) - continued_us < BACK_US_MAX, "{pair:#?}");
            }
        }
    }
    street.is_what_was_recorded(&installation);
}
