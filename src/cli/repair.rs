//! `hearthkeep repair`

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ConfigArgument;
use super::check::{Absent, Row, check, part, subjects};
use super::local::{Local, load_config, state_failure};
use super::output::{ExitStatus, Failure, OrFail, line};
use super::store;
use super::told::{LogFinding, Told};
use crate::config::Config;
use crate::keys::{self, StateFolder};
use crate::pool;
use crate::store::check::{Finding, Findings, Kind, STATE, Slice, Subject};
use crate::store::lock::Lock;
use crate::store::log::{self, Remedy};
use crate::store::repair::{Action, Repair, Step, plan};

#[derive(Debug, clap::Args)]
pub struct RepairArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Move files that do not belong on a disk, or of which nothing can be opened, to the folder `lost` of the disk
    #[arg(long)]
    quarantine: bool,
    /// Read only a part of the footage, as `check` does
    #[arg(long, value_name = "PART", value_parser = part)]
    read_data_subset: Option<Slice>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was done. Scripts rely on these names.
#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    steps: Vec<StepRow<'a>>,
    /// What is as it was found, but for what was cut off and kept.
    left: Vec<Row<'a>>,
    /// What is wrong with the signed log and is as it was found.
    log: Vec<LogFinding>,
    absent: Vec<Absent>,
    /// What the new catalog does not have, since a disk is not here and the old one could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
}

#[derive(Serialize)]
struct StepRow<'a> {
    action: &'static str,
    disk: &'a Path,
    path: Cow<'a, Path>,
    #[serde(skip)]
    words: &'static str,
    done: bool,
    /// Where what was cut off is kept, below the disk's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<PathBuf>,
    /// Why it was not done.
    error: Option<String>,
}

pub(super) fn main(arguments: RepairArguments) -> Result<ExitStatus, Failure> {
    let config = load_config(&arguments.config.config)?;
    let lock = store::lock(&config)?;
    let local = Local::of_config(&arguments.config.config)?;
    let state = local.state().expect("it is a configuration's");
    let (disks, absent) = subjects(&local);
    let slice = arguments.read_data_subset.unwrap_or(Slice::ALL);
    let (mut findings, catalog) = check(&local, &disks, None, slice, Some(&lock))?;
    let live = Told::read(&local, &local.logs()).live;
    findings.compare_logged(|segment| live.get(segment));
    let steps = plan(&findings, arguments.quarantine);
    let keyring = state.keyring_bytes().map_err(state_failure)?;
    let repair = Repair {
        disks: &disks,
        store: local.store(),
        keys: &*local.keys(),
        keyring: Some(keyring.clone()),
    };
    let mut rows = Vec::new();
    let told = match arguments.dry_run {
        true => Ok(()),
        false => tell_log(&local, state, &findings, &steps),
    };
    let carry_out = |step: &Step| match &told {
        Err(what) if step.sets_aside(&findings).is_some() => Err(what.clone()),
        _ => repair.carry_out(step).map_err(|error| error.to_string()),
    };
    for step in &steps {
        let done = (!arguments.dry_run).then(|| carry_out(step));
        rows.push(StepRow::of_disk(&disks, step, done));
    }
    if findings.has(|f| f.disk == STATE && f.kind == Kind::Keyring) {
        let write = || keys::write_keyring(state.folder(), &keyring);
        rows.push(StepRow::of_state(state, "keyring", &arguments, write));
    }
    let (copies, log, compared) = mend_logs(&local, &disks, &arguments);
    rows.extend(copies);
    let mut left_out = None;
    let differs = |f: &Finding| matches!(f.kind, Kind::Catalog | Kind::Gone);
    let is_changed = steps.iter().any(Step::changes_a_segment);
    if is_changed || catalog.unknown > 0 || findings.has(differs) {
        let rebuild = || match rebuild(&config, &lock) {
            Ok(left) => {
                left_out = left;
                Ok(())
            }
            Err(failure) => Err(failure.sentence),
        };
        rows.push(StepRow::of_state(state, "catalog", &arguments, rebuild));
    }
    let left = findings.found.iter();
    let left = left.filter(|finding| !is_done(finding, &steps, &rows));
    let report = Report {
        dry_run: arguments.dry_run,
        log,
        left: left.map(|found| Row::new(&local, &disks, found)).collect(),
        steps: rows,
        absent,
        left_out,
    };
    match arguments.json {
        true => line(serde_json::to_string_pretty(&report).or_fail(ExitStatus::Failed)?)?,
        false => report.show()?,
    }
    Ok(report.status().or(compared))
}

/// Whether a step that was done, or would be, was about this.
fn is_done(finding: &Finding, steps: &[Step], rows: &[StepRow<'_>]) -> bool {
    let of_disks = steps.iter().zip(rows);
    let mut of_disks = of_disks.filter(|(step, _)| step.is_about(finding));
    let of_state = || {
        rows.iter()
            .skip(steps.len())
            .any(|row| row.is_about(finding))
    };
    match finding.kind {
        Kind::Gone => false,
        Kind::Catalog => of_state(),
        Kind::Keyring if finding.disk == STATE => of_state(),
        // What closes a torn segment brings no chunk back.
        Kind::Chunks => false,
        Kind::Envelope => of_disks
            .any(|(step, row)| matches!(step.action, Action::Envelope(_)) && row.error.is_none()),
        _ => of_disks.any(|(_, row)| row.error.is_none()),
    }
}

/// Has the log told of what is put out of the way, before it is: or it would be told as removed.
fn tell_log(
    local: &Local,
    state: &StateFolder,
    findings: &Findings,
    steps: &[Step],
) -> Result<(), String> {
    let set_aside = steps.iter().filter_map(|step| step.sets_aside(findings));
    let set_aside: Vec<_> = set_aside.collect();
    if set_aside.is_empty() {
        return Ok(());
    }
    let mut live = Told::read(local, &local.logs()).live;
    let logged = set_aside.iter().filter_map(|id| live.remove(id));
    let logged: Vec<_> = logged.collect();
    log::set_aside(state.folder(), state.state_key(), &logged).map_err(|error| {
        format!("log.deleted.sealed in the state folder cannot be written ({error}), and the signed log would call it removed")
    })
}

/// Says what the new catalog does not have of what the old one had.
fn rebuild(config: &Config, lock: &Lock) -> Result<Option<String>, Failure> {
    let mut state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    let disks = store::or_failure(pool::mount(config, &mut state))?;
    Ok(store::reindex(config, &state, disks, lock)?.1)
}

/// Makes damaged copies of the signed log whole, or says that it would; what stays wrong with the log, and whether all of it could
/// be compared with what was signed.
fn mend_logs<'a>(
    local: &'a Local,
    disks: &[Subject],
    arguments: &RepairArguments,
) -> (Vec<StepRow<'a>>, Vec<LogFinding>, ExitStatus) {
    let logs = local.logs();
    let mut told = Told::read(local, &logs);
    told.verify(local, &logs);
    let mut mendable = told.advise(local, &logs);
    let compared = told.compare(local, &logs);
    // One whose id file is gone is written to when that is mended.
    mendable.retain(|one| disks.iter().any(|disk| disk.path == local.paths[one.to]));
    let (mut rows, mut left) = (Vec::new(), told.flaws);
    for one in mendable {
        let work = || one.mend(&local.disks, &local.store());
        let done = (!arguments.dry_run).then(|| work().map_err(|error| error.to_string()));
        let disk = &local.paths[one.to];
        let path = one.path.display().to_string();
        left.retain(|flaw| flaw.disk.as_ref() != Some(disk) || flaw.path != path);
        rows.push(StepRow {
            action: "log",
            disk,
            path: one.path.into(),
            words: match one.remedy {
                Remedy::Tree => "its tree to be made again from its entries",
                Remedy::Signed(_) => "its key and checkpoint to be written as the state folder remembers them",
                Remedy::Copy(_) => "to be copied from another disk that has a whole copy, and what is there to be moved to the folder lost of its disk",
            },
            done: matches!(done, Some(Ok(()))),
            kept: None,
            error: done.and_then(Result::err),
        });
    }
    (rows, left, compared)
}

impl<'a> StepRow<'a> {
    fn of_disk(
        disks: &'a [Subject],
        step: &'a Step,
        done: Option<Result<Option<PathBuf>, String>>,
    ) -> Self {
        Self {
            action: step.action.as_str(),
            disk: disks.get(step.disk).map_or(Path::new(""), |d| &d.path),
            path: Cow::Borrowed(&step.path),
            words: step.action.words(),
            done: matches!(done, Some(Ok(_))),
            kept: done.clone().and_then(Result::ok).flatten(),
            error: done.and_then(Result::err),
        }
    }

    fn of_state<E: ToString>(
        state: &'a StateFolder,
        what: &'static str,
        arguments: &RepairArguments,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Self {
        let done = (!arguments.dry_run).then(work);
        Self {
            action: what,
            disk: state.folder(),
            path: Cow::Borrowed(Path::new(what)),
            words: match what {
                "catalog" => "to be made anew from the footage",
                _ => "both copies to be written",
            },
            done: matches!(done, Some(Ok(()))),
            kept: None,
            error: done.and_then(|done| done.err().map(|error| error.to_string())),
        }
    }

    fn is_about(&self, finding: &Finding) -> bool {
        let is_it = match finding.kind {
            Kind::Catalog => self.action == "catalog",
            _ => self.action == "keyring",
        };
        is_it && self.error.is_none()
    }
}

impl Report<'_> {
    fn show(&self) -> Result<(), Failure> {
        for step in &self.steps {
            let file = step.disk.join(&step.path);
            let (file, words) = (file.display(), step.words);
            match (&step.error, step.done) {
                (Some(error), _) => line(format_args!("{file}: {words}; not done: {error}"))?,
                (None, true) => line(format_args!("{file}: {words}; done"))?,
                (None, false) => line(format_args!("{file}: {words}"))?,
            }
        }
        if self.has_failed() {
            line(
                "what was not done is as it was; where a disk fails, copy it while it can still be read, and repair the copy",
            )?;
        }
        for row in &self.left {
            let of_it = |step: &&StepRow<'_>| (step.disk, &*step.path) == (row.disk, row.path);
            let cut = self
                .steps
                .iter()
                .filter(of_it)
                .find_map(|step| step.kept.as_ref());
            match cut {
                None => line(format_args!("left as it is: {row}"))?,
                Some(kept) => line(format_args!(
                    "not whole again: {row}; what was cut off is kept in {}",
                    row.disk.join(kept).display()
                ))?,
            }
        }
        for finding in &self.log {
            let file = finding.disk.clone().unwrap_or_default();
            let file = file.join(&finding.path);
            line(format_args!(
                "left as it is: {}: {}",
                file.display(),
                finding.what
            ))?;
        }
        for absent in &self.absent {
            line(format_args!("{}: {}", absent.disk.display(), absent.what))?;
        }
        if let Some(left_out) = &self.left_out {
            line(left_out)?;
        }
        let is_left = !self.left.is_empty() || !self.log.is_empty();
        match (self.steps.is_empty(), self.dry_run) {
            (true, _) if is_left => line("nothing of this can be repaired"),
            (true, _) => line("there is nothing to repair"),
            (_, true) => line("nothing was done: it was only asked what would be (--dry-run)"),
            _ => Ok(()),
        }
    }

    fn has_failed(&self) -> bool {
        self.steps.iter().any(|step| step.error.is_some())
    }

    /// What would be done is damage that was found.
    fn status(&self) -> ExitStatus {
        let is_mended = self.left.is_empty() && self.log.is_empty();
        match (
            is_mended && (!self.dry_run || self.steps.is_empty()),
            self.has_failed() || !self.absent.is_empty(),
        ) {
            (false, _) => ExitStatus::Damaged,
            (true, true) => ExitStatus::Failed,
            (true, false) => ExitStatus::Done,
        }
    }
}
