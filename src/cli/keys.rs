//! `hearthkeep keys`

use hearthkeep_format::Keyring;
use hearthkeep_format::generation::MemberKind;

use super::ConfigArgument;
use super::local::{load_config, state_failure};
use super::opening::OpeningArguments;
use super::output::{ExitStatus, Failure, OrFail, line};
use crate::keys::StateFolder;

#[derive(Debug, clap::Args)]
pub struct KeysArguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Also try whether this passphrase or kit opens the footage
    #[command(flatten)]
    opening: OpeningArguments,
    /// The account whose passphrase it is
    #[arg(long, value_name = "NAME", default_value = "owner")]
    name: String,
}

pub(super) fn main(arguments: KeysArguments) -> Result<ExitStatus, Failure> {
    let config = load_config(&arguments.config.config)?;
    let state = StateFolder::load(&config.state_dir).map_err(state_failure)?;
    let bytes = state.keyring_bytes().map_err(state_failure)?;
    let keyring = Keyring::decode(&bytes).or_fail(ExitStatus::Damaged)?;
    line(format_args!("store       {}", state.store()))?;
    if let Some(root) = state.root() {
        line(format_args!("root key    {}", root.fingerprint()))?;
    }
    for statement in keyring.verify().or_fail(ExitStatus::Damaged)? {
        line(format_args!("generation  {}", statement.number))?;
        for member in &statement.members {
            let kind = match member.kind {
                MemberKind::Owner => "owner",
                MemberKind::RecoveryKit => "recovery kit",
            };
            line(format_args!(
                "  {kind:<13} {}",
                member.verifying_key.fingerprint()
            ))?;
        }
    }
    if arguments.opening.is_given() {
        let open = arguments.opening.open(&state, &arguments.name)?;
        line(format_args!(
            "This identity opens all footage, up to generation {}.",
            open.newest()
        ))?;
    }
    Ok(ExitStatus::Done)
}
