//! What commands say to a running recorder, and it to them: a socket in the state folder, which only its owner can open. A line
//! of JSON asks, a line of JSON answers. While nobody asks, nothing is done.
//!
//! A folder on a disk that became read-only takes no socket. Then there is one without a file, under a name that is made of the folder's
//! own number. Anybody may open such a one, or make it first: both sides look whose process the other one is.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{
    STATUS_ANSWER_BYTES_MAX, STATUS_ANSWER_MS_MAX, STATUS_PATIENCE_MS_MAX, STATUS_PAUSE_MS,
    STATUS_REQUEST_BYTES_MAX,
};
use crate::state_file;
use crate::store::check::PageFrom;

const SOCKET: &str = "status.socket";

/// What is asked of a running recorder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How it is.
    Status,
    /// The same in numbers, in Prometheus' text format.
    Metrics,
    /// How the disks are.
    Disks,
    /// What its catalog has, a page at a time.
    Catalog {
        /// Where the page begins; the first where nothing is said.
        from: Option<PageFrom>,
    },
    /// To take a folder in as a disk.
    AddDisk {
        /// The folder.
        path: PathBuf,
        /// What footage may take of it.
        max_bytes: Option<u64>,
        /// For old footage.
        cold: bool,
        /// In the place of the one that was there.
        replace: bool,
        /// Who wants it.
        who: String,
    },
    /// To empty a disk, by its folder or id.
    DrainDisk {
        /// Which.
        disk: String,
        /// The oldest footage may go for it.
        let_go: bool,
    },
    /// Not to empty it.
    KeepDisk {
        /// Which.
        disk: String,
    },
    /// To take a disk out.
    RetireDisk {
        /// Which.
        disk: String,
        /// With its footage.
        forget: bool,
        /// Who wants it.
        who: String,
    },
    /// Which holds stand, a page at a time.
    Holds {
        /// The id after which the page begins; the first where nothing is said.
        after: Option<String>,
    },
    /// To hold footage.
    AddHold {
        /// The ids of its streams; none means all.
        streams: Vec<String>,
        /// Wall time from which on it is held, us.
        from_us: i64,
        /// Until when.
        to_us: i64,
        /// When the hold itself ends, where somebody said so.
        until_us: Option<i64>,
        /// Why.
        reason: String,
        /// Who wants it.
        who: String,
    },
    /// To end a hold, by its id.
    EndHold {
        /// Which.
        id: String,
        /// Who wants it.
        who: String,
    },
}

/// What comes back.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer<T> {
    /// It was done, and this is what there is to say.
    Done(T),
    /// Why it was not, as a sentence: the recorder is just starting, and may do it soon.
    NotYet(String),
    /// Why it was not, as a sentence.
    Refused(String),
}

/// Answers whoever asks, until this is dropped.
pub struct Answering(PathBuf);

/// Begins to answer. To be called by whoever holds the store's lock.
pub fn answer(
    state_dir: &Path,
    mut handle: impl FnMut(Request) -> Answer<Value> + Send + 'static,
) -> io::Result<Answering> {
    let path = state_dir.join(SOCKET);
    let (listener, is_open_to_all) = match bind_in(state_dir, &path) {
        Ok(listener) => (listener, false),
        Err(error) => {
            let folder = state_dir.display();
            tracing::warn!(
                "the state folder {folder} takes no socket ({error}): commands reach the recorder without one"
            );
            (UnixListener::bind_addr(&nameless(state_dir)?)?, true)
        }
    };
    let owner = rustix::process::geteuid().as_raw();
    let mut answer = move |stream: UnixStream| {
        if is_open_to_all {
            expect_process_of(&stream, owner)?;
        }
        tell(stream, &mut handle)
    };
    let serve = move || {
        for asked in listener.incoming() {
            // Whoever asks sees that it was not answered; that it cannot be accepted (too many files) ends by itself.
            if asked.and_then(&mut answer).is_err() {
                std::thread::park_timeout(Duration::from_millis(STATUS_PAUSE_MS));
            }
        }
    };
    std::thread::Builder::new()
        .name("status".to_owned())
        .spawn(serve)?;
    Ok(Answering(path))
}

impl Drop for Answering {
    fn drop(&mut self) {
        // One that stays is removed at the next start.
        let _ = state_file::remove(&self.0);
    }
}

fn bind_in(state_dir: &Path, path: &Path) -> io::Result<UnixListener> {
    // Left by a recorder that was killed.
    state_file::remove(path)?;
    let (near, _folder) = near(state_dir)?;
    UnixListener::bind(near)
}

/// The socket without a file.
fn nameless(state_dir: &Path) -> io::Result<SocketAddr> {
    let facts = std::fs::metadata(state_dir)?;
    let name = format!("hearthkeep/{:x}/{:x}", facts.dev(), facts.ino());
    SocketAddr::from_abstract_name(name)
}

/// Expects that the other side is root's process or this user's.
fn expect_process_of(stream: &UnixStream, user: u32) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
    match peer == user || peer == 0 {
        true => Ok(()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

fn connect(state_dir: &Path) -> io::Result<UnixStream> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let (near, _folder) = near(state_dir)?;
    match UnixStream::connect(near) {
        Err(error) if [NotFound, ConnectionRefused].contains(&error.kind()) => {
            let stream = UnixStream::connect_addr(&nameless(state_dir)?)?;
            expect_process_of(&stream, std::fs::metadata(state_dir)?.uid())?;
            Ok(stream)
        }
        connected => connected,
    }
}

fn tell(
    mut stream: UnixStream,
    handle: &mut impl FnMut(Request) -> Answer<Value>,
) -> io::Result<()> {
    let longest = Some(Duration::from_millis(STATUS_ANSWER_MS_MAX));
    stream.set_read_timeout(longest)?;
    stream.set_write_timeout(longest)?;
    let mut line = String::new();
    BufReader::new((&stream).take(STATUS_REQUEST_BYTES_MAX)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => handle(request),
        Err(_) => Answer::Refused(
            "the running recorder does not know this command: it is of another version, so start it again".to_owned(),
        ),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Asks the recorder of this state folder; `None` where nobody answers.
pub fn ask<T: DeserializeOwned>(
    state_dir: &Path,
    request: &Request,
) -> io::Result<Option<Answer<T>>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let mut stream = match connect(state_dir) {
        Err(error) if [NotFound, ConnectionRefused].contains(&error.kind()) => return Ok(None),
        connected => connected?,
    };
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    stream.set_read_timeout(Some(Duration::from_millis(STATUS_PATIENCE_MS_MAX)))?;
    let mut bytes = Vec::new();
    stream
        .take(STATUS_ANSWER_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// The socket by a short path, valid while the folder is held: the kernel takes 107 bytes.
fn near(state_dir: &Path) -> io::Result<(PathBuf, File)> {
    let folder = File::open(state_dir)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd());
    Ok((path.into(), folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_through_also_after_a_crash_and_in_a_deep_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a-long-name/".repeat(12));
        std::fs::create_dir_all(&folder).unwrap();
        let status = || ask::<Vec<u8>>(&folder, &Request::Status).unwrap();
        assert!(status().is_none());
        let handle = |request| match request {
            Request::Status => Answer::Done(serde_json::json!([1, 2])),
            Request::Disks => Answer::Refused("no".to_owned()),
            _ => Answer::NotYet("soon".to_owned()),
        };
        let first = answer(&folder, handle).unwrap();
        for _ in 0..3 {
            assert_eq!(status(), Some(Answer::Done(vec![1, 2])));
        }
        let refused = ask::<()>(&folder, &Request::Disks).unwrap();
        assert_eq!(refused, Some(Answer::Refused("no".to_owned())));
        let later = ask::<()>(&folder, &Request::Metrics).unwrap();
        assert_eq!(later, Some(Answer::NotYet("soon".to_owned())));
        // A killed recorder removes nothing.
        std::mem::forget(first);
        let second = answer(&folder, handle).unwrap();
        assert!(status().is_some());
        drop(second);
        assert!(status().is_none());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_takes_no_socket_has_one_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        // As nothing can be made in one that is read-only, not even by root.
        let in_the_way = folder.path().join(SOCKET);
        std::fs::create_dir(&in_the_way).unwrap();
        let status = || ask::<u32>(folder.path(), &Request::Status).unwrap();
        std::fs::remove_dir(&in_the_way).unwrap();
        assert_eq!(status(), None);
        std::fs::create_dir(&in_the_way).unwrap();
        let answering = answer(folder.path(), |_| Answer::Done(serde_json::json!(7))).unwrap();
        assert_eq!(
            status(),
            Some(Answer::Done(7)),
            "a folder in the way takes no connection"
        );
        drop(answering);
    }

    #[test]
    fn processes_of_other_users_are_not_answered() {
        let (one, _other) = UnixStream::pair().unwrap();
        let user = rustix::process::geteuid().as_raw();
        assert!(expect_process_of(&one, user).is_ok());
        let stranger = expect_process_of(&one, user + 1);
        assert_eq!(stranger.is_ok(), user == 0, "root may");
    }

    #[test]
    fn what_is_not_known_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let _answering = answer(folder.path(), |_| Answer::Done(Value::Null)).unwrap();
        let (near, _held) = near(folder.path()).unwrap();
        let mut stream = UnixStream::connect(near).unwrap();
        stream.write_all(b"{\"ask\":\"dance\"}\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("does not know this command"), "{answer}");
    }
}
