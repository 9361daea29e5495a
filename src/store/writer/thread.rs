//! The writer's thread: a batch is taken, written, synced and acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use hearthkeep_format::SegmentId;

use super::queue::{Charge, Command, Queue, Queued};
use super::{Event, Latency, Segment, State};
use crate::disk::{Disk, DiskFile};
use crate::store::layout;

/// What the thread works with.
pub(super) struct Work<L> {
    queue: Arc<Queue>,
    listener: L,
    growing: BTreeMap<SegmentId, Growing>,
    tools: Tools,
}

struct Tools {
    disk: Arc<dyn Disk>,
    latency: Arc<Mutex<Latency>>,
    /// Folders that got a name which is not yet durable.
    unsynced_folders: BTreeSet<PathBuf>,
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

impl<L: FnMut(Event)> Work<L> {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        queue: Arc<Queue>,
        latency: Arc<Mutex<Latency>>,
        listener: L,
    ) -> Self {
        let tools = Tools {
            disk,
            latency,
            unsynced_folders: BTreeSet::new(),
        };
        Self {
            queue,
            listener,
            growing: BTreeMap::new(),
            tools,
        }
    }

    pub(super) fn run(mut self) {
        while let Some(batch) = self.queue.take() {
            self.do_batch(batch);
        }
    }

    fn do_batch(&mut self, batch: Vec<Queued>) {
        let mut touched = BTreeSet::new();
        for queued in batch {
            touched.extend(self.sort(queued));
        }
        self.each(&touched, Growing::write);
        self.each(&touched, Growing::sync);
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
        step: fn(&mut Growing, &mut Tools) -> io::Result<()>,
    ) {
        for id in touched {
            let Some(growing) = self.growing.get_mut(id) else {
                continue;
            };
            if let Err(error) = step(growing, &mut self.tools) {
                self.poison(id, error);
            }
        }
    }

    /// Makes new names durable. Where that fails, the segments they belong to are poisoned; the folder is synced again with the next
    /// file in it, for that file's sake.
    fn sync_folders(&mut self, touched: &BTreeSet<SegmentId>) {
        for folder in std::mem::take(&mut self.tools.unsynced_folders) {
            let Err(error) = self.tools.disk.sync_folder(&folder) else {
                continue;
            };
            for id in touched {
                let is_named_by_it = self.growing.get(id).is_some_and(|growing| {
                    growing.segment.durable_bytes() == 0 && growing.path().starts_with(&folder)
                });
                if is_named_by_it {
                    self.poison(id, io::Error::new(error.kind(), error.to_string()));
                }
            }
            self.tools.unsynced_folders.insert(folder);
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
            None => create(&*tools.disk, &self.path(), &mut tools.unsynced_folders)?,
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
        let begun = Instant::now();
        let synced = file.sync_data();
        let mut latency = tools.latency.lock().unwrap_or_else(PoisonError::into_inner);
        latency.add(begun.elapsed());
        synced
    }
}

/// Makes a file, and the folders above it that are missing; notes which folders got a new name.
fn create(
    disk: &dyn Disk,
    path: &Path,
    folders: &mut BTreeSet<PathBuf>,
) -> io::Result<Box<dyn DiskFile>> {
    let file = match disk.create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            layout::create_folders(disk, path.parent().unwrap_or(Path::new("")), folders)?;
            disk.create_new(path)
        }
        made => made,
    }?;
    folders.extend(path.parent().map(Path::to_owned));
    Ok(file)
}
