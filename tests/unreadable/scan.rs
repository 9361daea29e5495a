//! A scan of every byte that a run leaves in the state folder and on the disk.

use std::collections::HashSet;
use std::path::PathBuf;

use super::installation::{Installation, read};
use super::{AfterARun, different};

pub fn nothing_is_readable(run: &AfterARun, exports: &[PathBuf]) {
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
