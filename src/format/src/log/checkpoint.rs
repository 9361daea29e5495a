//! Checkpoints: signed notes as C2SP's signed-note and tlog-checkpoint have them (`docs/format.md`, 9.4).

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::ENTRIES_MAX;
use crate::{Error, LogId, Result, SigningKey, StoreId, VerifyingKey, merkle};

/// Length of a checkpoint's text at most, in bytes.
pub const NOTE_LEN_MAX: usize = 4096;

const SIGNATURES_MAX: usize = 16;
const ED25519: u8 = 1;
const LABEL: &[u8] = b"hearthkeep/v1/log-id";
const WHAT: &str = "checkpoint";
const KEY_WHAT: &str = "log key";

/// Size and root of a log at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The store whose log it is.
    pub store: StoreId,
    /// The log.
    pub log: LogId,
    /// How many entries it has.
    pub size: u64,
    /// The tree hash over them.
    pub root: merkle::Hash,
}

/// What verifies a log's checkpoints. The log's id follows from it, so that no second key can sign for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogKey {
    /// The store whose log it is.
    pub store: StoreId,
    /// The key.
    pub key: VerifyingKey,
}

impl LogKey {
    /// The log that this key signs.
    pub fn log(&self) -> LogId {
        let hash = Sha256::new_with_prefix(LABEL)
            .chain_update(self.store.as_bytes())
            .chain_update(self.key.as_bytes())
            .finalize();
        let (id, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        LogId::from_bytes(*id)
    }

    /// As signed-note writes it: name, key id and key, joined by `+`.
    pub fn to_text(&self) -> String {
        let name = origin(&self.store, &self.log());
        let key = BASE64.encode(self.typed());
        format!("{name}+{}+{key}", hex(&self.id()))
    }

    /// Reads what [`LogKey::to_text`] writes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another text; [`Error::Foreign`] where name or id are not the key's.
    pub fn from_text(text: &str) -> Result<Self> {
        const WRONG: Error = Error::Malformed {
            what: KEY_WHAT,
            offset: 0,
        };
        let (name, rest) = text.split_once('+').ok_or(WRONG)?;
        let (_, key) = rest.split_once('+').ok_or(WRONG)?;
        let (store, _) = read_origin(name).ok_or(WRONG)?;
        let key = BASE64.decode(key).map_err(|_| WRONG)?;
        let Ok([ED25519, key @ ..]) = <[u8; 33]>::try_from(key) else {
            return Err(WRONG);
        };
        let key = VerifyingKey::from_bytes(&key)?;
        let key = Self { store, key };
        match key.to_text() == text {
            true => Ok(key),
            false => Err(Error::Foreign { what: KEY_WHAT }),
        }
    }

    fn typed(&self) -> [u8; 33] {
        let mut typed = [ED25519; 33];
        typed[1..].copy_from_slice(self.key.as_bytes());
        typed
    }

    /// The first four bytes of the hash over name and key, as signed-note says.
    fn id(&self) -> [u8; 4] {
        let hash = Sha256::new_with_prefix(origin(&self.store, &self.log()))
            .chain_update(b"\n")
            .chain_update(self.typed())
            .finalize();
        let (id, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        *id
    }
}

impl Checkpoint {
    /// The checkpoint, signed: a text that ends with a line break.
    ///
    /// # Errors
    /// [`Error::Foreign`] where the key is not the log's.
    pub fn sign(&self, key: &SigningKey) -> Result<String> {
        let log_key = LogKey {
            store: self.store,
            key: key.verifying_key(),
        };
        if log_key.log() != self.log {
            return Err(Error::Foreign {
                what: "signing key",
            });
        }
        let body = self.body();
        let signature = [log_key.id().as_slice(), &key.sign(body.as_bytes())].concat();
        let name = origin(&self.store, &self.log);
        let signature = BASE64.encode(signature);
        Ok(format!("{body}\n\u{2014} {name} {signature}\n"))
    }

    /// Reads a checkpoint and checks that it is signed with this key. Signatures of others, and lines that are none of the three,
    /// say nothing.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Limit`] for another text, [`Error::Foreign`] for another log's, [`Error::Tampered`]
    /// where the key has not signed it.
    pub fn verify(note: &str, key: &LogKey) -> Result<Self> {
        let (checkpoint, body, signatures) = split(note)?;
        if checkpoint.log != key.log() || checkpoint.store != key.store {
            return Err(Error::Foreign { what: WHAT });
        }
        let name = origin(&checkpoint.store, &checkpoint.log);
        let mut of_key = signatures.lines().filter_map(|line| {
            let (signer, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let bytes = BASE64.decode(signature).ok()?;
            let (id, signature) = bytes.split_first_chunk::<4>()?;
            (signer == name && *id == key.id()).then(|| signature.to_vec())
        });
        const WRONG: Error = Error::Tampered { what: WHAT };
        let signature = of_key.next().ok_or(WRONG)?;
        let signature = <[u8; 64]>::try_from(signature).map_err(|_| WRONG)?;
        let verified = key.key.verify(body.as_bytes(), &signature);
        verified.map(|()| checkpoint).map_err(|_| WRONG)
    }

    /// What a checkpoint says, whoever signed it: enough to know which key to look for.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Limit`] for another text.
    pub fn read_unverified(note: &str) -> Result<Self> {
        Ok(split(note)?.0)
    }

    fn body(&self) -> String {
        let origin = origin(&self.store, &self.log);
        format!("{origin}\n{}\n{}\n", self.size, BASE64.encode(self.root))
    }
}

/// The checkpoint, what is signed of it, and the lines of signatures.
fn split(note: &str) -> Result<(Checkpoint, &str, &str)> {
    let malformed = |offset| Error::Malformed { what: WHAT, offset };
    if note.len() > NOTE_LEN_MAX {
        return Err(Error::Limit {
            what: WHAT,
            limit: NOTE_LEN_MAX as u64,
        });
    }
    let end = note.rfind("\n\n").ok_or(malformed(0))? + 1;
    let (body, signatures) = (&note[..end], &note[end + 1..]);
    let is_control = |c: char| c < ' ' && c != '\n';
    let lines = signatures.strip_suffix('\n').ok_or(malformed(note.len()))?;
    if note.chars().any(is_control) || lines.lines().count() > SIGNATURES_MAX {
        return Err(malformed(end));
    }
    let mut fields = body.lines();
    let mut next = || fields.next().filter(|line| !line.is_empty());
    let (store, log) = next().and_then(read_origin).ok_or(malformed(0))?;
    let size = next().and_then(read_size).ok_or(malformed(0))?;
    let root = next().and_then(|line| BASE64.decode(line).ok());
    let root = root.and_then(|root| root.try_into().ok());
    let root = root.ok_or(malformed(0))?;
    if fields.any(str::is_empty) {
        return Err(malformed(0));
    }
    let checkpoint = Checkpoint {
        store,
        log,
        size,
        root,
    };
    Ok((checkpoint, body, signatures))
}

/// The first line of a checkpoint, which is the name of its key too.
fn origin(store: &StoreId, log: &LogId) -> String {
    format!("hearthkeep/v1/{store}/{log}")
}

fn read_origin(line: &str) -> Option<(StoreId, LogId)> {
    let (store, log) = line.strip_prefix("hearthkeep/v1/")?.split_once('/')?;
    let (store, log) = (StoreId::from_hex(store)?, LogId::from_hex(log)?);
    (line == origin(&store, &log)).then_some((store, log))
}

fn read_size(line: &str) -> Option<u64> {
    let size: u64 = line.parse().ok()?;
    (size <= ENTRIES_MAX && line == size.to_string()).then_some(size)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
