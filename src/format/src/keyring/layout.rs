//! The bytes of a keyring (`docs/format.md`, 3).

use sha2::{Digest, Sha256};

use super::{Keyring, WHAT};
use crate::{Error, Result, StoreId};

/// Entries of a keyring at most.
const ENTRIES_MAX: usize = 4096;
/// Length of an entry's body in bytes at most.
const ENTRY_LEN_MAX: usize = 1024 * 1024;

const MAGIC: &[u8; 8] = b"HKKEYR\r\n";
const HASH_LEN: usize = 32;

const STATEMENT: u8 = 1;
const SEALED_SEED: u8 = 2;
const SEALED_METADATA_KEY: u8 = 3;
const STREAMS: u8 = 4;
const PREVIOUS_SEED: u8 = 5;

pub(super) fn encode(keyring: &Keyring) -> Vec<u8> {
    let mut entries: Vec<(u8, Vec<u8>)> = Vec::new();
    entries.extend(
        keyring
            .statements
            .iter()
            .map(|body| (STATEMENT, body.clone())),
    );
    entries.extend(
        keyring
            .sealed_seeds
            .iter()
            .map(|entry| (SEALED_SEED, join(entry))),
    );
    entries.extend(
        keyring
            .sealed_metadata_keys
            .iter()
            .map(|entry| (SEALED_METADATA_KEY, join(entry))),
    );
    entries.extend(
        keyring
            .previous_seeds
            .iter()
            .map(|entry| (PREVIOUS_SEED, join(entry))),
    );
    entries.extend(keyring.streams.iter().map(|entry| (STREAMS, join(entry))));
    entries.extend(keyring.unknown.iter().cloned());
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&keyring.version.to_be_bytes());
    bytes.extend_from_slice(keyring.store.as_bytes());
    bytes.extend_from_slice(&length(entries.len()));
    for (entry_type, body) in &entries {
        bytes.push(*entry_type);
        bytes.extend_from_slice(&length(body.len()));
        bytes.extend_from_slice(body);
    }
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Keyring> {
    let mut rest = Rest { bytes };
    if rest.array()? != *MAGIC {
        return Err(Error::Malformed {
            what: WHAT,
            offset: 0,
        });
    }
    // The hash comes before everything else: of a torn write nothing is read.
    let (hashed, hash) = bytes
        .split_last_chunk::<HASH_LEN>()
        .ok_or(Error::Truncated { what: WHAT })?;
    if Sha256::digest(hashed).as_slice() != hash {
        return Err(Error::Tampered { what: WHAT });
    }
    let mut rest = Rest {
        bytes: &hashed[MAGIC.len().min(hashed.len())..],
    };
    let version = u64::from_be_bytes(rest.array()?);
    let mut keyring = Keyring::new(StoreId::from_bytes(rest.array()?));
    keyring.version = version;
    let count = rest.length("number of entries of the keyring", ENTRIES_MAX)?;
    for _ in 0..count {
        let [entry_type] = rest.array()?;
        let length = rest.length("entry of the keyring", ENTRY_LEN_MAX)?;
        let body = rest.take(length)?;
        let malformed = Error::Malformed {
            what: WHAT,
            offset: hashed.len() - rest.bytes.len(),
        };
        match entry_type {
            STATEMENT => keyring.statements.push(body.to_vec()),
            SEALED_SEED => keyring.sealed_seeds.push(split(body)?),
            SEALED_METADATA_KEY => keyring.sealed_metadata_keys.push(split(body)?),
            PREVIOUS_SEED => keyring.previous_seeds.push(split(body)?),
            STREAMS if keyring.streams.is_some() => return Err(malformed),
            STREAMS => keyring.streams = Some(split(body)?),
            unknown => keyring.unknown.push((unknown, body.to_vec())),
        }
    }
    if rest.bytes.is_empty() {
        Ok(keyring)
    } else {
        Err(Error::Malformed {
            what: WHAT,
            offset: hashed.len() - rest.bytes.len(),
        })
    }
}

fn join((number, body): &(u32, Vec<u8>)) -> Vec<u8> {
    [number.to_be_bytes().as_slice(), body].concat()
}

fn split(body: &[u8]) -> Result<(u32, Vec<u8>)> {
    let (number, body) = body.split_first_chunk::<4>().ok_or(Error::Truncated {
        what: "entry of the keyring",
    })?;
    Ok((u32::from_be_bytes(*number), body.to_vec()))
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("a keyring is far below 4 GiB")
        .to_be_bytes()
}

struct Rest<'a> {
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(Error::Truncated { what: WHAT })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many were taken"))
    }

    fn length(&mut self, what: &'static str, limit: usize) -> Result<usize> {
        match usize::try_from(u32::from_be_bytes(self.array()?)) {
            Ok(length) if length <= limit => Ok(length),
            _ => Err(Error::Limit {
                what,
                limit: limit as u64,
            }),
        }
    }
}
