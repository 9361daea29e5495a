//! Every bound of the recorder, its unit last in the name. What relates them is asserted below, at compile time.
//!
//! Limits of the file formats stand in `docs/format.md`, section 7, and in `hearthkeep_format`.

// ---- configuration

/// The configuration file itself.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Cameras of one box.
pub const CAMERAS_MAX: usize = 256;
/// Disks of one store.
pub const DISKS_MAX: usize = 64;
/// A camera's name.
pub const CAMERA_NAME_CHARS_MAX: usize = 64;
/// A camera's address as written.
pub const CAMERA_URL_BYTES_MAX: usize = 2048;
/// A password file: longer ones are surely not what was meant.
pub const PASSWORD_FILE_BYTES_MAX: u64 = 4096;
/// The least that `max_bytes` of a disk or camera may say: less is surely a slip in the unit.
pub const BUDGET_BYTES_MIN: u64 = 16 << 20;
/// The most days that `keep_days` may say: a hundred years.
pub const KEEP_DAYS_MAX: u32 = 36_525;

// ---- cameras

/// From the first packet of a connection until a camera has answered DESCRIBE.
pub const CAMERA_DESCRIBE_MS_MAX: u64 = 8_000;
/// From SETUP until it has answered PLAY.
pub const CAMERA_PLAY_MS_MAX: u64 = 8_000;
/// Without a picture for this long, a camera counts as stalled.
pub const CAMERA_STALL_MS_MAX: u64 = 10_000;
/// From PLAY until the parameter sets have come in-band, where DESCRIBE did not tell them.
pub const CAMERA_PARAMETERS_MS_MAX: u64 = 15_000;
/// One access unit or audio frame.
pub const SAMPLE_BYTES_MAX: usize = 8 << 20;
/// Streams of a camera's description that are looked at.
pub const CAMERA_STREAMS_MAX: usize = 32;
/// How far a camera's time stamps may run ahead of the packets' arrival, in one step.
pub const TIMESTAMP_AHEAD_MS_MAX: u64 = 10_000;
/// How far audio time stamps may fall back and still be straightened out.
pub const TIMESTAMP_AUDIO_BACK_MS_MAX: u64 = 500;
/// How far sound may begin before or after the pictures by its time stamps, against its arrival, before
/// the camera's RTP-Info is taken for wrong. More than the GOP that some cameras send in one burst.
pub const TRACKS_APART_MS_MAX: u64 = 5_000;
/// The wait after the first failed attempt to connect.
pub const BACKOFF_MS_MIN: u64 = 1_000;
/// The longest wait between attempts, jitter included.
pub const BACKOFF_MS_MAX: u64 = 30_000;
/// The longest wait where the camera is merely not there: its return is to be seen within 10 s.
pub const BACKOFF_ABSENT_MS_MAX: u64 = 5_000;
/// After this long without an error the next wait is the shortest again.
pub const BACKOFF_RESET_MS: u64 = 60_000;

// ---- ingest: how often waiting packets are taken from the kernel

/// While nobody watches.
pub const INGEST_PERIOD_MS: u64 = 100;
/// While somebody watches live.
pub const INGEST_PERIOD_WATCHED_MS: u64 = 12;
/// What tasks have, when the recorder ends, to end by themselves.
pub const INGEST_SHUTDOWN_MS_MAX: u64 = 1_000;

const _: () = {
    assert!(BACKOFF_MS_MIN < BACKOFF_ABSENT_MS_MAX && BACKOFF_ABSENT_MS_MAX < BACKOFF_MS_MAX);
    assert!(BACKOFF_MS_MAX < BACKOFF_RESET_MS && BACKOFF_ABSENT_MS_MAX < 10_000);
    // Words of `docs/format.md`: a chunk holds a fragment, a fragment at least one sample.
    assert!(SAMPLE_BYTES_MAX < 16 << 20);
    assert!(INGEST_PERIOD_WATCHED_MS < INGEST_PERIOD_MS);
    // A fault must be seen within 10 s (docs/format.md, 5.6: camera-stalled).
    assert!(CAMERA_STALL_MS_MAX <= 10_000 && INGEST_PERIOD_MS * 10 < CAMERA_STALL_MS_MAX);
    assert!(CAMERA_PARAMETERS_MS_MAX > CAMERA_STALL_MS_MAX);
};
