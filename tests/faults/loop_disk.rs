//! A file system of its own in a file: it can be small, full, and cut off from its power.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::installation::{Installation, await_condition};

/// `FS_IOC_SHUTDOWN` of Linux, `_IOR('X', 125, u32)`.
const SHUTDOWN: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<u32>(b'X', 125);
/// `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`: what the journal has not got yet is lost, as without power.
const NO_LOG_FLUSH: u32 = 2;

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Ext4,
    Xfs,
}

/// A file system on a loop device. It is unmounted and goes when this is dropped.
pub struct LoopDisk {
    kind: Kind,
    at: PathBuf,
    device: String,
    _image: tempfile::NamedTempFile,
}

impl LoopDisk {
    /// Makes one of so many bytes, and mounts it at a folder. Its bytes are in memory: how fast this machine's disk is does not
    /// matter then.
    pub fn mount_new(kind: Kind, bytes: u64, at: &Path) -> Self {
        Self::made(kind, bytes, at, &[])
    }

    /// The same of an ext4 that has room for so many files.
    pub fn with_inodes(inodes: u32, bytes: u64, at: &Path) -> Self {
        Self::made(Kind::Ext4, bytes, at, &["-N", &inodes.to_string()])
    }

    fn made(kind: Kind, bytes: u64, at: &Path, options: &[&str]) -> Self {
        let in_memory = Path::new("/dev/shm");
        let image = match in_memory.is_dir() {
            true => tempfile::NamedTempFile::new_in(in_memory),
            false => tempfile::NamedTempFile::new(),
        };
        let image = image.unwrap();
        image.as_file().set_len(bytes).unwrap();
        let path = image.path().to_str().unwrap();
        match kind {
            Kind::Ext4 => run("mkfs.ext4", &[&["-q", "-F"], options, &[path]].concat()),
            Kind::Xfs => run("mkfs.xfs", &[&["-q", "-f"], options, &[path]].concat()),
        };
        let device = run("losetup", &["--find", "--show", path]);
        let disk = Self {
            kind,
            at: at.to_owned(),
            device,
            _image: image,
        };
        disk.mount();
        disk
    }

    /// Mounts it; what a journal has is replayed.
    pub fn mount(&self) {
        let kind = match self.kind {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
        };
        run(
            "mount",
            &["-t", kind, &self.device, self.at.to_str().unwrap()],
        );
    }

    /// Unmounts it, once nobody uses it any more.
    pub fn unmount(&self) {
        await_condition(
            "nobody uses the file system",
            Duration::from_secs(30),
            || {
                let mut command = Command::new("umount");
                command.arg(&self.at).output().unwrap().status.success()
            },
        );
    }

    /// Has the kernel find an error in it, for which it becomes read-only under all who use it.
    pub fn becomes_read_only(&self) {
        let at = self.at.to_str().unwrap();
        run("mount", &["-o", "remount,errors=remount-ro", at]);
        let name = Path::new(&self.device).file_name().unwrap();
        let trigger = Path::new("/sys/fs/ext4")
            .join(name)
            .join("trigger_fs_error");
        // The file system may be read-only before this has come to its end.
        let _ = std::fs::write(trigger, "1");
        let refused = std::fs::write(self.at.join("anything"), "").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ReadOnlyFilesystem);
    }

    /// Repairs it, and mounts it again.
    pub fn look_after(&self) {
        self.unmount();
        // The kernel may still be about to let go of it.
        await_condition(
            "the file system is repaired",
            Duration::from_secs(30),
            || {
                let mut command = Command::new("e2fsck");
                let looked = command.args(["-f", "-y", &self.device]).output();
                // 1: what was wrong was repaired.
                matches!(looked.unwrap().status.code(), Some(0 | 1))
            },
        );
        self.mount();
    }

    /// Takes its power away: from here on nothing reaches it, and what was not made durable is gone.
    pub fn cut(&self) {
        let folder = std::fs::File::open(&self.at).unwrap();
        shut_down(&folder).unwrap();
    }

    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // It may be unmounted already.
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
        let _ = Command::new("losetup").args(["-d", &self.device]).output();
    }
}

/// Makes state folder and footage of an installation that is not made yet lie below another folder.
pub fn move_onto(installation: &Installation, folder: &Path) {
    std::fs::remove_dir(installation.footage()).unwrap();
    for there in [installation.state(), installation.footage()] {
        let name = folder.join(there.file_name().unwrap());
        std::fs::create_dir(&name).unwrap();
        std::os::unix::fs::symlink(name, there).unwrap();
    }
}

/// A program's output; it must succeed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[allow(unsafe_code)]
fn shut_down(file: &std::fs::File) -> io::Result<()> {
    let mut flags = NO_LOG_FLUSH;
    // SAFETY: the ioctl reads a u32 through the pointer, which outlives the call.
    Ok(unsafe { rustix::ioctl::ioctl(file.as_fd(), Shutdown(&mut flags)) }?)
}

struct Shutdown<'a>(&'a mut u32);

#[allow(unsafe_code)]
// SAFETY: see `shut_down`; nothing is written through the pointer, and no memory is returned.
unsafe impl rustix::ioctl::Ioctl for Shutdown<'_> {
    type Output = ();

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> rustix::ioctl::Opcode {
        SHUTDOWN
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(
        _: rustix::ioctl::IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<Self::Output> {
        Ok(())
    }
}
