//! The id file and the two copies of the keyring.

use std::path::Path;

use hearthkeep_format::Keyring;

use super::{Finding, Kind, Known, Subject};
use crate::disk::{Disk, Pace, read_file};
use crate::limits::KEYRING_BYTES_MAX;
use crate::store::layout::{self, DiskIdentity};
use crate::store::log;

const OLDER: &str = "it is not the store's newest one";
/// How often two copies that differ are read: a recorder may be about to replace them.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(200);

pub(super) fn look(number: usize, subject: &Subject, known: &Known<'_>, found: &mut Vec<Finding>) {
    found.extend(id_file(number, subject, known));
    let mut keyrings = look_at_keyrings(number, &*subject.disk, known);
    for _ in 1..LOOKS {
        if keyrings
            .iter()
            .all(|finding| !finding.what.starts_with(OLDER))
        {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
        keyrings = look_at_keyrings(number, &*subject.disk, known);
    }
    found.append(&mut keyrings);
}

/// What is wrong with what lies on a disk beside its footage, the signed log among it: looked at once, as fast as `pace` lets it. A recorder
/// may be replacing it.
pub(in crate::store) fn look_beside(
    subject: &Subject,
    known: &Known<'_>,
    pace: &Pace<'_>,
) -> Vec<Finding> {
    let disk = &*subject.disk;
    let mut found: Vec<_> = id_file(0, subject, known).into_iter().collect();
    let copies = layout::KEYRING_COPIES.map(|name| Path::new(layout::KEYRING).join(name));
    // Where there is none at all, none was ever put there.
    if copies.iter().any(|copy| disk.open_read(copy).is_ok()) {
        found.extend(look_at_keyrings(0, disk, known));
    }
    let logs = log::look_at_logs(disk, &known.store, pace).into_iter();
    found.extend(logs.map(|(path, flaw)| Finding::new(Kind::Log, 0, path, flaw)));
    found
}

fn id_file(number: usize, subject: &Subject, known: &Known<'_>) -> Option<Finding> {
    let finding = |what: String| Finding::new(Kind::IdFile, number, layout::ID_FILE, what);
    let expected = subject.id.map(|disk| DiskIdentity {
        store: known.store,
        disk,
    });
    let found = match layout::identify(&*subject.disk, &subject.path) {
        Ok(None) => {
            return Some(finding(
                "it is missing: the disk is not mounted, or was emptied".to_owned(),
            ));
        }
        Ok(Some(found)) => found,
        Err(error) => {
            let damaged = finding(error.to_string());
            return Some(match expected {
                Some(_) => damaged.repairable(),
                None => damaged,
            });
        }
    };
    // Another disk's id has nothing in common with this one's.
    if let Some(expected) = expected
        && layout::is_nearly(&*subject.disk, &expected)
    {
        return Some(finding("it is damaged".to_owned()).repairable());
    }
    let wrong = match expected {
        Some(expected) if found != expected => {
            Some("it names another disk than the one that was last here")
        }
        None if found.store != known.store => Some("it names another store"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Some(finding(wrong.to_owned()));
    }
    // Readers are lenient about capitals and spaces; a bit that flipped there is the first of more.
    let bytes = read_file(&*subject.disk, Path::new(layout::ID_FILE), 1 << 16).ok();
    let plain = [false, true].map(|retired| layout::id_file(&found, retired));
    let is_plain = bytes.is_some_and(|bytes| plain.contains(&bytes));
    (!is_plain)
        .then(|| finding("it can be read and is not as it was written".to_owned()).repairable())
}

/// What is wrong with the copies of the keyring on a disk, or in the state folder.
pub fn look_at_keyrings(number: usize, disk: &dyn Disk, known: &Known<'_>) -> Vec<Finding> {
    let copies = layout::KEYRING_COPIES.map(|name| {
        let path = Path::new(layout::KEYRING).join(name);
        let bytes = read_file(disk, &path, KEYRING_BYTES_MAX);
        let keyring = bytes.map_err(|e| e.to_string()).and_then(|bytes| {
            let decoded = Keyring::decode(&bytes).map_err(|e| e.to_string());
            decoded.map(|keyring| (keyring, bytes))
        });
        (path, keyring)
    });
    let newest = copies.iter().filter_map(|(_, copy)| copy.as_ref().ok());
    let newest = newest.max_by_key(|(keyring, _)| keyring.version);
    let wanted = known
        .keyring
        .as_deref()
        .or(newest.map(|(_, bytes)| &bytes[..]));
    let mut found = Vec::new();
    for (path, copy) in &copies {
        let what = match copy {
            Err(error) => error.clone(),
            Ok((keyring, _)) if keyring.store != known.store => "it is another store's".to_owned(),
            Ok((_, bytes)) if wanted.is_some_and(|wanted| wanted != bytes) => OLDER.to_owned(),
            Ok(_) => continue,
        };
        found.push(Finding::new(Kind::Keyring, number, path, what));
    }
    if found.len() < copies.len() || known.keyring.is_some() {
        found = found.into_iter().map(Finding::repairable).collect();
    }
    let serves = match (found.len(), known.keyring.is_some()) {
        (1, _) => "; the other copy serves",
        (_, true) => "; the state folder has it",
        _ => "",
    };
    found.iter_mut().for_each(|one| one.what.push_str(serves));
    found
}
