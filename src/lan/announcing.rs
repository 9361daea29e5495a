//! Holds the process that announces: starts it, starts it again, ends it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::Timespec;

use super::announcement::Announcement;
use crate::limits::{LAN_CHECK_S, LAN_CHECK_S_MAX, LAN_GOODBYE_MS_MAX};

/// This program, also when its file has been replaced by a newer one.
const PROGRAM: &str = "/proc/self/exe";

/// A box that is announced until this is stopped.
#[derive(Debug)]
pub struct Announcing {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Announcing {
    /// Begins; what goes wrong from now on is told in the log. `what` is asked now and then whether something else
    /// is to be told.
    ///
    /// # Errors
    ///
    /// No thread can be started.
    pub fn start(what: impl Fn() -> Announcement + Send + 'static) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("lan".to_owned());
        let thread = thread.spawn(move || hold(what, &ended))?;
        Ok(Self { end, thread })
    }

    /// Takes back what was announced. Blocks for 2 s at most.
    pub fn stop(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::error!("announcing the box panicked");
        }
    }
}

fn hold(what: impl Fn() -> Announcement, ended: &Receiver<()>) {
    let mut told = what();
    let mut process = start_process(&told);
    let mut wait_s = LAN_CHECK_S;
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_secs(wait_s)) {
        let now = what();
        let lives = lives(&mut process);
        // What cannot be helped is not to fill the log.
        wait_s = if lives {
            LAN_CHECK_S
        } else {
            LAN_CHECK_S_MAX.min(2 * wait_s)
        };
        if now != told || !lives {
            end_process(process);
            told = now;
            process = start_process(&told);
        }
    }
    end_process(process);
}

fn start_process(announcement: &Announcement) -> Option<Child> {
    let Announcement {
        listen,
        host,
        fingerprint,
    } = announcement;
    let mut command = Command::new(PROGRAM);
    command.arg0("hearthkeep").arg("announce").env_clear();
    if let Some(filter) = std::env::var_os("HEARTHKEEP_LOG") {
        command.env("HEARTHKEEP_LOG", filter);
    }
    command.args(["--listen", &listen.to_string(), "--host", host]);
    command.args(["--fingerprint", fingerprint]);
    // It ends when its input does, and so also when the recorder is killed.
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let told = |error| tracing::warn!("the box is not announced in the network: {error}");
    child.map_err(told).ok()
}

fn lives(process: &mut Option<Child>) -> bool {
    let Some(child) = process else {
        return false;
    };
    match child.try_wait() {
        Ok(None) => true,
        Ok(Some(status)) => {
            tracing::warn!(
                "what announces the box in the network has ended ({status}) and is started again"
            );
            false
        }
        Err(error) => {
            tracing::warn!("what announces the box in the network is lost: {error}");
            false
        }
    }
}

fn end_process(process: Option<Child>) {
    let Some(mut child) = process else {
        return;
    };
    drop(child.stdin.take());
    if !ends(&child).unwrap_or(false) {
        tracing::debug!("what announces the box did not end in time");
        // It has ended, then, and only `wait` is left to do.
        let _ = child.kill();
    }
    let _ = child.wait();
}

/// Whether it ends within what it has for its goodbyes, and as long again.
fn ends(child: &Child) -> io::Result<bool> {
    let Some(pid) = Pid::from_raw(child.id().cast_signed()) else {
        return Ok(false);
    };
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Duration::from_millis(2 * LAN_GOODBYE_MS_MAX);
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    let mut waited = [PollFd::new(&process, PollFlags::IN)];
    Ok(poll(&mut waited, Some(&limit))? > 0)
}
