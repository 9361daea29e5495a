//! `hearthkeep reindex`

use std::collections::HashSet;

use hearthkeep_format::SegmentId;

use super::ConfigArgument;
use super::local::{Local, load_config, state_failure};
use super::output::{ExitStatus, Failure, line};
use super::store;
use super::told::{Told, removed};
use crate::keys::StateFolder;
use crate::pool;
use crate::store::Carried;

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
    let (done, left_out) = store::reindex(&config, &state, disks, &lock)?;
    let report = done.report;
    line(format_args!(
        "{} segments are in the catalog; {} were torn and are closed now, {} were empty and are gone, {} files were left alone",
        report.inserted, report.recovered, report.removed, report.strange
    ))?;
    if let Carried::All(carried @ 1..) = done.carried {
        line(format_args!(
            "{} on disks that are not here stay in the catalog as they were",
            many(carried, "segment", "segments")
        ))?;
    }
    for (path, why) in &report.named {
        eprintln!("hearthkeep: {}: {why}", path.display());
    }
    let log = tell_log(&arguments.config, done.away.as_ref())?;
    let left_out = left_out.map_or(ExitStatus::Done, |sentence| {
        eprintln!("hearthkeep: {sentence}");
        ExitStatus::Failed
    });
    Ok(match report.strange {
        0 => log.or(left_out),
        _ => ExitStatus::Damaged,
    })
}

/// What the signed log says, which the next start goes on from: in a few sentences, and what is wrong with it.
fn tell_log(
    config: &ConfigArgument,
    away: Option<&HashSet<SegmentId>>,
) -> Result<ExitStatus, Failure> {
    let local = Local::of_config(&config.config)?;
    let logs = local.logs();
    let mut told = Told::read(&local, &logs);
    let compared = told.compare(&local, &logs);
    match logs.logs.len() {
        0 => line("There is no signed log on the disks: the next start begins one.")?,
        count => line(format_args!(
            "The signed log has {}{}: {} and {} stand in it, {} of the clock, and {}.",
            many(told.entries, "entry", "entries"),
            match count {
                1 => String::new(),
                count => format!(
                    " in {count} parts, each begun where the one before could not be gone on with"
                ),
            },
            many(told.holds.len() as u64, "hold", "holds"),
            many(told.gaps.len() as u64, "gap", "gaps"),
            many(told.anchors, "anchor", "anchors"),
            many(told.audits, "audit", "audits"),
        ))?,
    }
    for hold in told.holds.values() {
        line(format_args!("Held: {} ({})", hold.reason, hold.id))?;
    }
    let mut wrong: Vec<_> = told
        .flaws
        .iter()
        .map(|flaw| format!("{}: {}", flaw.path, flaw.what))
        .collect();
    let missing = removed(&local, told.live, &HashSet::new(), away).len();
    if missing > 0 {
        wrong.push(format!(
            "{} that the log has are on none of the disks, and were not deleted by the recorder: somebody removed them \
             (`hearthkeep check` names them)",
            many(missing as u64, "segment", "segments")
        ));
    }
    for sentence in &wrong {
        eprintln!("hearthkeep: {sentence}");
    }
    let seen = local.witness(&logs);
    Ok(match wrong.is_empty() {
        true => seen.or(compared),
        false => ExitStatus::Damaged,
    })
}

fn many(count: u64, one: &str, more: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    }
}
