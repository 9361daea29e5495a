//! The small files of the state folder: replaced whole, readable by their owner only, and sealed under a key.
//!
//! `sealed file = XSeal(key, content, "hearthkeep/v1/state" || file name)` in the words of `docs/format.md`. The name is
//! bound in, so that one file cannot be put in another's place.
//!
//! What is no secret is read before there is a key, and has a sum, by which a disk that rots is found out:
//! `summed file = content || LF || hex(SHA-256(content)) || LF`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hearthkeep_format::Random;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const LABEL: &[u8] = b"hearthkeep/v1/state";
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
/// Line feed, the sum's digits, line feed.
const SUM_LEN: usize = 1 + 64 + 1;

/// The key that seals the files of one state folder. Erased when dropped.
#[derive(Clone)]
pub struct StateKey(Zeroizing<[u8; 32]>);

impl StateKey {
    /// A key of 32 uniform bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Seals `content` for the file called `name`.
    pub fn seal(&self, name: &str, content: &[u8], random: &mut dyn Random) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let ad = [LABEL, name.as_bytes()].concat();
        let payload = Payload {
            msg: content,
            aad: &ad,
        };
        let sealed = XChaCha20Poly1305::new((&*self.0).into())
            .encrypt((&nonce).into(), payload)
            .expect("a state file is far below the cipher's limit");
        [&nonce[..], &sealed].concat()
    }

    /// Opens what [`StateKey::seal`] made for `name`; `None` when it was changed or another key sealed it.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        if sealed.len() < TAG_LEN {
            return None;
        }
        let ad = [LABEL, name.as_bytes()].concat();
        let payload = Payload {
            msg: sealed,
            aad: &ad,
        };
        let opened = XChaCha20Poly1305::new((&*self.0).into()).decrypt(nonce.into(), payload);
        opened.ok().map(Zeroizing::new)
    }
}

impl std::fmt::Debug for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateKey(redacted)")
    }
}

/// Replaces the file at `path` by `bytes`, mode 0600: written beside it, synced, renamed, its folder synced. After a
/// power cut the old or the new content is there, whole.
///
/// # Errors
///
/// Those of the file system; the old content is then still in place.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = folder.join(format!(".{}.new", name.to_string_lossy()));
    // What an interrupted attempt left may have another mode: never written into.
    remove(&beside)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_folder(folder)
}

/// Reads a file of at most `bytes_max`; `None` where there is none.
///
/// # Errors
///
/// Those of the file system, and [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Some(bytes))
}

/// As [`replace`], with a sum.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_summed(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, &summed(content))
}

/// What is written of a content that has a sum.
pub fn summed(content: &[u8]) -> Vec<u8> {
    [content, sum(content).as_bytes()].concat()
}

fn sum(content: &[u8]) -> String {
    let digits: String = (Sha256::digest(content).iter())
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\n{digits}\n")
}

/// Reads the content of a [summed](self) file of at most `bytes_max`; `None` where there is none.
///
/// # Errors
///
/// As [`read`], and [`io::ErrorKind::InvalidData`] where it is not as it was written.
pub fn read_summed(path: &Path, bytes_max: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(mut bytes) = read(path, bytes_max)? else {
        return Ok(None);
    };
    let length = bytes.len().saturating_sub(SUM_LEN);
    let (content, end) = bytes.split_at(length);
    if end != sum(content).as_bytes() {
        let what = "it is not as it was written";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    bytes.truncate(length);
    Ok(Some(bytes))
}

/// Removes a file durably; one that is not there is removed already.
///
/// # Errors
///
/// Those of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
    }
}

/// Keeps a file that cannot be used beside the one to come, as its name with `.damaged`, durably, and says where. What was
/// kept so before goes.
///
/// # Errors
///
/// Those of the file system.
pub fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside)?;
    path.parent().map_or(Ok(()), sync_folder)?;
    Ok(aside)
}

/// Makes the folder, and those above it, where they are missing, and closes it to everybody but its owner (0700).
///
/// # Errors
///
/// Those of the file system: also where the folder belongs to somebody else.
pub fn private_folder(path: &Path) -> io::Result<()> {
    let was_there = path.is_dir();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    let above = path.parent();
    let synced = above
        .filter(|above| !above.as_os_str().is_empty())
        .map_or(Ok(()), sync_folder);
    // What is on a disk that became read-only is there.
    synced.or_else(|error| if was_there { Ok(()) } else { Err(error) })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    fn key(byte: u8) -> StateKey {
        StateKey::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_sealed_file_opens_only_under_its_key_and_name() {
        let sealed = key(1).seal("people.sealed", b"accounts", &mut OsRandom);
        assert_eq!(
            key(1).open("people.sealed", &sealed).unwrap().as_slice(),
            b"accounts"
        );
        assert!(key(2).open("people.sealed", &sealed).is_none());
        assert!(key(1).open("store.sealed", &sealed).is_none());
        for length in 0..sealed.len() {
            assert!(key(1).open("people.sealed", &sealed[..length]).is_none());
        }
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(key(1).open("people.sealed", &flipped).is_none());
        }
    }

    #[test]
    fn a_summed_file_is_read_only_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        assert!(read_summed(&file, 100).unwrap().is_none());
        for content in [&b"content"[..], b""] {
            let whole = summed(content);
            fs::write(&file, &whole).unwrap();
            assert_eq!(
                read_summed(&file, 100).unwrap().unwrap().as_slice(),
                content
            );
            for length in 0..whole.len() {
                fs::write(&file, &whole[..length]).unwrap();
                read_summed(&file, 100).unwrap_err();
            }
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(&file, &flipped).unwrap();
                read_summed(&file, 100).unwrap_err();
            }
        }
    }

    #[test]
    fn files_and_folders_are_for_their_owner_only() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&folder).unwrap();
        assert_eq!(
            fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let path = folder.join("machine.key");
        fs::write(
            folder.join(".machine.key.new"),
            "left over, and open to all",
        )
        .unwrap();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read(&path, 3).unwrap().unwrap().as_slice(), b"two");
        assert_eq!(
            read(&path, 2).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(read(&path, 3).unwrap().is_none());
    }
}
