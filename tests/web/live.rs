//! Live viewers.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use crate::client::{frame, read_frame};
use crate::house::{House, STREAM};

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

fn path() -> String {
    format!("/api/v1/live/{STREAM}")
}

fn wait_until(what: &str, seconds: u64, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_viewer_gets_the_head_and_what_follows() {
    let (house, client, _) = House::claimed();
    let (answer, mut socket) = client.upgrade(&path(), &[]);
    assert_eq!(answer.status, 101);
    assert_eq!(read_frame(&mut socket), (BINARY, b"\x01head".to_vec()));
    assert_eq!(read_frame(&mut socket), (BINARY, b"\x02first".to_vec()));
    let large = Bytes::from(vec![7; 300_000]);
    house.footage.live.send(large.clone()).unwrap();
    assert!(read_frame(&mut socket) == (BINARY, large.to_vec()));
    socket.write_all(&frame(9, b"there?")).unwrap();
    assert_eq!(read_frame(&mut socket), (PONG, b"there?".to_vec()));
    socket
        .write_all(&frame(CLOSE, &1000u16.to_be_bytes()))
        .unwrap();
    wait_until("the viewer's place is free again", 5, || {
        house.footage.live.receiver_count() == 0
    });
}

#[test]
fn without_a_session_there_is_no_socket() {
    let (house, client, _) = House::claimed();
    assert_eq!(house.client.upgrade(&path(), &[]).0.status, 401);
    assert_eq!(
        client.get(&path()).status,
        400,
        "and without a handshake neither"
    );
}

#[test]
fn signing_out_ends_live_views() {
    let (_house, client, _) = House::claimed();
    let (_, mut socket) = client.upgrade(&path(), &[]);
    (0..2).for_each(|_| drop(read_frame(&mut socket)));
    assert_eq!(client.post("/api/v1/sign-out", &json!({})).status, 204);
    let (opcode, reason) = read_frame(&mut socket);
    assert_eq!((opcode, &reason[..2]), (CLOSE, &1008u16.to_be_bytes()[..]));
}

#[test]
fn a_box_that_ends_shows_its_viewers_out() {
    let (mut house, client, _) = House::claimed();
    let (_, mut socket) = client.upgrade(&path(), &[]);
    (0..2).for_each(|_| drop(read_frame(&mut socket)));
    let began = Instant::now();
    let viewer = std::thread::spawn(move || read_frame(&mut socket));
    house.restart();
    assert!(
        began.elapsed() < Duration::from_millis(2_900),
        "{:?}",
        began.elapsed()
    );
    let (opcode, reason) = viewer.join().unwrap();
    assert_eq!((opcode, &reason[..2]), (CLOSE, &1001u16.to_be_bytes()[..]));
}

#[test]
fn a_viewer_who_talks_is_shown_out() {
    let (_house, client, _) = House::claimed();
    let (_, mut socket) = client.upgrade(&path(), &[]);
    (0..2).for_each(|_| drop(read_frame(&mut socket)));
    socket.write_all(&frame(1, b"hello")).unwrap();
    let (opcode, reason) = read_frame(&mut socket);
    assert_eq!((opcode, &reason[..2]), (CLOSE, &1003u16.to_be_bytes()[..]));
}

#[test]
fn a_slow_viewer_is_dropped_and_holds_up_nobody() {
    let (house, client, _) = House::claimed();
    let (_, mut slow) = client.upgrade(&path(), &[]);
    let (_, mut quick) = client.upgrade(&path(), &[]);
    (0..2).for_each(|_| drop(read_frame(&mut quick)));
    wait_until("both are watching", 5, || {
        house.footage.live.receiver_count() == 2
    });
    let message = Bytes::from(vec![9; 1 << 20]);
    for _ in 0..48 {
        let began = Instant::now();
        house.footage.live.send(message.clone()).unwrap();
        assert!(
            began.elapsed() < Duration::from_millis(100),
            "publishing waits for nobody"
        );
        assert_eq!(read_frame(&mut quick).1.len(), message.len());
    }
    wait_until("the slow one is dropped", 20, || {
        house.footage.live.receiver_count() == 1
    });
    // What it was sent before comes, then the end.
    let (mut piece, mut received) = (vec![0; 1 << 20], 0);
    let end = loop {
        match slow.read(&mut piece) {
            Ok(0) => break "end",
            Ok(read) => received += read,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break "end",
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(end, "end");
    assert!(received < 40 << 20, "{received}");
    house.footage.live.send(message.clone()).unwrap();
    assert_eq!(read_frame(&mut quick).0, BINARY);
}
