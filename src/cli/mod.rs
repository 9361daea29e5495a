//! The command line: one file a subcommand.

mod announce;
mod audit;
mod check;
mod damage;
mod disk;
mod evidence;
mod export;
mod footage;
mod foreseen;
mod gaps;
mod hold;
mod init;
mod keys;
mod list;
mod local;
mod manual;
mod media;
mod memory;
mod opening;
mod output;
mod owner;
mod play;
mod reindex;
mod remote;
mod repair;
mod run;
mod running;
mod socket;
mod span;
mod status;
mod store;
mod told;
mod witness;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use output::{ExitStatus, Failure};
pub use witness::kept_head;

/// A home-base for security cameras: records sealed footage that it cannot read back.
#[derive(Debug, Parser)]
#[command(name = "hearthkeep", version, about, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a store: the owner's identity under a passphrase, the recovery kit, the keys
    Init(init::InitArguments),
    /// Record
    Run(run::RunArguments),
    /// Show how the recorder, its cameras and its disks are, and what is wrong
    Status(status::StatusArguments),
    /// List what has been recorded
    List(list::ListArguments),
    /// Write footage to an MP4 file, as it was recorded
    Export(export::ExportArguments),
    /// Write footage to standard output, for a player or another program
    Play(play::PlayArguments),
    /// Check that what has been recorded is whole
    Check(check::CheckArguments),
    /// Make whole what `check` finds, as far as nothing can be lost by it
    Repair(repair::RepairArguments),
    /// Rebuild the catalog from the segments
    Reindex(reindex::ReindexArguments),
    /// Show, add, empty and take out disks
    Disk(disk::DiskArguments),
    /// Keep footage from being deleted, whatever its age and however full the disks are
    Hold(hold::HoldArguments),
    /// Show the keys that footage is sealed to, or confirm the recovery kit
    Keys(keys::KeysArguments),
    /// Write a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Announce the box in the network; `run` starts this
    #[command(hide = true)]
    Announce(announce::AnnounceArguments),
    /// Write the manual page
    Man,
}

/// Where the configuration is.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgument {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/hearthkeep/hearthkeep.toml"
    )]
    config: PathBuf,
}

/// Does what the arguments say.
pub fn main(arguments: Arguments) -> Result<ExitStatus, Failure> {
    refuse_core_dumps();
    match arguments.command {
        Command::Init(arguments) => init::main(arguments),
        Command::Run(arguments) => run::main(arguments),
        Command::Status(arguments) => status::main(arguments),
        Command::List(arguments) => list::main(arguments),
        Command::Export(arguments) => export::main(arguments),
        Command::Play(arguments) => play::main(arguments),
        Command::Check(arguments) => check::main(arguments),
        Command::Repair(arguments) => repair::main(arguments),
        Command::Reindex(arguments) => reindex::main(arguments),
        Command::Disk(arguments) => disk::main(arguments),
        Command::Hold(arguments) => hold::main(arguments),
        Command::Keys(arguments) => keys::main(arguments),
        Command::Completions { shell } => output::completions(shell),
        Command::Announce(arguments) => announce::main(arguments),
        Command::Man => manual::main(),
    }
}

/// A core file would hold keys, passwords, or an identity that opens all footage.
fn refuse_core_dumps() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        eprintln!("hearthkeep: core dumps could not be switched off: {error}");
    }
}
