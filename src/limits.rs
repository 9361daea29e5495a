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
/// The most days that `keep_days` and `cold_after_days` may say: a hundred years.
pub const KEEP_DAYS_MAX: u32 = 36_525;

// ---- store

/// What all queues of all disks may hold together, shared equally among the streams that write.
pub const QUEUE_BYTES_MAX: u64 = 128 << 20;
/// Age of the oldest byte that is not yet durable from which on a disk takes no more.
pub const QUEUE_AGE_MS_MAX: u64 = 30_000;
/// A disk that has waited for this long is late: while another one answers, new segments go there if it has room, and what waits for disks
/// that are late leaves half of each stream's share of the queues to those that answer.
pub const DISK_LATE_MS_MIN: u64 = 3_000;
/// From the first queued byte until its batch is written and synced: begins within.
pub const SYNC_INTERVAL_MS_MAX: u64 = 1_500;
/// Queued bytes of a disk from which on a batch does not wait for the interval.
pub const WRITE_EARLY_BYTES: u64 = 32 << 20;
/// From the end of a segment until the catalog knows it, beyond the time its disk takes.
pub const CATALOG_LAG_MS_MAX: u64 = 2_000;
/// From when on it is told that the catalog takes nothing, beyond that.
pub const CATALOG_WAITS_MS_MAX: u64 = 10_000;
/// For how long a recorder that has failed inside makes durable what it can before it ends.
pub const CLOSE_MS_MAX: u64 = 30_000;
/// Between two tries to write a catalog that is in memory to the state folder.
pub const CATALOG_HOME_MS: u64 = 60_000;
/// Between two looks at whether the disks are where they should be: a loss is to be told within 10 s, and a return used within 15 s.
pub const WATCH_PERIOD_MS: u64 = 2_000;
/// For how long retention and the log wait for footage of a disk that did not answer when that was compared with the catalog.
pub const COMPARED_LATE_MS_MAX: u64 = 60_000;
/// How fast footage moves from a disk to others, at most, in bytes a second.
pub const MOVE_BYTES_PER_S_MAX: u64 = 32 << 20;
/// For each time that a piece of it took, the disks are left to recording for this many times as long.
pub const MOVE_REST: u64 = 2;
/// Bytes that are moved between two syncs, so that recording never waits behind more than that.
pub const MOVE_UNSYNCED_BYTES_MAX: u64 = 8 << 20;
/// How many sequence numbers a stream passes over when it begins while a disk is away, which may hold segments that nobody here
/// knows of: more than a stream records in thirty years. By so many it also goes on in a minute, where the time is known.
pub const SEQUENCES_PASSED_OVER: u64 = 1 << 24;
/// Between two looks at budgets and free space, at most.
pub const RETENTION_PERIOD_MS: u64 = 30_000;
/// From a forecast to the next.
pub const FORECAST_PERIOD_MS: u64 = 60_000;
/// Holds that stand at a time.
pub const HOLDS_MAX: usize = 1_000;
/// Why footage is held, in a person's words.
pub const HOLD_REASON_CHARS_MAX: usize = 500;
/// How long a disk that is taken out is waited with until another one has the log.
pub const LOG_COPIED_MS_MAX: u64 = 4_000;
/// How long whoever sets or ends a hold waits for it to be in the log.
pub const HOLD_WRITTEN_MS_MAX: u64 = 5_000;
/// Percent of what all disks may have of footage that holds may take when one more is set.
pub const HELD_PERCENT_MAX: u64 = 80;
/// Buckets of the catalog, of 64 segments each, that a running recorder tells at a time.
pub const CATALOG_PAGE_BUCKETS: usize = 64;
/// The days within which all footage is read again in the background, where the configuration does not say.
pub const SCRUB_DAYS: u32 = 30;
/// The most that it may say; zero is never.
pub const SCRUB_DAYS_MAX: u32 = 365;
/// How fast a disk is read for that at least: 22 GB a day, which costs nothing and brings a small store to an end.
pub const SCRUB_BYTES_PER_S_MIN: u64 = 256 << 10;
/// And at most, whatever the days ask for.
pub const SCRUB_BYTES_PER_S_MAX: u64 = 16 << 20;
/// A disk on which a sync has taken longer than this by now is left to recording.
pub const SCRUB_YIELDS_MS: u64 = 300;
/// One whose syncs take longer, 99 of 100, is left alone for so many times as long as reading took.
pub const SCRUB_SLOW_RESTS: u64 = 9;
/// From here on syncs that 99 of 100 do not exceed are too slow: a power cut can cost more than 2.5 s.
pub const FSYNC_SLOW_MS: u64 = 300;
/// Syncs that must have been measured before anything is said of them.
pub const FSYNC_SAMPLES_MIN: usize = 100;
/// Damaged segments that are told one by one, of each disk.
pub const SCRUB_FINDINGS_MAX: usize = 64;
/// What is said of one.
pub const SCRUB_WORDS_CHARS_MAX: usize = 300;
/// Where the scrub stands is written this often, while it gets on.
pub const SCRUB_SAVED_EVERY_US: u64 = 1_800_000_000;
/// The file that says so.
pub const SCRUB_FILE_BYTES_MAX: u64 = 8 << 20;
/// How long the end of the recorder waits for it.
pub const SCRUB_GOODBYE_MS_MAX: u64 = 2_000;
/// The file that says where disks belong.
pub const HOMES_FILE_BYTES_MAX: u64 = 1 << 20;
/// Segments deleted between two flushes of the catalog.
pub const RETENTION_BATCH_SEGMENTS: usize = 256;
/// Free space that is kept on a disk: this part of it, or this much, whichever is more.
pub const RESERVE_PERCENT: u64 = 5;
/// See [`RESERVE_PERCENT`].
pub const RESERVE_BYTES_MIN: u64 = 5_000_000_000;
/// A gap in the footage up to which its dates alone are believed when ages are counted.
pub const AGE_GAP_US_MAX: i64 = 3_600_000_000;
/// A longer one is believed once this part of it is known to have passed since.
pub const AGE_STANDS_PART: i64 = 14;
/// And at least this.
pub const AGE_STANDS_US_MIN: i64 = 86_400_000_000;

// ---- log

/// From the end of a segment until the log has it, and between two checkpoints while there is something new.
pub const LOG_BATCH_MS_MAX: u64 = 60_000;
/// Files of segments of which nothing became durable that stay on a disk until the next start, which may find footage in them all the same.
pub const FAILED_FILES_MAX: u32 = 100;
/// From one look whether what the catalog has is still on the disks to the next.
pub const ROLL_CALL_MS: u64 = 86_400_000;
/// Between two epochs of it.
pub const ROLL_CALL_REST_MS: u64 = 1_000;
/// After a failure to write the log.
pub const LOG_RETRY_MS: u64 = 10_000;
/// On a full disk, how long the log is waited for at a start where the state folder may lack a hold that it has.
pub const LOG_UNREAD_MS_MAX: u64 = 60_000;
/// How long a start tries to read what a disk fails to read of the log, at most, and how long it then goes on entry by entry.
pub const LOG_GIVEN_UP_MS: u64 = 120_000;
/// How often that is tried again after a start has given up on it.
pub const LOG_JOIN_MS: u64 = 60_000;
/// Records that wait to be written; more are lost while the log cannot be.
pub const LOG_QUEUE_RECORDS_MAX: usize = 4_096;
/// What a disk remembers of deletions that neither the log nor the state folder takes.
pub const LOG_REFUGE_BYTES_MAX: u64 = 32 << 20;
/// Segments that are put into the log at once.
pub const LOG_BATCH_SEGMENTS: usize = 256;
/// How much of the log is read at a time, and handed out at once.
pub const LOG_PIECE_BYTES: usize = 256 << 10;
/// After so many entries of the log its summary is written anew: a few times a day with 16 cameras.
pub const LOG_SUMMARY_ENTRIES: u64 = 16_384;
/// The summary of the log: a few bytes for each gap that is kept in memory, and for each run of segments on one disk.
pub const LOG_SUMMARY_BYTES_MAX: u64 = 32 << 20;
/// Segments that a summary of the log may tell of, a byte each in memory: four years of 64 streams.
pub const LOG_SUMMARY_SEGMENTS_MAX: u64 = 1 << 27;
/// In whole multiples of this the log counts for a disk's budget.
pub const LOG_COUNTED_BYTES: u64 = 1 << 20;
/// Clock anchors that are kept in memory, the newest.
pub const LOG_ANCHORS_MAX: usize = 4_096;
/// Between two words to the log on pictures of a stream that may be damaged: what comes meanwhile is told as one.
pub const DAMAGE_TOLD_US_MIN: u64 = 60_000_000;
/// Gaps that are kept in memory, the newest.
pub const LOG_GAPS_MAX: usize = 65_536;
/// Audits that wait in the state folder for a log to be open, the newest.
pub const LOG_AUDITS_MAX: usize = 256;
/// Removed segments that are told one by one.
pub const LOG_REMOVED_MAX: usize = 10_000;
/// So long a recorder that starts waits for a command that has the store's lock, as `disk list` has while it looks.
pub const LOCK_MS_MAX: u64 = 5_000;
/// A disk is waited for at most so long by what keeps the store, which has other disks to look after.
pub const DISK_PATIENCE_MS_MAX: u64 = 5_000;
/// Where several disks have to share what they are waited for: a call of one for which nothing is left.
pub const DISK_PATIENCE_MS_MIN: u64 = 1_000;
/// All disks together at a start, where drives spin up, which takes them 10 to 20 s, and where nothing could be recorded to most boxes
/// without: once while they are opened, once while they are looked at.
pub const DISK_START_PATIENCE_MS_MAX: u64 = 30_000;
/// What `hearthkeep status` may take to look at a disk itself, where no recorder tells: a drive spins up, and a large one is walked.
pub const STATUS_LOOK_MS_MAX: u64 = 60_000;
/// A disk whose writer has waited for it for this long gets its copy of the log later.
pub const LOG_PATIENCE_MS_MAX: u64 = 5_000;

// ---- playing

/// How long the child that decodes may owe something without taking or giving a byte. Its other limits stand in
/// `src/media/src/sandbox.rs`.
pub const MEDIA_SILENCE_MS_MAX: u64 = 30_000;

// ---- cameras

/// From the first packet of a connection until a camera has answered DESCRIBE.
pub const CAMERA_DESCRIBE_MS_MAX: u64 = 8_000;
/// From SETUP until it has answered PLAY.
pub const CAMERA_PLAY_MS_MAX: u64 = 8_000;
/// Without a picture for this long, a camera counts as stalled.
pub const CAMERA_STALL_MS_MAX: u64 = 8_000;
/// From PLAY until the parameter sets have come in-band, where DESCRIBE did not tell them.
pub const CAMERA_PARAMETERS_MS_MAX: u64 = 15_000;
/// One access unit or audio frame.
pub const SAMPLE_BYTES_MAX: usize = 8 << 20;
/// By how much memory may grow while a camera sends and no picture comes of it: a nonsense camera is to cost no more than 50 MB.
pub const CAMERA_UNFINISHED_BYTES_MAX: u64 = 18 << 20;
/// The same until it plays: its answers have a few kilobytes.
pub const CAMERA_ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Streams of a camera's description that are looked at.
pub const CAMERA_STREAMS_MAX: usize = 32;
/// How far a camera's time stamps may run ahead of the packets' arrival, in one step.
pub const TIMESTAMP_AHEAD_MS_MAX: u64 = 10_000;
/// For this long a camera's pictures may come while their time stamps say that less than a tenth of it has passed.
pub const TIMESTAMP_STILL_MS_MAX: u64 = 10_000;
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
pub const INGEST_PERIOD_MS: u64 = 200;
/// While somebody watches live.
pub const INGEST_PERIOD_WATCHED_MS: u64 = 12;
/// What a turn of all cameras may take where one of them sends without an end: by its turns it is seen that the thread gets on.
pub const INGEST_TURN_MS_MAX: u64 = 500;
/// How long a camera that is being connected is looked after as if somebody watched: most have answered by then, and one that
/// is off is not to cost that for as long as it is waited for.
pub const CONNECT_HURRY_MS_MAX: u64 = 1_500;
/// Samples that a stream which is to stop still takes, of those that have arrived: more than any camera sends in a turn, so
/// that one which floods the recorder cannot keep it from stopping.
pub const EVENTS_AFTER_STOP_MAX: u32 = 1_024;
/// What tasks have, when the recorder ends, to end by themselves.
pub const INGEST_SHUTDOWN_MS_MAX: u64 = 1_000;

const _: () = {
    assert!(BACKOFF_MS_MIN < BACKOFF_ABSENT_MS_MAX && BACKOFF_ABSENT_MS_MAX < BACKOFF_MS_MAX);
    assert!(BACKOFF_MS_MAX < BACKOFF_RESET_MS && BACKOFF_ABSENT_MS_MAX < 10_000);
    assert!(
        SYNC_INTERVAL_MS_MAX * 4 < QUEUE_AGE_MS_MAX && WRITE_EARLY_BYTES * 2 <= QUEUE_BYTES_MAX
    );
    // A disk of which all is well waits for an interval and a sync; one that is late is not asked first when it is left.
    assert!(SYNC_INTERVAL_MS_MAX * 2 <= DISK_LATE_MS_MIN && DISK_LATE_MS_MIN < LOG_PATIENCE_MS_MAX);
    // At most 2.5 s are lost to a power cut: a turn of ingest, a fragment of 0.5 s, this, and a slow fsync.
    assert!(INGEST_PERIOD_MS + 500 + SYNC_INTERVAL_MS_MAX + FSYNC_SLOW_MS <= 2_500);
    // Words of `docs/format.md`: a chunk holds a fragment, a fragment at least one sample.
    assert!(SAMPLE_BYTES_MAX < 16 << 20);
    // A picture that is accepted is held twice while the buffer for it grows.
    assert!(SAMPLE_BYTES_MAX as u64 * 2 < CAMERA_UNFINISHED_BYTES_MAX);
    assert!(INGEST_PERIOD_WATCHED_MS < INGEST_PERIOD_MS);
    // A fault must be seen within 10 s (docs/format.md, 5.6: camera-stalled).
    assert!(CAMERA_STALL_MS_MAX + 3 * INGEST_PERIOD_MS < 10_000);
    assert!(CAMERA_PARAMETERS_MS_MAX > CAMERA_STALL_MS_MAX);
};

// ---- clock

/// A step of the wall time against the time that passed, from which on it is a jump and not drift, to certificates and login
/// sessions. Ages of footage bear more, since days are counted there: see `store::age`.
pub const CLOCK_JUMP_US_MIN: u64 = 60_000_000;

/// A step from which on wall times that were recorded before it are moved by it. Smaller ones the anchor of a run follows by
/// itself.
pub const CLOCK_STEP_US_MIN: u64 = 2_000_000;
/// Anchors of the clock that are remembered: one a boot, and one a jump.
pub const ANCHORS_KEPT: usize = 4_096;
/// Their file.
pub const ANCHORS_BYTES_MAX: u64 = 1 << 20;

const _: () = assert!(ANCHORS_KEPT as u64 * 96 < ANCHORS_BYTES_MAX);

// ---- state folder

/// A sealed file of the state folder.
pub const STATE_FILE_BYTES_MAX: u64 = 8 << 20;
/// A keyring, of which the format allows far more than a box ever has.
pub const KEYRING_BYTES_MAX: u64 = 64 << 20;
/// Streams of one store, those of removed cameras included: their list must fit one entry of the keyring (1 MiB).
pub const STREAMS_MAX: usize = 2_048;

// ---- people

/// A person's name.
pub const ACCOUNT_NAME_CHARS_MAX: usize = 64;
/// Nonce, identity and tag.
pub const SEALED_IDENTITY_BYTES: usize = 24 + 32 + 16;
/// What `docs/format.md`, 1.1, allows a passphrase to cost.
pub const PASSPHRASE_MEMORY_KIB_MIN: u32 = 65_536;
/// See above.
pub const PASSPHRASE_MEMORY_KIB_MAX: u32 = 1_048_576;
/// See above.
pub const PASSPHRASE_PASSES_MIN: u32 = 3;
/// See above.
pub const PASSPHRASE_PASSES_MAX: u32 = 16;
/// Argon2id of what a client sends, on the box: its memory. OWASP's first choice for a server.
pub const AUTH_MEMORY_KIB: u32 = 19_456;
/// And its passes.
pub const AUTH_PASSES: u32 = 2;
/// How many are computed at once: on a small box they take memory and cores from recording.
pub const AUTH_AT_ONCE_MAX: usize = 2;
/// How many more may wait for that.
pub const AUTH_WAITING_MAX: usize = 8;
/// Attempts to sign in, or to claim, from an address and at an account, within the window.
pub const THROTTLE_ATTEMPTS_MAX: usize = 5;
/// The window.
pub const THROTTLE_WINDOW_S: i64 = 60;
/// Addresses, and names, that are remembered.
pub const THROTTLE_ENTRIES_MAX: usize = 1_024;
/// An IPv6 network of this length counts as one address.
pub const THROTTLED_ADDRESS_PREFIX_BITS: u32 = 64;
/// Login sessions of a box; the least used makes room for a new one.
pub const SESSIONS_MAX: usize = 256;
/// A login session ends when it was not used for this long.
pub const SESSION_IDLE_S_MAX: i64 = 30 * 86_400;
/// A login session ends at this age.
pub const SESSION_ABSOLUTE_S_MAX: i64 = 90 * 86_400;
/// How exactly the last use is remembered: a write to the disk each request would wear out a card.
pub const SESSION_SAVED_EVERY_S: i64 = 3_600;
/// For how long the clock must be trusted and not jump before it ends a login session. Short: a box that starts more often
/// ends none.
pub const SESSION_DOUBTED_S: u32 = 3_600;
/// A claim code is good for this long.
pub const CLAIM_CODE_S_MAX: u64 = 30 * 60;

const _: () = assert!(
    SESSION_SAVED_EVERY_S < SESSION_IDLE_S_MAX && SESSION_IDLE_S_MAX < SESSION_ABSOLUTE_S_MAX
);

// ---- status

/// What a running recorder says of itself: its streams, about 500 bytes each.
pub const STATUS_ANSWER_BYTES_MAX: u64 = 4 << 20;
/// What is asked of it.
pub const STATUS_REQUEST_BYTES_MAX: u64 = 128 << 10;
/// How long it may take to say so; a disk that hangs may hold it up.
pub const STATUS_ANSWER_MS_MAX: u64 = 5_000;
/// How long who asks waits for the answer: a hold may wait for the log first.
pub const STATUS_PATIENCE_MS_MAX: u64 = STATUS_ANSWER_MS_MAX + HOLD_WRITTEN_MS_MAX;
/// After an answer that failed.
pub const STATUS_PAUSE_MS: u64 = 100;

const _: () = {
    // A path and the rest take fewer than 300 bytes, and a character up to four.
    let finding_bytes = 300 + 4 * SCRUB_WORDS_CHARS_MAX as u64;
    assert!(DISKS_MAX as u64 * SCRUB_FINDINGS_MAX as u64 * finding_bytes < SCRUB_FILE_BYTES_MAX);
};

// ---- web

/// The box's authority: as long as a phone that was told to trust it is likely to live.
pub const AUTHORITY_DAYS: i64 = 3_650;
/// For how long the clock must be trusted and not jump before it ends an authority that devices trust.
pub const AUTHORITY_DOUBTED_S: u32 = 86_400;
/// A server's certificate: the longest that all clients believe.
pub const LEAF_DAYS: i64 = 397;
/// How long before its end it is issued anew.
pub const LEAF_RENEWED_DAYS_BEFORE: i64 = 30;
/// A certificate, a chain or a key.
pub const TLS_FILE_BYTES_MAX: u64 = 256 << 10;
/// The body of a request. A claim, the largest, has about 16 KiB.
pub const REQUEST_BODY_BYTES_MAX: usize = 64 << 10;
/// Threads that serve.
pub const WEB_THREADS: usize = 2;
/// Threads of each of those that wait for disks and Argon2.
pub const BLOCKING_THREADS_MAX: usize = 16;
/// Connections in all.
pub const CONNECTIONS_MAX: usize = 512;
/// TLS handshakes at once.
pub const HANDSHAKES_MAX: usize = 64;
/// A TLS handshake.
pub const HANDSHAKE_S_MAX: u64 = 10;
/// From the first byte of a request until its head is whole.
pub const REQUEST_HEAD_S_MAX: u64 = 10;
/// From there until the head of the answer: the request's body must be in by then.
pub const ANSWER_S_MAX: u64 = 30;
/// Between two requests on a connection.
pub const IDLE_S_MAX: u64 = 60;
/// What is under way when the box ends, or a connection is closed, gets this long.
pub const GOODBYE_S_MAX: u64 = 3;
/// A client that takes nothing for this long is gone.
pub const STUCK_CLIENT_MS_MAX: u32 = 30_000;
/// How often certificates, sessions and the claim code are looked after.
pub const TIDY_S: u64 = 60;
/// The span of a timeline that is asked for at once: a month, and an hour of daylight saving.
pub const TIMELINE_DAYS_MAX: i64 = 32;
/// How much of a segment is read at a time.
pub const READ_PIECE_BYTES_MAX: u64 = 256 << 10;
/// What a monitor shows to read the metrics: 256 bits.
pub const METRICS_TOKEN_BYTES: usize = 32;
/// Live viewers of a box, each tile of a grid counted.
pub const LIVE_VIEWERS_MAX: usize = 128;
/// What may be on its way to one of them: some seconds, and any key frame.
pub const LIVE_QUEUE_BYTES_MAX: usize = 8 << 20;
/// A viewer that takes nothing for this long is dropped.
pub const LIVE_SEND_MS_MAX: u64 = 5_000;
/// What a viewer says; it has nothing to say but pongs.
pub const LIVE_FRAME_BYTES_MAX: usize = 4 << 10;
/// How often it is looked whether a viewer is still signed in.
pub const LIVE_CHECK_MS: u64 = 1_000;
/// How often a viewer is asked whether it is there.
pub const LIVE_PING_MS: u64 = 15_000;
/// Without an answer for this long it is gone.
pub const LIVE_SILENCE_MS_MAX: u64 = 45_000;

const _: () = {
    assert!(LEAF_RENEWED_DAYS_BEFORE < LEAF_DAYS && LEAF_DAYS < AUTHORITY_DAYS);
    assert!(LIVE_VIEWERS_MAX < CONNECTIONS_MAX && HANDSHAKES_MAX < CONNECTIONS_MAX);
    assert!(2 * LIVE_PING_MS < LIVE_SILENCE_MS_MAX && LIVE_CHECK_MS < LIVE_PING_MS);
    assert!(AUTH_AT_ONCE_MAX + AUTH_WAITING_MAX < BLOCKING_THREADS_MAX);
};

// ---- lan

/// A label of a DNS name (RFC 1035, 2.3.4).
pub const LAN_LABEL_BYTES_MAX: usize = 63;
/// What may be added to a name that another box has too: ` (99)`.
pub const LAN_RENAMED_BYTES_MAX: usize = 5;
/// How often it is looked which addresses the interfaces have.
pub const LAN_LOOK_S: u32 = 15;
/// From the start until the box should be announced; probing for its names takes about 1 s (RFC 6762, 8.1).
pub const LAN_ANNOUNCED_MS_MAX: u64 = 5_000;
/// What the goodbyes may take.
pub const LAN_GOODBYE_MS_MAX: u64 = 1_000;
/// How often it is looked whether the process that announces lives, and what it is to tell.
pub const LAN_CHECK_S: u64 = 20;
/// The same where it ends again and again.
pub const LAN_CHECK_S_MAX: u64 = 640;
/// Memory of that process; it uses about a tenth.
pub const LAN_PROCESS_BYTES_MAX: u64 = 64 << 20;

const _: () = assert!(2 * LAN_GOODBYE_MS_MAX <= GOODBYE_S_MAX * 1_000);

// ---- record

/// What is wrong with a camera is repeated in the log this often while it stays wrong.
pub const TROUBLE_REMINDER_US: u64 = 3600 * 1_000_000;
/// And this often where the camera is recorded in between.
pub const TROUBLE_FLAPPING_US: u64 = 60 * 1_000_000;
/// How often the watchdog looks.
pub const WATCHDOG_PERIOD_US: u64 = 1_000_000;
/// What was handed to a disk is to move at least this often.
pub const STUCK_DISK_US_MAX: u64 = 6_000_000;
/// The thread that reads cameras is to make a turn at least this often.
pub const STUCK_INGEST_US_MAX: u64 = 5_000_000;
/// Where it makes none for so long, the program ends, to be started again.
pub const STUCK_INGEST_FATAL_US: u64 = 30_000_000;
/// Of a camera that sends pictures something is to be sealed at least this often.
pub const STUCK_SEALING_US_MAX: u64 = 8_000_000;
/// An epoch.
pub const EPOCH_US_MAX: u64 = 24 * 3600 * 1_000_000;
/// A segment ends at the first key frame after this.
pub const SEGMENT_US_MAX: u64 = 60_000_000;
/// Or after this many bytes.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Without a key frame a segment ends after this.
pub const SEGMENT_NO_KEY_US_MAX: u64 = 300_000_000;
/// Or after this many bytes.
pub const SEGMENT_NO_KEY_BYTES_MAX: u64 = 480 << 20;
/// Chunks of a segment (`docs/format.md`, section 7).
pub const SEGMENT_CHUNKS_MAX: u32 = 20_000;
/// Samples that a segment's sample table may tell of: five minutes at 240 pictures and 375 pieces of sound a second, and more.
pub const SEGMENT_SAMPLES_MAX: u32 = 1 << 20;
/// A fragment, while nobody watches.
pub const FRAGMENT_US_MAX: u32 = 500_000;
/// A fragment, while somebody watches live.
pub const FRAGMENT_WATCHED_US_MAX: u32 = 100_000;
/// Chunks since a stream's last key frame that are kept in memory for who joins, as far as no file has them; beyond, who joins
/// waits for the next key frame.
pub const LIVE_RECENT_BYTES_MAX: u64 = 16 << 20;
/// Chunks that wait for one live viewer before it is let go.
pub const LIVE_QUEUE_CHUNKS_MAX: usize = 64;

const _: () = {
    assert!(SEGMENT_US_MAX < SEGMENT_NO_KEY_US_MAX && SEGMENT_BYTES_MAX < SEGMENT_NO_KEY_BYTES_MAX);
    // A fragment may still be sealed when the limit is not quite reached: 512 MiB is the format's (section 7).
    assert!(SEGMENT_NO_KEY_BYTES_MAX + (16 << 20) < 512 << 20);
    assert!(FRAGMENT_WATCHED_US_MAX < FRAGMENT_US_MAX);
    assert!(LIVE_RECENT_BYTES_MAX > SAMPLE_BYTES_MAX as u64);
    // Any gap is to be seen within 10 s of its begin, which is up to a turn of ingest, a fragment and, on disk, a batch before
    // anything is missed.
    let sealed_us = INGEST_PERIOD_MS * 1_000 + FRAGMENT_US_MAX as u64;
    let durable_us = sealed_us + SYNC_INTERVAL_MS_MAX * 1_000;
    assert!(sealed_us + STUCK_SEALING_US_MAX + WATCHDOG_PERIOD_US < 10_000_000);
    assert!(durable_us + STUCK_DISK_US_MAX + WATCHDOG_PERIOD_US < 10_000_000);
    assert!(STUCK_INGEST_US_MAX + WATCHDOG_PERIOD_US < 10_000_000);
    // A camera that sends nothing is noticed as such.
    assert!(CAMERA_STALL_MS_MAX * 1_000 <= STUCK_SEALING_US_MAX);
};
