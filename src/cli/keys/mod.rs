//! `hearthkeep keys`: whom footage is sealed to. What changes something is a subcommand of its own.

mod passphrase;

use hearthkeep_format::Keyring;
use hearthkeep_format::generation::MemberKind;

use crate::cli::ConfigArgument;
use crate::cli::local::{load_config, state_failure};
use crate::cli::opening::OpeningArguments;
use crate::cli::output::{ExitStatus, Failure, OrFail, line};
use crate::keys::StateFolder;
use passphrase::PassphraseArguments;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct KeysArguments {
    #[command(subcommand)]
    command: Option<KeysCommand>,
    #[command(flatten)]
    config: ConfigArgument,
    /// Also try whether this passphrase or kit opens the footage
    #[command(flatten)]
    opening: OpeningArguments,
    /// The account whose passphrase it is
    #[arg(long, value_name = "NAME", default_value = "owner")]
    name: String,
}

#[derive(Debug, clap::Subcommand)]
enum KeysCommand {
    /// Set a new passphrase, with the old one or, where it is forgotten, with the recovery kit; the recorder must be stopped
    Passphrase(PassphraseArguments),
}

pub(super) fn main(arguments: KeysArguments) -> Result<ExitStatus, Failure> {
    match arguments.command {
        Some(KeysCommand::Passphrase(arguments)) => passphrase::main(&arguments),
        None => show(&arguments),
    }
}

fn show(arguments: &KeysArguments) -> Result<ExitStatus, Failure> {
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
