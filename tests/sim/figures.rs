//! What a life was like, in numbers.

use std::fmt;

use crate::footage::Judged;
use crate::house::House;
use crate::ledger::Asked;

/// How much may be excused at most, percent.
const PICTURES_EXCUSED_MAX: u64 = 30;
const HOLES_EXCUSED_MAX: u64 = 40;
const DELETIONS_EXCUSED_MAX: u64 = 30;
const BUDGETS_EXCUSED_MAX: u64 = 80;

/// See the fields; summed over seeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub simulated_s: u64,
    pub power_cuts: u64,
    pub kills: u64,
    pub pictures: u64,
    pub segments: u64,
    pub deleted: u64,
    /// Segments that were moved from a disk to another.
    pub moved: u64,
    /// Bytes of footage that were read again.
    pub read_again: u64,
    /// How often a disk said that it is full while it showed room.
    pub refusals: u64,
    /// Segments of which a recorder could tell nobody that it deleted them.
    pub forgotten: u64,
    pub judged: Judged,
    /// Deletions, of which each is to have its reason.
    pub deletions: Asked,
    /// How often it was looked at what lies on the disks, each second.
    pub budgets: Asked,
    /// How often it was looked at whether cameras are recorded, each second.
    pub progress: Asked,
    /// All that was done, and when, in one number.
    pub story: u64,
}

impl Figures {
    pub fn of(house: &House, judged: Judged) -> Self {
        let world = &house.world;
        let ledger = world.ledger.borrow();
        let cameras = world.cameras.borrow();
        Self {
            simulated_s: world.now_us() / 1_000_000,
            power_cuts: world.power_cuts.get(),
            kills: world.kills.get(),
            pictures: cameras.iter().map(|camera| camera.sent.len() as u64).sum(),
            segments: ledger.known.len() as u64,
            deleted: ledger.removed.len() as u64,
            moved: ledger.moved.len() as u64,
            read_again: world.upkeep.borrow().read_bytes(),
            refusals: world.scarcity.borrow().refusals,
            forgotten: world.scarcity.borrow().forgotten.len() as u64,
            judged,
            deletions: ledger.deletions,
            budgets: ledger.budgets,
            progress: ledger.progress,
            story: world.story.get(),
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.simulated_s += other.simulated_s;
        self.power_cuts += other.power_cuts;
        self.kills += other.kills;
        self.pictures += other.pictures;
        self.segments += other.segments;
        self.deleted += other.deleted;
        self.moved += other.moved;
        self.read_again += other.read_again;
        self.refusals += other.refusals;
        self.forgotten += other.forgotten;
        self.judged.pictures.add(&other.judged.pictures);
        self.judged.holes.add(&other.judged.holes);
        self.deletions.add(&other.deletions);
        self.budgets.add(&other.budgets);
        self.progress.add(&other.progress);
        self.story ^= other.story;
    }

    /// What of many lives is too little: one that asks nothing finds nothing.
    pub fn too_little(&self) -> Vec<String> {
        let Judged { pictures, holes } = &self.judged;
        let shares = [
            ("pictures", pictures, PICTURES_EXCUSED_MAX),
            ("holes", holes, HOLES_EXCUSED_MAX),
            ("deletions", &self.deletions, DELETIONS_EXCUSED_MAX),
            ("looks at budgets", &self.budgets, BUDGETS_EXCUSED_MAX),
            ("looks at cameras", &self.progress, BUDGETS_EXCUSED_MAX),
        ];
        let shares = shares.into_iter().filter_map(|(what, asked, max)| {
            let (percent, all) = (asked.percent(), asked.all);
            (all == 0 || percent > max)
                .then(|| format!("{percent} % of {all} {what} were excused, {max} % may be"))
        });
        let mut wrong: Vec<_> = shares.collect();
        if [self.moved, self.read_again, self.refusals].contains(&0) {
            wrong.push("nothing was moved, read again, or refused for want of room".to_owned());
        }
        wrong
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            simulated_s,
            power_cuts,
            kills,
            pictures,
            segments,
            deleted,
            moved,
            read_again,
            refusals,
            forgotten,
            judged: Judged {
                pictures: asked,
                holes,
            },
            deletions,
            budgets,
            progress,
            story,
        } = self;
        let hours = simulated_s / 3600;
        write!(
            f,
            "{hours} h simulated, {power_cuts} power cuts, {kills} kills, {pictures} pictures, {segments} segments, {deleted} deleted, {moved} moved, {} MB read again, {refusals} times no room where some is shown, {forgotten} deletions forgotten; excused: {} % of pictures, {} % of {} holes, {} % of deletions, {} % of {} looks at budgets, {} % of {} at cameras; story {story:016x}",
            read_again / 1_000_000,
            asked.percent(),
            holes.percent(),
            holes.all,
            deletions.percent(),
            budgets.percent(),
            budgets.all,
            progress.percent(),
            progress.all,
        )
    }
}
