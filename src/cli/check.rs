//! `hearthkeep check`

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::{DiskId, OpenKeyring};
use indicatif::ProgressBar;
use serde::Serialize;

use super::export::progress_bar;
use super::local::{Local, PlaceArguments, state_failure};
use super::opening::OpeningArguments;
use super::output::{ExitStatus, Failure, OrFail, line};
use super::span::rfc3339;
use super::told::{LogFinding, Told, removed};
use super::{owner, running};
use crate::disk::{self, RealDisk};
use crate::keys::{KnownStream, StateFolder};
use crate::people;
use crate::pool;
use crate::random::OsRandom;
use crate::store::check::{self, Compared, Finding, Findings, Kind, Known, STATE, Slice, Subject};
use crate::store::lock::{self, Lock};
use crate::store::{self, layout, survey};
use crate::web::tls;

#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    opening: OpeningArguments,
    /// The account whose passphrase it is
    #[arg(long, value_name = "NAME", default_value = "owner")]
    name: String,
    /// Read only a part of the footage, and of the rest only the ends of each file: 3/20 is the third of twenty parts, which
    /// together are everything; 5% is one part of that size, another one each time
    #[arg(long, value_name = "PART", value_parser = part)]
    read_data_subset: Option<Slice>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was found. Scripts rely on these names.
#[derive(Serialize)]
struct Report<'a> {
    segments: u64,
    whole: u64,
    recovered: u64,
    /// Being written, or torn.
    open: u64,
    /// Segments that were read from end to end, and their bytes.
    read: u64,
    read_bytes: u64,
    /// The part of the footage that was to be read.
    part: String,
    /// Whether what was read was opened, or only its structure and hashes looked at.
    opened: bool,
    catalog: CatalogRow,
    damaged: Vec<Row<'a>>,
    strange: Vec<Row<'a>>,
    absent: Vec<Absent>,
    /// Segments that the signed log has, that were not deleted, and that are not on the disk that they should be on.
    removed: Vec<LogFinding>,
    /// Whether disks were looked at by themselves: nobody knows whether the store has a newer log than they.
    #[serde(skip)]
    is_alone: bool,
    /// What is wrong with the signed log itself.
    log: Vec<LogFinding>,
    /// Entries of the log that were read.
    log_entries: u64,
}

#[derive(Serialize)]
pub(super) struct CatalogRow {
    compared: bool,
    /// Why not.
    why: Option<String>,
    segments: u64,
    /// Segments on the disks that it does not have yet.
    pub unknown: u64,
}

#[derive(Serialize)]
pub(super) struct Row<'a> {
    kind: &'static str,
    /// Below the disk's folder.
    pub path: &'a Path,
    pub disk: &'a Path,
    what: &'a str,
    camera: Option<&'a str>,
    feed: Option<&'a str>,
    start_us: Option<i64>,
    end_us: Option<i64>,
    lost_us: Option<u64>,
    repairable: bool,
}

#[derive(Serialize)]
pub(super) struct Absent {
    pub disk: PathBuf,
    pub what: String,
}

pub(super) fn main(arguments: CheckArguments) -> Result<ExitStatus, Failure> {
    let slice = arguments.read_data_subset.unwrap_or(Slice::ALL);
    let local = Local::open(&arguments.place, &arguments.opening)?;
    let keyring = match arguments.opening.is_given() {
        true => Some(local.keyring(&arguments.opening, &arguments.name)?),
        false => None,
    };
    let logs = local.logs();
    let witnessed = local.witness(&logs);
    let mut told = Told::read(&local, &logs);
    told.verify(&local, &logs);
    told.advise(&local, &logs);
    let compared = told.compare(&local, &logs);
    let (disks, absent) = subjects(&local);
    let (mut findings, catalog) = check(&local, &disks, keyring.as_deref(), slice, None)?;
    findings.compare_logged(|segment| told.live.get(segment));
    let checked = Checked {
        local: &local,
        disks: &disks,
        findings: &findings,
        slice,
        opened: keyring.is_some(),
    };
    let report = Report::new(&checked, catalog, absent, told);
    let is_sound = findings.found.is_empty()
        && report.removed.is_empty()
        && report.log.is_empty()
        && witnessed != ExitStatus::Damaged;
    match arguments.json {
        true => line(serde_json::to_string_pretty(&report).or_fail(ExitStatus::Failed)?)?,
        false => report.show()?,
    }
    Ok(match (is_sound, report.absent.is_empty()) {
        (false, _) => ExitStatus::Damaged,
        (true, false) => ExitStatus::Failed,
        (true, true) => witnessed.or(compared),
    })
}

pub(super) fn part(text: &str) -> Result<Slice, &'static str> {
    Slice::parse(text, &mut OsRandom)
}

/// The disks that are there, and those that are not.
pub(super) fn subjects(local: &Local) -> (Vec<Subject>, Vec<Absent>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let absent = local.absent().iter().map(|(disk, failure)| Absent {
        disk: disk.clone(),
        what: failure.sentence.clone(),
    });
    let (mut subjects, mut absent): (Vec<Subject>, Vec<_>) = (Vec::new(), absent.collect());
    for (disk, path) in local.disks.iter().zip(&local.paths) {
        let id = match known_id(local, path) {
            Ok(id) => id,
            Err(what) => {
                let disk = path.clone();
                absent.push(Absent { disk, what });
                continue;
            }
        };
        let id = id.or_else(|| Some(layout::identify(&**disk, path).ok()??.disk));
        subjects.push(Subject {
            path: path.clone(),
            disk: Arc::clone(disk),
            id,
            readers: disk::readers(path, cores),
        });
    }
    (subjects, absent)
}

/// The disk that was last at this path; `None` where that is not known. An error where nothing is there now.
fn known_id(local: &Local, path: &Path) -> Result<Option<DiskId>, String> {
    let Some(state) = local.state() else {
        return Ok(None);
    };
    let canonical = std::fs::canonicalize(path).map_err(|error| error.to_string())?;
    let known = state.disk_at(&canonical);
    let has_id_file = path.join(layout::ID_FILE).exists();
    match (known, has_id_file) {
        (_, false) => Err(
            "it is no disk of a store: mount it there, and try again. `hearthkeep disk add` makes a new one of an empty folder".to_owned(),
        ),
        (known, true) => Ok(known),
    }
}

/// Checks the disks and the catalog, that of a running recorder too. `held` is the store's lock, for who has it already: it is taken
/// only for as long as the catalog is compared, since no recorder can start meanwhile.
pub(super) fn check(
    local: &Local,
    disks: &[Subject],
    open: Option<&OpenKeyring>,
    slice: Slice,
    held: Option<&Lock>,
) -> Result<(Findings, CatalogRow), Failure> {
    let keyring = local.state().map(|state| state.keyring_bytes());
    let keys = local.keys();
    let known = Known {
        store: local.store(),
        keys: &*keys,
        streams: Some(local.streams().iter().map(|known| known.id).collect()),
        keyring: keyring.transpose().map_err(state_failure)?,
        anchors: local.anchors(),
        folders: local.folders(),
        at_work: held.is_none() && local.state().is_some_and(is_at_work),
        open,
    };
    let bar = bar(disks, slice);
    let pace = |bytes| {
        bar.inc(bytes);
        Ok(())
    };
    let mut findings = check::check(disks, &known, slice, &pace);
    bar.finish_and_clear();
    let Some(state) = local.state() else {
        let row = CatalogRow::not("a disk by itself has none".to_owned());
        return Ok((findings, row));
    };
    if let Ok(folder) = RealDisk::open(state.folder()) {
        let copies = check::look_at_keyrings(STATE, &folder, &known);
        findings.found.extend(copies);
    }
    let kept = check::look_at_state(state.folder(), &state.state_key(), &local.store());
    findings.found.extend(kept);
    findings.found.extend(look_around(state));
    let compared = compare(&mut findings, state.folder(), &known, disks, held)?;
    Ok((findings, compared))
}

/// What the store itself does not read: who may come in, by what certificate, and which disk belongs where.
fn look_around(state: &StateFolder) -> Vec<Finding> {
    let people = people::look(state.folder(), &state.state_key()).err();
    let people = people.map(|error| {
        let what = format!("it cannot be used, and the recorder does not start with it: {error}");
        (PathBuf::from(people::FILE), what)
    });
    let homes = pool::look_at_homes(state.folder());
    let files = people
        .into_iter()
        .chain(homes)
        .chain(tls::look(state.folder()));
    let finding = |(file, what)| Finding::new(Kind::State, STATE, file, what);
    files.map(finding).collect()
}

/// Whether a recorder, or a command that changes something, has the store. Where that cannot be told it may.
fn is_at_work(state: &StateFolder) -> bool {
    lock::holder(state.folder()).map_or(true, |holder| holder.is_some())
}

fn compare(
    findings: &mut Findings,
    state_dir: &Path,
    known: &Known<'_>,
    disks: &[Subject],
    held: Option<&Lock>,
) -> Result<CatalogRow, Failure> {
    let at_rest = |findings: &mut Findings, lock: &Lock| {
        let compared = findings.compare(state_dir, known, disks, lock);
        compared.map(CatalogRow::of).or_fail(ExitStatus::Failed)
    };
    if let Some(lock) = held {
        return at_rest(findings, lock);
    }
    owner::become_owner(state_dir)?;
    match lock::acquire(state_dir) {
        Ok(lock) => at_rest(findings, &lock),
        Err(store::Error::Locked { .. }) => {
            let told = running::segments(state_dir);
            let still_has = |segment: &_| running::still_has(state_dir, segment);
            let compared = findings.compare_told(told, still_has, known, disks);
            Ok(compared.map_or_else(CatalogRow::not, CatalogRow::of))
        }
        Err(error) => Ok(CatalogRow::not(error.to_string())),
    }
}

/// Shown on a terminal only, where somebody looks at it.
fn bar(disks: &[Subject], slice: Slice) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let surveyed = disks.iter().filter_map(|d| survey::survey(&d.path).ok());
    let bytes: u64 = surveyed.flatten().map(|stream| stream.bytes).sum();
    let bar = progress_bar();
    bar.set_length(bytes / u64::from(slice.parts()));
    bar
}

impl CatalogRow {
    fn not(why: String) -> Self {
        Self {
            compared: false,
            why: Some(why),
            segments: 0,
            unknown: 0,
        }
    }

    fn of(compared: Compared) -> Self {
        Self {
            compared: true,
            why: None,
            segments: compared.known,
            unknown: compared.unknown,
        }
    }
}

/// What was looked at, and what was found.
struct Checked<'a> {
    local: &'a Local,
    disks: &'a [Subject],
    findings: &'a Findings,
    slice: Slice,
    opened: bool,
}

impl<'a> Report<'a> {
    fn new(checked: &Checked<'a>, catalog: CatalogRow, absent: Vec<Absent>, told: Told) -> Self {
        let Checked {
            local,
            disks,
            findings,
            ..
        } = *checked;
        let row = |finding: &'a check::Finding| Row::new(local, disks, finding);
        let (damaged, strange) = findings.found.iter().partition(|one| one.kind.is_damage());
        let rows = |found: Vec<&'a check::Finding>| found.into_iter().map(row).collect();
        let segments = &findings.segments;
        let is_known = catalog.compared || absent.is_empty();
        let away = is_known.then_some(&findings.away);
        Self {
            segments: segments.all,
            whole: segments.whole,
            recovered: segments.recovered,
            open: segments.open,
            read: segments.read,
            read_bytes: segments.read_bytes,
            part: checked.slice.to_string(),
            opened: checked.opened,
            catalog,
            damaged: rows(damaged),
            strange: rows(strange),
            absent,
            is_alone: local.state().is_none(),
            removed: removed(local, told.live, &findings.there(), away),
            log: told.flaws,
            log_entries: told.entries,
        }
    }

    fn show(&self) -> Result<(), Failure> {
        for row in self.damaged.iter().chain(&self.strange) {
            line(row)?;
        }
        for finding in self.removed.iter().chain(&self.log) {
            let folder = finding.disk.clone().unwrap_or_default();
            let path = folder.join(&finding.path);
            line(format_args!("{}: {}", path.display(), finding.what))?;
        }
        for absent in &self.absent {
            line(format_args!("{}: {}", absent.disk.display(), absent.what))?;
        }
        line(format_args!(
            "{} segments: {} whole, {} recovered after a crash, {} being written or torn; {} damaged, {} strange files, {} {}",
            self.segments,
            self.whole,
            self.recovered,
            self.open,
            self.damaged.len(),
            self.strange.len(),
            self.removed.len(),
            if self.is_alone { "missing" } else { "removed" }
        ))?;
        line(format_args!(
            "{} entries of the signed log were read",
            self.log_entries
        ))?;
        match &self.catalog.why {
            None => line(format_args!(
                "the catalog was compared: {} segments, {} on the disks that it does not know yet",
                self.catalog.segments, self.catalog.unknown
            ))?,
            Some(why) => line(format_args!("the catalog was not compared: {why}"))?,
        }
        if self.damaged.iter().any(|row| row.repairable) {
            line("`hearthkeep repair --dry-run` says what of this can be made whole")?;
        }
        let read = format_args!("{} segments, {} bytes", self.read, self.read_bytes);
        match self.opened {
            true => line(format_args!(
                "everything in part {} was opened: {read}",
                self.part
            )),
            false => line(format_args!(
                "structure and hashes of part {} were checked: {read}; with --passphrase-file or --kit everything is opened too",
                self.part
            )),
        }
    }
}

impl<'a> Row<'a> {
    pub fn new(local: &'a Local, disks: &'a [Subject], finding: &'a check::Finding) -> Self {
        let known = |stream: &KnownStream| finding.stream == Some(stream.id);
        let name = local.streams().iter().find(|stream| known(stream));
        let name = name.map(|stream| &stream.name);
        let folder = disks.get(finding.disk).map(|disk| &*disk.path);
        let state = local.state().map(|state| state.folder());
        let span = finding.span_us.as_ref();
        Self {
            kind: finding.kind.as_str(),
            path: &finding.path,
            disk: folder.or(state).unwrap_or(Path::new("")),
            what: &finding.what,
            camera: name.map(|name| name.camera.as_str()),
            feed: name.map(|name| name.feed.as_str()),
            start_us: span.map(|span| span.start),
            end_us: span.map(|span| span.end),
            lost_us: finding.lost_us,
            repairable: finding.repairable,
        }
    }
}

impl std::fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.disk.join(self.path).display(), self.what)?;
        if let Some(camera) = self.camera {
            write!(f, " (camera \"{camera}\"")?;
            if let (Some(start), Some(end)) = (self.start_us, self.end_us) {
                write!(f, ", {} to {}", rfc3339(start), rfc3339(end))?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}
