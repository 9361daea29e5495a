//! The words in which people say why they keep footage stand in the log, which is sealed, and nowhere in the recorder's journal.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hearthkeep::store::{Error, NewHold};
use hearthkeep_format::log::Record;
use hearthkeep_format::segment::GapCause;

use crate::rig::settings;
use crate::store_support::{FaultyDisk, Home, START_US, until};

const WORD: &str = "mulberry";
const LOST: &str = "a record is lost";
const LONG: Duration = Duration::from_secs(60);

/// What the journal has said, of whatever test: each line comes at once.
struct Journal;

static HAS_WORD: AtomicBool = AtomicBool::new(false);
static HAS_LOST: AtomicBool = AtomicBool::new(false);

impl io::Write for Journal {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let line_has = |words: &str| String::from_utf8_lossy(line).contains(words);
        HAS_WORD.fetch_or(line_has(WORD), Ordering::SeqCst);
        HAS_LOST.fetch_or(line_has(LOST), Ordering::SeqCst);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn new(n: i64) -> NewHold {
    NewHold {
        streams: Vec::new(),
        from_us: START_US + n,
        to_us: None,
        until_us: None,
        reason: format!("the {WORD} tree"),
        who: format!("{WORD}, on the command line"),
    }
}

#[test]
fn what_people_say_is_not_in_the_journal_whatever_becomes_of_it() {
    let journal = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(|| Journal);
    tracing::subscriber::set_global_default(journal.finish()).unwrap();
    let home = Home::new(81);
    let (disk, faults) = FaultyDisk::new(home.disk.path());
    let mut options = home.options_on(disk);
    options.log = Some(settings());
    let store = home.open_with(options).0;
    until("the log is read", || store.holds().is_ok());
    let (hold, ticket) = store.hold(new(1)).unwrap();
    assert!(store.log().wait_for(ticket, LONG));
    let ended = store.unhold(&hold.id, WORD, WORD).unwrap();
    assert!(store.log().wait_for(ended, LONG));

    // The log cannot be written from here on, until no more fits into its queue.
    faults.fail_append.store(true, Ordering::SeqCst);
    let (hold, _) = store.hold(new(2)).unwrap();
    let stream = home.stream(1).id;
    while !HAS_LOST.load(Ordering::SeqCst) {
        store.log().append(Record::Gap {
            stream,
            cause: GapCause::CameraLost,
            from_us: 0,
            to_us: 1,
        });
    }
    HAS_LOST.store(false, Ordering::SeqCst);
    assert!(matches!(store.hold(new(3)), Err(Error::Log(_))));
    assert!(HAS_LOST.load(Ordering::SeqCst), "that is told");
    let ended = store.unhold(&hold.id, WORD, WORD);
    assert!(matches!(ended, Err(Error::Log(_))));
    until("that it fails is told", || {
        home.clock.advance_us(11_000_000);
        !store.log().troubles().is_empty()
    });
    let troubles = store.log().troubles().concat();
    assert!(!troubles.contains(WORD), "{troubles}");
    drop(store);

    // What only the state folder knows goes to the log again.
    std::fs::remove_dir_all(home.disk.path().join("log")).unwrap();
    let mut options = home.options();
    options.log = Some(settings());
    let store = home.open_with(options).0;
    until("the log is read", || store.holds().is_ok());
    assert!(!HAS_WORD.load(Ordering::SeqCst));
}
