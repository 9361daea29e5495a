//! A store of this machine as `run`, `init`, `reindex` and `disk` see it: locked, its disks mounted, its keyring on every disk.

use std::sync::{Arc, Mutex};

use hearthkeep_format::MetadataKey;
use zeroize::Zeroizing;

use super::local::state_failure;
use super::output::{ExitStatus, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::StateFolder;
use crate::pool::{self, Disks, Pool};
use crate::store::lock::{self, Lock};
use crate::store::{self, LogSettings, Options, ScrubSettings, SharedKeys, Spread};

/// Takes the lock of the configured store.
pub(super) fn lock(config: &Config) -> Result<Lock, Failure> {
    std::fs::create_dir_all(&config.state_dir).map_err(|error| {
        let folder = config.state_dir.display();
        Failure::new(
            ExitStatus::Failed,
            format_args!("the state folder {folder} cannot be made: {error}"),
        )
    })?;
    lock::acquire(&config.state_dir).map_err(|error| match error {
        store::Error::Locked { .. } => Failure::new(ExitStatus::Busy, error),
        error => Failure::new(ExitStatus::Failed, error),
    })
}

/// These disks, if there is one to work with; says which of the others are not.
pub(super) fn or_failure(disks: Disks) -> Result<Disks, Failure> {
    if let (true, Some(first)) = (disks.mounted.is_empty(), disks.absent.first()) {
        return Err(Failure::new(ExitStatus::Failed, &first.error));
    }
    for disk in &disks.absent {
        eprintln!("hearthkeep: {}", disk.error);
    }
    Ok(disks)
}

/// An error of the pool, with the exit status that fits it.
pub(super) fn pool_failure(error: pool::Error) -> Failure {
    match error {
        pool::Error::Keys(error) => state_failure(error),
        pool::Error::Config(crate::config::EditError::Config(error)) => {
            Failure::new(ExitStatus::Configuration, error)
        }
        error => Failure::new(ExitStatus::Failed, error),
    }
}

/// What the store is opened with: the disks, and what configuration and owner say of them.
pub(super) fn options(
    config: &Config,
    state: &Mutex<StateFolder>,
    pool: &Arc<Pool>,
    disks: Disks,
    clock: Arc<dyn Clock>,
) -> Result<Options, Failure> {
    let spread = Spread {
        placement: config.storage.placement,
        cold_after_days: config.storage.cold_after_days,
        drains: pool.drains(),
        ..Spread::default()
    };
    let state = state
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    pool::spread_keyring(disks.mounted.iter(), &state).map_err(pool_failure)?;
    let keys = shared_keys(&state);
    let folder = config.state_dir.clone();
    let mut options = Options::new(folder, state.store(), disks.mounted, keys, clock);
    options.absent = disks.absent;
    options.log = Some(LogSettings {
        state_key: state.state_key(),
        generation: state.sealing().map_err(state_failure)?.generation,
    });
    options.spread = spread;
    options.scrub = config.storage.scrub_days.map(ScrubSettings::new);
    options.doorkeeper = Some(Arc::clone(pool) as Arc<dyn store::Doorkeeper>);
    Ok(options)
}

/// The store's metadata keys, shared with its threads.
pub(super) fn shared_keys(state: &StateFolder) -> SharedKeys {
    let keys: Vec<_> = (1..)
        .map_while(|n| {
            state
                .metadata_key(n)
                .map(|key| Zeroizing::new(*key.as_bytes()))
        })
        .collect();
    Arc::new(move |generation: u32| {
        let index = usize::try_from(generation).ok()?.checked_sub(1)?;
        keys.get(index).map(|key| MetadataKey::from_bytes(**key))
    })
}
