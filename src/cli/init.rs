//! `hearthkeep init`: a store and its owner, made in this process.

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::log::AuditKind;
use hearthkeep_format::{Identity, Random, kit};

use super::ConfigArgument;
use super::audit;
use super::disk::say_if_shared;
use super::local::{load_config, state_failure};
use super::opening::{ask, new_passphrase};
use super::output::{ExitStatus, Failure, OrFail, line};
use super::{owner, store};
use crate::clock::SystemClock;
use crate::keys::{NewOwner, StateFolder};
use crate::people::{NewAccount, People};
use crate::pool;
use crate::random::OsRandom;

#[derive(Debug, clap::Args)]
pub struct InitArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// The owner's name: what they sign in with
    #[arg(long, value_name = "NAME", default_value = "owner")]
    owner: String,
    /// The passphrase, on the first line of this file; asked for on the terminal where it is missing
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Write the recovery kit to this file (which must not exist) instead of the terminal
    #[arg(long, value_name = "FILE")]
    recovery_kit_out: Option<PathBuf>,
}

pub(super) fn main(arguments: InitArguments) -> Result<ExitStatus, Failure> {
    let config = load_config(&arguments.config.config)?;
    let passphrase = new_passphrase(arguments.passphrase_file.as_deref(), &arguments.owner)?;
    let _lock = store::lock(&config)?;
    let mut state =
        StateFolder::open_or_create(&config.state_dir, &mut OsRandom).map_err(state_failure)?;
    if state.is_claimed() {
        let sentence = format!(
            "{} holds a store with an owner already; choose another state_dir for another store",
            config.state_dir.display()
        );
        return Err(Failure::new(ExitStatus::Failed, sentence));
    }
    // Before anything that cannot be taken back: a wrong path is found out now, and not when there is an owner.
    pool::identify_all(&config, &mut state).map_err(store::pool_failure)?;
    let owner = NewOwner::make(&state.store(), &arguments.owner, &passphrase, &mut OsRandom)
        .or_fail(ExitStatus::Failed)?;
    // The kit comes first: a store whose kit nobody has seen must not come to be.
    let page = kit::page(&owner.kit, &state.store(), &owner.claim.verifying_key);
    hand_over(&arguments, &owner.kit, &page)?;
    make(&mut state, owner, &arguments.owner)?;
    audit::tell(&state, AuditKind::Claimed, "by init");
    for disk in &config.disks {
        say_if_shared(&disk.path, &config.state_dir);
    }
    let disks = store::or_failure(pool::mount(&config, &mut state))?;
    pool::spread_keyring(disks.mounted.iter(), &state).map_err(store::pool_failure)?;
    line(format_args!(
        "The store is ready: {} disk{}, {} camera{}. Start it with `hearthkeep run`.",
        disks.mounted.len(),
        if disks.mounted.len() == 1 { "" } else { "s" },
        config.cameras.len(),
        if config.cameras.len() == 1 { "" } else { "s" },
    ))?;
    Ok(ExitStatus::Done)
}

/// Makes the account, and then the claim true.
fn make(state: &mut StateFolder, owner: NewOwner, name: &str) -> Result<(), Failure> {
    let clock = Arc::new(SystemClock::new());
    let people = People::open(state.folder(), state.state_key(), state.server_key(), clock)
        .or_fail(ExitStatus::Failed)?;
    people
        .set_owner(&NewAccount {
            name: name.to_owned(),
            salt: owner.salt,
            params: owner.params,
            auth: owner.auth,
            sealed_identity: owner.sealed_identity,
        })
        .or_fail(ExitStatus::Failed)?;
    state
        .claim(&owner.claim, &mut OsRandom)
        .map_err(state_failure)
}

/// Gives the kit to its owner: into a file, or onto the terminal, where two of its groups are asked back.
fn hand_over(arguments: &InitArguments, kit: &Identity, page: &str) -> Result<(), Failure> {
    if let Some(file) = &arguments.recovery_kit_out {
        return owner::as_caller(|| write_kit(file, page)).map_err(|error| {
            let file = file.display();
            Failure::new(
                ExitStatus::Failed,
                format_args!("the recovery kit cannot be written to {file}: {error}"),
            )
        });
    }
    if !io::stdout().is_terminal() {
        let sentence = "the recovery kit is shown on a terminal only; give a file for it with --recovery-kit-out";
        return Err(Failure::new(ExitStatus::Refused, sentence));
    }
    line(page)?;
    line("Print this, or write it down, and keep it away from the box. It is not shown again.")?;
    let groups = kit::groups(kit);
    for index in two_of(groups.len()) {
        loop {
            let typed = ask(&format!(
                "To be sure that you have it, type group {}: ",
                index + 1
            ))?;
            if typed.trim().eq_ignore_ascii_case(&groups[index]) {
                break;
            }
            eprintln!("That is not group {}; look again.", index + 1);
        }
    }
    Ok(())
}

fn write_kit(file: &Path, page: &str) -> io::Result<()> {
    let mut options = std::fs::File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(page.as_bytes())?;
    file.sync_all()
}

/// Two different indexes below `count`, by chance.
fn two_of(count: usize) -> [usize; 2] {
    let mut draw = [0; 2];
    OsRandom.fill(&mut draw);
    let first = usize::from(draw[0]) % count;
    let second = (first + 1 + usize::from(draw[1]) % (count - 1)) % count;
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_groups_differ() {
        for _ in 0..1000 {
            let [a, b] = two_of(kit::GROUPS);
            assert!(a != b && a < kit::GROUPS && b < kit::GROUPS);
        }
    }
}
