//! What a test needs of the machine, and whether it is there.

use std::path::Path;
use std::process::{Command, Stdio};

/// Something that not every machine has or allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To be root.
    Root,
    /// Loop devices with ext4.
    Ext4,
    /// Loop devices with XFS.
    Xfs,
    /// File systems served by a process.
    Fuse,
    /// A control group whose memory can be limited.
    MemoryGroup,
}

impl Need {
    /// What is missing, in words; `None` where nothing is.
    pub fn missing(self) -> Option<&'static str> {
        let (is_there, words) = match self {
            Self::Root => (
                rustix::process::geteuid().is_root(),
                "it is not run by root",
            ),
            Self::Ext4 => (
                has_loop_devices() && answers("mkfs.ext4", "-V"),
                "there are no loop devices, or no mkfs.ext4 (package e2fsprogs)",
            ),
            Self::Xfs => (
                has_loop_devices() && answers("mkfs.xfs", "-V"),
                "there are no loop devices, or no mkfs.xfs (package xfsprogs)",
            ),
            Self::Fuse => (Path::new("/dev/fuse").exists(), "there is no /dev/fuse"),
            Self::MemoryGroup => (
                super::memory::Group::make(1 << 30).is_some(),
                "no control group's memory can be limited",
            ),
        };
        (!is_there).then_some(words)
    }
}

fn has_loop_devices() -> bool {
    Path::new("/dev/loop-control").exists() && answers("losetup", "--version")
}

fn answers(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    let quiet = command
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
