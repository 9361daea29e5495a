//! What is not as it should be.

use std::ops::Range;
use std::path::PathBuf;

use hearthkeep_format::StreamId;

use crate::store::inspect::Place;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// On which of the disks.
    pub disk: usize,
    /// Where, below the disk's folder.
    pub path: PathBuf,
    /// In words.
    pub what: String,
    /// Whose footage it is about.
    pub stream: Option<StreamId>,
    /// The wall time of the footage that is lost, us; of all that the file holds, where nothing is known to be lost.
    pub span_us: Option<Range<i64>>,
    /// How much footage is lost for good, us; `None` where that cannot be told.
    pub lost_us: Option<u64>,
    /// Whether `hearthkeep repair` makes it whole again.
    pub repairable: bool,
    /// How many of the file's sectors the disk cannot read.
    pub bad_sectors: usize,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal $group:ident,)*) => {
        /// What can be wrong. Scripts rely on the names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in interfaces.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether something of this store is damaged or lost; else it is something that does not belong where it is.
            pub const fn is_damage(self) -> bool {
                match self { $(Self::$name => kinds!(@ $group),)* }
            }
        }
    };
    (@ damage) => { true };
    (@ strange) => { false };
}

kinds! {
    /// Chunks of a segment are missing or cannot be opened.
    Chunks = "chunks" damage,
    /// A segment's chunks are right and not those that it was finished with.
    Root = "root" damage,
    /// Neither head of a segment can be used.
    Refused = "refused" damage,
    /// The first head of a segment; the copy serves.
    Head = "head" damage,
    /// The copy of the head; the first serves.
    Copy = "copy" damage,
    /// The tail of a segment.
    Tail = "tail" damage,
    /// Bytes in a segment that belong to nothing.
    Stray = "stray" damage,
    /// The envelope is another one than in the other segments of the epoch.
    Envelope = "envelope" damage,
    /// A file or folder that the disk cannot read.
    Unreadable = "unreadable" damage,
    /// The id file.
    IdFile = "id-file" damage,
    /// A copy of the keyring.
    Keyring = "keyring" damage,
    /// A copy of the signed log, as the background scrub tells of it: `hearthkeep check` names those apart.
    Log = "log" damage,
    /// A small file of the state folder.
    State = "state" damage,
    /// A segment that the catalog knows and that is not there.
    Gone = "gone" damage,
    /// The catalog says something else of a segment than its file.
    Catalog = "catalog" damage,
    /// A segment of another store.
    Foreign = "foreign" strange,
    /// A segment that is another one than its path says.
    Misplaced = "misplaced" strange,
    /// Footage of a stream that the keyring does not name.
    UnknownStream = "unknown-stream" strange,
    /// A segment of a generation whose metadata key is not here.
    UnknownGeneration = "unknown-generation" strange,
    /// A file that is named as a segment and is none.
    NoSegment = "no-segment" strange,
    /// What an interrupted write left.
    Leftover = "leftover" strange,
    /// A file or folder that is none of this program's.
    Stranger = "stranger" strange,
    /// A folder that is none of this program's and that cannot be looked through: a disk of this store may lie in it.
    Unexplored = "unexplored" strange,
}

impl Finding {
    /// One about a file, of which nothing else is known.
    pub fn new(kind: Kind, disk: usize, path: impl Into<PathBuf>, what: impl ToString) -> Self {
        Self {
            kind,
            disk,
            path: path.into(),
            what: what.to_string(),
            stream: None,
            span_us: None,
            lost_us: None,
            repairable: false,
            bad_sectors: 0,
        }
    }

    /// A segment that the catalog or the log has as a finished one is without its end.
    pub(super) fn cut(disk: usize, place: &Place) -> Self {
        let what = "its end is missing: it was finished, and has been cut off since";
        Self {
            stream: Some(place.stream),
            ..Self::new(Kind::Chunks, disk, place.path(), what)
        }
    }

    /// A segment that the catalog has is not there.
    pub(in crate::store) fn gone(disk: usize, place: &Place) -> Self {
        let what = "the catalog knows this segment, and its file is not there";
        Self {
            stream: Some(place.stream),
            ..Self::new(Kind::Gone, disk, place.path(), what)
        }
    }

    /// The same, of what `hearthkeep repair` makes whole.
    pub(super) fn repairable(mut self) -> Self {
        (self.repairable, self.lost_us) = (true, Some(0));
        self
    }
}
