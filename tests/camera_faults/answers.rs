//! What a camera says, or does not, before it plays.

use std::io::Write;
use std::sync::{Arc, Mutex};

use hearthkeep::camera::ErrorKind;

use crate::scripted::{Offer, Script, Scripted, Step};
use crate::{camera, connect, play, refusal, run};

#[test]
fn what_is_offered_decides() {
    let kind = |offer| {
        refusal(
            Script {
                offer,
                ..Default::default()
            },
            "",
        )
        .kind
    };
    assert_eq!(kind(Offer::AudioOnly), ErrorKind::NoVideo);
    assert_eq!(
        kind(Offer::Mjpeg),
        ErrorKind::UnsupportedCodec {
            codec: "JPEG".to_owned()
        }
    );
    let server = Scripted::start(Script {
        offer: Offer::ManyThings,
        steps: vec![Step::Silence],
        ..Default::default()
    });
    run(async {
        let session = connect(&camera(server.port, "")).await.unwrap();
        assert_eq!(session.tracks().len(), 1);
        let ignored: Vec<_> = session
            .ignored()
            .iter()
            .map(|one| one.codec.as_str())
            .collect();
        assert_eq!(ignored, ["opus", "vnd.onvif.metadata", "h265"]);
    });
}

#[test]
fn statuses_have_their_sentences() {
    let told = |status| {
        refusal(
            Script {
                status: Some(status),
                ..Default::default()
            },
            "",
        )
    };
    let error = told(404);
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(
        error
            .sentence()
            .contains("/live has no stream of that path."),
        "{error}"
    );
    assert!(error.advice().contains("\"url\""));
    assert_eq!(told(401).kind, ErrorKind::CredentialsWanted);
    assert_eq!(told(453).kind, ErrorKind::Refused { status: 453 });
}

#[test]
fn nobody_there_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = run(async { connect(&camera(port, "")).await.err().unwrap() });
    assert!(
        matches!(error.kind, ErrorKind::Unreachable { .. }),
        "{error}"
    );
    assert!(error.sentence().contains("refused"), "{error}");
}

#[test]
fn no_answer_and_no_sense_are_told_apart() {
    let end = |step| {
        refusal(
            Script {
                garbage: Some(step),
                ..Default::default()
            },
            "",
        )
        .kind
    };
    assert_eq!(end(Step::Silence), ErrorKind::NoAnswer { waited_ms: 2_000 });
    let nonsense = end(Step::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    assert!(
        matches!(nonsense, ErrorKind::BadData { .. }),
        "{nonsense:?}"
    );
    let header = end(Step::Raw(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: ".to_vec()));
    assert!(
        matches!(header, ErrorKind::Ended | ErrorKind::Unreachable { .. }),
        "{header:?}"
    );
    let (_, junk) = play(Script {
        steps: vec![Step::Raw(vec![0xff; 4096])],
        ..Default::default()
    });
    assert!(matches!(junk, ErrorKind::BadData { .. }), "{junk:?}");
}

#[test]
fn a_password_file_that_is_not_there_is_named() {
    let server = Scripted::start(Script::default());
    let camera = camera(
        server.port,
        "username = \"u\"\npassword_file = \"/nowhere/front.pw\"\n",
    );
    let error = run(async { connect(&camera).await.err().unwrap() });
    assert!(
        matches!(error.kind, ErrorKind::PasswordFile { .. }),
        "{error}"
    );
    assert!(
        error
            .sentence()
            .contains("/nowhere/front.pw cannot be read"),
        "{error}"
    );
}

/// Everything that anybody logs, at the most talkative level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_refused_password_is_in_no_error_and_no_log() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    let challenges = [
        "Basic realm=\"camera\"",
        "Digest realm=\"camera\", nonce=\"abcdef\", algorithm=MD5",
        "Digest realm=\"camera\", nonce=\"abcdef\", algorithm=SHA-256, qop=\"auth\"",
    ];
    for challenge in challenges {
        let script = Script {
            challenge: Some(challenge),
            ..Default::default()
        };
        let error = refusal(script, "username = \"viewer\"\npassword = \"hunter2\"\n");
        assert_eq!(error.kind, ErrorKind::RefusedCredentials, "{challenge}");
        assert!(!format!("{error} {error:?} {}", error.advice()).contains("hunter2"));
    }
    let told = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!told.is_empty(), "the log is caught");
    assert!(!told.contains("hunter2"), "{told}");
    assert!(
        !told.contains("dmlld2VyOmh1bnRlcjI="),
        "viewer:hunter2 in base64: {told}"
    );
}
