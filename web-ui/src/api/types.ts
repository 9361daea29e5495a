/** The box's answers, as its OpenAPI document describes them. Times are µs since 1970 in UTC, ids hex, bytes base64. */

export interface BoxState {
  claimed: boolean;
  store: string;
  version: string;
}

export interface SignInParameters {
  salt: string;
  memory_kib: number;
  passes: number;
  lanes: number;
}

export interface SignedIn extends SignInParameters {
  name: string;
  sealed_identity: string;
}

export interface ClaimBody extends SignInParameters {
  code: string;
  name: string;
  auth: string;
  sealed_identity: string;
  recipient: string;
  verifying_key: string;
  statement: string;
  sealed_seed: string;
  sealed_metadata_key: string;
  metadata_key: string;
}

export interface KeyringAnswer {
  keyring: string;
  root: string;
}

export type StreamState = "recording" | "connecting" | "waiting" | "failed" | "stopped";

export interface Stream {
  id: string;
  camera: string;
  feed: string;
  state: StreamState;
  codec: string | null;
  width: number | null;
  height: number | null;
  audio: boolean;
  since_us: number | null;
  bytes_stored: number;
  first_us: number | null;
  last_us: number | null;
  /** The gap that is open, if nothing is kept now. */
  gap: { since_us: number | null; cause: string; sentence: string } | null;
  error: { message: string; advice: string } | null;
}

export interface SegmentEntry {
  id: string;
  start_us: number;
  duration_us: number;
  bytes: number;
  sequence: number;
  recovered: boolean;
  /** Still being written. */
  open: boolean;
}

export interface GapEntry {
  start_us: number;
  end_us: number;
  cause: string;
  sentence: string;
  /** It lasts: `end_us` is when the box answered. */
  open: boolean;
}

/** Footage of which packets were lost on the way from the camera, or which a disk has damaged. */
export interface DamagedEntry {
  start_us: number;
  end_us: number;
  sentence: string;
  /** It lasts: `end_us` is when the box answered. */
  open: boolean;
}

export interface TimelineAnswer {
  segments: SegmentEntry[];
  gaps: GapEntry[];
  damaged: DamagedEntry[];
  /** The first segment that begins after the span, however long after. */
  next: SegmentEntry | null;
}

export interface ChunkEntry {
  k: number;
  offset: number;
  bytes: number;
  /** From the segment's first sample. */
  start_us: number;
  duration_us: number;
  key: boolean;
}

export interface SegmentIndex {
  head_bytes: number;
  chunks: ChunkEntry[];
  open: boolean;
}

export interface HoldBody {
  /** None means all. */
  streams: string[];
  from_us: number;
  to_us: number | null;
  /** When the hold itself ends. */
  until_us: number | null;
  reason: string;
}

export interface Hold extends HoldBody {
  id: string;
  who: string;
  /** Whether it would outlive a restart. */
  written: boolean;
}

export interface Forecast {
  camera: string;
  bytes_per_day: number | null;
  keep_days: number | null;
  /** For how long its footage is kept at this rate; null where that is not known, or there is no end. */
  days: number | null;
  trouble: string | null;
}

/** "full": other files take its room. "limited": it takes no more although it shows room, as beyond a quota. "drain": it cannot be emptied. "misplaced": it is at another one's path. "left-out": the configuration does not have it. */
export type DiskFault = "absent" | "failing" | "full" | "limited" | "drain" | "misplaced" | "left-out";

export interface Disk {
  path: string;
  state: "in use" | "absent" | "draining" | "drained";
  tier: "hot" | "cold";
  /** What its file system has left; null where that does not answer. */
  free_bytes: number | null;
  used_bytes: number;
  /** How far it is emptied, where it is to be. */
  drain: { moved_bytes: number; left_bytes: number } | null;
  /** What footage may take in all. */
  room_bytes: number | null;
  held_bytes: number | null;
  full_in_days: number | null;
  /** What will go wrong. */
  trouble: string | null;
  error: string | null;
  /** What kind of trouble `error` is; null where there is none. */
  fault: DiskFault | null;
  /** That it is slow to make footage safe, and what to do; null before enough was measured. */
  slow: string | null;
  /** How far its footage was read again in the background; null where it is not. */
  scrub: Scrub | null;
}

export interface Scrub {
  state: "reading" | "waiting" | "resting" | "failed";
  /** Of the footage, in this round. */
  percent: number;
  begun_us: number;
  /** When the last whole round ended. */
  finished_us: number | null;
  /** Files that are damaged or missing. */
  damaged: number;
  /** The first of them. */
  findings: { path: string; stream: string | null; what: string; from_us: number | null; to_us: number | null }[];
  trouble: string | null;
}

export interface BoxStatus {
  state: string;
  version: string;
  disks: Disk[];
  /** SHA-256 of the certificate to trust: the box's own authority, or the operator's certificate. */
  fingerprint: string;
  /** How long 99 of 100 syncs of the slowest disk took, ms; null before there were enough. */
  fsync_p99_ms: number | null;
  clock_trusted: boolean;
  /** Files on the disks that are no whole footage of this box. */
  strange_files: number;
  /** What is wrong with the signed log, and what it says was removed; a sentence each. */
  log_troubles: string[];
  /** What is wrong with the catalog in the state folder, and what to do. */
  catalog_trouble: string | null;
  forecast: Forecast[];
}

/** A signed log's key and newest checkpoint (docs/format.md, 9.4). */
export interface LogHead {
  key: string;
  checkpoint: string;
}

export interface LogHeads {
  newest: LogHead;
  /** The logs before it, the oldest first. */
  before: LogHead[];
}

export interface LogProof {
  hashes: string[];
}
