//! The disks of a store that no recorder works with: done in this process, under the store's lock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hearthkeep_format::StoreId;
use indicatif::{ProgressBar, ProgressStyle};

use super::super::audit::who;
use super::super::local::state_failure;
use super::super::output::{ExitStatus, Failure, OrFail, line};
use super::super::store::{self, pool_failure};
use super::{DiskStatus, Retired};
use crate::config::{self, Config};
use crate::disk::{Disk, RealDisk};
use crate::keys::StateFolder;
use crate::pool::{self, Pool};
use crate::store::log;
use crate::store::{DiskFault, DiskUse, Store};

/// How often it is looked how far a disk is emptied.
const LOOK: Duration = Duration::from_millis(200);

/// The store, opened in this process.
pub(super) struct Here {
    pool: Arc<Pool>,
    store: Arc<Store>,
}

impl Here {
    pub(super) fn open(config: &Config) -> Result<Self, Failure> {
        let (pool, options, lock) = store::prepare(config)?;
        let (store, _) = Store::open(options, lock).or_fail(ExitStatus::Failed)?;
        let store = Arc::new(store);
        pool.opened(Arc::clone(&store));
        Ok(Self { pool, store })
    }

    /// How the disks are; nothing is done to them, and what will be of them only a recorder knows.
    pub(super) fn at_rest(config: &Config) -> Result<Vec<DiskStatus>, Failure> {
        let (_, options, lock) = store::prepare(config)?;
        let disks = Store::disks_at_rest(options, &lock).or_fail(ExitStatus::Failed)?;
        Ok(disks.iter().map(DiskStatus::of).collect())
    }

    /// Takes a folder in. The store need not be opened for it.
    pub(super) fn add(
        config: &Config,
        wanted: &config::Disk,
        replace: bool,
    ) -> Result<String, Failure> {
        let _lock = store::lock(config)?;
        let mut state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
        let disks = pool::mount(config, &mut state);
        let id_of_store = state.store();
        let pool = Pool::new(Arc::new(Mutex::new(state)));
        let id = pool.add(wanted, replace, &who()).map_err(pool_failure)?;
        let others = disks.mounted.iter().filter(|disk| disk.id != id);
        let others: Vec<_> = others.map(|disk| Arc::clone(&disk.disk)).collect();
        give_log(&others, wanted, &id_of_store)?;
        Ok(id.to_string())
    }

    /// Empties a disk, and shows how far that is. Ended early, it goes on when the recorder runs, or with the same command.
    pub(super) fn drain(&self, disk: &str, let_go: bool) -> Result<ExitStatus, Failure> {
        self.pool.drain(disk, let_go).map_err(pool_failure)?;
        let id = self.pool.id_of(disk).map_err(pool_failure)?;
        let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
        let bar = ProgressBar::new(0).with_style(style.or_fail(ExitStatus::Failed)?);
        loop {
            let disks = self.store.disks();
            let Some(status) = disks.iter().find(|status| status.id == Some(id)) else {
                return Err(Failure::new(
                    ExitStatus::Failed,
                    crate::store::Error::NoSuchDisk,
                ));
            };
            let moved = status.drain.as_ref().map_or(0, |drain| drain.moved_bytes);
            bar.set_length(moved + status.used_bytes);
            bar.set_position(moved);
            // One that is full, or at another one's path, is emptied all the same.
            let keeps_from_it = [
                DiskFault::Absent,
                DiskFault::LeftOut,
                DiskFault::Failing,
                DiskFault::Drain,
            ];
            let why = status
                .fault
                .filter(|fault| keeps_from_it.contains(fault))
                .and(status.error.as_ref());
            match (status.state, why) {
                (DiskUse::Drained, None) => break,
                (_, Some(error)) => {
                    bar.abandon();
                    return Err(Failure::new(ExitStatus::Failed, error));
                }
                _ => std::thread::park_timeout(LOOK),
            }
        }
        bar.finish_and_clear();
        self.store.close();
        line("It is empty: `hearthkeep disk retire` takes it out.")?;
        Ok(ExitStatus::Done)
    }

    pub(super) fn keep(&self, disk: &str) -> Result<(), Failure> {
        self.pool.keep(disk).map_err(pool_failure)?;
        self.store.close();
        Ok(())
    }
}

/// Takes a disk out. The store is not opened for one that is lost where all others are away too.
pub(super) fn retire(config: &Config, disk: &str, forget: bool) -> Result<Retired, Failure> {
    let (pool, options, lock) = store::prepare(config)?;
    let store = match options.disks.is_empty() {
        true => {
            pool.glimpse(&lock);
            None
        }
        false => {
            let (store, _) = Store::open(options, lock).or_fail(ExitStatus::Failed)?;
            let store = Arc::new(store);
            pool.opened(Arc::clone(&store));
            Some(store)
        }
    };
    let retired = pool.retire(disk, forget, &who()).map_err(pool_failure)?;
    store.iter().for_each(|store| store.close());
    Ok(Retired::of(retired))
}

/// A new disk has the signed log before it is in use: the others may be lost before a recorder runs.
fn give_log(
    others: &[Arc<dyn Disk>],
    wanted: &config::Disk,
    store: &StoreId,
) -> Result<(), Failure> {
    let given = RealDisk::open(&wanted.path).and_then(|disk| log::give(others, &disk, store));
    given.map_err(|error| {
        let path = wanted.path.display();
        let sentence = format_args!(
            "the signed log could not be copied to {path}: {error}. The configuration is as it was; try again"
        );
        Failure::new(ExitStatus::Failed, sentence)
    })
}
