//! What the state folder opens by itself: no segment that is finished.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hearthkeep::keys::{StateFolder, read_keyring};
use hearthkeep_format::segment::SegmentOpener;
use hearthkeep_format::{Identity, Keyring, OpenKeyring, age, kit};
use hkdf::Hkdf;
use serde_json::Value;
use sha2::Sha256;

use super::installation::{Installation, read};
use super::{AfterARun, different};

/// The first bytes of a finished segment, by the words of `docs/format.md` and not by the program's.
struct Head {
    bytes: Vec<u8>,
    stream: [u8; 16],
    step: u64,
    chunk: usize,
}

impl Head {
    fn of(file: &Path) -> Self {
        let bytes = read(file);
        Self {
            stream: bytes[32..48].try_into().unwrap(),
            step: u64::from_be_bytes(bytes[64..72].try_into().unwrap()),
            chunk: u32::from_be_bytes(bytes[12..16].try_into().unwrap()) as usize,
            bytes,
        }
    }

    fn envelope(&self) -> &[u8] {
        &self.bytes[256..self.chunk]
    }

    /// What this secret opens of the segment, taken for whatever it could be.
    fn opened_by(&self, secret: &[u8; 32]) -> Option<&'static str> {
        let first_link = expand(secret, &[b"hearthkeep/v1/chain", &self.stream, &[1]]);
        if self.opens_as_link(first_link) {
            return Some("the epoch's key");
        }
        if self.opens_as_link(*secret) {
            return Some("a link of the chain");
        }
        if self.opens_as_segment_secret(secret) {
            return Some("the segment's secret");
        }
        self.opens_as_content_key(secret)
            .then_some("the segment's key")
    }

    /// Whether it is a link of the chain up to this segment's.
    fn opens_as_link(&self, mut link: [u8; 32]) -> bool {
        (0..=self.step).any(|_| {
            let secret = expand(&link, &[b"hearthkeep/v1/segment"]);
            link = expand(&link, &[b"hearthkeep/v1/next"]);
            self.opens_as_segment_secret(&secret)
        })
    }

    fn opens_as_segment_secret(&self, secret: &[u8; 32]) -> bool {
        let keys = expand::<64>(secret, &[b"hearthkeep/v1/keys", &self.bytes[..104]]);
        keys[32..] == self.bytes[104..136]
    }

    fn opens_as_content_key(&self, key: &[u8; 32]) -> bool {
        use chacha20poly1305::aead::{Aead, KeyInit, Payload};
        let chunk = &self.bytes[self.chunk..];
        let length = u32::from_be_bytes(chunk[..4].try_into().unwrap()) as usize;
        let chunk_key: [u8; 32] =
            expand(key, &[b"hearthkeep/v1/chunk", &chunk[8..24], &[0], &[0; 8]]);
        let payload = Payload {
            msg: &chunk[56..56 + length],
            aad: &chunk[..56],
        };
        let cipher = chacha20poly1305::ChaCha20Poly1305::new((&chunk_key).into());
        cipher.decrypt((&[0; 12]).into(), payload).is_ok()
    }
}

pub fn the_state_folder_opens_no_past_segment(run: &AfterARun) {
    let installation = &run.installation;
    let state = StateFolder::load(&installation.state()).unwrap();
    let keyring = read_keyring(&installation.state()).unwrap().unwrap();
    let heads: Vec<_> = one_segment_of_each_epoch(&installation.footage());
    assert!(heads.len() >= 4);
    let by_kit = opened_by_the_kit(installation, &keyring);
    the_test_would_notice(&heads, &by_kit);

    let opened = opened_state_files(&state);
    let store: Value = serde_json::from_slice(&opened[0]).unwrap();
    let fields: HashSet<_> = store
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "version",
        "store",
        "root",
        "generation",
        "metadata_keys",
        "disks",
    ];
    assert_eq!(
        fields,
        HashSet::from(expected),
        "nothing that could open pictures"
    );

    let (candidates, recipients) = (candidates(installation, &opened), recipients(&by_kit));
    println!(
        "{} candidates for a key in the state folder",
        candidates.len()
    );
    for candidate in &candidates {
        for head in &heads {
            assert_eq!(head.opened_by(candidate), None);
        }
        let identity = Identity::from_seed(*candidate);
        assert!(
            !recipients.contains(identity.recipient().as_bytes()),
            "an identity lies there"
        );
    }
    // And as the program itself would try it, with the metadata key that the box does have.
    let m = state.metadata_key(1).unwrap();
    let raw_keys = [
        read(&installation.state().join("machine.key")),
        m.as_bytes().to_vec(),
    ];
    for key in raw_keys {
        let identity = Identity::from_seed(key.try_into().unwrap());
        assert!(keyring.open(&identity).is_err());
        for head in &heads {
            assert!(SegmentOpener::open(&head.bytes, &identity, m).is_err());
        }
    }
}

fn one_segment_of_each_epoch(footage: &Path) -> Vec<Head> {
    let mut epochs = HashSet::new();
    let mut files = Installation::files(footage);
    files.retain(|file| file.extension().is_some_and(|e| e == "hks"));
    files.retain(|file| epochs.insert(file.parent().unwrap().to_owned()));
    files.iter().map(|file| Head::of(file)).collect()
}

fn opened_by_the_kit(installation: &Installation, keyring: &Keyring) -> OpenKeyring {
    let text = std::fs::read_to_string(installation.kit_file()).unwrap();
    keyring.open(&kit::parse(&text).unwrap()).unwrap()
}

/// The real keys, tried in the same way, do open the segments.
fn the_test_would_notice(heads: &[Head], by_kit: &OpenKeyring) {
    let (identity, m) = by_kit.generation(1).unwrap();
    for head in heads {
        assert!(SegmentOpener::open(&head.bytes, identity, m).is_ok());
        let plaintext = age::open(&[identity], head.envelope()).unwrap();
        let e: [u8; 32] = *plaintext.last_chunk().unwrap();
        let mut link: [u8; 32] = expand(&e, &[b"hearthkeep/v1/chain", &head.stream, &[1]]);
        for _ in 0..head.step {
            link = expand(&link, &[b"hearthkeep/v1/next"]);
        }
        let secret: [u8; 32] = expand(&link, &[b"hearthkeep/v1/segment"]);
        let keys = expand::<64>(&secret, &[b"hearthkeep/v1/keys", &head.bytes[..104]]);
        assert_eq!(head.opened_by(&e), Some("the epoch's key"));
        assert_eq!(head.opened_by(&link), Some("a link of the chain"));
        assert_eq!(head.opened_by(&secret), Some("the segment's secret"));
        assert_eq!(
            head.opened_by(keys.first_chunk().unwrap()),
            Some("the segment's key")
        );
    }
}

/// The contents of the sealed files: `store.sealed`, then the others.
fn opened_state_files(state: &StateFolder) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = Installation::files(state.folder());
    names.retain(|file| file.extension().is_some_and(|e| e == "sealed"));
    names.sort_by_key(|file| file.file_name().unwrap() != "store.sealed");
    assert!(names.len() >= 2, "{names:?}");
    let key = state.state_key();
    let open = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap();
        key.open(name, &read(file)).unwrap().to_vec()
    };
    names.iter().map(open).collect()
}

/// Each 32 bytes in the state folder that could be a key: at each place of each file and of what the machine key opens,
/// also where it is written as base64 or hex; and what is derived from the machine key.
fn candidates(installation: &Installation, opened: &[Vec<u8>]) -> HashSet<[u8; 32]> {
    let mut texts: Vec<Vec<u8>> = opened.to_vec();
    texts.extend(
        Installation::files(&installation.state())
            .iter()
            .map(|file| read(file)),
    );
    let decoded: Vec<_> = texts.iter().flat_map(|text| decoded_words(text)).collect();
    texts.extend(decoded);
    let machine_key: [u8; 32] = read(&installation.state().join("machine.key"))
        .try_into()
        .unwrap();
    let mut candidates = HashSet::new();
    candidates.insert(expand(&machine_key, &[b"hearthkeep/v1/state"]));
    candidates.insert(expand(&machine_key, &[b"hearthkeep/v1/unknown-names"]));
    for text in &texts {
        let windows = text.windows(32).filter(|window| could_be_a_key(window));
        candidates.extend(windows.map(|window| <[u8; 32]>::try_from(window).unwrap()));
    }
    assert!(candidates.contains(&machine_key));
    candidates
}

/// A key is 32 uniform bytes: one that begins with eight zeros, or has fewer than 20 different bytes, is not seen in the
/// life of the universe; what sled keeps is mostly such.
fn could_be_a_key(window: &[u8]) -> bool {
    !window.starts_with(&[0; 8]) && different(window) >= 20
}

fn decoded_words(text: &[u8]) -> Vec<Vec<u8>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let words = text
        .split(|byte| !is_part(byte))
        .filter(|word| word.len() >= 40);
    let words = words.filter_map(|word| std::str::from_utf8(word).ok());
    let hex = |word: &str| {
        let pairs = word
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).unwrap());
        pairs
            .map(|pair| u8::from_str_radix(pair, 16).ok())
            .collect::<Option<Vec<u8>>>()
    };
    words
        .flat_map(|word| [BASE64.decode(word).ok(), hex(word)])
        .flatten()
        .collect()
}

/// Whom anything is sealed to: the generation, the owner and the kit.
fn recipients(keyring: &OpenKeyring) -> HashSet<Vec<u8>> {
    let statement = &keyring.statements()[0];
    let members = statement.members.iter().map(|member| &member.recipient);
    let all = members.chain([&statement.recipient]);
    all.map(|recipient| recipient.as_bytes().to_vec()).collect()
}

fn expand<const N: usize>(key: &[u8; 32], info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(key)
        .unwrap()
        .expand(&info.concat(), &mut out)
        .unwrap();
    out
}
