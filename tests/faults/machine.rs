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
    /// Ext4 that fails when it is told to.
    FailingExt4,
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
        let needs = match self {
            Self::Root => vec![(
                rustix::process::geteuid().is_root(),
                "it is not run by root",
            )],
            Self::Ext4 => vec![
                (has_loop_devices(), NO_LOOP),
                (
                    answers("mkfs.ext4", "-V"),
                    "there is no mkfs.ext4 (package e2fsprogs)",
                ),
            ],
            Self::FailingExt4 => vec![(
                super::state_folder::can_fail(),
                "the kernel does not let an ext4 file system fail (/sys/fs/ext4)",
            )],
            Self::Xfs => vec![
                (has_loop_devices(), NO_LOOP),
                (
                    answers("mkfs.xfs", "-V"),
                    "there is no mkfs.xfs (package xfsprogs)",
                ),
            ],
            Self::Fuse => vec![(Path::new("/dev/fuse").exists(), "there is no /dev/fuse")],
            Self::MemoryGroup => vec![(
                super::memory::Group::make(1 << 30).is_some(),
                "no control group's memory can be limited",
            )],
        };
        let mut missing = needs.into_iter().filter(|(is_there, _)| !is_there);
        missing.next().map(|(_, words)| words)
    }
}

const NO_LOOP: &str = "there are no loop devices";

/// Whether one could be had: a container may see them and not be given any.
fn has_loop_devices() -> bool {
    Path::new("/dev/loop-control").exists() && answers("losetup", "--find")
}

fn answers(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    let quiet = command
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
