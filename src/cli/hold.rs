//! `hearthkeep hold`: footage that is kept whatever its age. A running recorder is asked; without one it is done here, under the
//! store's lock, and nothing is deleted meanwhile.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hearthkeep_format::{HoldId, StreamId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ConfigArgument;
use super::audit::who;
use super::local::{Local, load_config, no_such_camera, state_failure};
use super::output::{ExitStatus, Failure, OrFail, line};
use super::socket::Request;
use super::span::rfc3339;
use super::store::{ask_recorder, prepare};
use super::told::Told;
use crate::config::Config;
use crate::keys::{KnownStream, StateFolder};
use crate::limits::{HOLD_REASON_CHARS_MAX, HOLD_WRITTEN_MS_MAX, STATUS_ANSWER_BYTES_MAX};
use crate::store::{self, NewHold, Store};
use crate::web::footage::{Footage, Hold};

/// How often it is looked whether the log is read.
const LOOK: Duration = Duration::from_millis(50);
/// Said where a hold that was set here cannot be in the log: it would be forgotten with this process.
const NOT_WRITTEN: &str = "the signed log could not be written, so this was not done: see what is wrong with the disks (`hearthkeep check`)";

#[derive(Debug, clap::Args)]
pub struct HoldArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Keep footage: it is not deleted, however old it grows, until the hold is removed
    Add(AddArguments),
    /// Show what is kept, why, and by whose wish
    List {
        #[command(flatten)]
        config: ConfigArgument,
        /// As JSON: an array with an object for each hold
        #[arg(long)]
        json: bool,
    },
    /// End a hold: what it kept may be deleted from then on
    Remove {
        #[command(flatten)]
        config: ConfigArgument,
        /// The id that `hold list` shows
        #[arg(value_parser = id)]
        id: HoldId,
    },
}

#[derive(Debug, clap::Args)]
struct AddArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Of this camera; can be given several times
    #[arg(
        long = "camera",
        value_name = "NAME",
        required_unless_present = "all_cameras"
    )]
    cameras: Vec<String>,
    /// Of all cameras
    #[arg(long, conflicts_with = "cameras")]
    all_cameras: bool,
    /// From this time on, such as 2026-11-22T18:30:00Z (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    to: Timestamp,
    /// When the hold itself ends; without it, when somebody removes it
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Why, for whoever finds it one day
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why: who finds the hold one day wants to know".to_owned()),
        text if text.chars().count() > HOLD_REASON_CHARS_MAX => {
            Err(format!("at most {HOLD_REASON_CHARS_MAX} characters"))
        }
        text => Ok(text.to_owned()),
    }
}

fn id(text: &str) -> Result<HoldId, String> {
    HoldId::from_hex(text).ok_or_else(|| "an id is 32 hex digits, as `hold list` shows".to_owned())
}

pub(super) fn main(arguments: HoldArguments) -> Result<ExitStatus, Failure> {
    match arguments.command {
        Command::Add(arguments) => add(arguments),
        Command::List { config, json } => list(&Place::of(config)?, json),
        Command::Remove { config, id } => remove(&Place::of(config)?, id),
    }
}

/// The configuration, and where it stands.
struct Place {
    config: Config,
    path: PathBuf,
}

impl Place {
    fn of(argument: ConfigArgument) -> Result<Self, Failure> {
        Ok(Self {
            config: load_config(&argument.config)?,
            path: argument.config,
        })
    }
}

fn add(arguments: AddArguments) -> Result<ExitStatus, Failure> {
    let config = load_config(&arguments.config.config)?;
    let new = NewHold {
        streams: streams_of(&known_streams(&config)?, &arguments.cameras)?,
        from_us: arguments.from.as_microsecond(),
        to_us: Some(arguments.to.as_microsecond()),
        until_us: arguments.until.map(Timestamp::as_microsecond),
        reason: arguments.reason,
        who: who(),
    };
    let request = Request::AddHold {
        streams: new.streams.iter().map(StreamId::to_string).collect(),
        from_us: new.from_us,
        to_us: arguments.to.as_microsecond(),
        until_us: new.until_us,
        reason: new.reason.clone(),
        who: new.who.clone(),
    };
    let hold: Hold = match ask_recorder(&config, &request)? {
        Some(hold) => hold,
        None => here(&config, |store| {
            let (hold, ticket) = store.hold(new).or_fail(ExitStatus::Failed)?;
            written(store, ticket)?;
            Ok(Hold::of(&hold, true))
        })?,
    };
    line(format_args!(
        "It is kept; `hearthkeep hold remove {}` ends that.",
        hold.id
    ))?;
    if !hold.written {
        eprintln!(
            "hearthkeep: the signed log cannot be written now, and until it can, a restart would forget this hold: `hearthkeep status` says \
             what is wrong"
        );
        return Ok(ExitStatus::Failed);
    }
    Ok(ExitStatus::Done)
}

fn list(place: &Place, json: bool) -> Result<ExitStatus, Failure> {
    let holds = holds(place)?;
    if json {
        line(serde_json::to_string_pretty(&holds).or_fail(ExitStatus::Failed)?)?;
        return Ok(ExitStatus::Done);
    }
    if holds.is_empty() {
        line("nothing is held")?;
    }
    let known = known_streams(&place.config)?;
    let names: HashMap<_, _> = known
        .iter()
        .map(|known| (known.id.to_string(), known.name.camera.as_str()))
        .collect();
    holds.iter().try_for_each(|hold| show(hold, &names))?;
    Ok(ExitStatus::Done)
}

fn show(hold: &Hold, names: &HashMap<String, &str>) -> Result<(), Failure> {
    let name = |stream: &String| names.get(stream).copied().unwrap_or("(unknown)");
    let mut cameras: Vec<_> = hold.streams.iter().map(name).collect();
    cameras.dedup();
    let cameras = match cameras.is_empty() {
        true => "all cameras".to_owned(),
        false => cameras.join(", "),
    };
    let to = hold.to_us.map_or_else(
        || " and everything after".to_owned(),
        |us| format!(" to {}", rfc3339(us)),
    );
    let until = hold
        .until_us
        .map_or_else(String::new, |us| format!(", until {}", rfc3339(us)));
    line(format_args!(
        "{}\n  {cameras}, {}{to}\n  set by {}{until}: {}",
        hold.id,
        rfc3339(hold.from_us),
        hold.who,
        hold.reason
    ))
}

fn remove(place: &Place, id: HoldId) -> Result<ExitStatus, Failure> {
    let config = &place.config;
    let request = Request::EndHold {
        id: id.to_string(),
        who: who(),
    };
    // What is not there has an exit status of its own, and over the socket come sentences only.
    if !holds(place)?.iter().any(|hold| hold.id == id.to_string()) {
        return Err(Failure::new(ExitStatus::Nothing, store::Error::NoSuchHold));
    }
    let is_written = match ask_recorder::<bool>(config, &request)? {
        Some(is_written) => is_written,
        None => here(config, |store| {
            let ticket = store.unhold(&id, ENDED, &who());
            written(store, ticket.or_fail(ExitStatus::Failed)?)
        })
        .map(|()| true)?,
    };
    line("It is ended: what it kept may be deleted.")?;
    if !is_written {
        eprintln!(
            "hearthkeep: the signed log cannot be written now, and until it can, a restart would bring this hold back: `hearthkeep status` \
             says what is wrong"
        );
        return Ok(ExitStatus::Failed);
    }
    Ok(ExitStatus::Done)
}

/// Why a hold that is removed is ended.
const ENDED: &str = "it is not needed any more";

/// The holds that stand, by the recorder or by the log on the disks.
fn holds(place: &Place) -> Result<Vec<Hold>, Failure> {
    if let Some(holds) = told_holds(&place.config)? {
        return Ok(holds);
    }
    let local = Local::of_config(&place.path)?;
    let told = Told::read(&local, &local.logs());
    for flaw in &told.flaws {
        eprintln!("hearthkeep: {}: {}", flaw.path, flaw.what);
    }
    for (_, failure) in local.absent() {
        eprintln!("hearthkeep: {}", failure.sentence);
    }
    Ok(told
        .holds
        .values()
        .map(|hold| Hold::of(hold, true))
        .collect())
}

/// Those that a running recorder tells, a page at a time; `None` where none runs.
fn told_holds(config: &Config) -> Result<Option<Vec<Hold>>, Failure> {
    let mut holds: Vec<Hold> = Vec::new();
    loop {
        let after = holds.last().map(|hold| hold.id.clone());
        let Some(page) = ask_recorder::<Page>(config, &Request::Holds { after })? else {
            return Ok(None);
        };
        let is_last = page.is_last || page.holds.is_empty();
        holds.extend(page.holds);
        if is_last {
            return Ok(Some(holds));
        }
    }
}

/// Some of the holds, by their ids.
#[derive(Serialize, Deserialize)]
struct Page {
    holds: Vec<Hold>,
    is_last: bool,
}

impl Page {
    /// Those after an id, as many as an answer takes.
    fn of(mut all: Vec<Hold>, after: Option<&str>) -> Self {
        all.retain(|hold| after.is_none_or(|after| hold.id.as_str() > after));
        all.sort_by(|one, other| one.id.cmp(&other.id));
        let mut bytes = 0;
        let fits = all.iter().take_while(|hold| {
            let length = serde_json::to_vec(hold).map_or(0, |text| text.len() as u64);
            bytes += length;
            // At least one, which is far below the limit.
            bytes == length || bytes < STATUS_ANSWER_BYTES_MAX / 2
        });
        let count = fits.count();
        let is_last = count == all.len();
        all.truncate(count);
        Self {
            holds: all,
            is_last,
        }
    }
}

/// Does something to the store in this process, once its log is read.
fn here<T>(config: &Config, act: impl FnOnce(&Store) -> Result<T, Failure>) -> Result<T, Failure> {
    let (pool, mut options, lock) = prepare(config)?;
    options.at_rest = true;
    let (store, _) = Store::open(options, lock).or_fail(ExitStatus::Failed)?;
    let store = Arc::new(store);
    pool.opened(Arc::clone(&store));
    while !store.log().is_replayed() {
        if let Some(what) = store.casualty() {
            let sentence = format_args!("{what} has failed inside: the holds cannot be read");
            return Err(Failure::new(ExitStatus::Failed, sentence));
        }
        std::thread::park_timeout(LOOK);
    }
    let done = act(&store);
    store.close();
    done
}

fn written(store: &Store, ticket: store::log::Ticket) -> Result<(), Failure> {
    let longest = Duration::from_millis(HOLD_WRITTEN_MS_MAX);
    match store.log().wait_for(ticket, longest) {
        true => Ok(()),
        false => Err(Failure::new(ExitStatus::Failed, NOT_WRITTEN)),
    }
}

fn known_streams(config: &Config) -> Result<Vec<KnownStream>, Failure> {
    let state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    state.streams().map_err(state_failure)
}

/// The streams of these cameras, also of those that are gone from the configuration.
fn streams_of(known: &[KnownStream], cameras: &[String]) -> Result<Vec<StreamId>, Failure> {
    let mut streams = Vec::new();
    for camera in cameras {
        let of_it = known.iter().filter(|known| known.name.camera == *camera);
        let before = streams.len();
        streams.extend(of_it.map(|known| known.id));
        if streams.len() == before {
            let names = known.iter().map(|known| known.name.camera.as_str());
            return Err(no_such_camera(camera, names));
        }
    }
    streams.sort_unstable();
    streams.dedup();
    Ok(streams)
}

/// What a running recorder answers to commands about holds.
pub(super) fn answer(footage: &dyn Footage, request: Request) -> Result<Value, String> {
    let done = match request {
        Request::Holds { after } => footage
            .holds()
            .map(|holds| serde_json::json!(Page::of(holds, after.as_deref()))),
        Request::AddHold {
            streams,
            from_us,
            to_us,
            until_us,
            reason,
            who,
        } => {
            let streams = streams.iter().map(|stream| StreamId::from_hex(stream));
            let streams: Option<Vec<_>> = streams.collect();
            let new = NewHold {
                streams: streams.ok_or("a stream's id is 32 hex digits")?,
                from_us,
                to_us: Some(to_us),
                until_us,
                reason,
                who,
            };
            footage.hold(new).map(|hold| serde_json::json!(hold))
        }
        Request::EndHold { id, who } => {
            let id = HoldId::from_hex(&id).ok_or("a hold's id is 32 hex digits")?;
            footage.end_hold(&id, &who).map(Value::Bool)
        }
        _ => Ok(Value::Null),
    };
    done.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(n: usize, streams: usize) -> Hold {
        Hold {
            id: format!("{n:032x}"),
            streams: (0..streams).map(|n| format!("{n:032x}")).collect(),
            from_us: 1,
            to_us: None,
            until_us: None,
            reason: "r".repeat(HOLD_REASON_CHARS_MAX),
            who: "owner".to_owned(),
            written: true,
        }
    }

    #[test]
    fn more_holds_than_an_answer_takes_come_in_pages() {
        // 70 kB each: all at once would be twice what an answer takes.
        let many = 120;
        let all: Vec<_> = (0..many).rev().map(|n| hold(n, 2_048)).collect();
        let (mut ids, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = Page::of(all.clone(), after.as_deref());
            let bytes = serde_json::to_vec(&page).unwrap().len() as u64;
            assert!(bytes < STATUS_ANSWER_BYTES_MAX * 3 / 4, "{bytes}");
            ids.extend(page.holds.iter().map(|hold| hold.id.clone()));
            after = ids.last().cloned();
            if page.is_last {
                break;
            }
            assert!(!page.holds.is_empty());
        }
        let expected: Vec<_> = (0..many).map(|n| format!("{n:032x}")).collect();
        assert_eq!(ids, expected);
        assert!(Page::of(Vec::new(), None).is_last);
    }
}
