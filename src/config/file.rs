//! The configuration's file: read with a bound, and changed where a command takes a disk in or out. All else in it, comments and
//! order too, stays as it was written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, TableLike, value};
use zeroize::Zeroizing;

use super::{Config, Disk, Error, Tier};
use crate::limits::CONFIG_BYTES_MAX;

/// Reads a configuration's text, which may hold passwords.
///
/// # Errors
/// [`Error::Read`] when it cannot be read as text, or is longer than any configuration.
pub fn read_text(path: &Path) -> Result<Zeroizing<String>, Error> {
    let cannot = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(cannot)?;
    file.take(CONFIG_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        let message = format!("it is longer than {CONFIG_BYTES_MAX} bytes");
        return Err(cannot(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    Ok(text)
}

/// Why a configuration was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// It cannot be used as it is, or could not with the change.
    #[error(transparent)]
    Config(#[from] Error),
    /// It cannot be written.
    #[error("cannot write the configuration {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk is none of its disks.
    #[error("the configuration {} has no [[disk]] with the path {}", path.display(), disk.display())]
    NoSuchDisk {
        /// The file.
        path: PathBuf,
        /// The disk's folder.
        disk: PathBuf,
    },
}

/// Whether a file or folder is closed to who writes to it: their user may not, or nobody may where they run.
pub fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    [PermissionDenied, ReadOnlyFilesystem].contains(&error.kind())
}

/// A configuration that is being changed.
pub struct Edited {
    path: PathBuf,
    document: DocumentMut,
}

impl Edited {
    /// Reads it. Where it cannot be written, this is found out here, before anything else is done.
    ///
    /// # Errors
    /// [`EditError::Config`], [`EditError::Write`].
    pub fn open(path: &Path) -> Result<Self, EditError> {
        let text = read_text(path)?;
        Config::parse(&text, path)?;
        // What has been read as TOML once is TOML.
        let document = text.parse::<DocumentMut>();
        let document = document.map_err(|_| Error::Read {
            path: path.to_owned(),
            source: io::ErrorKind::InvalidData.into(),
        })?;
        // The file is replaced and not written into, so its folder is what must be writable.
        let edited = Self {
            path: path.to_owned(),
            document,
        };
        let (beside, _) = edited.beside()?;
        fs::remove_file(&beside).map_err(|source| edited.cannot(source))?;
        Ok(edited)
    }

    /// Adds a disk after the others.
    pub fn add_disk(&mut self, disk: &Disk) {
        let mut table = Table::new();
        table["path"] = value(disk.path.to_string_lossy().into_owned());
        if let Some(bytes) = disk.max_bytes {
            table["max_bytes"] = value(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        if disk.tier != Tier::default() {
            table["tier"] = value(disk.tier.as_str());
        }
        match self.document.entry("disk").or_insert_with(no_disks) {
            Item::ArrayOfTables(disks) => disks.push(table),
            // Written as disk = [{ path = "..." }].
            item => {
                if let Some(disks) = item.as_array_mut() {
                    disks.push(table.into_inline_table());
                }
            }
        }
    }

    /// Takes a disk out, with the comment that stands before it.
    ///
    /// # Errors
    /// [`EditError::NoSuchDisk`].
    pub fn remove_disk(&mut self, disk: &Path) -> Result<(), EditError> {
        let folder = self.path.parent().unwrap_or(Path::new("")).to_owned();
        let is_it = |table: &dyn TableLike| {
            let path = table.get("path").and_then(Item::as_str);
            path.is_some_and(|path| folder.join(path) == disk)
        };
        let before = self.disks();
        match self.document.get_mut("disk") {
            Some(Item::ArrayOfTables(disks)) => disks.retain(|table| !is_it(table)),
            Some(item) => {
                if let Some(disks) = item.as_array_mut() {
                    disks
                        .retain(|table| !table.as_inline_table().is_some_and(|table| is_it(table)));
                }
            }
            None => {}
        }
        match self.disks() < before {
            true => Ok(()),
            false => Err(EditError::NoSuchDisk {
                path: self.path.clone(),
                disk: disk.to_owned(),
            }),
        }
    }

    fn disks(&self) -> usize {
        match self.document.get("disk") {
            Some(Item::ArrayOfTables(disks)) => disks.len(),
            Some(item) => item.as_array().map_or(0, toml_edit::Array::len),
            None => 0,
        }
    }

    /// Whether it could be used with the changes.
    ///
    /// # Errors
    /// [`EditError::Config`], with what would be wrong.
    pub fn check(&self) -> Result<Config, EditError> {
        let text = Zeroizing::new(self.document.to_string());
        Ok(Config::parse(&text, &self.path)?)
    }

    /// Replaces the file: whoever reads it, also after a power cut, sees all of the old or all of the new one.
    ///
    /// # Errors
    /// [`EditError::Config`], where it could not be used; [`EditError::Write`]. The file is as it was then.
    pub fn save(self) -> Result<Config, EditError> {
        let config = self.check()?;
        let text = Zeroizing::new(self.document.to_string());
        let (beside, mut file) = self.beside()?;
        let target = self.target()?;
        let write = || {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &target)?;
            File::open(target.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        let mut write = write;
        write().map_err(|source| self.cannot(source))?;
        Ok(config)
    }

    /// An empty file beside the configuration, which as many may read as that one.
    fn beside(&self) -> Result<(PathBuf, File), EditError> {
        let target = self.target()?;
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let beside = target.with_file_name(name);
        let make = || {
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let facts = fs::metadata(&target)?;
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let file = options.open(&beside)?;
            // Root keeps it readable for the recorder's own user; who is not root owns it already.
            let (uid, gid) = (facts.uid(), facts.gid());
            match std::os::unix::fs::fchown(&file, Some(uid), Some(gid)) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
            file.set_permissions(facts.permissions())?;
            Ok(file)
        };
        let file = make().map_err(|source| self.cannot(source))?;
        Ok((beside, file))
    }

    /// The file itself, where the path is a link to it.
    fn target(&self) -> Result<PathBuf, EditError> {
        fs::canonicalize(&self.path).map_err(|source| self.cannot(source))
    }

    fn cannot(&self, source: io::Error) -> EditError {
        EditError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

fn no_disks() -> Item {
    Item::ArrayOfTables(ArrayOfTables::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The box in the attic\nstate_dir = \"state\"\n\n[[disk]] # the first\npath = \"a\"\n\n# A spare one\n[[disk]]\n\
         path = \"b\"\nmax_bytes = \"1 TB\"\n\n[[camera]]\nname = \"door\" # front\nurl = \"rtsp://u:hunter2@10.0.0.2/\"\n";

    fn written() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hearthkeep.toml");
        fs::write(&path, TEXT).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs::set_permissions(&path, mode).unwrap();
        (folder, path)
    }

    #[test]
    fn a_disk_comes_and_goes_and_all_else_stays() {
        let (folder, path) = written();
        let mut edited = Edited::open(&path).unwrap();
        edited.add_disk(&Disk {
            path: "/srv/cold".into(),
            max_bytes: Some(5_000_000_000),
            tier: Tier::Cold,
        });
        let config = edited.save().unwrap();
        assert_eq!(config.disks.len(), 3);
        let added = "\n[[disk]]\npath = \"/srv/cold\"\nmax_bytes = 5000000000\ntier = \"cold\"\n";
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            TEXT.replace("\n\n[[camera]]", &format!("\n{added}\n[[camera]]"))
        );
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);

        let mut edited = Edited::open(&path).unwrap();
        edited.remove_disk(Path::new("/srv/cold")).unwrap();
        edited.remove_disk(&folder.path().join("b")).unwrap();
        assert!(matches!(
            edited.remove_disk(Path::new("/srv/other")),
            Err(EditError::NoSuchDisk { .. })
        ));
        assert_eq!(edited.save().unwrap().disks.len(), 1);
        let text = fs::read_to_string(&path).unwrap();
        let spare = TEXT.find("\n# A spare").unwrap()..TEXT.find("\n[[camera]]").unwrap();
        assert_eq!(text, [&TEXT[..spare.start], &TEXT[spare.end..]].concat());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_could_not_be_used_is_not_written() {
        let (folder, path) = written();
        let pinned = TEXT.replace("name = \"door\"", "disk = \"b\"\nname = \"door\"");
        fs::write(&path, &pinned).unwrap();
        let mut edited = Edited::open(&path).unwrap();
        edited.remove_disk(&folder.path().join("b")).unwrap();
        let error = edited.save().map(drop).unwrap_err().to_string();
        assert!(
            error.contains("names no [[disk]]") && !error.contains("hunter2"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), pinned);
    }
}
