//! `hearthkeep keys passphrase`: another passphrase for an account.
//!
//! The old passphrase opens the account's identity, which is sealed anew. Where it is forgotten nobody can open that
//! identity any more; the recovery kit is one of its own that opens the same footage, and takes its place. The kit signs
//! nothing (`docs/format.md`, 2.1), so the sealed identity from before is kept: it alone could change who footage is sealed to.

use std::path::PathBuf;
use std::sync::Arc;

use hearthkeep_format::log::AuditKind;
use hearthkeep_format::{Identity, Random, passphrase};

use crate::cli::ConfigArgument;
use crate::cli::audit;
use crate::cli::local::{load_config, state_failure};
use crate::cli::opening::{OpeningArguments, new_passphrase, open_of};
use crate::cli::output::{ExitStatus, Failure, OrFail, line};
use crate::cli::store;
use crate::clock::SystemClock;
use crate::keys::StateFolder;
use crate::people::{NewAccount, People};
use crate::random::OsRandom;

#[derive(Debug, clap::Args)]
pub struct PassphraseArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Instead of the old passphrase, the recovery kit in this file
    #[arg(long, value_name = "FILE", conflicts_with = "old_passphrase_file")]
    kit: Option<PathBuf>,
    /// The old passphrase, on the first line of this file; asked for on the terminal where it is missing
    #[arg(long, value_name = "FILE")]
    old_passphrase_file: Option<PathBuf>,
    /// The new passphrase, on the first line of this file; asked for on the terminal where it is missing
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The account
    #[arg(long, value_name = "NAME", default_value = "owner")]
    name: String,
}

pub(super) fn main(arguments: &PassphraseArguments) -> Result<ExitStatus, Failure> {
    let config = load_config(&arguments.config.config)?;
    // The running recorder has the accounts in memory, and would write the old ones back.
    let _lock = store::lock(&config)?;
    let state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    let opening =
        OpeningArguments::of(arguments.kit.clone(), arguments.old_passphrase_file.clone());
    let identity = opening.identity(&state, &arguments.name)?;
    let open = open_of(&state, &identity)?;
    if open.statements().last().map(|newest| newest.number) != Some(open.newest()) {
        let sentence = "this was removed from the store and opens only older footage: it lets nobody in any more";
        return Err(Failure::new(ExitStatus::Refused, sentence));
    }
    let clock = Arc::new(SystemClock::new());
    let people = People::open(state.folder(), state.state_key(), state.server_key(), clock)
        .or_fail(ExitStatus::Failed)?;
    if people.sealed_identity(&arguments.name).is_none() {
        let name = &arguments.name;
        let sentence = format!("there is no account \"{name}\" in this store; name it with --name");
        return Err(Failure::new(ExitStatus::Refused, sentence));
    }
    let text = new_passphrase(arguments.passphrase_file.as_deref(), &arguments.name)?;
    let account = seal(&identity, &arguments.name, &text)?;
    let before = match arguments.kit {
        Some(_) => Some(people.keep_before().or_fail(ExitStatus::Failed)?),
        None => None,
    };
    people
        .replace_account(&account)
        .or_fail(ExitStatus::Failed)?;
    let by = match before {
        Some(_) => "by the recovery kit",
        None => "by the old one",
    };
    audit::tell(&state, AuditKind::Passphrase, by);
    line("The new passphrase is set, and every browser is signed out. Start the recorder again.")?;
    if let Some(before) = before {
        line(format_args!(
            "The account now holds the recovery kit's identity, which opens all footage; keep the kit as before. What the old \
             passphrase opened is in {}: keep it in case that passphrase is remembered, or remove it if somebody else may \
             know it.",
            before.display()
        ))?;
    }
    Ok(ExitStatus::Done)
}

fn seal(identity: &Identity, name: &str, text: &str) -> Result<NewAccount, Failure> {
    let mut salt = [0; 16];
    OsRandom.fill(&mut salt);
    let params = passphrase::Params::default();
    let derived = passphrase::derive(text, &salt, params).or_fail(ExitStatus::Failed)?;
    Ok(NewAccount {
        name: name.to_owned(),
        salt,
        params,
        sealed_identity: derived.seal_identity(identity, name, &mut OsRandom),
        auth: derived.auth.clone(),
    })
}
