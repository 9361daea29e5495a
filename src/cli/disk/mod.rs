//! `hearthkeep disk`: the disks of the store. A running recorder is asked to do it; without one it is done here, under the lock.

mod here;
mod show;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ConfigArgument;
use super::audit::who;
use super::local::{load_config, state_failure};
use super::output::{ExitStatus, Failure, OrFail, line};
use super::owner;
use super::socket::Request;
use super::store::{ask_recorder, pool_failure};
use crate::config::{self, Config, Tier};
use crate::keys::StateFolder;
use crate::pool::{self, Pool};
use crate::store;
use crate::web::footage::DiskStatus;
use here::Here;

#[derive(Debug, clap::Args)]
pub struct DiskArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the disks, what lies on them, and what is wrong with them
    List {
        #[command(flatten)]
        config: ConfigArgument,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Record to another disk: an empty folder, or a disk of this store
    Add {
        #[command(flatten)]
        config: ConfigArgument,
        /// The folder that the disk is mounted at
        folder: PathBuf,
        /// The most that footage may take of it, such as 500GB
        #[arg(long, value_name = "SIZE", value_parser = size)]
        max_bytes: Option<u64>,
        /// For old footage only: what is older than cold_after_days moves there
        #[arg(long)]
        cold: bool,
        /// It takes the place of the disk that was at this folder and is lost: that one's footage is given up
        #[arg(long)]
        replace: bool,
    },
    /// Empty a disk: nothing new goes to it, and its footage moves to the others
    Drain {
        #[command(flatten)]
        config: ConfigArgument,
        /// Its folder or its id
        disk: String,
        /// Where the others have no room, let the oldest footage go
        #[arg(long)]
        let_go: bool,
        /// Stop emptying it: it is used again
        #[arg(long, conflicts_with = "let_go")]
        stop: bool,
    },
    /// Take out a disk that is empty
    Retire {
        #[command(flatten)]
        config: ConfigArgument,
        /// Its folder or its id
        disk: String,
        /// Give up the footage that is still on it, as of a disk that is lost
        #[arg(long)]
        forget: bool,
    },
}

/// What is known of a disk that was taken out.
#[derive(Debug, Serialize, Deserialize)]
struct Retired {
    segments: u64,
    bytes: u64,
    oldest_us: Option<i64>,
    held_bytes: Option<u64>,
    unmarked: Option<String>,
}

pub(super) fn main(arguments: DiskArguments) -> Result<ExitStatus, Failure> {
    match arguments.command {
        Command::List { config, json } => list(&Desk::open(&config)?, json),
        Command::Add {
            config,
            folder,
            max_bytes,
            cold,
            replace,
        } => {
            let tier = if cold { Tier::Cold } else { Tier::Hot };
            let path = std::path::absolute(&folder).or_fail(ExitStatus::Failed)?;
            let wanted = config::Disk {
                path,
                max_bytes,
                tier,
            };
            add(&Desk::open(&config)?, wanted, replace)
        }
        Command::Drain {
            config,
            disk,
            let_go,
            stop,
        } => {
            let desk = Desk::open(&config)?;
            // What is not there has an exit status of its own, and over the socket come sentences only.
            desk.find(&disk)?;
            match stop {
                true => keep(&desk, disk),
                false => drain(&desk, disk, let_go),
            }
        }
        Command::Retire {
            config,
            disk,
            forget,
        } => retire(&Desk::open(&config)?, disk, forget),
    }
}

/// A disk that is to go, and its folder.
enum Found {
    /// As the configuration names it.
    Configured(PathBuf),
    /// The configuration does not have it any more: where it was last.
    LeftOut(PathBuf),
}

/// Who does it: the recorder that runs, or this process.
struct Desk {
    config: Config,
    path: PathBuf,
}

impl Desk {
    fn open(argument: &ConfigArgument) -> Result<Self, Failure> {
        Ok(Self {
            config: load_config(&argument.config)?,
            path: argument.config.clone(),
        })
    }

    /// Asks the running recorder; `None` where there is none.
    fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<Option<T>, Failure> {
        ask_recorder(&self.config, request)
    }

    fn disks(&self) -> Result<Vec<DiskStatus>, Failure> {
        match self.ask(&Request::Disks)? {
            Some(disks) => Ok(disks),
            None => Here::at_rest(&self.config),
        }
    }

    /// The folder of a disk that is to go.
    fn find(&self, disk: &str) -> Result<Found, Failure> {
        let disks = self.disks()?;
        let is_it = |known: &&DiskStatus| {
            known.id.as_deref() == Some(disk) || pool::same(Path::new(&known.path), Path::new(disk))
        };
        if let Some(known) = disks.iter().find(is_it) {
            let path = PathBuf::from(&known.path);
            let configured = disks.iter().filter(|disk| !disk.is_left_out());
            return match (known.is_left_out(), configured.count()) {
                (true, _) => Ok(Found::LeftOut(path)),
                (false, 1) => Err(Failure::new(ExitStatus::Failed, store::Error::LastDisk)),
                (false, _) => Ok(Found::Configured(path)),
            };
        }
        // The recorder may have taken it out when the configuration could not be written.
        let mut configured = self.config.disks.iter().map(|disk| &disk.path);
        let left = configured.find(|path| pool::same(path, Path::new(disk)));
        left.cloned()
            .map(Found::Configured)
            .ok_or_else(|| Failure::new(ExitStatus::Nothing, store::Error::NoSuchDisk))
    }
}

fn list(desk: &Desk, json: bool) -> Result<ExitStatus, Failure> {
    let disks = desk.disks()?;
    match json {
        true => line(serde_json::to_string_pretty(&disks).or_fail(ExitStatus::Failed)?)?,
        false => disks.iter().try_for_each(show::disk)?,
    }
    Ok(ExitStatus::Done)
}

fn add(desk: &Desk, mut wanted: config::Disk, replace: bool) -> Result<ExitStatus, Failure> {
    let edited = pool::with_disk(&desk.path, &mut wanted).map_err(pool_failure)?;
    // Before the folder is given to anybody: the store may be a newer program's.
    StateFolder::load(&desk.config.state_dir).map_err(state_failure)?;
    owner::give_folder(&desk.config.state_dir, &wanted.path)
        .map_err(|error| not_given(&wanted, &error))?;
    let request = Request::AddDisk {
        path: wanted.path.clone(),
        max_bytes: wanted.max_bytes,
        cold: wanted.tier == Tier::Cold,
        replace,
        who: who(),
    };
    let id = match desk.ask(&request)? {
        Some(id) => id,
        None => Here::add(&desk.config, &wanted, replace)?,
    };
    edited.map(save).transpose()?;
    say_if_shared(&wanted.path, &desk.config.state_dir);
    let path = wanted.path.display();
    line(format_args!(
        "{path} is disk {id} of this store now, and in the configuration."
    ))?;
    Ok(ExitStatus::Done)
}

/// Says of a new disk that it is on the system's file system or the state folder's, if it is.
pub(super) fn say_if_shared(disk: &Path, state_dir: &Path) {
    if let Some(shared) = pool::shared(disk, state_dir) {
        eprintln!("hearthkeep: {}", pool::on_shared(disk, shared));
    }
}

fn not_given(wanted: &config::Disk, error: &std::io::Error) -> Failure {
    let path = wanted.path.display();
    let sentence = format_args!(
        "the disk folder {path} cannot be given to the user that the recorder runs as ({error}): make it, or mount it"
    );
    Failure::new(ExitStatus::Failed, sentence)
}

/// The configuration is the caller's file.
fn save(edited: config::Edited) -> Result<(), Failure> {
    let saved = owner::as_caller(|| edited.save());
    saved.map(drop).map_err(|error| pool_failure(error.into()))
}

fn drain(desk: &Desk, disk: String, let_go: bool) -> Result<ExitStatus, Failure> {
    let request = Request::DrainDisk {
        disk: disk.clone(),
        let_go,
    };
    if desk.ask::<Value>(&request)?.is_some() {
        line(
            "The running recorder empties it from now on; `hearthkeep disk list` shows how far it is.",
        )?;
        return Ok(ExitStatus::Done);
    }
    Here::open(&desk.config)?.drain(&disk, let_go)
}

fn keep(desk: &Desk, disk: String) -> Result<ExitStatus, Failure> {
    let request = Request::KeepDisk { disk: disk.clone() };
    if desk.ask::<Value>(&request)?.is_none() {
        Here::open(&desk.config)?.keep(&disk)?;
    }
    line("It is used again; what was moved stays where it is.")?;
    Ok(ExitStatus::Done)
}

fn retire(desk: &Desk, disk: String, forget: bool) -> Result<ExitStatus, Failure> {
    let (path, edited) = match desk.find(&disk)? {
        Found::LeftOut(path) => (path, None),
        Found::Configured(path) => {
            let edited = owner::as_caller(|| pool::without_disk(&desk.path, &path, forget));
            (path, Some(edited.map_err(pool_failure)?))
        }
    };
    let request = Request::RetireDisk {
        disk: disk.clone(),
        forget,
        who: who(),
    };
    let retired = match desk.ask(&request)? {
        Some(retired) => retired,
        None => here::retire(&desk.config, &disk, forget)?,
    };
    edited.map(save).transpose()?;
    show::retired(&path, &retired)?;
    Ok(ExitStatus::Done)
}

/// What a running recorder answers to commands about disks and what lies on them.
pub(super) fn answer(pool: &Pool, request: Request) -> Result<Value, String> {
    let done = match request {
        Request::Disks => pool.list().map(|disks| {
            let forecast = pool.forecast();
            let row = |disk| DiskStatus::of(disk).foreseen(forecast.of_disk(disk));
            let rows: Vec<_> = disks.iter().map(row).collect();
            serde_json::json!(rows)
        }),
        Request::AddDisk {
            path,
            max_bytes,
            cold,
            replace,
            who,
        } => {
            let tier = if cold { Tier::Cold } else { Tier::Hot };
            let wanted = config::Disk {
                path,
                max_bytes,
                tier,
            };
            let added = pool.list().and_then(|_| pool.add(&wanted, replace, &who));
            added.map(|id| Value::String(id.to_string()))
        }
        Request::DrainDisk { disk, let_go } => pool.drain(&disk, let_go).map(|()| Value::Null),
        Request::KeepDisk { disk } => pool.keep(&disk).map(|()| Value::Null),
        Request::RetireDisk { disk, forget, who } => {
            let retired = pool.retire(&disk, forget, &who);
            retired.map(|retired| serde_json::json!(Retired::of(retired)))
        }
        Request::Catalog { from } => pool
            .catalogued(from.as_ref())
            .map(|page| serde_json::json!(page)),
        Request::Status
        | Request::Metrics
        | Request::Holds { .. }
        | Request::AddHold { .. }
        | Request::EndHold { .. } => Ok(Value::Null),
    };
    done.map_err(|error| pool_failure(error).sentence)
}

impl Retired {
    fn of(retired: pool::Retired) -> Self {
        Self {
            segments: retired.given_up.segments,
            bytes: retired.given_up.bytes,
            oldest_us: retired.given_up.oldest_us,
            held_bytes: retired.held_bytes,
            unmarked: retired.unmarked,
        }
    }
}

fn size(text: &str) -> Result<u64, String> {
    config::parse_size(text).ok_or_else(|| "not a size: such as 500GB or 1.5TiB".to_owned())
}
