//! A store of this machine as `run`, `init`, `reindex`, `disk` and `hold` see it: locked, its disks mounted, its keyring on every disk.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hearthkeep_format::{MetadataKey, StreamId};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::local::state_failure;
use super::output::{ExitStatus, Failure, OrFail};
use super::owner;
use super::running::{self, LOCK_AGAIN};
use super::socket::Request;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config};
use crate::keys::{KnownStream, StateFolder, StreamName};
use crate::limits::LOCK_MS_MAX;
use crate::pool::{self, Disks, Pool};
use crate::store::lock::{self, Lock};
use crate::store::retention::CameraBudget;
use crate::store::{
    self, Carried, LogSettings, Options, Reindexed, ScrubSettings, SharedKeys, Spread, Store,
};

/// Takes the lock of the configured store, as the user whose it is: all that is written from then on is theirs.
pub(super) fn lock(config: &Config) -> Result<Lock, Failure> {
    std::fs::create_dir_all(&config.state_dir).map_err(|error| {
        let folder = config.state_dir.display();
        Failure::new(
            ExitStatus::Failed,
            format_args!("the state folder {folder} cannot be made: {error}"),
        )
    })?;
    owner::become_owner(&config.state_dir)?;
    lock::acquire(&config.state_dir).map_err(|error| match error {
        store::Error::Locked { .. } => Failure::new(ExitStatus::Busy, error),
        error => Failure::new(ExitStatus::Failed, error),
    })
}

/// The same for a recorder that starts: a command that looks at the store just then is soon over.
pub(super) fn lock_patiently(config: &Config) -> Result<Lock, Failure> {
    let begun = Instant::now();
    loop {
        match lock(config) {
            Err(failure)
                if failure.status == ExitStatus::Busy
                    && begun.elapsed() < Duration::from_millis(LOCK_MS_MAX) =>
            {
                std::thread::sleep(LOCK_AGAIN);
            }
            locked => return locked,
        }
    }
}

/// Asks the recorder that works with the configured store, also one that is just starting; `None` where there is none, and the caller may do it
/// under the lock.
pub(super) fn ask_recorder<T: DeserializeOwned>(
    config: &Config,
    request: &Request,
) -> Result<Option<T>, Failure> {
    let state_dir = &config.state_dir;
    // A store that was never made has neither.
    if !state_dir.exists() {
        return Ok(None);
    }
    match running::ask(state_dir, request).map_err(|why| Failure::new(ExitStatus::Failed, why))? {
        Some(done) => Ok(Some(done)),
        None => match lock::holder(state_dir).or_fail(ExitStatus::Failed)? {
            None => Ok(None),
            Some(pid) => Err(Failure::new(
                ExitStatus::Busy,
                format_args!(
                    "another hearthkeep process uses this store (process {pid}): wait for its end, and try again"
                ),
            )),
        },
    }
}

/// What a command opens the store with that no recorder works with.
pub(super) fn prepare(config: &Config) -> Result<(Arc<Pool>, Options, Lock), Failure> {
    let lock = lock(config)?;
    let state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    let state = Arc::new(Mutex::new(state));
    let pool = Arc::new(Pool::new(Arc::clone(&state)));
    let disks = pool.mount(config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut options = options(config, &state, &pool, disks, clock)?;
    options.records = false;
    Ok((pool, options, lock))
}

/// These disks, if there is one to work with; says which of the others are not.
pub(super) fn or_failure(disks: Disks) -> Result<Disks, Failure> {
    if let (true, Some(first)) = (disks.mounted.is_empty(), disks.absent.first()) {
        return Err(Failure::new(ExitStatus::Failed, &first.error));
    }
    for disk in disks.absent.iter().chain(&disks.left_out) {
        eprintln!("hearthkeep: {}", disk.error);
    }
    Ok(disks)
}

/// Makes the catalog anew. Says what is wrong with it where something is left out.
pub(super) fn reindex(
    config: &Config,
    state: &StateFolder,
    disks: Disks,
    lock: &Lock,
) -> Result<(Reindexed, Option<String>), Failure> {
    let absent = disks.absent.iter().chain(&disks.left_out);
    let absent = absent.map(|disk| &disk.wanted.path);
    let absent: Vec<_> = absent.map(|path| path.display().to_string()).collect();
    let keys = shared_keys(state);
    let clock = Arc::new(SystemClock::new());
    let folder = config.state_dir.clone();
    let mut options = Options::new(folder, state.store(), disks.mounted, keys, clock);
    options.absent = disks.absent;
    options.left_out = disks.left_out;
    let done = Store::reindex(options, lock).or_fail(ExitStatus::Failed)?;
    let left_out = match &done.carried {
        Carried::All(_) => None,
        Carried::Unknown(why) => Some(format!(
            "what lies on {} is not in the catalog, for that disk is not here and the catalog before this one does not tell ({why}). \
             Until it is back its footage looks as if it had been deleted: plug it in and mount it; a running recorder, or the next \
             `hearthkeep reindex`, enters it again",
            absent.join(" and ")
        )),
    };
    Ok((done, left_out))
}

/// An error of the pool, with the exit status that fits it.
pub(super) fn pool_failure(error: pool::Error) -> Failure {
    match error {
        pool::Error::Keys(error) => state_failure(error),
        pool::Error::Config(config::EditError::Config(error)) => {
            Failure::new(ExitStatus::Configuration, error)
        }
        error @ pool::Error::NotOurs { .. } => Failure::new(ExitStatus::Refused, error),
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
    let retired = pool.retired();
    let state = state
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    pool::spread_keyring(disks.mounted.iter(), &state).map_err(pool_failure)?;
    let keys = shared_keys(&state);
    let folder = config.state_dir.clone();
    let mut options = Options::new(folder, state.store(), disks.mounted, keys, clock);
    options.absent = disks.absent;
    options.left_out = disks.left_out;
    options.log = Some(LogSettings {
        state_key: state.state_key(),
        generation: state.sealing().map_err(state_failure)?.generation,
    });
    let known = state.streams().map_err(state_failure)?;
    options.cameras = budgets(config, &known);
    options.spread = spread;
    options.spread.pinned = pinned(config, &known);
    options.retired = retired;
    options.scrub = config.storage.scrub_days.map(ScrubSettings::new);
    options.doorkeeper = Some(Arc::clone(pool) as Arc<dyn store::Doorkeeper>);
    Ok(options)
}

/// The cameras of the configuration with their streams: what nobody is known to record may go first.
fn recorded<'a>(
    config: &'a Config,
    known: &'a [KnownStream],
) -> impl Iterator<Item = (StreamId, &'a config::Camera)> {
    config.cameras.iter().filter_map(|camera| {
        let name = StreamName::main(&camera.name);
        let stream = known.iter().find(|known| known.name == name)?;
        Some((stream.id, camera))
    })
}

fn budgets(config: &Config, known: &[KnownStream]) -> Vec<CameraBudget> {
    let budget = |(stream, camera): (StreamId, &config::Camera)| CameraBudget {
        name: camera.name.clone(),
        streams: vec![stream],
        keep_days: camera.keep_days,
        max_bytes: camera.max_bytes,
    };
    recorded(config, known).map(budget).collect()
}

/// The streams that are to be recorded to a disk of their own.
fn pinned(config: &Config, known: &[KnownStream]) -> HashMap<StreamId, PathBuf> {
    let pinned =
        |(stream, camera): (StreamId, &config::Camera)| Some((stream, camera.disk.clone()?));
    recorded(config, known).filter_map(pinned).collect()
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_cameras_may_keep_is_known_also_without_a_recorder() {
        let text = "state_dir = \"state\"\n[[disk]]\npath = \"a\"\n[[camera]]\nname = \"door\"\nurl = \"rtsp://door/1\"\n\
                    keep_days = 9\ndisk = \"a\"\n[[camera]]\nname = \"new\"\nurl = \"rtsp://new/1\"\n";
        let config = Config::parse(text, Path::new("/srv/hearthkeep.toml")).unwrap();
        let stream = |number: u8, camera: &str| KnownStream {
            id: StreamId::from_bytes([number; 16]),
            name: StreamName {
                camera: camera.to_owned(),
                feed: "main".to_owned(),
            },
        };
        // One that is gone from the configuration, and one that was never recorded.
        let known = [stream(1, "gone"), stream(2, "door")];
        let budgets = budgets(&config, &known);
        let facts: Vec<_> = budgets
            .iter()
            .map(|b| (&b.streams[..], b.keep_days))
            .collect();
        assert_eq!(facts, [(&[known[1].id][..], Some(9))]);
        let pinned: Vec<_> = pinned(&config, &known).into_iter().collect();
        assert_eq!(pinned, [(known[1].id, config.disks[0].path.clone())]);
    }
}
