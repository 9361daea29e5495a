//! The writer's work: a batch is taken, written, synced and acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hearthkeep_format::SegmentId;

use super::queue::{Charge, Command, Queue, Queued, Taken};
use super::{Errors, Event, Latency, Segment, State};
use crate::clock::Clock;
use crate::disk::{Disk, DiskFile};
use crate::store::layout;
use crate::store::turns::{self, Next};

/// Names of folders that are remembered to be durable.
const DURABLE_NAMES_MAX: usize = 4096;

/// What a writer works with.
pub(super) struct Work<L> {
    queue: Arc<Queue>,
    listener: L,
    growing: BTreeMap<SegmentId, Growing>,
    tools: Tools,
}

struct Tools {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    latency: Arc<Mutex<Latency>>,
    errors: Arc<Errors>,
    names: Names,
}

/// Which names of folders this process has made durable. That a folder is there says nothing of that: a crash may have come
/// between making it and syncing the one above.
#[derive(Default)]
struct Names {
    durable: BTreeSet<PathBuf>,
    /// Folders that hold a name which is not yet durable, and which folders they name so.
    unsynced: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

/// A segment whose file grows.
struct Growing {
    segment: Arc<Segment>,
    file: Option<Box<dyn DiskFile>>,
    pending: Vec<Bytes>,
    charges: Vec<Charge>,
    written_bytes: u64,
    reached_us: u64,
    end: Option<State>,
}

impl<L: FnMut(Event) + Send + 'static> turns::Work for Work<L> {
    fn turn(&mut self) -> Next {
        match self.queue.take() {
            Taken::Batch(batch) => {
                self.do_batch(batch);
                self.queue.done()
            }
            Taken::Nothing(next) => next,
            Taken::Lost => {
                let growing: Vec<_> = self.growing.keys().copied().collect();
                growing.iter().for_each(|id| self.poison(id, gone()));
                Next::Never
            }
        }
    }
}

impl<L: FnMut(Event)> Work<L> {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        queue: Arc<Queue>,
        (latency, errors): (Arc<Mutex<Latency>>, Arc<Errors>),
        listener: L,
    ) -> Self {
        let tools = Tools {
            disk,
            clock,
            latency,
            errors,
            names: Names::default(),
        };
        Self {
            queue,
            listener,
            growing: BTreeMap::new(),
            tools,
        }
    }

    fn do_batch(&mut self, batch: Vec<Queued>) {
        let mut touched = BTreeSet::new();
        for queued in batch {
            touched.extend(self.sort(queued));
        }
        let errors = Arc::clone(&self.tools.errors);
        self.each(&touched, &errors.write, Growing::write);
        self.each(&touched, &errors.sync, Growing::sync);
        self.sync_folders(&touched);
        for id in &touched {
            self.acknowledge(id);
        }
    }

    /// Puts a command to its segment; `None` where that is poisoned or gone.
    fn sort(&mut self, Queued { command, charge }: Queued) -> Option<SegmentId> {
        let (segment, bytes) = match &command {
            Command::Create { segment, bytes }
            | Command::Append { segment, bytes, .. }
            | Command::Finish { segment, bytes, .. } => (segment, bytes.clone()),
            Command::Abandon { segment } => (segment, Bytes::new()),
        };
        let id = segment.new.segment;
        if let Command::Create { segment, .. } = &command {
            self.growing.insert(id, Growing::new(Arc::clone(segment)));
        }
        let growing = self.growing.get_mut(&id)?;
        match command {
            Command::Create { .. } => {}
            Command::Append { reached_us, .. } => growing.reached_us = reached_us,
            Command::Finish { duration_us, .. } => {
                growing.reached_us = duration_us;
                growing.end = Some(State::Closed);
            }
            Command::Abandon { .. } => growing.end = Some(State::Abandoned),
        }
        if !bytes.is_empty() {
            growing.pending.push(bytes);
        }
        growing.charges.push(charge);
        Some(id)
    }

    /// Takes a step with each segment; one whose step fails is poisoned.
    fn each(
        &mut self,
        touched: &BTreeSet<SegmentId>,
        errors: &AtomicU64,
        step: fn(&mut Growing, &mut Tools) -> io::Result<()>,
    ) {
        for id in touched {
            let Some(growing) = self.growing.get_mut(id) else {
                continue;
            };
            // What is lost may come back, and be mended by another writer: nothing is written to it from then on.
            let stepped = match self.queue.is_lost() {
                true => Err(gone()),
                false => step(growing, &mut self.tools).inspect_err(|_| {
                    errors.fetch_add(1, Ordering::Relaxed);
                }),
            };
            if let Err(error) = stepped {
                self.poison(id, error);
            }
        }
    }

    /// Makes new names durable. Where that fails, the segments they belong to are poisoned; the folder is synced again with the next
    /// file in it, for that file's sake.
    fn sync_folders(&mut self, touched: &BTreeSet<SegmentId>) {
        for (folder, named) in std::mem::take(&mut self.tools.names.unsynced) {
            let Err(error) = self.tools.disk.sync_folder(&folder) else {
                self.tools.names.are_durable(named);
                continue;
            };
            self.tools.errors.sync.fetch_add(1, Ordering::Relaxed);
            for id in touched {
                let is_named_by_it = self.growing.get(id).is_some_and(|growing| {
                    growing.segment.durable_bytes() == 0 && growing.path().starts_with(&folder)
                });
                if is_named_by_it {
                    self.poison(id, io::Error::new(error.kind(), error.to_string()));
                }
            }
            self.tools.names.unsynced.insert(folder, named);
        }
    }

    fn acknowledge(&mut self, id: &SegmentId) {
        let Some(growing) = self.growing.get_mut(id) else {
            return;
        };
        let segment = Arc::clone(&growing.segment);
        segment
            .durable_us
            .store(growing.reached_us, Ordering::Release);
        segment
            .durable_bytes
            .store(growing.written_bytes, Ordering::Release);
        let event = match growing.end {
            None => Event::Durable,
            Some(end) => {
                segment.set(end);
                self.growing.remove(id);
                match end {
                    State::Closed => Event::Closed,
                    _ => Event::Abandoned,
                }
            }
        };
        (self.listener)(event(segment));
    }

    fn poison(&mut self, id: &SegmentId, error: io::Error) {
        if let Some(growing) = self.growing.remove(id) {
            growing.segment.set(State::Poisoned);
            (self.listener)(Event::Poisoned(growing.segment, Arc::new(error)));
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the disk is gone")
}

impl Growing {
    fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            file: None,
            pending: Vec::new(),
            charges: Vec::new(),
            written_bytes: 0,
            reached_us: 0,
            end: None,
        }
    }

    fn path(&self) -> PathBuf {
        let new = &self.segment.new;
        layout::segment_path(&new.stream, &new.epoch, &new.segment)
    }

    /// Writes what is pending, into a file that is made where there is none yet.
    fn write(&mut self, tools: &mut Tools) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => create(&*tools.disk, &self.path(), &mut tools.names)?,
        };
        let mut slices: Vec<_> = self
            .pending
            .iter()
            .map(|bytes| IoSlice::new(bytes))
            .collect();
        file.append(&mut slices)?;
        self.written_bytes += self
            .pending
            .iter()
            .map(|bytes| bytes.len() as u64)
            .sum::<u64>();
        self.file = Some(file);
        Ok(())
    }

    fn sync(&mut self, tools: &mut Tools) -> io::Result<()> {
        // Written: the memory goes back, whatever the disk says next.
        let wrote = !self.pending.is_empty();
        self.pending = Vec::new();
        self.charges = Vec::new();
        let Some(file) = self.file.as_ref().filter(|_| wrote) else {
            return Ok(());
        };
        let begun_us = tools.clock.monotonic_us();
        let synced = file.sync_data();
        let took_us = tools.clock.monotonic_us().saturating_sub(begun_us);
        let mut latency = tools.latency.lock().unwrap_or_else(PoisonError::into_inner);
        latency.add(Duration::from_micros(took_us));
        synced
    }
}

impl Names {
    /// Notes that a file was made: its name, and those of the folders above it that are not known to be durable, must become so.
    fn begun(&mut self, file: &Path) {
        let mut folder = file;
        while let Some(above) = folder.parent() {
            let named = self.unsynced.entry(above.to_owned()).or_default();
            if folder != file {
                named.insert(folder.to_owned());
            }
            if self.durable.contains(above) || above.as_os_str().is_empty() {
                break;
            }
            folder = above;
        }
    }

    fn are_durable(&mut self, folders: BTreeSet<PathBuf>) {
        // To forget some costs a few syncs.
        if self.durable.len() > DURABLE_NAMES_MAX {
            self.durable.clear();
        }
        self.durable.extend(folders);
    }
}

/// Makes a file, and the folders above it that are missing.
fn create(disk: &dyn Disk, path: &Path, names: &mut Names) -> io::Result<Box<dyn DiskFile>> {
    let file = match disk.create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new(""));
            for folder in layout::named(folder) {
                names.durable.remove(folder);
            }
            layout::create_folders(disk, folder)?;
            disk.create_new(path)
        }
        made => made,
    }?;
    names.begun(path);
    Ok(file)
}
