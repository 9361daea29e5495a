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
/// The least that `max_bytes` of a disk or camera may say: one segment and its successor must fit.
pub const BUDGET_BYTES_MIN: u64 = 1 << 30;
/// The most days that `keep_days` may say: a hundred years.
pub const KEEP_DAYS_MAX: u32 = 36_525;

// ---- store

/// What all queues of all disks may hold together, shared equally among the streams that write.
pub const QUEUE_BYTES_MAX: u64 = 128 << 20;
/// Age of the oldest byte that is not yet durable from which on a disk takes no more.
pub const QUEUE_AGE_MS_MAX: u64 = 30_000;
/// From the first queued byte until its batch is written and synced: begins within.
pub const SYNC_INTERVAL_MS_MAX: u64 = 1_500;
/// Queued bytes of a disk from which on a batch does not wait for the interval.
pub const WRITE_EARLY_BYTES: u64 = 32 << 20;
/// From the end of a segment until the catalog knows it, beyond the time its disk takes.
pub const CATALOG_LAG_MS_MAX: u64 = 2_000;
/// Between two looks at budgets and free space.
pub const RETENTION_PERIOD_MS: u64 = 30_000;
/// Segments deleted between two flushes of the catalog.
pub const RETENTION_BATCH_SEGMENTS: usize = 256;
/// Free space that is kept on a disk: this part of it, or this much, whichever is more.
pub const RESERVE_PERCENT: u64 = 5;
/// See [`RESERVE_PERCENT`].
pub const RESERVE_BYTES_MIN: u64 = 5_000_000_000;

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
/// Tracks a camera may offer in DESCRIBE before the rest are not even listed.
pub const CAMERA_TRACKS_MAX: usize = 32;
/// The wait after the first failed attempt to connect.
pub const BACKOFF_MS_MIN: u64 = 1_000;
/// The longest wait between attempts, jitter included.
pub const BACKOFF_MS_MAX: u64 = 30_000;
/// After this long without an error the next wait is the shortest again.
pub const BACKOFF_RESET_MS: u64 = 60_000;

// ---- ingest: how often waiting packets are taken from the kernel

/// While nobody watches.
pub const INGEST_PERIOD_MS: u64 = 75;
/// While somebody watches live.
pub const INGEST_PERIOD_WATCHED_MS: u64 = 12;

const _: () = {
    assert!(
        SYNC_INTERVAL_MS_MAX * 4 < QUEUE_AGE_MS_MAX && WRITE_EARLY_BYTES * 2 <= QUEUE_BYTES_MAX
    );
    // At most 2.5 s are lost to a power cut: a fragment of 0.5 s, this, and a slow fsync.
    assert!(SYNC_INTERVAL_MS_MAX + 500 + 300 <= 2_500);
    assert!(BACKOFF_MS_MIN < BACKOFF_MS_MAX && BACKOFF_MS_MAX < BACKOFF_RESET_MS);
    // Words of `docs/format.md`: a chunk holds a fragment, a fragment at least one sample.
    assert!(SAMPLE_BYTES_MAX < 16 << 20);
    assert!(INGEST_PERIOD_WATCHED_MS < INGEST_PERIOD_MS);
    // A fault must be seen within 10 s (docs/format.md, 5.6: camera-stalled).
    assert!(CAMERA_STALL_MS_MAX <= 10_000 && INGEST_PERIOD_MS * 10 < CAMERA_STALL_MS_MAX);
    assert!(CAMERA_PARAMETERS_MS_MAX > CAMERA_STALL_MS_MAX);
};
