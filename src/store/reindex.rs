//! The catalog made anew from the footage. Of disks that are not here the one before it is all that is known.

use std::collections::HashSet;

use hearthkeep_format::{DiskId, SegmentId};

use super::anchors::Anchors;
use super::catalog::{Catalog, CatalogError, Copied, Memory, Opened};
use super::lock::Lock;
use super::opening::prepare_with;
use super::recovery::Report;
use super::{AbsentDisk, Error, Options, Result, Store, reserve};

/// Entries that are carried over at once.
const ENTRIES_AT_ONCE: usize = 512;

/// A catalog that was made anew.
pub struct Reindexed {
    /// What was found on the disks.
    pub report: Report,
    /// What became of the entries of disks that are not here.
    pub carried: Carried,
    /// The segments among these; `None` where it is not known what is on a disk that is not here.
    pub away: Option<HashSet<SegmentId>>,
}

/// What became of the entries of disks that are not here.
#[derive(Debug)]
pub enum Carried {
    /// So many segments are in the new catalog as they were in the one before it; none where all disks are here.
    All(u64),
    /// The one before it could not be asked, or does not know one of them. What lies there is unknown until those disks are back.
    Unknown(String),
}

/// Of which disks entries are carried over.
struct Away {
    here: HashSet<DiskId>,
    absent: HashSet<DiskId>,
    /// One that is not here was not known at its path: it may be any.
    any: bool,
}

impl Store {
    /// Rebuilds the catalog wholly from the disks: both ends of every segment are read. The new one is made beside the old one,
    /// and takes its place when it is whole. What the old one has of disks that are not here is carried over.
    ///
    /// # Errors
    /// As [`Store::open`], or when a disk cannot be listed: then the old one is as it was.
    pub fn reindex(options: Options, _lock: &Lock) -> Result<Reindexed> {
        if options.disks.is_empty() {
            return Err(Error::NoDisk);
        }
        let away = Away::of(&options);
        let before = away.is_any().then(|| Before::read(&options, &away));
        let (opened, successor) = match &options.catalog {
            Some(shelf) => {
                let failed = |error| Error::io("remove", &options.state_dir, error);
                shelf.remove().map_err(failed)?;
                (Catalog::open_from(&**shelf, &options.store)?, None)
            }
            None => {
                let (opened, successor) =
                    reserve::begin_beside(&options.state_dir, &options.store)?;
                (opened, Some(successor))
            }
        };
        let shared = prepare_with(options, opened)?;
        let disks: Vec<_> = shared
            .slots
            .mounted()
            .iter()
            .map(|disk| disk.patient())
            .collect();
        let logged = Anchors::logged(&disks, &shared.store, &shared.keys).all();
        shared.anchors.join(logged, shared.clock.boot_id());
        let carried = match before.transpose() {
            Ok(None) => Carried::All(0),
            Ok(Some(before)) => {
                let carried = away.carry(before.catalog(), &shared.catalog)?;
                match away.is_known_to(before.catalog()) {
                    true => Carried::All(carried),
                    false => Carried::Unknown("it does not know that disk".to_owned()),
                }
            }
            Err(why) => Carried::Unknown(why),
        };
        let mut report = Report::default();
        let elsewhere = |number| shared.other(number);
        for disk in shared.slots.mounted() {
            let recovery = shared.recovery(disk.number(), &*disk.disk, &elsewhere);
            let epochs = recovery
                .epochs(&mut report)
                .map_err(|e| Error::io("list", &disk.path, e))?;
            for (stream, epoch) in &epochs {
                report.add(recovery.epoch(stream, epoch)?);
            }
        }
        shared.catalog.flush()?;
        let away = match &carried {
            Carried::All(_) => Some(away.segments(&shared.catalog)?),
            Carried::Unknown(_) => None,
        };
        drop(shared);
        if let Some(successor) = successor {
            successor.take_over()?;
        }
        Ok(Reindexed {
            report,
            carried,
            away,
        })
    }
}

/// The catalog before the new one.
enum Before {
    Copied(Copied),
    /// What was wanted of one that is kept elsewhere than in the state folder.
    Kept(Catalog),
}

impl Before {
    fn read(options: &Options, away: &Away) -> Result<Self, String> {
        let whole = |opened: &Opened| match (&opened.moved_aside, opened.fresh) {
            (Some((why, _)), _) => Err(why.to_string()),
            (None, true) => Err("there was none".to_owned()),
            (None, false) => Ok(()),
        };
        let words = |error: CatalogError| error.to_string();
        let Some(shelf) = &options.catalog else {
            let copied = Copied::of(&options.state_dir, &options.store).map_err(words)?;
            let copied = copied.ok_or("there was none")?;
            whole(&copied.opened)?;
            return Ok(Self::Copied(copied));
        };
        let opened = Catalog::open_from(&**shelf, &options.store).map_err(words)?;
        whole(&opened)?;
        let kept = Catalog::open_from(&Memory::default(), &options.store).map_err(words)?;
        away.carry(&opened.catalog, &kept.catalog).map_err(words)?;
        Ok(Self::Kept(kept.catalog))
    }

    fn catalog(&self) -> &Catalog {
        match self {
            Self::Copied(copied) => &copied.opened.catalog,
            Self::Kept(catalog) => catalog,
        }
    }
}

impl Away {
    fn of(options: &Options) -> Self {
        let ids = |disk: &AbsentDisk| disk.id;
        let away = options.absent.iter().chain(&options.left_out);
        Self {
            here: options.disks.iter().map(|disk| disk.id).collect(),
            absent: away.filter_map(ids).collect(),
            any: options.absent.iter().any(|disk| disk.id.is_none()),
        }
    }

    fn is_any(&self) -> bool {
        self.any || !self.absent.is_empty()
    }

    fn has(&self, disk: &DiskId) -> bool {
        !self.here.contains(disk) && (self.any || self.absent.contains(disk))
    }

    /// Whether a catalog says what is on all of these disks: one that was made anew without them has never heard of them.
    fn is_known_to(&self, catalog: &Catalog) -> bool {
        let is_known = |disk: &DiskId| catalog.known_number(disk).is_some();
        let mut others = (0..=u16::MAX).map_while(|number| catalog.disk(number));
        self.absent.iter().all(is_known) && (!self.any || others.any(|disk| self.has(&disk)))
    }

    /// The segments that a catalog has on these disks.
    fn segments(&self, catalog: &Catalog) -> Result<HashSet<SegmentId>, CatalogError> {
        let disks = (0..=u16::MAX).map_while(|number| Some((number, catalog.disk(number)?)));
        let wanted = disks.filter(|(_, disk)| self.has(disk));
        let wanted: HashSet<u16> = wanted.map(|(number, _)| number).collect();
        let mut segments = HashSet::new();
        for stream in catalog.streams() {
            for entry in catalog.oldest_first_on(&stream, wanted.clone()) {
                segments.insert(entry?.segment);
            }
        }
        Ok(segments)
    }

    /// Enters into `to` what `from` has of these disks; says how many segments that is.
    fn carry(&self, from: &Catalog, to: &Catalog) -> Result<u64, CatalogError> {
        let disks = (0..=u16::MAX).map_while(|number| Some((number, from.disk(number)?)));
        let wanted: Vec<_> = disks.filter(|(_, disk)| self.has(disk)).collect();
        let mut carried = 0;
        for (number, disk) in wanted {
            let there = to.disk_number(&disk)?;
            for stream in from.streams() {
                let mut entries = from.oldest_first_on(&stream, HashSet::from([number]));
                loop {
                    let piece = entries.by_ref().take(ENTRIES_AT_ONCE);
                    let mut piece = piece.collect::<Result<Vec<_>, _>>()?;
                    if piece.is_empty() {
                        break;
                    }
                    piece.iter_mut().for_each(|entry| entry.disk = there);
                    to.insert(&piece)?;
                    carried += piece.len() as u64;
                }
            }
        }
        Ok(carried)
    }
}
