//! The child `hearthkeep-media`, which does what needs FFmpeg: fragmented MP4 in, another format out.
//!
//! It has pipes and nothing else. What it makes passes through this process, which so can tell a child that hangs from a
//! player that takes its time.

mod watch;

use std::env;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::output::{ExitStatus, Failure};
use crate::limits::MEDIA_SILENCE_MS_MAX;
use watch::Watch;

const PROGRAM: &str = "hearthkeep-media";
/// What passes through at once: as much as a pipe holds.
const PIECE_BYTES: usize = 64 << 10;

/// The child at work. It is fed by writing; what it makes goes to the output meanwhile.
pub(super) struct Media {
    child: Child,
    input: Option<ChildStdin>,
    watch: Arc<Watch>,
    watchdog: JoinHandle<()>,
    relay: JoinHandle<io::Result<()>>,
}

/// Starts the child for a task; its output is our standard output.
pub(super) fn start(task: &str) -> Result<Media, Failure> {
    let path = find().ok_or_else(|| {
        let sentence = format!(
            "the program {PROGRAM}, which this format needs, is neither beside hearthkeep nor in PATH: install it, or use \
             --format fmp4"
        );
        Failure::new(ExitStatus::Failed, sentence)
    })?;
    // It decodes what a camera sent: what it does not know, it cannot give away.
    let mut command = Command::new(&path);
    command.arg(task).env_clear();
    command.envs(env::var_os("HEARTHKEEP_LOG").map(|level| ("HEARTHKEEP_LOG", level)));
    let silence_max = Duration::from_millis(MEDIA_SILENCE_MS_MAX);
    let output = io::stdout().as_fd().try_clone_to_owned();
    output
        .and_then(|output| Media::start(command, File::from(output), silence_max))
        .map_err(|error| {
            let sentence = format!("{} cannot be started: {error}", path.display());
            Failure::new(ExitStatus::Failed, sentence)
        })
}

impl Media {
    /// `silence_max` is how long the child may owe something without taking or giving a byte.
    fn start(
        mut command: Command,
        output: impl Write + Send + 'static,
        silence_max: Duration,
    ) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let watch = Arc::new(Watch::new(silence_max));
        let watchdog = match watch.guard(&child) {
            Ok(watchdog) => watchdog,
            Err(error) => {
                // Unwatched it is not to run; that it has ended by itself is fine too.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let made = child.stdout.take().expect("its output is a pipe");
        let watched = Arc::clone(&watch);
        let relay = thread::spawn(move || pass_on(made, output, &watched));
        let input = child.stdin.take();
        Ok(Self {
            child,
            input,
            watch,
            watchdog,
            relay,
        })
    }

    /// Closes its input and waits for its end.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        drop(self.input.take());
        self.watch.feeds(true);
        let passed_on = self.relay.join().expect("passing on does not panic");
        let ended = self.child.wait();
        let timed_out = self.watch.end();
        self.watchdog.join().expect("watching does not panic");
        let failed = |sentence: String| Err(Failure::new(ExitStatus::Failed, sentence));
        match (passed_on, ended) {
            _ if timed_out => failed(format!(
                "{PROGRAM} made no progress for {} s and was ended: footage that a camera damaged can cause that; \
                 begin later (--from), or use --format fmp4, which needs no decoding",
                self.watch.silence_max().as_secs()
            )),
            // A player that closes its end has seen enough.
            (Err(error), _) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            (Err(error), _) => failed(format!("cannot write to standard output: {error}")),
            (Ok(()), Ok(status)) if status.success() => Ok(()),
            (Ok(()), Ok(status)) => failed(format!(
                "{PROGRAM} could not do it ({status}); what it said stands above"
            )),
            (Ok(()), Err(error)) => failed(format!("{PROGRAM} cannot be waited for: {error}")),
        }
    }
}

impl Write for Media {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(input) = &mut self.input else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        self.watch.feeds(true);
        let written = input.write(bytes);
        self.watch.feeds(false);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From the child to the output, until either closes.
fn pass_on(mut made: impl Read, mut output: impl Write, watch: &Watch) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = match made.read(&mut piece) {
            Ok(0) => return output.flush(),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        watch.shows(true);
        let shown = output.write_all(&piece[..length]);
        watch.shows(false);
        shown?;
    }
}

/// Beside this program, as it is installed, or else in PATH.
fn find() -> Option<PathBuf> {
    let own = env::current_exe().ok();
    let beside = own
        .as_deref()
        .and_then(|own| own.parent())
        .map(|folder| folder.join(PROGRAM));
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path)
        // An empty or relative entry would be whatever folder somebody happens to stand in.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(PROGRAM));
    beside
        .into_iter()
        .chain(in_path)
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SILENCE_MAX: Duration = Duration::from_millis(200);

    /// A player that takes nothing until it is told to.
    struct Player {
        go_on: Option<mpsc::Receiver<()>>,
        shown: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Player {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(go_on) = self.go_on.take() {
                // It is paused for longer than a child may be silent, and nothing comes of that.
                assert!(go_on.recv_timeout(4 * SILENCE_MAX).is_err());
            }
            self.shown.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_child_that_hangs_is_ended() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut media = Media::start(command, io::sink(), SILENCE_MAX).unwrap();
        let fed = media.write_all(&[0; 1 << 20]).unwrap_err();
        assert_eq!(fed.kind(), ErrorKind::BrokenPipe);
        let failure = media.finish().unwrap_err();
        assert!(failure.sentence.contains("no progress"), "{failure:?}");

        // One that has taken everything may hang as well.
        let mut command = Command::new("sh");
        command.args(["-c", "cat > /dev/null; exec sleep 1000"]);
        let mut media = Media::start(command, io::sink(), SILENCE_MAX).unwrap();
        media.write_all(&[0; 1 << 20]).unwrap();
        let failure = media.finish().unwrap_err();
        assert!(failure.sentence.contains("no progress"), "{failure:?}");
    }

    #[test]
    fn a_player_may_pause_and_so_may_the_footage() {
        let (shown, pieces) = mpsc::channel();
        let (_never, go_on) = mpsc::channel();
        let player = Player {
            go_on: Some(go_on),
            shown,
        };
        let mut media = Media::start(Command::new("cat"), player, SILENCE_MAX).unwrap();
        let bytes: Vec<u8> = (0..1 << 20).map(|n: u32| (n >> 8) as u8).collect();
        media.write_all(&bytes).unwrap();
        // Nothing to be had from the disk or the box for a while: the child owes nothing.
        thread::park_timeout(2 * SILENCE_MAX);
        media.write_all(b"end").unwrap();
        media.finish().unwrap();
        let shown: Vec<u8> = pieces.into_iter().flatten().collect();
        assert!(shown == [&bytes[..], b"end"].concat());
    }

    #[test]
    fn an_output_that_cannot_be_written_is_told() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut media = Media::start(Command::new("cat"), full, SILENCE_MAX).unwrap();
        let _ = media.write_all(&[0; 1 << 20]);
        let failure = media.finish().unwrap_err();
        assert!(failure.sentence.contains("standard output"), "{failure:?}");
    }
}
