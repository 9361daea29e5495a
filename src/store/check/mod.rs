//! Checking all that a store's disks hold: that every file is where it should be and what it should be, that what stands twice
//! is there twice, and that the segments are whole.
//!
//! Nothing is written, and nobody is kept waiting: a recorder may be at work beside it. Without a secret but the metadata keys
//! leaves, index entries, both ends and roots are looked at; with an identity every chunk is opened.

mod finding;
mod index;
mod logged;
mod material;
mod page;
mod segments;
mod slice;
mod state;
mod tree;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::{DiskId, OpenKeyring, SegmentId, StoreId, StreamId};

use super::anchors::Anchors;
use super::inspect::{Keys, Place};
use crate::disk::{Disk, Pace};
pub use finding::{Finding, Kind};
pub use index::{Compared, Indexed};
pub use material::look_at_keyrings;
pub(super) use material::look_beside;
pub use page::{Catalogued, From as PageFrom, Page};
pub(super) use segments::is_proven;
pub use segments::{Looked, Mistaken, Reading, Segments, look};
pub use slice::Slice;
pub use state::look_at_state;

/// The number of the state folder in a [`Finding`], among those of the disks.
pub const STATE: usize = usize::MAX;

/// A disk that is to be checked.
pub struct Subject {
    /// Its folder.
    pub path: PathBuf,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Its id, where it is known.
    pub id: Option<DiskId>,
    /// Files of it that are read at once.
    pub readers: usize,
}

/// What is known of a store.
pub struct Known<'a> {
    /// Its id.
    pub store: StoreId,
    /// Metadata keys by generation.
    pub keys: &'a Keys,
    /// Its streams; `None` where the list is not known.
    pub streams: Option<HashSet<StreamId>>,
    /// What each copy of the keyring must be; `None` where the disks vouch for themselves.
    pub keyring: Option<Vec<u8>>,
    /// The true time of what was recorded before the clock was known.
    pub anchors: &'a Anchors,
    /// Folders of its disks, also of those that are not here, and of its state: where one of them lies on a disk it is no stranger's.
    pub folders: Vec<PathBuf>,
    /// Whether a recorder may be at work on the disks.
    pub at_work: bool,
    /// Opens the footage, where everything is to be opened.
    pub open: Option<&'a OpenKeyring>,
}

/// What was found.
#[derive(Default)]
pub struct Findings {
    /// The segments, by how they end.
    pub segments: Segments,
    /// All that is not as it should be, by disk and path.
    pub found: Vec<Finding>,
    /// Those that have no tail: they are being written, or were torn.
    pub torn: Vec<(usize, Place)>,
    /// Torn segments with a wrong envelope of which the right one is known for sure.
    pub mistaken: Vec<Mistaken>,
    /// Segments that are there, for a comparison with a catalog.
    pub indexed: Vec<Indexed>,
    /// Those without a tail that catalog or log have as finished: nobody is to close them, which would hide that they were cut off.
    pub finished: HashSet<(usize, Place)>,
    /// Segments that the catalog has on disks that are not among these.
    pub away: HashSet<SegmentId>,
}

impl Findings {
    /// Whether something of this kind was found.
    pub fn has(&self, is_it: impl Fn(&Finding) -> bool) -> bool {
        self.found.iter().any(is_it)
    }

    /// The segments whose files were there, in whatever state.
    pub fn there(&self) -> HashSet<SegmentId> {
        let whole = self.indexed.iter().map(Indexed::segment);
        let torn = self.torn.iter().map(|(_, place)| place.segment);
        let told = self.found.iter().filter(|found| found.kind != Kind::Gone);
        let told = told.filter_map(|found| Some(Place::of_path(&found.path)?.segment));
        whole.chain(torn).chain(told).collect()
    }
}

/// Checks disks. `pace` is called with what is about to be read, bytes, and may wait; of segments that are not of the `slice` only
/// the ends are read.
pub fn check(disks: &[Subject], known: &Known<'_>, slice: Slice, pace: &Pace<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut places = Vec::with_capacity(disks.len());
    for (number, subject) in disks.iter().enumerate() {
        let mut found = Vec::new();
        material::look(number, subject, known, &mut found);
        places.push(tree::look(number, subject, known, &mut found));
        findings.found.append(&mut found);
    }
    segments::look_at_all(disks, known, places, slice, pace, &mut findings);
    findings.found.sort_by(|a, b| {
        let key = |finding: &Finding| (finding.disk, finding.path.clone());
        key(a).cmp(&key(b))
    });
    findings
}
