//! Whose store it is. Root may type any command; what is done to a store is done as the user that its state folder belongs to, or
//! that user could not open afterwards what root has made. What the caller names (the configuration, a passphrase file, a kit) is
//! read and written as the caller.
//!
//! The kernel keeps users by thread, and a new thread has its maker's: commands become another user before they start any.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use rustix::fs::Dir;
use rustix::process::{Gid, Uid, getegid, geteuid, getgid, getuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::output::{ExitStatus, Failure};

/// A user, as the kernel knows them.
#[derive(Clone, Copy)]
struct User {
    uid: Uid,
    gid: Gid,
}

/// Becomes the user that a state folder belongs to, where root has typed the command; until the command ends, but for
/// [`as_caller`].
///
/// # Errors
/// Where root may not become that user, as in some containers.
pub(super) fn become_owner(state_dir: &Path) -> Result<(), Failure> {
    let Some(owner) = other_owner(state_dir) else {
        return Ok(());
    };
    let groups = further_groups(owner);
    let change = || {
        set_thread_groups(&groups)?;
        set_effective(owner)
    };
    change().map_err(|error| {
        let (folder, uid) = (state_dir.display(), owner.uid.as_raw());
        let sentence = format_args!(
            "the state folder {folder} belongs to the user {uid}, and root cannot become that user here ({error}): type it as that user, \
             such as `sudo -u '#{uid}' hearthkeep ...`"
        );
        Failure::new(ExitStatus::Refused, sentence)
    })
}

/// Gives up to be root again, for a process that works for long.
///
/// # Errors
/// Those of the kernel, which has no reason for one.
pub(super) fn stay() -> io::Result<()> {
    let user = User {
        uid: geteuid(),
        gid: getegid(),
    };
    set_thread_res_gid(user.gid, user.gid, user.gid)?;
    Ok(set_thread_res_uid(user.uid, user.uid, user.uid)?)
}

/// Does something as the user who typed the command: with what they named, and not with the store.
pub(super) fn as_caller<T>(act: impl FnOnce() -> T) -> T {
    let owner = User {
        uid: geteuid(),
        gid: getegid(),
    };
    if owner.uid == getuid() {
        return act();
    }
    let may = "who became another user may go back and forth";
    // Root first, who alone may change groups.
    set_thread_res_uid(None, getuid(), None).expect(may);
    set_thread_res_gid(None, getgid(), None).expect(may);
    let done = act();
    set_effective(owner).expect(may);
    done
}

/// Gives an empty folder of root's, as a new file system's is, to the user that a state folder belongs to. Any other is left alone.
///
/// # Errors
/// Those of the file system.
pub(super) fn give_folder(state_dir: &Path, folder: &Path) -> io::Result<()> {
    let Some(owner) = other_owner(state_dir) else {
        return Ok(());
    };
    let folder = File::open(folder)?;
    let facts = folder.metadata()?;
    if facts.uid() == 0 && facts.is_dir() && is_empty(&folder)? {
        fchown(&folder, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
    }
    Ok(())
}

/// As the pool judges it: a new file system has one folder of its own.
fn is_empty(folder: &File) -> io::Result<bool> {
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if ![c".", c"..", c"lost+found"].contains(&&*name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The user that a folder belongs to, where this is root and it is somebody else.
fn other_owner(state_dir: &Path) -> Option<User> {
    let facts = fs::metadata(state_dir).ok()?;
    let is_others = geteuid().is_root() && facts.uid() != 0;
    is_others.then(|| User {
        uid: Uid::from_raw(facts.uid()),
        gid: Gid::from_raw(facts.gid()),
    })
}

fn set_effective(user: User) -> rustix::io::Result<()> {
    // The group first, while root may change it.
    set_thread_res_gid(None, user.gid, None)?;
    set_thread_res_uid(None, user.uid, None)
}

/// The groups that let a user to further disks, as /etc/group tells them, which is where those of services are.
fn further_groups(user: User) -> Vec<Gid> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let uid = user.uid.as_raw().to_string();
    let passwd = read("/etc/passwd");
    let mut accounts = passwd.lines().map(|line| line.split(':'));
    let name = accounts.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1) == Some(&uid)).then_some(name)
    });
    let group = read("/etc/group");
    let of_name = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let gid = fields.next()?.parse().ok()?;
        let mut members = fields.next()?.split(',');
        members
            .any(|member| Some(member) == name)
            .then(|| Gid::from_raw(gid))
    };
    let further = group.lines().filter_map(of_name);
    std::iter::once(user.gid).chain(further).collect()
}
