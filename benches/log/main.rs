//! What a long signed log costs: `cargo bench --bench log`.
//!
//! An installation whose log has 1,000,000 entries, as cameras make them that are kept for a while; its footage is deleted but for none.
//! `HEARTHKEEP_BENCH_ENTRIES` sets another number, `TMPDIR` the folder it lies in, which takes 250 bytes an entry. Then a recorder's start,
//! each in a process of its own: after it ended well, after kill -9, and without what the state folder remembers of the log; the
//! commands; and what a viewer asks for. Caches of the kernel are warm.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/installation.rs"]
mod installation;
mod made;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hearthkeep::disk::RealDisk;
use hearthkeep::keys::StateFolder;
use hearthkeep::store::log::find;
use hearthkeep::store::{Store, lock};
use installation::Installation;

/// Makes this process a recorder of the store in the folder that follows.
const STARTS: &str = "--starts";
/// What it says when all of the log is read and compared.
const DONE: &str = "done";
/// The bars, in this machine's time: of a start, and of a command.
const START_MAX: Duration = Duration::from_secs(10);
const COMMAND_MAX: Duration = Duration::from_secs(60);
/// Files of the state folder that a start can do without.
const HOLDS: &str = "log.holds.sealed";
const SUMMARY: &str = "log.summary.sealed";

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != STARTS);
    if arguments.next().is_some() {
        return start(Path::new(&arguments.next().unwrap()));
    }
    let text = std::env::var("HEARTHKEEP_BENCH_ENTRIES");
    let entries = text.map_or(1_000_000, |text| text.parse().unwrap());
    let home = Installation::new(&[]);
    let begun = Instant::now();
    made::fill(&home, entries);
    println!(
        "{entries} entries written in {:.1?}: {}",
        begun.elapsed(),
        sizes(&home)
    );
    started(&home, "after it ended well", false);
    started(&home, "before kill -9", true);
    started(&home, "after kill -9", false);
    for (what, files) in [
        ("without the holds in the state folder", &[HOLDS][..]),
        ("without the summary in the state folder", &[SUMMARY]),
        ("without either", &[HOLDS, SUMMARY]),
    ] {
        files
            .iter()
            .for_each(|file| _ = std::fs::remove_file(home.state().join(file)));
        started(&home, what, false);
    }
    for words in [
        &["list", "--json"][..],
        &["list", "--json", "--gaps"],
        &["check"],
        &["repair", "--dry-run"],
        &["reindex"],
    ] {
        command(&home, words);
    }
    viewer(&home);
}

/// A recorder that starts in a process of its own.
fn started(home: &Installation, what: &str, is_killed: bool) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([STARTS, home.folder().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let begun = Instant::now();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: Vec<_> = said
        .by_ref()
        .map(|line| line.unwrap())
        .take_while(|line| line != DONE)
        .collect();
    println!("start, {what}: {}, {}", said.join(", "), usage(&child));
    assert!(
        begun.elapsed() < START_MAX || made::is_busy(),
        "the bar is {START_MAX:?}"
    );
    match is_killed {
        true => child.kill().unwrap(),
        false => drop(child.stdin.take()),
    }
    child.wait().unwrap();
}

/// What that process does: until its standard input ends.
fn start(folder: &Path) {
    let state = StateFolder::load(&folder.join("state")).unwrap();
    let begun = Instant::now();
    let options = made::options(&state, &folder.join("footage"));
    let held = lock::acquire(state.folder()).unwrap();
    let (store, _) = Store::open(options, held).unwrap();
    println!("records after {:.2?}", begun.elapsed());
    while !store.log().is_replayed() {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("log read after {:.2?}", begun.elapsed());
    println!("{DONE}");
    std::io::stdin().lines().for_each(drop);
    store.close();
}

/// A command, its time and its memory.
fn command(home: &Installation, words: &[&str]) {
    let begun = Instant::now();
    let mut command = home.command(words[0]);
    let quiet = command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut child = quiet.spawn().unwrap();
    let mut most = String::new();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        most = Some(usage(&child))
            .filter(|now| !now.is_empty())
            .unwrap_or(most);
        std::thread::sleep(Duration::from_millis(2));
    };
    let took = begun.elapsed();
    println!("{}: {took:.2?}, {most}, {status}", words.join(" "));
    assert!(
        took < COMMAND_MAX || made::is_busy(),
        "the bar is {COMMAND_MAX:?}"
    );
}

/// The time that a process has worked, which on a busy machine is less than it took, and the most memory it has had; nothing once it has
/// ended.
fn usage(child: &Child) -> String {
    let read = |name| std::fs::read_to_string(format!("/proc/{}/{name}", child.id()));
    let (status, stat) = (
        read("status").unwrap_or_default(),
        read("stat").unwrap_or_default(),
    );
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = kib.and_then(|kib| kib.trim().trim_end_matches(" kB").parse::<u64>().ok());
    // Behind the name, which may have blanks: user and system time, in hundredths of a second.
    let behind = stat.rsplit(')').next().unwrap_or_default().split(' ');
    let worked: u64 = behind
        .skip(12)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    kib.map_or_else(String::new, |kib| {
        format!(
            "{:.2} s of work, {} MiB at most",
            worked as f64 / 100.0,
            kib / 1024
        )
    })
}

/// What a viewer asks for that comes back: proofs.
fn viewer(home: &Installation) {
    let state = StateFolder::load(&home.state()).unwrap();
    let disk = std::sync::Arc::new(RealDisk::open(&home.footage()).unwrap());
    let keys = made::keys(&state);
    let begun = Instant::now();
    let chain = find(&[disk], &state.store(), &*keys);
    let log = &chain.logs[0].files;
    let size = log.checkpoint.size;
    let found = begun.elapsed();
    let begun = Instant::now();
    let hashes =
        log.consistency(size / 3, size).unwrap().len() + log.inclusion(0, size).unwrap().len();
    println!(
        "a viewer that comes back: {hashes} hashes in {:.2?}, the log opened in {found:.2?}",
        begun.elapsed()
    );
}

/// The bytes of the log's files on the disk.
fn sizes(home: &Installation) -> String {
    let folder = std::fs::read_dir(home.footage().join("log"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let size = |name: &str| std::fs::metadata(folder.join(name)).unwrap().len();
    format!(
        "{} bytes of entries, {} of tree",
        size("entries"),
        size("tree")
    )
}
