//! The signed log in the map: what a flipped byte of it costs, alone and where another disk has the same.

use std::path::Path;
use std::sync::Arc;

use hearthkeep::disk::Disk;
use hearthkeep::store::layout;
use hearthkeep::store::log::{Chain, Flaw, Reader, find};
use hearthkeep_format::log::Record;

use super::memory::Memory;
use super::shelf::Shelf;

/// The entries of the only log, by index; `None` for one that cannot be read.
type Said = Vec<Option<Record>>;

/// What disks say of their logs.
struct Told {
    chain: Chain,
    said: Said,
    /// Which disks have something wrong, and why.
    flaws: Vec<(usize, String)>,
}

fn told(shelf: &Shelf, disks: &[Arc<dyn Disk>]) -> Told {
    let chain = find(disks, &shelf.store, &*shelf.keys());
    let folder = |path: &Path| path.parent() == Some(Path::new(layout::LOG));
    assert!(chain.flaws.iter().all(|(_, path, _)| folder(path)));
    let unusable = chain.flaws.iter();
    let mut flaws: Vec<_> = unusable
        .map(|(disk, _, flaw)| (*disk, flaw.to_string()))
        .collect();
    let damaged = chain.verify();
    flaws.extend(damaged.iter().map(|(of, flaw)| (of.disk, flaw.to_string())));
    let mut said = Said::new();
    for log in chain.readable() {
        let mut reader = Reader::new(Arc::from(shelf.keys()));
        while let Ok(read) = reader.next(&log.files)
            && !read.is_empty()
        {
            said.extend(
                read.into_iter()
                    .map(|(_, stamped)| Some(stamped.ok()?.record)),
            );
        }
    }
    Told { chain, said, flaws }
}

/// The logs that a disk is left with, and nothing else.
fn logs_of(disk: &Memory) -> Memory {
    let logs = Memory::default();
    let files = disk.files().into_iter();
    let files = files.filter(|(path, _)| path.starts_with(layout::LOG));
    files.for_each(|(path, bytes)| logs.put(&path, bytes));
    logs
}

/// The entry that a byte of `entries` is of.
fn entry_at(entries: &[u8], n: usize) -> usize {
    let ends = std::iter::successors(Some(0), |start| {
        let length = entries.get(*start..start + 4)?;
        Some(start + 24 + u32::from_be_bytes(length.try_into().unwrap()) as usize)
    });
    ends.skip(1).position(|end| n < end).unwrap()
}

fn disks(of: &[&Memory]) -> Vec<Arc<dyn Disk>> {
    of.iter()
        .map(|disk| Arc::new((*disk).clone()) as Arc<dyn Disk>)
        .collect()
}

/// Flips a bit of a log's file, and says what is wrong with what then happens.
pub fn flip(shelf: &Shelf, path: &Path, n: usize) -> Result<(), String> {
    let whole = logs_of(&shelf.disk);
    let flipped = flipped(&whole, path, n);

    let alone = disks(&[&flipped]);
    let found = told(shelf, &alone);
    let [(0, what)] = &found.flaws[..] else {
        return Err(format!("found {:?}", found.flaws));
    };
    let name = path.file_name().unwrap().to_str().unwrap();
    let is_tree = name == "tree";
    if (*what == Flaw::Tree.to_string()) != is_tree {
        return Err(format!("found {what}"));
    }
    let expected = match name {
        "tree" => shelf.said.clone(),
        "entries" => {
            let mut said = shelf.said.clone();
            said[entry_at(&whole.bytes(path), n)] = None;
            match said[0] {
                // Nothing says whose log it is.
                None => Said::new(),
                Some(_) => said,
            }
        }
        // What was signed, and by whom, covers all of it.
        _ => Said::new(),
    };
    if found.said != expected {
        return Err(format!("it says {:?}", found.said));
    }
    if is_tree {
        proofs_hold(
            &found.chain,
            &find(&disks(&[&whole]), &shelf.store, &*shelf.keys()),
        )?;
    }
    let mendable = found.chain.mendable(&alone, &shelf.store, None);
    if mendable.len() != usize::from(is_tree) {
        return Err(format!("alone, {mendable:?} is mendable"));
    }
    if let Some(one) = mendable.first() {
        one.mend(&alone, &shelf.store).map_err(|e| e.to_string())?;
        return same(&flipped, &whole);
    }

    let two = disks(&[&flipped, &whole]);
    let found = told(shelf, &two);
    if found.said != shelf.said || found.flaws.len() != 1 || found.flaws[0].0 != 0 {
        return Err(format!("with another disk: {:?}", found.flaws));
    }
    let mendable = found.chain.mendable(&two, &shelf.store, None);
    let [one] = &mendable[..] else {
        return Err(format!("with another disk, {mendable:?} is mendable"));
    };
    let damaged = flipped.bytes(path);
    one.mend(&two, &shelf.store).map_err(|e| e.to_string())?;
    same(&flipped, &whole)?;
    let aside = Path::new(layout::LOST).join(path);
    match flipped.bytes(&aside) == damaged {
        true => Ok(()),
        false => Err("what was replaced is gone".to_owned()),
    }
}

fn flipped(whole: &Memory, path: &Path, n: usize) -> Memory {
    let flipped = whole.twin();
    let mut bytes = flipped.bytes(path).to_vec();
    bytes[n] ^= 1 << (n % 8);
    flipped.put(path, Arc::new(bytes));
    flipped
}

/// Whether a disk's logs are those of another again.
fn same(disk: &Memory, whole: &Memory) -> Result<(), String> {
    match logs_of(disk).files() == whole.files() {
        true => Ok(()),
        false => Err("it is another log after the repair".to_owned()),
    }
}

/// Whether viewers get the proofs of a log that is whole.
fn proofs_hold(found: &Chain, whole: &Chain) -> Result<(), String> {
    let [found, whole] = [found, whole].map(|chain| &chain.logs[0].files);
    let to = whole.checkpoint.size;
    for from in 0..to {
        let consistency = [found, whole].map(|files| files.consistency(from, to).unwrap());
        let inclusion = [found, whole].map(|files| files.inclusion(from, to).unwrap());
        if consistency[0] != consistency[1] || inclusion[0] != inclusion[1] {
            return Err(format!("a proof from {from} is another one"));
        }
    }
    Ok(())
}

#[test]
fn a_copy_is_whole_beside_the_damaged_one_before_that_goes() {
    let shelf = Shelf::new(7);
    let whole = logs_of(&shelf.disk);
    let entries = whole
        .files()
        .into_keys()
        .find(|path| path.ends_with("entries"));
    let entries = entries.unwrap();
    let log = entries.parent().unwrap().to_owned();
    let damaged = flipped(&whole, &entries, whole.bytes(&entries).len() - 1);
    let mend = |disk: &Memory| {
        let two = disks(&[disk, &whole]);
        let found = find(&two, &shelf.store, &*shelf.keys());
        let mendable = found.mendable(&two, &shelf.store, None);
        let done = mendable.iter().map(|one| one.mend(&two, &shelf.store));
        done.map(|done| done.is_ok()).collect::<Vec<_>>()
    };
    // What is below a folder of a disk, as if it were the log's.
    let below = |disk: &Memory, folder: &Path| -> Vec<_> {
        let files = disk.files().into_iter();
        let of_it = files
            .filter_map(|(path, bytes)| Some((log.join(path.strip_prefix(folder).ok()?), bytes)));
        of_it.collect()
    };
    let [was, is] = [&damaged, &whole].map(|disk| below(disk, &log));
    let beside = log.with_extension("new");
    let aside = Path::new(layout::LOST).join(&log);

    let done = damaged.twin();
    assert_eq!(mend(&done), [true]);
    assert!(below(&done, &log) == is && below(&done, &aside) == was);
    assert!(below(&done, &beside).is_empty());
    println!("{} changes", done.changes());
    for changes in 0..done.changes() {
        let refused = damaged.twin();
        refused.refuse_after(changes);
        if mend(&refused) == [false] {
            assert!(below(&refused, &log) == was, "refused after {changes}");
            assert!(
                below(&refused, &beside).is_empty(),
                "refused after {changes}"
            );
            assert!(
                below(&refused, &aside).is_empty(),
                "refused after {changes}"
            );
        }
        let cut = damaged.twin();
        cut.die_after(changes);
        assert_eq!(mend(&cut), [false]);
        let cut = cut.twin();
        let is_moved = below(&cut, &log).is_empty();
        let left = if is_moved { &aside } else { &log };
        assert!(below(&cut, left) == was, "cut off at {changes}");
        assert!(
            !is_moved || below(&cut, &beside) == is,
            "cut off at {changes}"
        );
        if !is_moved {
            assert_eq!(mend(&cut), [true], "gone on with after {changes}");
            assert!(below(&cut, &log) == is && below(&cut, &beside).is_empty());
        }
    }
}
