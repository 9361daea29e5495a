//! What a life was like, in numbers.

use std::fmt;

use crate::house::House;

/// See the fields; summed over seeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub simulated_s: u64,
    pub power_cuts: u64,
    pub kills: u64,
    pub pictures: u64,
    pub segments: u64,
    pub deleted: u64,
    /// All that was done, and when, in one number.
    pub story: u64,
}

impl Figures {
    pub fn of(house: &House) -> Self {
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
        self.story ^= other.story;
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
            story,
        } = self;
        let hours = simulated_s / 3600;
        write!(
            f,
            "{hours} h simulated, {power_cuts} power cuts, {kills} kills, {pictures} pictures, {segments} segments, {deleted} deleted, story {story:016x}"
        )
    }
}
