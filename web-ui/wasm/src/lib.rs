//! The format crate for the page's worker.
//!
//! The interface is plain on purpose: one exchange buffer that JavaScript fills and reads, one function to call with an
//! operation's number. wasm-bindgen would write the bindings, but its generator takes four minutes to build here, at
//! each first build of the page; for a dozen operations a table does. `web-ui/src/vault/core.ts` is the other side.
//!
//! A call takes `length` bytes of the exchange buffer as fields (see [`fields`]) and leaves its answer in a second buffer.
//! What it returns is the answer's length; negative, when the answer is a sentence that says why the call failed.
//! Pictures are the exception: they are opened where they lie in the exchange buffer, and the answer says where.

mod fields;
mod host;
mod log;
mod media;
mod people;

use std::cell::RefCell;
use std::collections::BTreeMap;

use fields::{Answer, Fields};
use hearthkeep_format::log::Examination;
use hearthkeep_format::{Identity, OpenKeyring};
use zeroize::Zeroize;

/// Everything the vault holds. Secrets never leave it but by the operations that say so.
#[derive(Default)]
struct Vault {
    /// Made for a claim that the box has not yet taken.
    prepared: Option<Identity>,
    derived: Option<hearthkeep_format::passphrase::Derived>,
    identity: Option<Identity>,
    keyring: Option<OpenKeyring>,
    /// Of the signed log, while it goes on.
    examination: Option<Examination>,
    segments: BTreeMap<u32, media::Opened>,
    next_segment: u32,
}

thread_local! {
    static EXCHANGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static VAULT: RefCell<Vault> = RefCell::default();
}

/// Why a call failed, in a sentence for the person.
type Failure = String;

/// Makes room for `length` bytes; returns where they are to be written.
// SAFETY: the name is unlike any that a linked library exports.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn exchange(length: usize) -> *mut u8 {
    EXCHANGE.with_borrow_mut(|buffer| {
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        buffer.as_mut_ptr()
    })
}

/// Where the answer to the last call begins.
// SAFETY: as above.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    ANSWER.with_borrow(|answer| answer.as_ptr())
}

/// Runs an operation on the first `length` bytes of the exchange buffer.
// SAFETY: as above.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub extern "C" fn call(operation: u32, length: usize) -> i32 {
    let (result, answer) = VAULT.with_borrow_mut(|vault| {
        EXCHANGE.with_borrow_mut(|buffer| {
            let length = length.min(buffer.len());
            let given = &mut buffer[..length];
            let mut answer = Answer::default();
            let result = vault.run(operation, given, &mut answer);
            if operation != OPEN_CHUNK {
                given.zeroize();
            }
            (result, answer.into_bytes())
        })
    });
    let (bytes, sign) = match result {
        Ok(()) => (answer, 1),
        Err(sentence) => (sentence.into_bytes(), -1),
    };
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    ANSWER.with_borrow_mut(|slot| {
        slot.zeroize();
        *slot = bytes;
    });
    sign * length
}

// The same table stands in web-ui/src/vault/core.ts.
const STRENGTH: u32 = 1;
const PREPARE_CLAIM: u32 = 2;
const CLAIMED: u32 = 3;
const DERIVE: u32 = 4;
const OPEN_IDENTITY: u32 = 5;
const IDENTITY_SEED: u32 = 6;
const IDENTITY_FROM_SEED: u32 = 7;
const OPEN_KEYRING: u32 = 8;
const OPEN_SEGMENT: u32 = 9;
const CLOSE_SEGMENT: u32 = 10;
const OPEN_CHUNK: u32 = 11;
const FORGET: u32 = 12;
const LOG_BEGIN: u32 = 13;
const LOG_TELL: u32 = 14;

impl Vault {
    fn run(
        &mut self,
        operation: u32,
        given: &mut [u8],
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        if operation == OPEN_CHUNK {
            return self.open_chunk(given, answer);
        }
        let mut fields = Fields::new(given);
        match operation {
            STRENGTH => people::strength(&mut fields, answer),
            PREPARE_CLAIM => self.prepare_claim(&mut fields, answer),
            CLAIMED => self.claimed(),
            DERIVE => self.derive(&mut fields, answer),
            OPEN_IDENTITY => self.open_identity(&mut fields),
            IDENTITY_SEED => self.identity_seed(answer),
            IDENTITY_FROM_SEED => self.identity_from_seed(&mut fields),
            OPEN_KEYRING => self.open_keyring(&mut fields, answer),
            OPEN_SEGMENT => self.open_segment(&mut fields, answer),
            CLOSE_SEGMENT => self.close_segment(&mut fields),
            LOG_BEGIN => self.log_begin(&mut fields, answer),
            LOG_TELL => self.log_tell(&mut fields, answer),
            FORGET => {
                // Handles are never given out twice, so that a late call cannot meet another's segment.
                let next_segment = self.next_segment;
                *self = Self {
                    next_segment,
                    ..Self::default()
                };
                Ok(())
            }
            _ => Err(
                "the page and its WASM module are of different versions: reload the page".into(),
            ),
        }
    }
}
