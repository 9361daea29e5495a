//! The claim code: shows that whoever claims a new box can read its files or its console.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hearthkeep_format::Random;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Error;
use crate::clock::Clock;
use crate::limits::CLAIM_CODE_S_MAX;
use crate::state_file;

/// Crockford's base32: no I, L, O, U, so that nothing is taken for a digit or a word.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 16 digits of 5 bits: 80 bits.
const DIGITS: usize = 16;
const GROUP: usize = 4;
const FILE: &str = "claim-code";

/// Where the claim code of a box without an owner stands, while it runs.
pub fn claim_code_path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// The code of a box that has no owner yet, and its file. Good for one claim and 30 minutes.
pub struct ClaimCode {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    code: Zeroizing<String>,
    made_us: u64,
}

impl ClaimCode {
    /// Makes a code and writes it to `claim-code` in `folder`, mode 0600. An older one is worth nothing from then on.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn make(
        folder: &Path,
        clock: Arc<dyn Clock>,
        random: &mut dyn Random,
    ) -> Result<Self, Error> {
        let made_us = clock.monotonic_us();
        let code = Self {
            path: folder.join(FILE),
            clock,
            code: random_code(random),
            made_us,
        };
        code.write()?;
        Ok(code)
    }

    /// The code, in groups, to be typed.
    pub fn text(&self) -> &str {
        &self.code
    }

    /// The file that holds it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a new code where this one is 30 minutes old; says whether it did.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; the old code is worth nothing even then.
    pub fn renew_if_old(&mut self, random: &mut dyn Random) -> Result<bool, Error> {
        if !self.is_old() {
            return Ok(false);
        }
        self.code = random_code(random);
        self.made_us = self.clock.monotonic_us();
        self.write().map(|()| true)
    }

    /// Whether `typed` is the code, and still good. Case, spaces and dashes do not matter, nor O for 0, nor I or L for 1.
    pub fn is(&self, typed: &str) -> bool {
        let (typed, code) = (digits(typed), digits(&self.code));
        bool::from(typed.as_bytes().ct_eq(code.as_bytes())) && !self.is_old()
    }

    /// The box has its owner: the file goes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn spend(self) -> Result<(), Error> {
        remove_claim_code(self.path.parent().unwrap_or(Path::new(".")))
    }

    fn is_old(&self) -> bool {
        let age_us = self.clock.monotonic_us().saturating_sub(self.made_us);
        age_us >= CLAIM_CODE_S_MAX * 1_000_000
    }

    fn write(&self) -> Result<(), Error> {
        let line = Zeroizing::new(format!("{}\n", *self.code));
        let failed = |source: io::Error| Error::Io {
            verb: "written",
            path: self.path.clone(),
            source,
        };
        state_file::replace(&self.path, line.as_bytes()).map_err(failed)
    }
}

impl std::fmt::Debug for ClaimCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimCode")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Removes a claim code that an earlier run left in `folder`.
///
/// # Errors
///
/// [`Error::Io`].
pub fn remove_claim_code(folder: &Path) -> Result<(), Error> {
    let path = folder.join(FILE);
    state_file::remove(&path).map_err(|source| Error::Io {
        verb: "removed",
        path,
        source,
    })
}

fn random_code(random: &mut dyn Random) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; DIGITS]);
    random.fill(bytes.as_mut_slice());
    let mut code = Zeroizing::new(String::with_capacity(DIGITS + DIGITS / GROUP));
    for (i, byte) in bytes.iter().enumerate() {
        if i > 0 && i % GROUP == 0 {
            code.push('-');
        }
        // 32 divides 256: every digit is as likely as every other.
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    code
}

fn digits(text: &str) -> Zeroizing<String> {
    let digit = |c: char| match c.to_ascii_uppercase() {
        ' ' | '-' | '\t' | '\r' | '\n' => None,
        'O' => Some('0'),
        'I' | 'L' => Some('1'),
        other => Some(other),
    };
    // Bounded before it is copied: nobody types a megabyte.
    Zeroizing::new(text.chars().take(64).filter_map(digit).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::SimClock;
    use crate::random::OsRandom;

    fn make(folder: &Path) -> (ClaimCode, Arc<SimClock>) {
        let clock = Arc::new(SimClock::new(0));
        (
            ClaimCode::make(folder, clock.clone(), &mut OsRandom).unwrap(),
            clock,
        )
    }

    #[test]
    fn it_is_typed_in_many_ways() {
        let root = tempfile::tempdir().unwrap();
        let (code, _) = make(root.path());
        let text = code.text().to_owned();
        assert_eq!(text.len(), 19);
        assert!(
            code.is(&text) && code.is(&text.to_lowercase()) && code.is(&text.replace('-', " "))
        );
        assert!(code.is(&text.replace('-', "").replace('0', "o").replace('1', "l")));
        let last = if text.ends_with('7') { '8' } else { '7' };
        assert!(!code.is(&format!("{}{last}", &text[..18])));
        assert!(!code.is("") && !code.is(&text[..18]) && !code.is(&format!("{text}0")));
        assert_eq!(
            std::fs::read_to_string(code.path()).unwrap(),
            format!("{text}\n")
        );
        assert_eq!(
            std::fs::metadata(code.path()).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(!format!("{code:?}").contains(&text));
        let path = code.path().to_owned();
        code.spend().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn after_half_an_hour_there_is_another() {
        let root = tempfile::tempdir().unwrap();
        let (mut code, clock) = make(root.path());
        let first = code.text().to_owned();
        clock.advance_us(1_799_000_000);
        assert!(!code.renew_if_old(&mut OsRandom).unwrap() && code.is(&first));
        clock.advance_us(1_000_000);
        assert!(!code.is(&first), "old, though nobody has renewed it yet");
        assert!(code.renew_if_old(&mut OsRandom).unwrap());
        assert!(!code.is(&first) && code.is(code.text()));
        assert_ne!(std::fs::read_to_string(code.path()).unwrap().trim(), first);
    }
}
