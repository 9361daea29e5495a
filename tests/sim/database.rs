//! A simulated database for the catalog: in memory, with an image that a cut leaves.
//!
//! Batches are applied whole and in order; those that were not flushed may be lost, the last ones first.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hearthkeep::store::CatalogError;
use hearthkeep::store::catalog::{Batch, Database, Each, Shelf};

use crate::chance::Chance;
use crate::world;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
struct State {
    live: Map,
    durable: Map,
    unflushed: Vec<Batch>,
    doubted: bool,
    fail_flushes: u32,
    /// It takes nothing.
    refuses: bool,
}

/// Where the simulated database is kept; clones are the same one.
#[derive(Clone, Default)]
pub struct SimShelf(Arc<Mutex<State>>);

impl SimShelf {
    /// The process ends, however it does: of what was not flushed some may be there.
    pub fn cut(&self, chance: &mut Chance) {
        let state = &mut *self.state();
        let kept = chance.below(state.unflushed.len() as u64 + 1) as usize;
        for batch in state.unflushed.drain(..).take(kept) {
            apply(&mut state.durable, batch);
        }
        state.live = state.durable.clone();
    }

    /// Damage that is found when it is opened.
    pub fn damage(&self) {
        self.state().doubted = true;
    }

    pub fn fail_flushes(&self, times: u32) {
        self.state().fail_flushes = times;
    }

    /// From now on it takes nothing, or does again.
    pub fn refuse(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    /// All there is in it.
    pub fn content(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.state().live.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<MutexGuard<'_, State>, CatalogError> {
        match world::is_off() {
            true => Err(io::Error::other("the process has ended").into()),
            false => Ok(self.state()),
        }
    }

    /// The same, where it is to be written. That it cannot be keeps nothing from being deleted: the catalog goes on in memory.
    fn takes(&self) -> Result<MutexGuard<'_, State>, CatalogError> {
        let state = self.alive()?;
        match state.refuses {
            true => Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem).into()),
            false => Ok(state),
        }
    }
}

fn apply(map: &mut Map, batch: Batch) {
    for (key, value) in batch.0 {
        match value {
            Some(value) => _ = map.insert(key, value),
            None => _ = map.remove(&key),
        }
    }
}

impl Shelf for SimShelf {
    fn open(&self) -> Result<Box<dyn Database>, CatalogError> {
        let state = self.takes()?;
        if state.doubted {
            return Err(CatalogError::Damaged("it is simulated so"));
        }
        drop(state);
        Ok(Box::new(self.clone()))
    }

    fn move_aside(&self) -> io::Result<PathBuf> {
        self.remove()?;
        Ok(PathBuf::from("aside"))
    }

    fn remove(&self) -> io::Result<()> {
        *self.state() = State::default();
        Ok(())
    }
}

impl Database for SimShelf {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.alive()?.live.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], each: &mut Each<'_>) -> Result<(), CatalogError> {
        let state = self.alive()?;
        let from = state.live.range(prefix.to_vec()..);
        let mut with_it = from.take_while(|(key, _)| key.starts_with(prefix));
        with_it.try_for_each(|(key, value)| each(key, value))
    }

    fn apply(&self, batch: Batch) -> Result<(), CatalogError> {
        let mut state = self.takes()?;
        apply(&mut state.live, Batch(batch.0.clone()));
        state.unflushed.push(batch);
        Ok(())
    }

    fn flush(&self) -> Result<(), CatalogError> {
        world::pass(2_000);
        let state = &mut *self.takes()?;
        if state.fail_flushes > 0 {
            state.fail_flushes -= 1;
            world::catalog_failed();
            return Err(io::Error::from(io::ErrorKind::StorageFull).into());
        }
        for batch in state.unflushed.drain(..) {
            apply(&mut state.durable, batch);
        }
        Ok(())
    }

    fn doubt(&self) {
        self.state().doubted = true;
    }
}
