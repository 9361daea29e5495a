//! `hearthkeep run`

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::ConfigArgument;
use super::local::{load_config, state_failure};
use super::output::{ExitStatus, Failure, OrFail};
use super::store;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::keys::{StateFolder, StreamName};
use crate::random::OsRandom;
use crate::record::{Recorder, Setting, Source};
use crate::store::retention::CameraBudget;
use crate::store::{Options, Store};

#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn main(arguments: RunArguments) -> Result<ExitStatus, Failure> {
    log_to_stderr();
    refuse_core_dumps();
    let config = load_config(&arguments.config.config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let lock = store::lock(&config)?;
    let mut state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    let sources = sources(&config, &mut state)?;
    let disks = store::mount(&config, &mut state)?;
    let mut options = Options::new(
        config.state_dir.clone(),
        state.store(),
        disks,
        store::shared_keys(&state),
        Arc::clone(&clock),
    );
    options.cameras = budgets(&sources);
    let (opened, report) = Store::open(options, lock).or_fail(ExitStatus::Failed)?;
    tracing::info!(
        recovered = report.recovered,
        catalogued = report.inserted,
        strange = report.strange,
        "the store is open"
    );
    let opened = Arc::new(opened);
    let sealing = state.sealing().map_err(state_failure)?;
    let setting = Setting {
        store_id: state.store(),
        sealing,
        store: Arc::clone(&opened),
        clock,
    };
    let recorder = Recorder::start(sources, setting).or_fail(ExitStatus::Failed)?;
    tracing::info!(cameras = recorder.streams().len(), "recording");
    wait_for_end()?;
    tracing::info!("ending: what has been taken is made durable");
    recorder.stop();
    opened.close();
    Ok(ExitStatus::Done)
}

/// The streams to record; new cameras get an id.
fn sources(config: &Config, state: &mut StateFolder) -> Result<Vec<Source>, Failure> {
    let wanted: Vec<_> = config
        .cameras
        .iter()
        .map(|camera| StreamName {
            camera: camera.name.clone(),
            feed: "main".to_owned(),
        })
        .collect();
    let (known, _) = state
        .stream_ids(&wanted, &mut OsRandom)
        .map_err(state_failure)?;
    let source = |(known, camera): (crate::keys::KnownStream, _)| Source {
        id: known.id,
        camera,
    };
    Ok(known
        .into_iter()
        .zip(config.cameras.iter().cloned())
        .map(source)
        .collect())
}

fn budgets(sources: &[Source]) -> Vec<CameraBudget> {
    let budget = |source: &Source| CameraBudget {
        streams: vec![source.id],
        keep_days: source.camera.keep_days,
        max_bytes: source.camera.max_bytes,
    };
    sources.iter().map(budget).collect()
}

/// Waits for SIGTERM or SIGINT.
fn wait_for_end() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .or_fail(ExitStatus::Failed)?;
    runtime
        .block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok::<_, std::io::Error>(())
        })
        .or_fail(ExitStatus::Failed)
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HEARTHKEEP_LOG")
        .unwrap_or_else(|_| "info,retina=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

/// A core file would hold keys and passwords.
fn refuse_core_dumps() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
}
