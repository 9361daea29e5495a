//! `hearthkeep reindex`

use std::sync::Arc;

use super::ConfigArgument;
use super::local::{load_config, state_failure};
use super::output::{ExitStatus, Failure, OrFail, line};
use super::store;
use crate::clock::SystemClock;
use crate::keys::StateFolder;
use crate::pool;
use crate::store::{Options, Store};

#[derive(Debug, clap::Args)]
pub struct ReindexArguments {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn main(arguments: ReindexArguments) -> Result<ExitStatus, Failure> {
    let config = load_config(&arguments.config.config)?;
    let lock = store::lock(&config)?;
    let mut state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    let disks = store::or_failure(pool::mount(&config, &mut state))?;
    pool::spread_keyring(disks.mounted.iter(), &state).map_err(store::pool_failure)?;
    let keys = store::shared_keys(&state);
    let clock = Arc::new(SystemClock::new());
    let folder = config.state_dir.clone();
    let options = Options::new(folder, state.store(), disks.mounted, keys, clock);
    let report = Store::reindex(options, &lock).or_fail(ExitStatus::Failed)?;
    line(format_args!(
        "{} segments are in the catalog; {} were torn and are closed now, {} were empty and are gone, {} files were left alone",
        report.inserted, report.recovered, report.removed, report.strange
    ))?;
    for (path, why) in &report.named {
        eprintln!("hearthkeep: {}: {why}", path.display());
    }
    Ok(if report.strange == 0 {
        ExitStatus::Done
    } else {
        ExitStatus::Damaged
    })
}
