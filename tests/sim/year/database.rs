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
        let value = Database::get(&self.memory, key)?;
        self.read(value.as_deref().unwrap_or_default());
        Ok(value)
    }

    fn scan(&self, prefix: &[u8], each: &mut Each<'_>) -> Result<(), CatalogError> {
        self.memory.scan(prefix, &mut |key, value| {
            self.read(value);
            each(key, value)
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), CatalogError> {
        let mut counts = self.counts.lock().unwrap();
        counts.writes += batch.0.len() as u64;
        let values = batch.0.iter().filter_map(|(_, value)| value.as_ref());
        counts.written_bytes += values.map(|value| value.len() as u64).sum::<u64>();
        drop(counts);
        self.memory.apply(batch)
    }

    fn flush(&self) -> Result<(), CatalogError> {
        self.memory.flush()
    }

    fn doubt(&self) {}
}
