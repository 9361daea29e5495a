//! Nothing readable on the disk: a scan of every byte that a run leaves behind, a disk and the kit alone, and the state
//! folder without passphrase and kit.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/installation.rs"]
mod installation;
#[path = "common/judge.rs"]
mod judge;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::{Cameras, clip};
use hearthkeep::keys::{StateFolder, read_keyring};
use hearthkeep_format::segment::SegmentOpener;
use hearthkeep_format::{Identity, Keyring, OpenKeyring, age, kit};
use hkdf::Hkdf;
use installation::{CameraEntry, HEARTHKEEP, Installation, PASSPHRASE, path, read};
use serde_json::Value;
use sha2::Sha256;

const USER: &str = "Quillfeather";
const PASSWORD: &str = "Canary-8Xq7-Wendeltreppe";
const NAMES: [&str; 2] = ["Gartenhaus Nord", "Kellertreppe"];
const CLIPS: [&str; 2] = ["h264_small", "h265_small"];

/// Two cameras behind a login, recorded for some seconds, listed and exported; `clips` is what they showed.
struct AfterARun {
    installation: Installation,
    clips: Vec<PathBuf>,
    secrets: Vec<(&'static str, String)>,
}

impl AfterARun {
    fn new() -> Self {
        let clips: Vec<_> = CLIPS.iter().map(|name| clip(name)).collect();
        let shown = ["one", "two"].iter().zip(&clips);
        let shown: Vec<_> = shown
            .map(|(name, clip)| format!("{name}={}", clip.display()))
            .collect();
        let cameras =
            Cameras::start(&["--user", USER, "--password", PASSWORD, &shown[0], &shown[1]]);
        let passwords = tempfile::tempdir().unwrap();
        let password_file = passwords.path().join("kellertreppe.pw");
        std::fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
        let url = cameras
            .url("one")
            .replace("rtsp://", &format!("rtsp://{USER}:{PASSWORD}@"));
        let more = format!(
            "username = \"{USER}\"\npassword_file = \"{}\"",
            password_file.display()
        );
        let installation = Installation::new(&[
            CameraEntry {
                name: NAMES[0],
                url: &url,
                more: "",
            },
            CameraEntry {
                name: NAMES[1],
                url: cameras.url("two"),
                more: &more,
            },
        ]);
        // Twice, so that there are several epochs, and a segment that ended as it should in each.
        for recorded in [6_000_000, 12_000_000] {
            let mut recorder = installation.start();
            recorder.until(
                "both cameras are recorded",
                Duration::from_secs(60),
                |list| {
                    let of = |name| {
                        list.as_array()
                            .unwrap()
                            .iter()
                            .filter(move |row| row["camera"] == name)
                    };
                    let long = |name| {
                        of(name)
                            .map(|row| row["duration_us"].as_u64().unwrap())
                            .sum::<u64>()
                    };
                    NAMES.iter().all(|name| long(*name) >= recorded)
                },
            );
            recorder.terminate();
        }
        let host = cameras
            .url("one")
            .trim_start_matches("rtsp://")
            .trim_end_matches("/one")
            .to_owned();
        let kit_text = std::fs::read_to_string(installation.kit_file()).unwrap();
        let mut secrets = vec![
            ("a camera's name", NAMES[0].to_owned()),
            ("a camera's name", NAMES[1].to_owned()),
            ("a user name", USER.to_owned()),
            ("a password", PASSWORD.to_owned()),
            (
                "a user name and password as Basic sends them",
                BASE64.encode(format!("{USER}:{PASSWORD}")),
            ),
            ("the passphrase", PASSPHRASE.to_owned()),
            ("a camera's address", host),
            ("a camera's address", "rtsp://".to_owned()),
            ("a secret key as text", "AGE-SECRET-KEY".to_owned()),
        ];
        let groups = kit::groups(&kit::parse(&kit_text).unwrap());
        let groups = groups.iter().filter(|group| group.len() >= 6);
        secrets.extend(groups.map(|group| ("a group of the kit", group.to_string())));
        Self {
            installation,
            clips,
            secrets,
        }
    }

    fn export(&self, camera: &str) -> PathBuf {
        let mp4 = self.installation.folder().join(format!("{camera}.mp4"));
        let output = self
            .installation
            .run("export", &["--camera", camera, "--out", path(&mp4)]);
        assert!(output.status.success(), "{output:?}");
        mp4
    }
}

#[test]
fn a_disk_and_a_state_folder_tell_nothing() {
    let run = AfterARun::new();
    let exports: Vec<_> = NAMES.iter().map(|name| run.export(name)).collect();
    nothing_is_readable(&run, &exports);
    a_disk_and_the_kit_are_enough(&run, &exports);
    the_state_folder_opens_no_past_segment(&run);
}

// ---- the scan

fn nothing_is_readable(run: &AfterARun, exports: &[PathBuf]) {
    let installation = &run.installation;
    let mut files = Installation::files(&installation.state());
    files.extend(Installation::files(&installation.footage()));
    let footage = Installation::files(&installation.footage());
    assert!(
        footage
            .iter()
            .filter(|file| file.extension().is_some_and(|e| e == "hks"))
            .count()
            >= 4
    );

    let secrets = run
        .secrets
        .iter()
        .map(|(what, text)| (*what, text.as_bytes().to_vec()));
    let forbidden = Texts::new(secrets.chain(known_plaintext()));
    assert!(forbidden.texts.iter().all(|(_, text)| text.len() >= 6));
    let markers = Texts::new(MARKERS.iter().map(|marker| ("a marker", marker.to_vec())));
    let pieces = Pieces::of(&run.clips);
    // The scan finds what is there: in the opened footage, and in the configuration.
    for export in exports {
        let bytes = read(export);
        assert!(markers.found_in(&bytes).len() >= 8 && pieces.count_in(&bytes) > 10_000);
    }
    assert!(
        forbidden
            .found_in(&read(&exports[0]))
            .contains(&"x264 - core")
    );
    assert!(
        forbidden
            .found_in(&read(&installation.config()))
            .contains(&"a password")
    );

    let mut bytes_scanned = 0;
    let mut markers_found = 0;
    for file in &files {
        let bytes = read(file);
        let name = file
            .strip_prefix(installation.folder())
            .unwrap()
            .to_str()
            .unwrap();
        for text in [&bytes, name.as_bytes()] {
            let found = forbidden.found_in(text);
            assert!(found.is_empty(), "{name}: {found:?}");
        }
        assert_eq!(
            pieces.count_in(&bytes),
            0,
            "16 bytes of a clip stand in {name}"
        );
        markers_found += markers.found_in(&bytes).len();
        bytes_scanned += bytes.len();
    }
    // In random bytes each marker begins at each place with probability 2^-32, so their number is Poisson distributed
    // with this mean; what happens less than once in a thousand million runs is no chance.
    let mean = MARKERS.len() as f64 * bytes_scanned as f64 / 2f64.powi(32);
    let allowed = (0..)
        .find(|most| poisson_above(*most, mean) < 1e-9)
        .unwrap();
    println!(
        "{} files, {bytes_scanned} bytes, {} pieces of clips; {markers_found} markers, {mean:.4} expected, {allowed} allowed",
        files.len(),
        pieces.pieces.len()
    );
    assert!(
        markers_found <= allowed as usize,
        "{markers_found} markers are more than chance"
    );
}

/// Boxes, sample entries and their parts: too short to be excluded one by one.
const MARKERS: [&[u8]; 14] = [
    b"ftyp", b"moov", b"moof", b"mdat", b"traf", b"trun", b"tfdt", b"trak", b"avc1", b"avcC",
    b"hvc1", b"hvcC", b"mp4a", b"esds",
];

/// What stands in the plaintext of each segment, at least 6 bytes long.
fn known_plaintext() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &'static str| (text, text.as_bytes().to_vec());
    vec![
        text("ftypiso"),
        text("x264 - core"),
        text("x265 (build"),
        text("H.264/MPEG-4 AVC"),
        text("VideoHandler"),
        (
            "the beginning of a fragment",
            b"moof\0\0\0\x10mfhd\0\0\0\0".to_vec(),
        ),
        ("the beginning of a movie", b"moov\0\0\0\x6cmvhd".to_vec()),
        ("a list of streams", b"\"camera\":".to_vec()),
        ("metadata keys", b"metadata_keys".to_vec()),
        ("an account", b"sealed_identity".to_vec()),
    ]
}

/// Every 16-byte piece of the clips' payload: of each slice, each AAC frame, each SEI. Pieces with fewer than six
/// different bytes are left out: runs of zeros stand in any file.
struct Pieces {
    pieces: HashSet<[u8; 16]>,
    /// By their first three bytes: whether there is one. Tells nearly all places of a file at once.
    beginnings: Vec<bool>,
}

impl Pieces {
    fn of(clips: &[PathBuf]) -> Self {
        let mut pieces = HashSet::new();
        for clip in clips {
            let bytes = read(clip);
            let payload = box_of(&bytes, b"mdat");
            let windows = payload.windows(16).filter(|piece| different(piece) >= 6);
            pieces.extend(windows.map(|piece| <[u8; 16]>::try_from(piece).unwrap()));
        }
        assert!(pieces.len() > 100_000);
        let mut beginnings = vec![false; 1 << 24];
        pieces
            .iter()
            .for_each(|piece| beginnings[beginning(piece)] = true);
        Self { pieces, beginnings }
    }

    fn count_in(&self, bytes: &[u8]) -> usize {
        let begins = |piece: &&[u8]| self.beginnings[beginning(piece)];
        let windows = bytes.windows(16).filter(begins);
        windows.filter(|piece| self.pieces.contains(*piece)).count()
    }
}

fn beginning(piece: &[u8]) -> usize {
    usize::from(piece[0]) << 16 | usize::from(piece[1]) << 8 | usize::from(piece[2])
}

/// Texts that are all looked for in one pass.
struct Texts {
    texts: Vec<(&'static str, Vec<u8>)>,
    /// By their first two bytes: which they are.
    beginnings: Vec<Vec<usize>>,
}

impl Texts {
    fn new(texts: impl Iterator<Item = (&'static str, Vec<u8>)>) -> Self {
        let texts: Vec<_> = texts.collect();
        let mut beginnings = vec![Vec::new(); 1 << 16];
        for (index, (_, text)) in texts.iter().enumerate() {
            beginnings[usize::from(text[0]) << 8 | usize::from(text[1])].push(index);
        }
        Self { texts, beginnings }
    }

    /// What stands in `bytes`, each as often as it does.
    fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            for index in &self.beginnings[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                let (what, text) = &self.texts[*index];
                found.extend(bytes[at..].starts_with(text).then_some(*what));
            }
        }
        found
    }
}

fn box_of<'a>(file: &'a [u8], name: &[u8; 4]) -> &'a [u8] {
    let mut rest = file;
    loop {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        if rest[4..8] == *name {
            return &rest[8..length];
        }
        rest = &rest[length..];
    }
}

/// The probability of more than `most`.
fn poisson_above(most: i32, mean: f64) -> f64 {
    let mut term = (-mean).exp();
    let mut sum = 0.0;
    // The tail itself: one minus the rest would be lost in rounding.
    for i in 1..most + 60 {
        term *= mean / f64::from(i);
        if i > most {
            sum += term;
        }
    }
    sum
}

// ---- the disk alone

fn a_disk_and_the_kit_are_enough(run: &AfterARun, exports: &[PathBuf]) {
    let elsewhere = tempfile::tempdir().unwrap();
    let disk = elsewhere.path().join("disk");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(run.installation.footage())
        .arg(&disk)
        .status();
    assert!(copied.unwrap().success());
    let kit_file = elsewhere.path().join("kit");
    std::fs::copy(run.installation.kit_file(), &kit_file).unwrap();

    for ((camera, export), clip) in NAMES.iter().zip(exports).zip(&run.clips) {
        let out = elsewhere.path().join("out.mp4");
        let output = on_disk(
            "export",
            &disk,
            Some(&kit_file),
            &["--camera", camera, "--out", path(&out)],
        );
        assert!(output.status.success(), "{output:?}");
        assert!(
            read(&out) == read(export),
            "the same as with passphrase, state folder and configuration"
        );
        let verdict = judge::slices(&out, &[clip], &["--gaps", "--av-ms-max", "40"]);
        assert_eq!(verdict["ok"], true, "{verdict:#}");
        let said: String = String::from_utf8(output.stderr).unwrap();
        let (_, after) = said.split_once("signing key of these disks: ").unwrap();
        let fingerprint = after.split_once(" (").unwrap().0;
        let page = std::fs::read_to_string(&kit_file).unwrap();
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        assert!(bare(&page).contains(&bare(fingerprint)), "{said}\n{page}");
    }
    let list = on_disk("list", &disk, Some(&kit_file), &["--json"]);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(list, run.installation.list(&[]));
    let check = on_disk("check", &disk, Some(&kit_file), &[]);
    assert!(check.status.success(), "{check:?}");

    // Another kit does not open it, no kit is a mistake, and a bare folder is no disk.
    let other = Identity::from_seed([7; 32]);
    let other_kit = elsewhere.path().join("other kit");
    std::fs::write(&other_kit, other.to_text().as_str()).unwrap();
    let exports = ["--camera", NAMES[0], "--out", "-"];
    let code = |output: Output| (output.status.code(), output.stdout.len());
    assert_eq!(
        code(on_disk("export", &disk, Some(&other_kit), &exports)),
        (Some(77), 0)
    );
    assert_eq!(code(on_disk("export", &disk, None, &exports)), (Some(2), 0));
    let bare = on_disk("export", elsewhere.path(), Some(&kit_file), &exports);
    assert_eq!(bare.status.code(), Some(66), "{bare:?}");
}

fn on_disk(subcommand: &str, disk: &Path, kit: Option<&Path>, more: &[&str]) -> Output {
    let mut command = Command::new(HEARTHKEEP);
    command.arg(subcommand).arg("--disk").arg(disk).args(more);
    if let Some(kit) = kit {
        command.arg("--kit").arg(kit);
    }
    command.output().unwrap()
}

// ---- the state folder alone

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

fn the_state_folder_opens_no_past_segment(run: &AfterARun) {
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

/// How many different bytes there are.
fn different(bytes: &[u8]) -> u32 {
    let mut seen = [0u64; 4];
    for byte in bytes {
        seen[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    seen.iter().map(|bits| bits.count_ones()).sum()
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
