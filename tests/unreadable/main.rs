//! Nothing readable on the disk: a scan of every byte that a run leaves behind, a disk and the kit alone, and the state
//! folder without passphrase and kit.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/installation.rs"]
mod installation;
#[path = "../common/judge.rs"]
mod judge;
mod state;

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
use state::{different, the_state_folder_opens_no_past_segment};

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
