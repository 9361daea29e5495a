//! Who may sign in: accounts, login sessions, the throttle and the claim code of a box without an owner.
//!
//! A person's client derives two secrets from the passphrase (`docs/format.md`, 1.1). One comes here to be compared with
//! an Argon2id hash; the other, which opens the identity, never does. So this room can let somebody in and hand out
//! their sealed identity, and can open nothing.
//!
//! Names that are not known are answered like known ones: a stable made-up salt, the same work, the same throttle, the
//! same sentence. Everything is kept in `people.sealed`, so that a restart neither signs anybody out nor gives a guesser
//! five attempts more.
//!
//! A session's age is looked at only while the time is sure ([`SteadyClock`]): a clock that is ahead signs nobody out.
//!
//! Most functions here wait for a disk or for Argon2: async callers move them to a thread that may block.

mod account;
mod base64_bytes;
mod claim_code;
mod error;
mod gate;
mod sessions;
#[cfg(test)]
mod tests;
mod throttle;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use account::{NewAccount, Parameters};
pub use claim_code::{ClaimCode, claim_code_path, remove_claim_code};
pub use error::Error;
pub use sessions::{Session, SessionId, Token};

use crate::clock::{Clock, SteadyClock};
use crate::limits::{SESSION_DOUBTED_S, STATE_FILE_BYTES_MAX};
use crate::random::OsRandom;
use crate::state_file::{self, StateKey};
use account::{Account, keyed_hash, made_up_parameters};
use gate::Gate;
use sessions::{Sessions, WrittenSession};
use throttle::{Target, Throttle};

/// The file of accounts, below the state folder.
pub const FILE: &str = "people.sealed";
const BEFORE: &str = "people-before";
const VERSION: u32 = 1;

/// The people of a box.
pub struct People {
    path: PathBuf,
    key: StateKey,
    server_key: Zeroizing<[u8; 32]>,
    clock: SteadyClock,
    gate: Gate,
    known: Mutex<Known>,
    /// Held while the file is written, so that an older content never replaces a newer one.
    file: Mutex<()>,
}

#[derive(Default)]
struct Known {
    accounts: Vec<Account>,
    sessions: Sessions,
    throttle: Throttle,
}

/// Somebody proved who they are.
#[derive(Debug)]
pub struct SignedIn {
    /// The account's name.
    pub name: String,
    /// Salt and costs that the identity is sealed with.
    pub parameters: Parameters,
    /// The identity under the passphrase.
    pub sealed_identity: Vec<u8>,
    /// The new login session's secret.
    pub token: Token,
}

impl People {
    /// Opens `people.sealed` in the state folder; without one there is nobody yet.
    ///
    /// # Errors
    ///
    /// [`Error::WrongMachineKey`], [`Error::Damaged`], [`Error::Io`].
    pub fn open(
        folder: &Path,
        key: StateKey,
        server_key: Zeroizing<[u8; 32]>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let known = read(&path, &key)?;
        let (gate, known, file) = (Gate::default(), Mutex::new(known), Mutex::new(()));
        let clock = SteadyClock::new(clock, SESSION_DOUBTED_S);
        Ok(Self {
            path,
            key,
            server_key,
            clock,
            gate,
            known,
            file,
        })
    }

    /// Makes this the box's one account; whoever was there before, and all sessions, are gone. Called at the claim, when
    /// the box has no owner, and before the claim is made true.
    ///
    /// # Errors
    ///
    /// [`Error::BadAccount`], [`Error::Busy`], [`Error::Io`].
    pub fn set_owner(&self, new: &NewAccount) -> Result<(), Error> {
        let account = {
            let _inside = self.gate.enter()?;
            Account::new(new, &mut OsRandom)?
        };
        let mut known = self.known();
        known.sessions.end_all();
        known.accounts = vec![account];
        drop(known);
        self.save()
    }

    /// Puts this account in the place of the one that has its name; all its login sessions end.
    ///
    /// # Errors
    ///
    /// [`Error::BadAccount`] also where there is none of that name; [`Error::Busy`], [`Error::Io`].
    pub fn replace_account(&self, new: &NewAccount) -> Result<(), Error> {
        let account = {
            let _inside = self.gate.enter()?;
            Account::new(new, &mut OsRandom)?
        };
        let mut known = self.known();
        let place = known.accounts.iter_mut().find(|it| it.name == new.name);
        let place = place.ok_or(Error::BadAccount {
            what: "there is none of that name to replace",
        })?;
        *place = account;
        known.sessions.end_all_of(&new.name);
        drop(known);
        self.save()
    }

    /// Copies `people.sealed` as it is now; returns where to. Renamed back it is valid again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn keep_before(&self) -> Result<PathBuf, Error> {
        // Never over one that is kept already: it may be the only one that can sign.
        let before = (1..)
            .map(|n| match n {
                1 => format!("{BEFORE}.sealed"),
                n => format!("{BEFORE}-{n}.sealed"),
            })
            .map(|name| self.path.with_file_name(name))
            .find(|path| !path.exists())
            .expect("a folder holds no endless number of files");
        let sealed = state_file::read(&self.path, STATE_FILE_BYTES_MAX);
        let kept = sealed.and_then(|sealed| match sealed {
            Some(sealed) => state_file::replace(&before, &sealed),
            None => Ok(()),
        });
        match kept {
            Ok(()) => Ok(before),
            Err(source) => Err(Error::Io {
                verb: "written",
                path: before,
                source,
            }),
        }
    }

    /// Whether anybody could sign in.
    pub fn has_accounts(&self) -> bool {
        !self.known().accounts.is_empty()
    }

    /// What a client needs to derive from the passphrase of `name`; made up, and always the same, where there is no such
    /// account.
    pub fn parameters(&self, name: &str) -> Parameters {
        let made_up = made_up_parameters(&self.server_key, name);
        self.known()
            .account(name)
            .map_or(made_up, Account::parameters)
    }

    /// What opens an account's identity in this process, for the command line; nothing is proved by asking.
    pub fn sealed_identity(&self, name: &str) -> Option<(Parameters, Vec<u8>)> {
        let known = self.known();
        let account = known.account(name)?;
        Some((account.parameters(), account.sealed_identity.clone()))
    }

    /// Checks what a client derived, and begins a login session. Costs one Argon2id whether the name is known or not.
    ///
    /// # Errors
    ///
    /// [`Error::Throttled`], [`Error::WrongNameOrPassphrase`], [`Error::Busy`].
    pub fn sign_in(&self, address: IpAddr, name: &str, auth: &[u8; 32]) -> Result<SignedIn, Error> {
        let account = self.known().account(name).cloned();
        let target = self.target(name, account.is_some());
        self.count_attempt(address, target)?;
        let account = account.unwrap_or_else(Account::nobody);
        let is_right = {
            let _inside = self.gate.enter()?;
            account.is_proved_by(auth)
        };
        if !is_right {
            return Err(Error::WrongNameOrPassphrase);
        }
        self.known().throttle.forgive(address, target);
        let (name, parameters) = (account.name.clone(), account.parameters());
        let token = self.begin_session(&name);
        Ok(SignedIn {
            name,
            parameters,
            sealed_identity: account.sealed_identity,
            token,
        })
    }

    /// Counts an attempt at the claim code.
    ///
    /// # Errors
    ///
    /// [`Error::Throttled`].
    pub fn count_claim_attempt(&self, address: IpAddr) -> Result<(), Error> {
        self.count_attempt(address, self.claim_target())
    }

    /// Takes the attempt back: it was right.
    pub fn forgive_claim_attempt(&self, address: IpAddr) {
        self.known().throttle.forgive(address, self.claim_target());
    }

    /// Begins a login session for somebody who has just proved to be `name`.
    pub fn begin_session(&self, name: &str) -> Token {
        let now_us = self.clock.wall_us();
        let token = self.known().sessions.begin(name, now_us, &mut OsRandom);
        self.save_or_warn();
        token
    }

    /// Who holds this token. Does not block.
    pub fn session(&self, token: &Token) -> Option<Session> {
        self.known().sessions.find(token, self.clock.wall_us())
    }

    /// Whether a login session is still open: asked again and again by what outlives one request. Does not block.
    pub fn is_live(&self, session: &SessionId) -> bool {
        self.known().sessions.is_live(session, self.clock.wall_us())
    }

    /// Ends a login session. It is over at once; an error says that it might be open again after a restart.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn end_session(&self, token: &Token) -> Result<(), Error> {
        let ended = self.known().sessions.end(token);
        if ended { self.save() } else { Ok(()) }
    }

    /// Drops what is over, and saves what was only worth saving at leisure. To be called every minute and at the end.
    pub fn tidy(&self) {
        let now_us = self.clock.wall_us();
        let mut known = self.known();
        known.sessions.tidy(now_us);
        let worth_saving = std::mem::take(&mut known.sessions.worth_saving);
        drop(known);
        if worth_saving {
            self.save_or_warn();
        }
    }

    fn target(&self, name: &str, is_known: bool) -> Target {
        let key = keyed_hash(&self.server_key, "throttle", name);
        if is_known {
            Target::Known(key)
        } else {
            Target::Unknown(key)
        }
    }

    fn claim_target(&self) -> Target {
        Target::Known(keyed_hash(&self.server_key, "claim", ""))
    }

    fn count_attempt(&self, address: IpAddr, target: Target) -> Result<(), Error> {
        let counted = self
            .known()
            .throttle
            .attempt(address, target, self.clock.inner().wall_us());
        counted.map_err(|wait_us| Error::Throttled {
            wait_s: (wait_us as u64).div_ceil(1_000_000),
        })?;
        self.save_or_warn();
        Ok(())
    }

    /// A full disk must not keep the owner out, who may be coming to look after it.
    fn save_or_warn(&self) {
        if let Err(error) = self.save() {
            tracing::warn!("sign-ins are remembered only until the next restart: {error}");
        }
    }

    fn save(&self) -> Result<(), Error> {
        let _file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let json = self.known().encode();
        let sealed = self.key.seal(FILE, &json, &mut OsRandom);
        let failed = |source| Error::Io {
            verb: "written",
            path: self.path.clone(),
            source,
        };
        state_file::replace(&self.path, &sealed).map_err(failed)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("People")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Whether the accounts in a state folder can be read; the recorder does not start where they cannot.
///
/// # Errors
///
/// As [`People::open`].
pub fn look(folder: &Path, key: &StateKey) -> Result<(), Error> {
    read(&folder.join(FILE), key).map(drop)
}

fn read(path: &Path, key: &StateKey) -> Result<Known, Error> {
    let failed = |source: io::Error| Error::Io {
        verb: "read",
        path: path.to_owned(),
        source,
    };
    match state_file::read(path, STATE_FILE_BYTES_MAX).map_err(failed)? {
        None => Ok(Known::default()),
        Some(sealed) => {
            let json = key.open(FILE, &sealed).ok_or(Error::WrongMachineKey {
                path: path.to_owned(),
            })?;
            Known::decode(&json).map_err(|what| Error::Damaged {
                path: path.to_owned(),
                what,
            })
        }
    }
}

/// `people.sealed`, opened.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    accounts: Vec<Account>,
    sessions: Vec<WrittenSession>,
    throttle: Throttle,
}

impl Known {
    fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    fn encode(&mut self) -> Zeroizing<Vec<u8>> {
        let written = Written {
            version: VERSION,
            accounts: self.accounts.clone(),
            sessions: self.sessions.to_written(),
            throttle: std::mem::take(&mut self.throttle),
        };
        let json = serde_json::to_vec(&written).expect("plain values become JSON");
        self.throttle = written.throttle;
        Zeroizing::new(json)
    }

    fn decode(json: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if written.version != VERSION {
            return Err(format!(
                "version {} is not known to this program",
                written.version
            ));
        }
        let Written {
            accounts,
            sessions,
            throttle,
            ..
        } = written;
        Ok(Self {
            accounts,
            sessions: Sessions::from_written(sessions),
            throttle,
        })
    }
}
