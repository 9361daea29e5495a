//! `hearthkeep check`

mod told;

use std::io::ErrorKind;

use hearthkeep_format::segment::{File, Header, Report, SegmentOpener, State, scrub};
use hearthkeep_format::{Error as FormatError, OpenKeyring};
use serde::Serialize;

use super::local::{Local, OnDisk, PlaceArguments};
use super::opening::OpeningArguments;
use super::output::{ExitStatus, Failure, OrFail, line};
use crate::archive::Segment;
use crate::store::browse::Listed;

#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    opening: OpeningArguments,
    /// The account whose passphrase it is
    #[arg(long, value_name = "NAME", default_value = "owner")]
    name: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What was found. Scripts rely on these names.
#[derive(Default, Serialize)]
struct Findings {
    segments: u64,
    whole: u64,
    recovered: u64,
    /// Being written, or torn.
    open: u64,
    /// Whether everything was opened, or only its structure looked at.
    opened: bool,
    damaged: Vec<Finding>,
    strange: Vec<Finding>,
    /// Segments that the signed log has, that were not deleted, and that are not on the disk that they should be on.
    removed: Vec<Finding>,
    /// What is wrong with the signed log itself.
    log: Vec<Finding>,
    /// Entries of the log that were read.
    log_entries: u64,
}

#[derive(Serialize)]
struct Finding {
    path: String,
    what: String,
}

pub(super) fn main(arguments: CheckArguments) -> Result<ExitStatus, Failure> {
    let local = Local::open(&arguments.place, &arguments.opening)?;
    let keyring = match arguments.opening.is_given() {
        true => Some(local.keyring(&arguments.opening, &arguments.name)?),
        false => None,
    };
    let logs = local.logs();
    let witnessed = local.witness(&logs);
    let before = told::Told::read(&local, &logs);
    let listing = local.listing(None)?;
    let mut findings = Findings {
        opened: keyring.is_some(),
        ..Findings::default()
    };
    for listed in &listing.segments {
        if let Some(report) = look(&local, listed, keyring.as_deref()).transpose() {
            findings.take(listed, report);
        }
    }
    for oddity in &listing.oddities {
        findings.strange.push(Finding {
            path: oddity.path.display().to_string(),
            what: oddity.why.to_string(),
        });
    }
    findings.log = before.flaws;
    findings.log_entries = before.entries;
    findings.removed = told::removed(&local, before.live, &listing);
    show(&findings, arguments.json)?;
    let of_all = [
        &findings.damaged,
        &findings.strange,
        &findings.removed,
        &findings.log,
    ];
    Ok(match of_all.iter().all(|findings| findings.is_empty()) {
        true => witnessed,
        false => ExitStatus::Damaged,
    })
}

/// What is to be said of a segment; nothing of one that retention has deleted meanwhile.
fn look(
    local: &Local,
    listed: &Listed,
    keyring: Option<&OpenKeyring>,
) -> Result<Option<Report>, String> {
    let segment = OnDisk {
        disk: &*local.disks[listed.disk],
        listed,
    };
    let file = match segment.open() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| error.to_string())?,
    };
    let generation = listed.facts.header.generation;
    let report = match keyring {
        None => {
            let m = local
                .metadata_key(generation)
                .ok_or("its metadata key is not known here")?;
            scrub(&*file, &m)
        }
        Some(keyring) => {
            let m = keyring.generation(generation).map(|(_, m)| m);
            let file = File::open(file, |head| {
                let header = Header::parse(head)?;
                let (identity, m) = keyring
                    .generation(header.generation)
                    .ok_or(FormatError::NoMatchingIdentity)?;
                SegmentOpener::open(head, identity, m)
            });
            file.and_then(|file| file.check(m))
        }
    };
    report.map(Some).map_err(|error| error.to_string())
}

impl Findings {
    fn take(&mut self, listed: &Listed, report: Result<Report, String>) {
        self.segments += 1;
        let what = match report {
            Ok(report) => {
                match report.state {
                    State::Whole => self.whole += 1,
                    State::Recovered => self.recovered += 1,
                    State::Torn => self.open += 1,
                }
                match report.damage.is_empty() {
                    true => return,
                    false => report.to_string(),
                }
            }
            Err(error) => error,
        };
        self.damaged.push(Finding {
            path: listed.path.display().to_string(),
            what,
        });
    }
}

fn show(findings: &Findings, json: bool) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string_pretty(findings).or_fail(ExitStatus::Failed)?;
        return line(text);
    }
    let files = findings.damaged.iter().chain(&findings.strange);
    for finding in files.chain(&findings.removed).chain(&findings.log) {
        line(format_args!("{}: {}", finding.path, finding.what))?;
    }
    line(format_args!(
        "{} segments: {} whole, {} recovered after a crash, {} being written or torn; {} damaged, {} strange files, {} removed",
        findings.segments,
        findings.whole,
        findings.recovered,
        findings.open,
        findings.damaged.len(),
        findings.strange.len(),
        findings.removed.len()
    ))?;
    line(format_args!(
        "{} entries of the signed log were read",
        findings.log_entries
    ))?;
    match findings.opened {
        true => line("everything was opened"),
        false => line(
            "structure and hashes were checked; with --passphrase-file or --kit everything is opened too",
        ),
    }
}
