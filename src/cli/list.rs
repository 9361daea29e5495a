//! `hearthkeep list`

use std::collections::HashMap;
use std::path::PathBuf;

use hearthkeep_format::log::OPEN_END_US;
use serde::Serialize;

use super::damage::{self, Damage, Marks};
use super::footage::is_in;
use super::gaps::{self, Begin, LoneGap};
use super::local::{Local, PlaceArguments};
use super::opening::{OpeningArguments, passphrase_of};
use super::output::{ExitStatus, Failure, line};
use super::remote::{
    BoxArguments, Gap, Remote, RemoteStream, Timeline, TimelineSegment, tell_away,
};
use super::span::{SpanArguments, rfc3339, rfc3339_local};
use super::told::Told;
use crate::clock::{Clock as _, SystemClock};
use crate::keys::{KnownStream, StateFolder};
use crate::store::browse::Listed;

#[derive(Debug, clap::Args)]
pub struct ListArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    remote: BoxArguments,
    /// Sign in to the box with the passphrase in this file; asked for on the terminal where it is missing
    #[arg(long, value_name = "FILE", requires = "url")]
    passphrase_file: Option<PathBuf>,
    /// The account to sign in with
    #[arg(long, value_name = "NAME", default_value = "owner", requires = "url")]
    name: String,
    /// The recovery kit, for disks by themselves
    #[arg(long, value_name = "FILE", requires = "disks")]
    kit: Option<PathBuf>,
    /// Only this camera
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    #[command(flatten)]
    span: SpanArguments,
    /// Times with the offset of this machine's time zone, instead of UTC
    #[arg(long)]
    local_time: bool,
    /// As JSON: an array with an object for each segment
    #[arg(long)]
    json: bool,
    /// With --json: an object for each gap too that stands before no segment
    #[arg(long, requires = "json")]
    gaps: bool,
}

/// A segment, as `list --json` shows it. Scripts rely on these names.
#[derive(Serialize)]
struct Row<'a> {
    camera: &'a str,
    feed: &'a str,
    stream: String,
    /// None of a gap, and so below.
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<String>,
    start: String,
    /// Of a gap that lasts, now.
    end: String,
    start_us: i64,
    duration_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// "whole", "recovered" or "open"; "gap", or "open-gap" of one that lasts.
    state: &'static str,
    /// Of a gap, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// Whether the box knew the time when it began; not told by a box that is read from afar.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_trusted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_before: Option<GapRow>,
    /// What of it is damaged, or may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<Damage>,
}

#[derive(Serialize)]
struct GapRow {
    cause: String,
    length_us: Option<u64>,
}

pub(super) fn main(arguments: ListArguments) -> Result<ExitStatus, Failure> {
    let passphrase = || passphrase_of(arguments.passphrase_file.as_deref());
    if let Some(remote) = arguments.remote.sign_in(&arguments.name, passphrase)? {
        let log = remote.witness()?;
        return Ok(list_remote(&remote, &arguments)?.or(log));
    }
    let local = Local::open(
        &arguments.place,
        &OpeningArguments::by_kit(arguments.kit.clone()),
    )?;
    let stream = arguments
        .camera
        .as_deref()
        .map(|camera| local.stream(camera))
        .transpose()?;
    let streams = local.streams().iter();
    let names: HashMap<_, _> = streams.map(|known| (known.id, &known.name)).collect();
    let span = arguments.span.micros();
    // What is listed is all that is here.
    local.tell_away()?;
    let logs = local.logs();
    let log = local.witness(&logs);
    let listing = local.listing(stream.as_ref().map(|known| &known.id))?;
    let inside = |listed: &&Listed| is_in(listed, &span);
    let told = Told::read(&local, &logs);
    let damage = damage::Known::of(&local, &told.gaps);
    let mut rows = Vec::new();
    for listed in listing.segments.iter().filter(inside) {
        let name = names.get(&listed.facts.header.stream);
        let camera = name.map_or("(unknown)", |name| name.camera.as_str());
        let feed = name.map_or("main", |name| name.feed.as_str());
        rows.push(Row {
            damaged: damage.in_segment(listed),
            ..Row::new(listed, camera, feed)
        });
    }
    if arguments.tells_gaps() {
        let of_one = |known: &&KnownStream| stream.as_ref().is_none_or(|one| one.id == known.id);
        let state = local.state().map(StateFolder::folder);
        let mut lasting = state.map_or_else(HashMap::new, gaps::lasting);
        for known in local.streams().iter().filter(of_one) {
            let (camera, feed) = (known.name.camera.clone(), known.name.feed.as_str());
            let lasts = lasting.remove(&(camera, feed.to_owned()));
            let lone = gaps::of_log(&listing.segments, &told.gaps, &known.id, lasts);
            let lone = lone.into_iter().filter(|gap| gap.is_in(&span));
            let name = (known.name.camera.as_str(), known.name.feed.as_str());
            rows.extend(lone.map(|gap| Row::gap(name, known.id.to_string(), gap)));
        }
        rows.sort_by(|one, other| {
            (&one.stream, one.start_us).cmp(&(&other.stream, other.start_us))
        });
    }
    for oddity in &listing.oddities {
        eprintln!("hearthkeep: {}: {}", oddity.path.display(), oddity.why);
    }
    Ok(show(rows, &arguments)?.or(log))
}

/// What a box says of its footage.
fn list_remote(remote: &Remote, arguments: &ListArguments) -> Result<ExitStatus, Failure> {
    let span = arguments.span.micros();
    if let Some(camera) = &arguments.camera {
        remote.stream(camera)?;
    }
    let is_wanted = |stream: &&RemoteStream| {
        let camera = arguments.camera.as_ref();
        camera.is_none_or(|camera| *camera == stream.camera)
    };
    let mut rows = Vec::new();
    for stream in remote.streams().iter().filter(is_wanted) {
        let timeline = remote.timeline(stream, &span)?;
        tell_away(&timeline, &span);
        let segments = timeline.segments.iter();
        let damaged = Marks::new(timeline.damaged.clone());
        let of_it = segments.map(|segment| Row::remote(stream, segment, &timeline.gaps, &damaged));
        let mut of_it: Vec<_> = of_it.collect();
        if arguments.tells_gaps() {
            let lone = lone_of(&timeline);
            let lone = lone.into_iter().filter(|gap| gap.is_in(&span));
            let name = (stream.camera.as_str(), stream.feed.as_str());
            of_it.extend(lone.map(|gap| Row::gap(name, stream.id.clone(), gap)));
            of_it.sort_by_key(|row| row.start_us);
        }
        rows.extend(of_it);
    }
    show(rows, arguments)
}

/// Of a timeline's gaps those that end at no segment's beginning.
fn lone_of(timeline: &Timeline) -> Vec<LoneGap> {
    let told = |start_us: i64| {
        let mut gaps = timeline.gaps.iter();
        let told = gaps.find(|gap| gap.end_us == start_us);
        told.map(|gap| gap.start_us)
    };
    let begins: Vec<_> = timeline
        .segments
        .iter()
        .map(|segment| Begin {
            start_us: segment.start_us,
            end_us: segment
                .start_us
                .saturating_add_unsigned(segment.duration_us),
            tells_from_us: told(segment.start_us),
        })
        .collect();
    let end_us = |gap: &Gap| match gap.open {
        true => OPEN_END_US,
        false => gap.end_us,
    };
    let gaps = timeline.gaps.iter();
    gaps::lone(
        &begins,
        gaps.map(|gap| (gap.start_us, end_us(gap), gap.cause.clone())),
    )
}

fn show(mut rows: Vec<Row<'_>>, arguments: &ListArguments) -> Result<ExitStatus, Failure> {
    if arguments.local_time {
        rows.iter_mut().for_each(Row::show_local_time);
    }
    match arguments.json {
        true => line(serde_json::to_string_pretty(&rows).expect("plain values become JSON"))?,
        false => print_table(&rows)?,
    }
    Ok(ExitStatus::Done)
}

impl ListArguments {
    /// Whether gaps have rows of their own: what scripts take for a segment is one.
    fn tells_gaps(&self) -> bool {
        self.gaps || !self.json
    }
}

impl<'a> Row<'a> {
    fn remote(
        stream: &'a RemoteStream,
        segment: &TimelineSegment,
        gaps: &[Gap],
        damaged: &Marks,
    ) -> Self {
        let mut gaps = gaps.iter();
        let before = gaps.find(|gap| gap.end_us == segment.start_us);
        let end_us = segment
            .start_us
            .saturating_add_unsigned(segment.duration_us);
        Self {
            camera: &stream.camera,
            feed: &stream.feed,
            stream: stream.id.clone(),
            segment: Some(segment.id.clone()),
            start: rfc3339(segment.start_us),
            end: rfc3339(end_us),
            start_us: segment.start_us,
            duration_us: segment.duration_us,
            bytes: Some(segment.bytes),
            sequence: Some(segment.sequence),
            state: match (segment.open, segment.recovered) {
                (true, _) => "open",
                (false, true) => "recovered",
                (false, false) => "whole",
            },
            cause: None,
            clock_trusted: None,
            gap_before: before.map(|gap| GapRow {
                cause: gap.cause.clone(),
                length_us: u64::try_from(gap.end_us.saturating_sub(gap.start_us)).ok(),
            }),
            damaged: damaged.within(segment.start_us, end_us),
        }
    }

    /// A gap that stands before no segment.
    fn gap((camera, feed): (&'a str, &'a str), stream: String, gap: LoneGap) -> Self {
        let end_us = gap.end_us.unwrap_or_else(|| SystemClock::new().wall_us());
        Self {
            camera,
            feed,
            stream,
            segment: None,
            start: rfc3339(gap.start_us),
            end: rfc3339(end_us),
            start_us: gap.start_us,
            duration_us: u64::try_from(end_us.saturating_sub(gap.start_us)).unwrap_or(0),
            bytes: None,
            sequence: None,
            state: match gap.end_us {
                Some(_) => "gap",
                None => "open-gap",
            },
            cause: Some(gap.cause),
            clock_trusted: None,
            gap_before: None,
            damaged: Vec::new(),
        }
    }

    fn show_local_time(&mut self) {
        let end_us = self.start_us.saturating_add_unsigned(self.duration_us);
        (self.start, self.end) = (rfc3339_local(self.start_us), rfc3339_local(end_us));
    }

    fn new(listed: &Listed, camera: &'a str, feed: &'a str) -> Self {
        let facts = &listed.facts;
        let start_us = facts.start.wall_us;
        Self {
            camera,
            feed,
            stream: facts.header.stream.to_string(),
            segment: Some(facts.header.segment_id().to_string()),
            start: rfc3339(start_us),
            end: rfc3339(start_us.saturating_add_unsigned(facts.end.duration_us)),
            start_us,
            duration_us: facts.end.duration_us,
            bytes: Some(facts.bytes),
            sequence: Some(facts.start.sequence),
            state: match (listed.open, facts.recovered) {
                (true, _) => "open",
                (false, true) => "recovered",
                (false, false) => "whole",
            },
            cause: None,
            clock_trusted: Some(facts.start.clock_trusted),
            gap_before: facts.start.gap.map(|gap| GapRow {
                cause: gap.cause.as_str().to_owned(),
                length_us: gap.length_us,
            }),
            damaged: Vec::new(),
        }
    }
}

fn print_table(rows: &[Row<'_>]) -> Result<(), Failure> {
    if rows.is_empty() {
        return line("nothing has been recorded in this span");
    }
    for row in rows {
        let seconds = row.duration_us as f64 / 1e6;
        let Some(bytes) = row.bytes else {
            let cause = row.cause.as_deref().unwrap_or_default();
            let lasts = match row.state {
                "open-gap" => ", and it lasts",
                _ => "",
            };
            line(format_args!(
                "{:<16} {}  {seconds:>6.1} s  nothing is kept ({cause}){lasts}",
                row.camera, row.start
            ))?;
            continue;
        };
        let megabytes = bytes as f64 / 1e6;
        let gap = row
            .gap_before
            .as_ref()
            .map_or(String::new(), |gap| match gap.length_us {
                Some(length) => format!(
                    "  after a gap of {:.1} s ({})",
                    length as f64 / 1e6,
                    gap.cause
                ),
                None => format!("  ({})", gap.cause),
            });
        let clock = match row.clock_trusted {
            Some(false) => "  (the clock was not set)",
            _ => "",
        };
        let damaged = match damage::length_us(&row.damaged) {
            0 => String::new(),
            us => format!("  (damaged for {:.1} s)", us as f64 / 1e6),
        };
        line(format_args!(
            "{:<16} {}  {seconds:>6.1} s  {megabytes:>7.1} MB  {}{gap}{clock}{damaged}",
            row.camera, row.start, row.state
        ))?;
    }
    Ok(())
}
