//! One process a store: whoever writes to it holds the lock in its state folder.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::{Error, Result};

/// The lock of a store. It is given back when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock of the store whose state folder this is.
///
/// # Errors
/// [`Error::Locked`] while another process has it.
pub fn acquire(state_dir: &Path) -> Result<Lock> {
    let path = state_dir.join("lock");
    let io_error = |doing| move |source| Error::io(doing, &state_dir.join("lock"), source);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // A lock can be taken on a file that can only be read, too: a disk that became read-only must not keep the recorder from starting.
    let opened = options.open(&path);
    let opened = opened.or_else(|error| File::open(&path).map_err(|_| error));
    let file = opened.map_err(io_error("open"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let told = (&file).take(16).read_to_string(&mut text);
            let pid = told.ok().and_then(|_| text.trim().parse().ok());
            return Err(Error::Locked { pid });
        }
        Err(errno) => return Err(io_error("lock")(errno.into())),
    }
    let pid = std::process::id();
    let write = |mut file: &File| -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{pid}")
    };
    // Only for the other process's sentence: a full disk must not keep the recorder from starting.
    if let Err(error) = write(&file) {
        tracing::debug!(%error, "the process id was not written to the lock file");
    }
    Ok(Lock { _file: file })
}

/// The process that holds the lock of the store whose state folder this is. Only the kernel's table is read: to try the lock
/// would be to hold it for a moment, in which a recorder could not start.
///
/// # Errors
/// When the lock file is there and cannot be looked at, or the kernel's table cannot be read.
pub fn holder(state_dir: &Path) -> io::Result<Option<u32>> {
    let lock = match std::fs::metadata(state_dir.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let table = std::fs::read_to_string("/proc/locks")?;
    Ok(table
        .lines()
        .find_map(|line| held(line, std::os::unix::fs::MetadataExt::ino(&lock))))
}

/// The process of a line such as `3: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`, if it is about this inode. Its device is
/// not compared: file systems made of several show another one there than in a file's own facts.
fn held(line: &str, inode: u64) -> Option<u32> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", pid, file, ..] = words[..] else {
        return None;
    };
    let (_, found) = file.rsplit_once(':')?;
    (found.parse() == Ok(inode)).then(|| pid.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = acquire(folder.path()).unwrap();
        let second = acquire(folder.path()).unwrap_err();
        assert!(
            second
                .to_string()
                .contains(&format!("(process {})", std::process::id()))
        );
        assert_eq!(holder(folder.path()).unwrap(), Some(std::process::id()));
        drop(first);
        assert_eq!(holder(folder.path()).unwrap(), None);
        acquire(folder.path()).unwrap();
    }
}
