//! A database in memory, for where no disk has room for one.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::CatalogError;
use super::database::{Batch, Database, Each, Shelf};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Whoever opens it again finds what was in it, as long as one of its clones lives.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<RwLock<Map>>);

impl Memory {
    fn map(&self) -> RwLockReadGuard<'_, Map> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for Memory {
    fn open(&self) -> Result<Box<dyn Database>, CatalogError> {
        Ok(Box::new(self.clone()))
    }

    fn move_aside(&self) -> io::Result<PathBuf> {
        self.remove()?;
        Ok(PathBuf::from("nowhere"))
    }

    fn remove(&self) -> io::Result<()> {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        Ok(())
    }
}

impl Database for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.map().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], each: &mut Each<'_>) -> Result<(), CatalogError> {
        let map = self.map();
        let from = map.range(prefix.to_vec()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .try_for_each(|(key, value)| each(key, value))
    }

    fn apply(&self, batch: Batch) -> Result<(), CatalogError> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in batch.0 {
            match value {
                Some(value) => _ = map.insert(key, value),
                None => _ = map.remove(&key),
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), CatalogError> {
        Ok(())
    }

    fn doubt(&self) {}
}
