//! The identity that opens footage: by passphrase or by recovery kit. It lives in this process only.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::{Error as FormatError, Identity, Keyring, OpenKeyring, kit, passphrase};
use zeroize::Zeroizing;

use super::local::state_failure;
use super::output::{ExitStatus, Failure, OrFail};
use super::owner;
use crate::clock::SystemClock;
use crate::keys::StateFolder;
use crate::people::People;

/// How footage is opened.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub struct OpeningArguments {
    /// Open with the passphrase in this file; asked for on the terminal where it is missing
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Open with the recovery kit in this file
    #[arg(long, value_name = "FILE")]
    kit: Option<PathBuf>,
}

impl OpeningArguments {
    /// By this kit, or not at all.
    pub(super) fn by_kit(kit: Option<PathBuf>) -> Self {
        Self {
            passphrase_file: None,
            kit,
        }
    }

    /// By the kit in one file, or the passphrase in the other; with neither, by the passphrase that is asked for.
    pub(super) fn of(kit: Option<PathBuf>, passphrase_file: Option<PathBuf>) -> Self {
        Self {
            passphrase_file,
            kit,
        }
    }

    /// Whether an identity was named at all.
    pub(super) fn is_given(&self) -> bool {
        self.passphrase_file.is_some() || self.kit.is_some()
    }

    /// Opens the store's keyring.
    pub(super) fn open(&self, state: &StateFolder, account: &str) -> Result<OpenKeyring, Failure> {
        open_of(state, &self.identity(state, account)?)
    }

    /// Opens a disk's keyring: passphrases lie in the state folder, so only the kit can.
    pub(super) fn open_by_kit(&self, keyring: &Keyring) -> Result<OpenKeyring, Failure> {
        let Some(file) = &self.kit else {
            let sentence = "a disk by itself is opened with the recovery kit; give it with --kit";
            return Err(Failure::new(ExitStatus::Refused, sentence));
        };
        open(keyring, &read_kit(file)?)
    }

    /// The passphrase: from its file, or asked for.
    pub(super) fn passphrase(&self) -> Result<Zeroizing<String>, Failure> {
        passphrase_of(self.passphrase_file.as_deref())
    }

    /// The identity itself, which opens this store's keyring.
    pub(super) fn identity(&self, state: &StateFolder, account: &str) -> Result<Identity, Failure> {
        match &self.kit {
            Some(file) => read_kit(file),
            None => self.identity_by_passphrase(state, account),
        }
    }

    fn identity_by_passphrase(
        &self,
        state: &StateFolder,
        account: &str,
    ) -> Result<Identity, Failure> {
        let people = People::open(
            state.folder(),
            state.state_key(),
            state.server_key(),
            Arc::new(SystemClock::new()),
        )
        .or_fail(ExitStatus::Failed)?;
        let Some((parameters, sealed)) = people.sealed_identity(account) else {
            let sentence =
                format!("there is no account \"{account}\" in this store; name it with --name");
            return Err(Failure::new(ExitStatus::Refused, sentence));
        };
        let text = self.passphrase()?;
        passphrase::derive(&text, &parameters.salt, parameters.params)
            .and_then(|derived| derived.open_identity(&sealed, account))
            .map_err(|error| match error {
                FormatError::WrongPassphrase => Failure::new(
                    ExitStatus::Refused,
                    "wrong passphrase; the recovery kit opens the footage too (--kit)",
                ),
                error => Failure::new(ExitStatus::Damaged, error),
            })
    }
}

/// Opens the keyring of a state folder.
pub(super) fn open_of(state: &StateFolder, identity: &Identity) -> Result<OpenKeyring, Failure> {
    let bytes = state.keyring_bytes().map_err(state_failure)?;
    let keyring = Keyring::decode(&bytes).or_fail(ExitStatus::Damaged)?;
    let open = open(&keyring, identity)?;
    // A keyring verifies from its own root: only this comparison says that it is ours.
    match state.root() == Some(open.root()) {
        true => Ok(open),
        false => Err(Failure::new(
            ExitStatus::Damaged,
            "the keyring is signed by another owner than this store's",
        )),
    }
}

fn open(keyring: &Keyring, identity: &Identity) -> Result<OpenKeyring, Failure> {
    keyring.open(identity).map_err(|error| match error {
        FormatError::NoMatchingIdentity => Failure::new(
            ExitStatus::Refused,
            "this identity opens nothing of this store: it is another store's, or was removed from this one",
        ),
        error => Failure::new(ExitStatus::Damaged, format_args!("the keyring: {error}")),
    })
}

/// The passphrase in a file, or asked for where none is named.
pub(super) fn passphrase_of(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    file.map_or_else(|| ask("Passphrase: "), read_passphrase)
}

/// A new passphrase for an account, which is not a bad one: from its file, or asked for twice.
pub(super) fn new_passphrase(
    file: Option<&Path>,
    account: &str,
) -> Result<Zeroizing<String>, Failure> {
    let check = |text: &str| passphrase::check_strength_for(text, account);
    if let Some(file) = file {
        let text = read_passphrase(file)?;
        return match check(&text) {
            Ok(()) => Ok(text),
            Err(advice) => Err(Failure::new(ExitStatus::Refused, advice)),
        };
    }
    loop {
        let text =
            ask("Choose a passphrase (at least 12 characters; four or five words are good): ")?;
        if let Err(advice) = check(&text) {
            eprintln!("{advice}");
        } else if *text != *ask("Once more: ")? {
            eprintln!("These two are not the same.");
        } else {
            return Ok(text);
        }
    }
}

/// The first line of a passphrase file.
pub(super) fn read_passphrase(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = read_secret(file, "passphrase file")?;
    let line = text.lines().next().unwrap_or_default();
    match line.is_empty() {
        true => Err(Failure::new(
            ExitStatus::Refused,
            format_args!(
                "the passphrase file {} is empty: write the passphrase on its first line",
                file.display()
            ),
        )),
        false => Ok(Zeroizing::new(line.to_owned())),
    }
}

/// Asks on the terminal, without showing what is typed.
pub(super) fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|error| {
            let sentence =
                format!("there is no terminal to ask on ({error}); use --passphrase-file");
            Failure::new(ExitStatus::Refused, sentence)
        })
}

fn read_kit(file: &Path) -> Result<Identity, Failure> {
    let text = read_secret(file, "recovery kit")?;
    kit::parse(&text).map_err(|error| {
        Failure::new(
            ExitStatus::Refused,
            format_args!("the recovery kit {}: {error}", file.display()),
        )
    })
}

fn read_secret(file: &Path, what: &str) -> Result<Zeroizing<String>, Failure> {
    owner::as_caller(|| fs::read_to_string(file))
        .map(Zeroizing::new)
        .map_err(|error| {
            Failure::new(
                ExitStatus::Failed,
                format_args!("the {what} {} cannot be read: {error}", file.display()),
            )
        })
}
