//! What a segment's file says to somebody who holds M and no other secret: read from its two ends, or walked.

use std::io;
use std::path::{Path, PathBuf};

use hearthkeep_format::segment::locked::{self, TAIL_LEN, Tail};
use hearthkeep_format::segment::{self, End, HEADER_LEN, Header, ReadAt, ReadError, Start};
use hearthkeep_format::{EpochId, MetadataKey, Random, SegmentId, StoreId, StreamId};
use sha2::{Digest as _, Sha256};

use super::anchors::Anchors;
use super::catalog::Entry;
use super::writer::NewSegment;
use super::{layout, rewrite};
use crate::disk::{Disk, Front};

/// The metadata key of a generation, if this process has it.
pub type Keys = dyn Fn(u32) -> Option<MetadataKey> + Send + Sync;

/// Where a file lies: its path says which segment it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The stream's folder.
    pub stream: StreamId,
    /// The epoch's folder.
    pub epoch: EpochId,
    /// The file's name.
    pub segment: SegmentId,
}

impl Place {
    /// Where the file of a catalogued segment lies.
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            stream: entry.stream,
            epoch: entry.epoch,
            segment: entry.segment,
        }
    }

    /// Where the file of one that is being written lies.
    pub(super) fn of_new(new: &NewSegment) -> Self {
        Self {
            stream: new.stream,
            epoch: new.epoch,
            segment: new.segment,
        }
    }

    /// The path of its file.
    pub fn path(&self) -> PathBuf {
        layout::segment_path(&self.stream, &self.epoch, &self.segment)
    }

    /// The place that a path stands for, if it is a segment's.
    pub fn of_path(path: &Path) -> Option<Self> {
        let below = path.strip_prefix(layout::FOOTAGE).ok()?;
        let mut names = below.iter().map(|name| name.to_str());
        let place = Self {
            stream: StreamId::from_hex(names.next()??)?,
            epoch: EpochId::from_hex(names.next()??)?,
            segment: layout::segment_of(names.next()??)?,
        };
        names.next().is_none().then_some(place)
    }
}

/// What both ends of a file say.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The header.
    pub header: Header,
    /// The start block.
    pub start: Start,
    /// The end block; of a torn file, what its whole chunks add up to.
    pub end: End,
    /// Whether it was torn, and got its tail at a later start.
    pub recovered: bool,
    /// Length of the file, bytes.
    pub bytes: u64,
}

/// What a file is.
#[derive(Debug)]
pub enum Inspected {
    /// A segment with both ends.
    Whole(Box<Facts>),
    /// A segment of this store without a valid tail: torn, or still being written.
    Torn,
    /// Something that is left alone.
    Strange(Strange),
}

/// Why a file is left alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Strange {
    /// It is no segment.
    #[error("it is no segment file: {0}")]
    NoSegment(hearthkeep_format::Error),
    /// It is another store's.
    #[error("it belongs to another store ({0})")]
    OtherStore(StoreId),
    /// It is not what its path says.
    #[error("it is another segment than its path says: it was moved or renamed")]
    Misplaced,
    /// It is on another disk too, and they differ.
    #[error(
        "another disk has the same segment with other content: keep the one that `hearthkeep check` finds whole"
    )]
    Twice,
    /// Its generation's metadata key is not here.
    #[error("it is of generation {0}, whose metadata key this recorder does not have")]
    UnknownGeneration(u32),
    /// It is damaged where it matters.
    #[error("{0}; the rest of it may still be opened with `hearthkeep export`")]
    Damaged(hearthkeep_format::Error),
    /// It cannot be read or written.
    #[error("the disk failed: {0}")]
    Io(#[from] io::Error),
}

impl From<ReadError> for Strange {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::Format(error) => Self::Damaged(error),
        }
    }
}

impl Facts {
    /// The same at its true time, as far as that is known.
    #[must_use]
    pub fn corrected(mut self, anchors: &Anchors) -> Self {
        self.start = anchors.corrected(&self.start);
        self
    }

    /// The catalog's entry of it.
    pub fn entry(&self, disk: u16) -> Entry {
        Entry {
            stream: self.header.stream,
            kind: self.header.kind,
            epoch: self.header.epoch,
            segment: self.header.segment_id(),
            disk,
            start_us: self.start.wall_us,
            duration_us: self.end.duration_us,
            bytes: u32::try_from(self.bytes).unwrap_or(u32::MAX),
            sequence: self.start.sequence,
            clock_trusted: self.start.clock_trusted,
            recovered: self.recovered,
            tombstone: false,
            torn: false,
            gap: self.start.gap,
        }
    }
}

/// Reads header and tail of a file, and nothing between.
pub fn inspect(file: &Front, place: &Place, store: &StoreId, keys: &Keys) -> Inspected {
    match read_ends(file, place, store, keys) {
        Ok(Some(facts)) => Inspected::Whole(Box::new(facts)),
        Ok(None) => Inspected::Torn,
        Err(strange) => Inspected::Strange(strange),
    }
}

/// A head that can be used.
pub struct UsableHead {
    /// Its header.
    pub header: Header,
    /// The key of its generation.
    pub m: MetadataKey,
    /// Its start block.
    pub start: Start,
    /// The hash of its envelope.
    pub envelope: [u8; 32],
}

/// The head of a segment, torn or not: the first, or else the copy.
///
/// # Errors
/// What keeps the first from being used, when neither can be.
pub fn find_head(
    file: &Front,
    place: &Place,
    store: &StoreId,
    keys: &Keys,
) -> Result<UsableHead, Strange> {
    let layout = find_layout(file)?;
    let check = |head: &segment::Head| {
        let header = head.header.clone();
        let m = check_header(&header, place, store, keys)?;
        let start = locked::open_start(header.as_bytes(), &m).map_err(Strange::Damaged)?;
        let envelope = &head.bytes[HEADER_LEN..header.first_chunk_offset as usize];
        let envelope = Sha256::digest(envelope).into();
        Ok(UsableHead {
            header,
            m,
            start,
            envelope,
        })
    };
    let first = match &layout.first {
        Ok(head) => check(head),
        Err(error) => Err(Strange::NoSegment(error.clone())),
    };
    match (first, &layout.copy) {
        (Err(strange), Some(Ok(copy))) => check(copy).map_err(|_| strange),
        (first, _) => first,
    }
}

/// What the start block of a segment says, torn or not; `None` where that is not there or cannot be opened.
///
/// # Errors
/// When the file cannot be read.
pub fn start_of(
    file: &Front,
    place: &Place,
    store: &StoreId,
    keys: &Keys,
) -> io::Result<Option<Start>> {
    let Ok(header) = read_header(file, 0)? else {
        return Ok(None);
    };
    let start = check_header(&header, place, store, keys)
        .ok()
        .and_then(|m| locked::open_start(header.as_bytes(), &m).ok());
    Ok(start)
}

/// Walks a file that has no valid tail, and says what there is of it: what [`mend`] would make of it.
///
/// # Errors
/// Why nothing can be said.
pub fn walk_torn(
    file: &Front,
    place: &Place,
    store: &StoreId,
    keys: &Keys,
) -> Result<Facts, Strange> {
    let found = find_layout(file)?;
    let header = found.head().header.clone();
    let m = check_header(&header, place, store, keys)?;
    let start = locked::open_start(header.as_bytes(), &m).map_err(Strange::Damaged)?;
    // The same computation as mending, so that what is listed now is what will be there then.
    let Some((bytes, end)) = segment::survey(file, &m)? else {
        return read_ends(file, place, store, keys)?.ok_or(Strange::Misplaced);
    };
    Ok(Facts {
        header,
        start,
        end,
        recovered: false,
        bytes,
    })
}

/// What became of a file without a valid tail.
#[derive(Debug)]
pub enum Mended {
    /// It has a tail now, or had one.
    Whole(Box<Facts>),
    /// Its head had never been written whole: nothing could ever be opened of it. It was removed.
    Removed,
}

/// Cuts a torn file after its last whole chunk, and gives it copy and tail, durably. Where it is the copy that is needed, nothing
/// is cut: a new file is written beside.
///
/// # Errors
/// Why it was left as it is.
pub fn mend(
    disk: &dyn Disk,
    path: &Path,
    place: &Place,
    store: &StoreId,
    keys: &Keys,
    random: &mut dyn Random,
) -> Result<Mended, Strange> {
    let front = Front::whole(disk.open_write(path)?)?;
    if is_headless(&front, place, store, keys)? {
        drop(front);
        disk.remove_file(path)?;
        disk.sync_folder(path.parent().unwrap_or(Path::new("")))?;
        return Ok(Mended::Removed);
    }
    let layout = find_layout(&front)?;
    let m = check_header(&layout.head().header, place, store, keys)?;
    let layout = segment::Layout::find(&front, Some(&m))?;
    // The head that opens may be the copy, which has not been compared yet.
    check_header(&layout.head().header, place, store, keys)?;
    if layout.first.is_err() {
        rewrite::restore(disk, path, &m, random)?;
    } else if let Some(recovery) = segment::recover(&front, &m, random)? {
        let file = front.file();
        file.truncate(recovery.keep)?;
        file.append(&mut [io::IoSlice::new(&recovery.append)])?;
        file.sync_data()?;
        disk.sync_folder(path.parent().unwrap_or(Path::new("")))?;
    }
    let front = Front::whole(disk.open_read(path)?)?;
    match read_ends(&front, place, store, keys)? {
        Some(facts) => Ok(Mended::Whole(Box::new(facts))),
        None => Err(Strange::Damaged(hearthkeep_format::Error::Tampered {
            what: "tail",
        })),
    }
}

/// Where the parts of a file are; it is no segment where neither of its heads can be found.
fn find_layout(file: &Front) -> Result<segment::Layout, Strange> {
    segment::Layout::find(file, None).map_err(|error| match error {
        ReadError::Format(error) => Strange::NoSegment(error),
        ReadError::Io(error) => Strange::Io(error),
    })
}

/// Whether a file of this store holds nothing: it ends before its first chunk does, or is nothing but zeros, written and
/// never durable.
///
/// It is removed for that, so nothing is believed here that damage could have changed: what there is of the header must be
/// this segment's, and the lengths must be those that were sealed. Anything else is left for somebody to look at.
fn is_headless(file: &Front, place: &Place, store: &StoreId, keys: &Keys) -> io::Result<bool> {
    let mut start = vec![0; file.size().min(HEADER_LEN as u64) as usize];
    file.read_at(0, &mut start)?;
    if start.iter().all(|byte| *byte == 0) {
        return is_all_zero(file);
    }
    if start.len() < HEADER_LEN {
        return Ok(begins(&start, place, store));
    }
    let header = Header::parse(&start).ok();
    let Some((header, m)) = header.and_then(|header| {
        let m = check_header(&header, place, store, keys).ok()?;
        locked::open_start(header.as_bytes(), &m).ok()?;
        Some((header, m))
    }) else {
        return Ok(false);
    };
    let chunk = u64::from(header.first_chunk_offset);
    let mut prefix = [0; segment::CHUNK_HEADER_LEN];
    if chunk + prefix.len() as u64 > file.size() {
        return Ok(true);
    }
    file.read_at(chunk, &mut prefix)?;
    let length = locked::chunk_len(&prefix).ok();
    let length = length.filter(|_| locked::open_index(header.as_bytes(), &prefix, &m).is_ok());
    Ok(length.is_some_and(|length| chunk + length as u64 > file.size()))
}

/// Whether these bytes, fewer than a header has, are what the header of this segment begins with.
fn begins(start: &[u8], place: &Place, store: &StoreId) -> bool {
    let ids = [
        (0, &segment::MAGIC[..]),
        (16, store.as_bytes()),
        (32, place.stream.as_bytes()),
        (48, place.epoch.as_bytes()),
        (76, place.segment.as_bytes()),
    ];
    ids.iter().all(|(at, expected)| {
        let there = start.get(*at..).unwrap_or_default();
        there.iter().zip(*expected).all(|(a, b)| a == b)
    })
}

fn is_all_zero(file: &Front) -> io::Result<bool> {
    let mut piece = vec![0; 64 * 1024];
    let mut at = 0;
    while at < file.size() {
        let length = (file.size() - at).min(piece.len() as u64) as usize;
        file.read_at(at, &mut piece[..length])?;
        if piece[..length].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

/// `None` where the tail is missing or does not open.
fn read_ends(
    file: &Front,
    place: &Place,
    store: &StoreId,
    keys: &Keys,
) -> Result<Option<Facts>, Strange> {
    let Some(tail_at) = file.size().checked_sub((HEADER_LEN + TAIL_LEN) as u64) else {
        return Ok(None);
    };
    let tail_at = tail_at + HEADER_LEN as u64;
    let mut tail_bytes = [0; TAIL_LEN];
    file.read_at(tail_at, &mut tail_bytes)?;
    let tail = Tail::parse(&tail_bytes);
    let head = |at| read_head(file, at, place, store, keys);
    let (header, m, start) = match (head(0), tail) {
        // The first header or its start block is damaged: the copy says the same.
        (Err(strange), Some(tail)) => head(u64::from(tail.copy_offset)).map_err(|_| strange)?,
        (read, _) => read?,
    };
    let end = tail.and_then(|tail| {
        let end = locked::open_end(header.as_bytes(), &tail_bytes, &m).ok()?;
        Some((end, tail.recovered))
    });
    Ok(end.map(|(end, recovered)| Facts {
        header,
        start,
        end,
        recovered,
        bytes: file.size(),
    }))
}

fn read_head(
    file: &Front,
    at: u64,
    place: &Place,
    store: &StoreId,
    keys: &Keys,
) -> Result<(Header, MetadataKey, Start), Strange> {
    let header = read_header(file, at)?.map_err(Strange::NoSegment)?;
    let m = check_header(&header, place, store, keys)?;
    let start = locked::open_start(header.as_bytes(), &m).map_err(Strange::Damaged)?;
    Ok((header, m, start))
}

fn read_header(file: &Front, at: u64) -> io::Result<hearthkeep_format::Result<Header>> {
    let mut bytes = [0; HEADER_LEN];
    if file.size() < at + HEADER_LEN as u64 {
        return Ok(Err(hearthkeep_format::Error::Truncated { what: "header" }));
    }
    file.read_at(at, &mut bytes)?;
    Ok(Header::parse(&bytes))
}

fn check_header(
    header: &Header,
    place: &Place,
    store: &StoreId,
    keys: &Keys,
) -> Result<MetadataKey, Strange> {
    if header.store != *store {
        return Err(Strange::OtherStore(header.store));
    }
    let says = (header.stream, header.epoch, header.segment_id());
    if says != (place.stream, place.epoch, place.segment) {
        return Err(Strange::Misplaced);
    }
    keys(header.generation).ok_or(Strange::UnknownGeneration(header.generation))
}
