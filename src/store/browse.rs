//! Reading a store from another process than the recorder's: straight from the disks, with M, without the catalog and without
//! the lock.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::{EpochId, SegmentId, StoreId, StreamId};

use super::anchors::Anchors;
use super::inspect::{Facts, Inspected, Keys, Place, Strange, inspect, walk_torn};
use super::layout;
use super::recovery::ids;
use crate::disk::{Disk, Front};

/// A segment found on a disk.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What it says of itself.
    pub facts: Facts,
    /// Where it lies, below the disk's folder.
    pub path: PathBuf,
    /// Which of the disks it lies on: the index in what was browsed.
    pub disk: usize,
    /// Whether it has no tail yet: it is being written, or was torn. `facts` speaks of its whole chunks.
    pub open: bool,
}

impl Oddity {
    /// Whether it is a segment of this store whose footage is lost with it, and not something that strayed here.
    pub fn is_loss(&self) -> bool {
        matches!(self.why, Strange::Damaged(_) | Strange::Io(_))
    }
}

impl Listed {
    /// Wall time of its footage, in microseconds.
    pub fn span(&self) -> Range<i64> {
        let start_us = self.facts.start.wall_us;
        start_us..start_us.saturating_add_unsigned(self.facts.end.duration_us)
    }
}

/// A file that is no segment one could use.
#[derive(Debug)]
pub struct Oddity {
    /// Where it lies, below the disk's folder.
    pub path: PathBuf,
    /// The segment that it should be, by its name.
    pub segment: SegmentId,
    /// Which of the disks it lies on.
    pub disk: usize,
    /// What is wrong.
    pub why: Strange,
}

/// All segments of a store's disks, or of one stream, in the order of stream and time. A stream that was recorded on two disks
/// which did not know of each other has sequences twice: only where times are the same does the sequence decide.
#[derive(Debug, Default)]
pub struct Listing {
    /// The segments.
    pub segments: Vec<Listed>,
    /// Everything else.
    pub oddities: Vec<Oddity>,
}

impl Listing {
    /// The same with all segments at their true times, as far as those are known.
    #[must_use]
    pub fn corrected(mut self, anchors: &Anchors) -> Self {
        for listed in &mut self.segments {
            listed.facts.start = anchors.corrected(&listed.facts.start);
        }
        self.sort();
        self
    }

    fn sort(&mut self) {
        self.segments.sort_by_key(|listed| {
            let facts = &listed.facts;
            (
                facts.header.stream,
                facts.start.wall_us,
                facts.start.sequence,
                facts.header.segment_id(),
                listed.open,
            )
        });
    }
}

/// Lists segments by reading both ends of each file; of a file without a tail, all of it.
///
/// A segment that is deleted meanwhile is not listed, one that is begun meanwhile may be.
///
/// # Errors
/// When a disk cannot be listed.
pub fn list(
    disks: &[Arc<dyn Disk>],
    store: &StoreId,
    keys: &Keys,
    stream: Option<&StreamId>,
) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for (index, disk) in disks.iter().enumerate() {
        let mut streams = ids(&**disk, Path::new(layout::FOOTAGE), StreamId::from_hex)?;
        streams.retain(|found| stream.is_none_or(|wanted| wanted == found));
        for stream in streams {
            let folder = layout::stream_folder(&stream);
            for epoch in ids(&**disk, &folder, EpochId::from_hex)? {
                list_epoch(&mut listing, (index, &**disk), store, keys, (stream, epoch))?;
            }
        }
    }
    listing.sort();
    Ok(listing)
}

fn list_epoch(
    listing: &mut Listing,
    (index, disk): (usize, &dyn Disk),
    store: &StoreId,
    keys: &Keys,
    (stream, epoch): (StreamId, EpochId),
) -> io::Result<()> {
    for segment in ids(
        disk,
        &layout::epoch_folder(&stream, &epoch),
        layout::segment_of,
    )? {
        let path = layout::segment_path(&stream, &epoch, &segment);
        let place = Place {
            stream,
            epoch,
            segment,
        };
        match look(disk, &path, &place, store, keys) {
            Ok((facts, open)) => {
                let facts = *facts;
                listing.segments.push(Listed {
                    facts,
                    path,
                    disk: index,
                    open,
                });
            }
            Err(Strange::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(why) => listing.oddities.push(Oddity {
                path,
                segment,
                disk: index,
                why,
            }),
        }
    }
    Ok(())
}

/// Looks at one segment; says also whether it has no tail yet.
///
/// # Errors
/// What keeps it from being used.
pub fn look(
    disk: &dyn Disk,
    path: &Path,
    place: &Place,
    store: &StoreId,
    keys: &Keys,
) -> Result<(Box<Facts>, bool), Strange> {
    let read = || Ok::<_, io::Error>(Front::whole(disk.open_read(path)?)?.past_bad_sectors());
    let file = read()?;
    match inspect(&file, place, store, keys) {
        Inspected::Whole(facts) => Ok((facts, false)),
        Inspected::Strange(why) => Err(why),
        Inspected::Torn => match walk_torn(&file, place, store, keys) {
            Ok(facts) => Ok((Box::new(facts), true)),
            // It may have been finished between the two looks.
            Err(why) => match inspect(&read()?, place, store, keys) {
                Inspected::Whole(facts) => Ok((facts, false)),
                _ => Err(why),
            },
        },
    }
}
