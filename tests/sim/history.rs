//! The signed log and the holds: what the recorder published, and what must come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hearthkeep::disk::Disk;
use hearthkeep::state_file::StateKey;
use hearthkeep::store::log::{FoundLog, LogFiles, Reader, Ticket, find};
use hearthkeep::store::{LogSettings, NewHold, SharedKeys, Store};
use hearthkeep_format::log::{Checkpoint, DeletionCause, LogKey, Record};
use hearthkeep_format::{HoldId, MetadataKey, SegmentId, merkle};
use zeroize::Zeroizing;

use crate::house::{GENERATION, House};
use crate::ledger::place_of;
use crate::world::World;

/// Before everything that was ever recorded, whatever the clock said.
const LONG_AGO_US: i64 = -(1 << 60);

pub fn settings() -> LogSettings {
    LogSettings {
        state_key: StateKey::new(Zeroizing::new([5; 32])),
        generation: GENERATION,
    }
}

/// A hold on all of a camera's footage.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub camera: usize,
    id: HoldId,
    /// Until it is in a checkpoint, a crash may take it.
    ticket: Option<Ticket>,
}

/// What the world wants to be held, and what is.
#[derive(Default)]
pub struct Holds {
    /// Cameras, and whether they are to be held.
    pub wanted: Vec<(usize, bool)>,
    set: Vec<Held>,
    /// Cameras whose hold a crash may have taken, or not.
    doubtful: BTreeSet<usize>,
    /// When a camera's hold was ended last, true time, us.
    ended_us: BTreeMap<usize, u64>,
}

impl Holds {
    /// Whether nothing of a camera may go.
    pub fn is_held(&self, camera: usize) -> bool {
        let of_it = |held: &&Held| held.camera == camera && held.ticket.is_none();
        self.set.iter().any(|held| of_it(&held))
    }

    /// Whether footage of a camera may be held, or was since a time.
    pub fn may_be_held(&self, camera: usize, since_us: u64) -> bool {
        self.set.iter().any(|held| held.camera == camera)
            || self.doubtful.contains(&camera)
            || self.ended_us.get(&camera) >= Some(&since_us)
    }

    /// Somebody does what is wanted; where the recorder refuses, nothing is held.
    pub fn act(&mut self, world: &World, store: &Store) {
        for held in &mut self.set {
            held.ticket = held
                .ticket
                .filter(|ticket| !store.log().is_published(*ticket));
        }
        for (camera, is_to_be) in std::mem::take(&mut self.wanted) {
            if is_to_be {
                let new = NewHold {
                    streams: vec![world.fate.cameras[camera].stream],
                    from_us: LONG_AGO_US,
                    to_us: None,
                    until_us: None,
                    reason: "it is simulated so".to_owned(),
                    who: "the simulator".to_owned(),
                };
                if let Ok((hold, ticket)) = store.hold(new) {
                    let (id, ticket) = (hold.id, Some(ticket));
                    self.set.push(Held { camera, id, ticket });
                }
                continue;
            }
            let (of_it, others): (Vec<_>, Vec<_>) =
                self.set.drain(..).partition(|held| held.camera == camera);
            self.set = others;
            for held in of_it {
                self.ended_us.insert(camera, world.now_us());
                let ended = store.unhold(&held.id, "it is over", "the simulator");
                if ended.is_err() || world.scarcity.borrow().state_fails() {
                    self.doubtful.insert(camera);
                }
            }
        }
    }

    /// Ends all of them.
    pub fn end(&mut self, world: &World, store: &Store) {
        self.set.clear();
        let Ok(holds) = store.holds() else { return };
        if !holds.is_empty() {
            let cameras = 0..world.fate.cameras.len();
            self.ended_us = cameras.map(|camera| (camera, world.now_us())).collect();
        }
        self.doubtful.clear();
        for hold in holds {
            _ = store.unhold(&hold.id, "it is over", "the simulator");
        }
    }

    /// The process has ended: what was not published may be gone.
    pub fn lose(&mut self) {
        let is_lost = |held: &Held| held.ticket.is_some();
        let lost = self.set.iter().filter(|held| is_lost(held));
        self.doubtful.extend(lost.map(|held| held.camera));
        self.set.retain(|held| !is_lost(held));
    }
}

/// What was published is there still, and what was deleted stands in it.
pub fn check(house: &House) -> Vec<String> {
    let keys: SharedKeys = {
        let m = house.m;
        Arc::new(move |_| Some(MetadataKey::from_bytes(m)))
    };
    let disks: Vec<Arc<dyn Disk>> = house
        .world
        .disks
        .iter()
        .map(|disk| Arc::new(disk.clone()) as Arc<dyn Disk>)
        .collect();
    let mut wrong = Vec::new();
    let ledger = house.world.ledger.borrow();
    let scarcity = house.world.scarcity.borrow();
    for (key, note) in &ledger.published {
        let key = LogKey::from_text(key).expect("a key that was published can be read");
        let seen = Checkpoint::verify(note, &key).expect("a checkpoint is signed");
        let holds = |disk: &Arc<dyn Disk>| {
            let files = LogFiles::open(&**disk, &house.store_id, &key.log());
            files.is_ok_and(|files| goes_on(&files, &seen))
        };
        if !disks.iter().any(holds) {
            let (size, log) = (seen.size, key.log());
            wrong.push(format!(
                "{size} entries of the log {log} were published, and no disk has them"
            ));
        }
    }
    let mut deleted = BTreeMap::new();
    for disk in &disks {
        let chain = find(std::slice::from_ref(disk), &house.store_id, &*keys);
        for log in &chain.logs {
            match deletions(log, &keys) {
                Ok(of_it) => deleted.extend(of_it),
                Err(what) => wrong.push(what),
            }
        }
    }
    for removed in &ledger.removed {
        let Some((.., id)) = place_of(&removed.path) else {
            continue;
        };
        match deleted.get(&id) {
            Some(DeletionCause::Age) => {
                wrong.push(format!("{id} was deleted for its age, within minutes"));
            }
            None if scarcity.forgotten.contains(&id) => {}
            None if ledger.known.contains_key(&id) => {
                wrong.push(format!("{id} was deleted, and no log says so"));
            }
            _ => {}
        }
    }
    wrong
}

/// Whether a log on a disk is what was published, or goes on from it.
fn goes_on(files: &LogFiles, seen: &Checkpoint) -> bool {
    let now = &files.checkpoint;
    if now.size < seen.size {
        return false;
    }
    let proof = files.consistency(seen.size, now.size);
    proof.is_ok_and(|proof| {
        merkle::verify_consistency(seen.size, now.size, &proof, &seen.root, &now.root).is_ok()
    })
}

/// What a log says was deleted. All its entries open, and add up to what was signed.
fn deletions(log: &FoundLog, keys: &SharedKeys) -> Result<Vec<(SegmentId, DeletionCause)>, String> {
    let (mut reader, mut found) = (Reader::new(Arc::clone(keys)), Vec::new());
    loop {
        let read = reader.next(&log.files);
        let read = read.map_err(|flaw| format!("a log cannot be read: {flaw}"))?;
        if read.is_empty() {
            return Ok(found);
        }
        for (index, stamped) in read {
            let stamped = stamped.map_err(|error| format!("entry {index} of a log: {error}"))?;
            if let Record::Deleted(deleted) = stamped.record {
                let segments = deleted.segments.iter();
                found.extend(segments.map(|deleted_one| (deleted_one.segment, deleted.cause)));
            }
        }
    }
}
