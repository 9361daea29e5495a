//! A database in memory that counts what is asked of it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hearthkeep::store::CatalogError;
use hearthkeep::store::catalog::{Batch, Database, Each, Memory, Shelf};

/// What was asked of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub reads: u64,
    pub read_bytes: u64,
    pub writes: u64,
    pub written_bytes: u64,
    /// CPU time that its own work took, ns: sorted memory slows down as it grows, as no disk's database does.
    pub cpu_ns: u64,
}

/// CPU time of this thread, ns.
pub fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Clones are the same one.
#[derive(Clone, Default)]
pub struct Counted {
    memory: Memory,
    counts: Arc<Mutex<Counts>>,
}

impl Counted {
    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap()
    }

    /// Does what is the database's own work.
    fn own<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun_ns = cpu_ns();
        let done = work();
        self.counts.lock().unwrap().cpu_ns += cpu_ns() - begun_ns;
        done
    }

    fn read(&self, value: &[u8]) {
        let mut counts = self.counts.lock().unwrap();
        counts.reads += 1;
        counts.read_bytes += value.len() as u64;
    }
}

impl Shelf for Counted {
    fn open(&self) -> Result<Box<dyn Database>, CatalogError> {
        self.memory.open()?;
        Ok(Box::new(self.clone()))
    }

    fn move_aside(&self) -> io::Result<PathBuf> {
        self.memory.move_aside()
    }

    fn remove(&self) -> io::Result<()> {
        self.memory.remove()
    }
}

impl Database for Counted {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        let value = self.own(|| Database::get(&self.memory, key))?;
        self.read(value.as_deref().unwrap_or_default());
        Ok(value)
    }

    fn scan(&self, prefix: &[u8], each: &mut Each<'_>) -> Result<(), CatalogError> {
        let mut asked_ns = 0;
        let scanned = self.own(|| {
            self.memory.scan(prefix, &mut |key, value| {
                let begun_ns = cpu_ns();
                self.read(value);
                let goes_on = each(key, value);
                asked_ns += cpu_ns() - begun_ns;
                goes_on
            })
        });
        self.counts.lock().unwrap().cpu_ns -= asked_ns;
        scanned
    }

    fn apply(&self, batch: Batch) -> Result<(), CatalogError> {
        let mut counts = self.counts.lock().unwrap();
        counts.writes += batch.0.len() as u64;
        let values = batch.0.iter().filter_map(|(_, value)| value.as_ref());
        counts.written_bytes += values.map(|value| value.len() as u64).sum::<u64>();
        drop(counts);
        self.own(|| self.memory.apply(batch))
    }

    fn flush(&self) -> Result<(), CatalogError> {
        self.memory.flush()
    }

    fn doubt(&self) {}
}
