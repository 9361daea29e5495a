//! Folders of one store that lie in each other: what one holds is strange to the other, whose repair may move it away.

use std::path::{Path, PathBuf};

use super::Config;

/// How a disk lies wrongly among the folders of its store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{how} Name a folder that neither lies in another disk, nor holds one or the state folder")]
pub struct Nested {
    how: String,
}

impl Nested {
    /// What is wrong with a disk at this path beside other disks. `by` makes paths that can be compared: [`real`], or [`plain`] where no
    /// drive is to be waited for.
    pub fn find<'a>(
        disk: &Path,
        others: impl IntoIterator<Item = &'a Path>,
        state_dir: &Path,
        by: fn(&Path) -> PathBuf,
    ) -> Option<Self> {
        let (here, state) = (by(disk), by(state_dir));
        let (shown, shown_state) = (disk.display(), state_dir.display());
        if lies_in(&state, &here) {
            let how = format!("the state folder {shown_state} lies in the disk {shown}.");
            return Some(Self { how });
        }
        others.into_iter().find_map(|other| {
            let (there, other) = (by(other), other.display());
            let how = match (lies_in(&here, &there), lies_in(&there, &here)) {
                (true, _) => format!("the disk {shown} lies in the disk {other}."),
                (_, true) => format!("the disk {other} lies in the disk {shown}."),
                _ => return None,
            };
            Some(Self { how })
        })
    }
}

impl Config {
    /// The disks that lie in each other, or around the state folder; `by` as [`Nested::find`] has it.
    pub fn nested(&self, by: fn(&Path) -> PathBuf) -> impl Iterator<Item = Nested> {
        let paths = || self.disks.iter().map(|disk| &*disk.path);
        let nested = paths().enumerate();
        nested.filter_map(move |(index, disk)| {
            Nested::find(disk, paths().take(index), &self.state_dir, by)
        })
    }
}

fn lies_in(inner: &Path, outer: &Path) -> bool {
    inner != outer && inner.starts_with(outer)
}

/// Where a path leads; of what is not there, where it would.
pub fn real(path: &Path) -> PathBuf {
    let path = plain(path);
    let there = path.ancestors().find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        Some(std::fs::canonicalize(above).ok()?.join(rest))
    });
    // An empty rest leaves a slash behind, which only looks different.
    there.map_or(path, |there| there.components().collect())
}

/// A path from the root on, as it is written.
pub fn plain(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_in_each_other_are_found_however_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("a/sub")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        let told = |disk: &str, other: &str| {
            let other = at(other);
            Nested::find(&at(disk), [&*other], &at("state"), real).map(|found| found.how)
        };
        for (inner, outer) in [
            ("a/sub", "a"),
            ("a/not/there", "a"),
            ("link/sub", "a"),
            ("a/sub", "link"),
            ("link/not/there", "a"),
            ("gone/sub", "gone"),
            ("a/../a/sub", "a/."),
        ] {
            for (disk, other) in [(inner, outer), (outer, inner)] {
                let how = told(disk, other).unwrap();
                let (inner, outer) = (at(inner), at(outer));
                let expected = format!(
                    "the disk {} lies in the disk {}.",
                    inner.display(),
                    outer.display()
                );
                assert_eq!(how, expected);
            }
        }
        for (disk, other) in [("a", "ab"), ("a", "b"), ("a", "link"), ("gone", "gone2")] {
            assert_eq!(told(disk, other), None, "{disk} {other}");
        }
        assert_eq!(told("state/sub", "b"), None, "nobody moves what is there");
        assert!(told("", "b").unwrap().starts_with("the state folder"));
    }
}
