//! The textual header: version line, stanzas, MAC. Strict, so that no two headers mean the same.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::FileKey;
use crate::{Error, Result};

const VERSION_LINE: &[u8] = b"age-encryption.org/v1\n";
const COLUMNS: usize = 64;
pub(super) const NONCE_LEN: usize = 16;
const WHAT: &str = "age header";

/// A header that was parsed, not yet authenticated.
pub(super) struct Header<'a> {
    pub(super) stanzas: Vec<Stanza<'a>>,
    /// Where the `---` that the MAC covers ends.
    mac_covers: usize,
    mac: [u8; 32],
    /// The payload's nonce; the specification counts its absence as a fault of the header.
    pub(super) nonce: [u8; NONCE_LEN],
    /// Where the payload's first chunk begins.
    pub(super) payload_at: usize,
}

/// One recipient stanza.
pub(super) struct Stanza<'a> {
    /// Type, then what the type defines; at least one.
    pub(super) arguments: Vec<&'a str>,
    pub(super) body: Vec<u8>,
    /// Where the stanza begins, for error messages.
    pub(super) offset: usize,
}

/// The first line of a file.
pub(super) fn start() -> Vec<u8> {
    VERSION_LINE.to_vec()
}

/// Appends a stanza.
pub(super) fn write_stanza(file: &mut Vec<u8>, arguments: &[&str], body: &[u8]) {
    file.extend_from_slice(b"->");
    for argument in arguments {
        file.push(b' ');
        file.extend_from_slice(argument.as_bytes());
    }
    file.push(b'\n');
    let body = BASE64_STANDARD_NO_PAD.encode(body);
    for line in body.as_bytes().chunks(COLUMNS) {
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    if body.len().is_multiple_of(COLUMNS) {
        file.push(b'\n');
    }
}

/// Appends the MAC line.
pub(super) fn finish(file: &mut Vec<u8>, file_key: &FileKey) {
    file.extend_from_slice(b"---");
    let mac = mac(file, file_key).finalize().into_bytes();
    file.push(b' ');
    file.extend_from_slice(BASE64_STANDARD_NO_PAD.encode(mac).as_bytes());
    file.push(b'\n');
}

/// Parses the header and the nonce after it.
pub(super) fn parse(file: &[u8]) -> Result<Header<'_>> {
    if !file.starts_with(VERSION_LINE) {
        return Err(Error::Malformed {
            what: WHAT,
            offset: 0,
        });
    }
    let mut lines = Lines {
        file,
        at: VERSION_LINE.len(),
    };
    let mut stanzas = Vec::new();
    loop {
        let offset = lines.at;
        let malformed = Error::Malformed { what: WHAT, offset };
        let line = lines.next()?;
        if let Some(mac) = line.strip_prefix("--- ") {
            let mac = BASE64_STANDARD_NO_PAD
                .decode(mac)
                .ok()
                .and_then(|mac| mac.try_into().ok());
            if stanzas.is_empty() {
                return Err(malformed);
            }
            return Ok(Header {
                stanzas,
                mac_covers: offset + 3,
                mac: mac.ok_or(malformed)?,
                nonce: *file[lines.at..]
                    .first_chunk()
                    .ok_or(Error::Truncated { what: "age nonce" })?,
                payload_at: lines.at + NONCE_LEN,
            });
        }
        let arguments: Vec<&str> = line
            .strip_prefix("-> ")
            .ok_or(malformed.clone())?
            .split(' ')
            .collect();
        if !arguments.iter().all(|argument| is_argument(argument)) {
            return Err(malformed);
        }
        stanzas.push(Stanza {
            arguments,
            body: parse_body(&mut lines)?,
            offset,
        });
    }
}

/// Checks the header's MAC.
pub(super) fn check_mac(file: &[u8], header: &Header<'_>, file_key: &FileKey) -> Result<()> {
    mac(&file[..header.mac_covers], file_key)
        .verify_slice(&header.mac)
        .map_err(|_| Error::Tampered { what: WHAT })
}

fn parse_body(lines: &mut Lines<'_>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let malformed = Error::Malformed {
            what: WHAT,
            offset: lines.at,
        };
        let line = lines.next()?;
        if line.len() > COLUMNS {
            return Err(malformed);
        }
        // 64 columns are 48 whole bytes, so each line can be decoded by itself.
        BASE64_STANDARD_NO_PAD
            .decode_vec(line, &mut body)
            .map_err(|_| malformed)?;
        if line.len() < COLUMNS {
            return Ok(body);
        }
    }
}

fn is_argument(argument: &str) -> bool {
    !argument.is_empty() && argument.bytes().all(|byte| byte.is_ascii_graphic())
}

fn mac(covered: &[u8], file_key: &FileKey) -> Hmac<Sha256> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, file_key.as_slice())
        .expand(b"header", key.as_mut_slice())
        .expect("32 bytes are a length HKDF gives");
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_slice()).expect("HMAC takes keys of any length");
    mac.update(covered);
    mac
}

/// Lines that end in LF; what is not ASCII is no line of a header.
struct Lines<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a str> {
        let rest = &self.file[self.at..];
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(Error::Truncated { what: WHAT })?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| Error::Malformed {
            what: WHAT,
            offset: self.at,
        })?;
        self.at += end + 1;
        Ok(line)
    }
}
