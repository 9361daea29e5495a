//! A camera that does exactly what a test says: for dialogues that no real server would hold.

#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

/// H.264 High 640x360 by x264, with its base64 in SDP.
const SDP_VIDEO: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:video\r\n\
     a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==\r\n";
/// The same without parameter sets.
const SDP_VIDEO_BARE: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:video\r\n\
     a=fmtp:96 packetization-mode=1\r\n";
const SDP_AUDIO: &str = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/1\r\n\
     a=control:audio\r\na=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;\
     indexlength=3;indexdeltalength=3;config=1188\r\n";

/// The parameter sets of [`SDP_VIDEO`] as NAL units.
pub const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x03, 0xc5, 0x68, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00,
    0x0c, 0x03, 0xc5, 0x8b, 0x92,
];
pub const PPS: &[u8] = &[0x68, 0xcb, 0x8c, 0xb2];
/// Something like a slice of an IDR picture, and of another.
pub const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x21, 0xa0];
pub const SLICE: &[u8] = &[0x41, 0x9a, 0x24, 0x6c, 0x42];

/// What the camera offers.
#[derive(Clone, Copy, PartialEq)]
pub enum Offer {
    Video,
    VideoBare,
    VideoAndAudio,
    AudioOnly,
    Mjpeg,
    /// Video beside Opus, metadata and a second video.
    ManyThings,
}

/// One step after PLAY.
pub enum Step {
    /// One NAL unit (or AAC frame with its header) in one RTP packet.
    Rtp {
        channel: u8,
        mark: bool,
        timestamp: u32,
        payload: Vec<u8>,
    },
    /// These bytes.
    Raw(Vec<u8>),
    /// What is made for 0, 1, 2 ..., as fast as it is taken, until the client closes.
    Endless(fn(u32) -> Step),
    /// Nothing for so long, as between two pictures.
    Pause(Duration),
    /// Nothing until the test says so, or has dropped the sender.
    Await(Receiver<()>),
    /// Nothing more, the connection open until the client closes it.
    Silence,
}

pub struct Script {
    pub offer: Offer,
    /// Answered to DESCRIBE instead of a description; `401` is always without a challenge.
    pub status: Option<u16>,
    /// Asks for Digest or Basic and refuses whatever comes.
    pub challenge: Option<&'static str>,
    /// Sent in place of the answer to DESCRIBE.
    pub garbage: Option<Step>,
    pub rtp_info: Option<String>,
    pub steps: Vec<Step>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            offer: Offer::Video,
            status: None,
            challenge: None,
            garbage: None,
            rtp_info: None,
            steps: Vec::new(),
        }
    }
}

/// The camera, until it is dropped.
pub struct Scripted {
    pub port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Serves one connection.
    pub fn start(script: Script) -> Self {
        Self::start_all(vec![script])
    }

    /// Serves one connection after another, each by the next script; after the last nobody is there any more.
    pub fn start_all(scripts: Vec<Script>) -> Self {
        let mut scripts = scripts.into_iter();
        Self::serve(move || scripts.next())
    }

    /// Serves one connection after the other, each by a new script.
    pub fn start_lasting(make: fn() -> Script) -> Self {
        Self::serve(move || Some(make()))
    }

    fn serve(mut next: impl FnMut() -> Option<Script> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = is_over.clone();
        let thread = std::thread::spawn(move || {
            while let Some(script) = next() {
                let (socket, _) = listener.accept().unwrap();
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                // The client may close at any time: that is what most tests are about.
                let _ = serve(socket, script);
            }
        });
        Self {
            port,
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // A test that never connected would wait for ever.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub fn video(timestamp: u32, payload: &[u8]) -> Step {
    Step::Rtp {
        channel: 0,
        mark: true,
        timestamp,
        payload: payload.to_vec(),
    }
}

/// One access unit of a single NAL unit of so many bytes in fragments (FU-A, RFC 6184, 5.8); `header` is the unit's.
pub fn large_video(timestamp: u32, header: u8, bytes: usize) -> Vec<Step> {
    const PIECE: usize = 60_000;
    let pieces = bytes.div_ceil(PIECE);
    let piece = |n: usize| {
        let (first, last) = (n == 0, n + 1 == pieces);
        let indicator = header & 0xe0 | 28;
        let fu = header & 0x1f | u8::from(first) << 7 | u8::from(last) << 6;
        let mut payload = vec![indicator, fu];
        payload.resize(2 + PIECE.min(bytes - n * PIECE), 0x5a);
        Step::Rtp {
            channel: 0,
            mark: last,
            timestamp,
            payload,
        }
    };
    (0..pieces).map(piece).collect()
}

/// One AAC frame, with the header section of RFC 3640, 3.3.6.
pub fn audio(timestamp: u32, frame: &[u8]) -> Step {
    let size = (frame.len() as u16) << 3;
    let payload = [&[0, 16][..], &size.to_be_bytes(), frame].concat();
    Step::Rtp {
        channel: 2,
        mark: true,
        timestamp,
        payload,
    }
}

fn serve(mut socket: TcpStream, mut script: Script) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut channel = 0;
    while let Some((method, cseq)) = request(&mut reader)? {
        let mut head = format!("CSeq: {cseq}\r\nSession: 12345678\r\n");
        let mut body = String::new();
        let mut status = 200;
        match method.as_str() {
            "DESCRIBE" => {
                if let Some(step) = script.garbage.take() {
                    return send(&mut socket, &mut reader, step, &mut 0);
                }
                status = script.status.unwrap_or(200);
                if let Some(challenge) = script.challenge {
                    status = 401;
                    head += &format!("WWW-Authenticate: {challenge}\r\n");
                }
                body = description(script.offer);
                head += "Content-Type: application/sdp\r\nContent-Base: rtsp://camera/live/\r\n";
            }
            "SETUP" => {
                let next = channel + 1;
                head += &format!("Transport: RTP/AVP/TCP;unicast;interleaved={channel}-{next}\r\n");
                channel += 2;
            }
            "PLAY" => {
                if let Some(info) = &script.rtp_info {
                    head += &format!("RTP-Info: {info}\r\n");
                }
            }
            _ => {}
        }
        let length = body.len();
        write!(
            socket,
            "RTSP/1.0 {status} X\r\n{head}Content-Length: {length}\r\n\r\n{body}"
        )?;
        if method == "PLAY" {
            break;
        }
    }
    let mut sequence = 0;
    for step in script.steps {
        send(&mut socket, &mut reader, step, &mut sequence)?;
    }
    Ok(())
}

/// Method and CSeq of the next request; `None` when the client has closed.
fn request(reader: &mut impl BufRead) -> std::io::Result<Option<(String, String)>> {
    let (mut method, mut cseq) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some((method, cseq)));
        }
        if method.is_empty() {
            method = line.split(' ').next().unwrap_or_default().to_owned();
        }
        if let Some(value) = line.strip_prefix("CSeq: ") {
            cseq = value.to_owned();
        }
    }
}

fn send(
    socket: &mut TcpStream,
    reader: &mut impl BufRead,
    step: Step,
    sequence: &mut u16,
) -> std::io::Result<()> {
    match step {
        Step::Rtp {
            channel,
            mark,
            timestamp,
            payload,
        } => {
            let mut packet = vec![0x80, (96 + channel / 2) | u8::from(mark) << 7];
            packet.extend_from_slice(&sequence.to_be_bytes());
            packet.extend_from_slice(&timestamp.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0, channel]);
            packet.extend_from_slice(&payload);
            *sequence = sequence.wrapping_add(1);
            let length = (packet.len() as u16).to_be_bytes();
            socket.write_all(&[b'$', channel, length[0], length[1]])?;
            socket.write_all(&packet)
        }
        Step::Raw(bytes) => socket.write_all(&bytes),
        Step::Endless(make) => (0..).try_for_each(|i| send(socket, reader, make(i), sequence)),
        Step::Pause(time) => {
            std::thread::sleep(time);
            Ok(())
        }
        Step::Await(told) => {
            let _ = told.recv_timeout(Duration::from_secs(60));
            Ok(())
        }
        Step::Silence => {
            let mut line = String::new();
            while reader.read_line(&mut line)? > 0 {}
            Ok(())
        }
    }
}

fn description(offer: Offer) -> String {
    let media = match offer {
        Offer::Video => SDP_VIDEO.to_owned(),
        Offer::VideoBare => SDP_VIDEO_BARE.to_owned(),
        Offer::VideoAndAudio => format!("{SDP_VIDEO}{SDP_AUDIO}"),
        Offer::AudioOnly => SDP_AUDIO.to_owned(),
        Offer::Mjpeg => "m=video 0 RTP/AVP 26\r\na=control:video\r\n".to_owned(),
        Offer::ManyThings => format!(
            "m=audio 0 RTP/AVP 98\r\na=rtpmap:98 opus/48000/2\r\na=control:opus\r\n{SDP_VIDEO}\
             m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n\
             a=control:meta\r\nm=video 0 RTP/AVP 99\r\na=rtpmap:99 H265/90000\r\na=control:two\r\n"
        ),
    };
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n{media}")
}
