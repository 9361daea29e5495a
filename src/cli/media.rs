//! The child `hearthkeep-media`, which does what needs FFmpeg: fragmented MP4 in, another format out.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::output::{ExitStatus, Failure};

const PROGRAM: &str = "hearthkeep-media";

/// Starts the child for a task. It reads from a pipe of ours and writes to our standard output.
pub(super) fn start(task: &str) -> Result<Child, Failure> {
    let path = find().ok_or_else(|| {
        let sentence = format!(
            "the program {PROGRAM}, which this format needs, is neither beside hearthkeep nor in PATH: install it, or use \
             --format fmp4"
        );
        Failure::new(ExitStatus::Failed, sentence)
    })?;
    // It decodes what a camera sent: what it does not know, it cannot give away.
    let child = Command::new(&path)
        .arg(task)
        .env_clear()
        .stdin(Stdio::piped())
        .spawn();
    child.map_err(|error| {
        let sentence = format_args!("{} cannot be started: {error}", path.display()).to_string();
        Failure::new(ExitStatus::Failed, sentence)
    })
}

/// Waits for its end, after its input has been closed.
pub(super) fn finish(mut child: Child) -> Result<(), Failure> {
    drop(child.stdin.take());
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(
            ExitStatus::Failed,
            format_args!("{PROGRAM} could not do it ({status}); what it said stands above"),
        )),
        Err(error) => Err(Failure::new(
            ExitStatus::Failed,
            format_args!("{PROGRAM} cannot be waited for: {error}"),
        )),
    }
}

/// Beside this program, as it is installed, or else in PATH.
fn find() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own
        .as_deref()
        .and_then(|own| own.parent())
        .map(|folder| folder.join(PROGRAM));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path)
        // An empty or relative entry would be whatever folder somebody happens to stand in.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(PROGRAM));
    beside
        .into_iter()
        .chain(in_path)
        .find(|path| path.is_file())
}
