/**
 * What the page and its worker say to each other. Of secrets only what a person types or reads is among it: passphrases go to
 * the worker, and the kit comes back to be printed. Keys stay in the worker.
 */
import type { Result } from "../api/result";
import type { ChunkEntry } from "../api/types";

export interface Kit {
  /** The secret in ten groups, to be written down. */
  groups: string[];
  /** The same as one text, for the QR code. */
  text: string;
  /** Of the owner's key: what to compare later. */
  fingerprint: string;
}

/** Somebody is in. */
export interface Entered {
  name: string;
  /** Whether this browser could keep the identity for the next reload. */
  kept: boolean;
}

/** What playing needs to know of a segment's head. */
export interface SegmentHead {
  stream: string;
  segment: string;
  run: string;
  /** Wall time (µs) of a sample = this + its time in the run. */
  anchorUs: number;
  /** Wall time of its first sample; chunks' times count from it. */
  startUs: number;
  codecs: string;
  width: number;
  height: number;
  init: ArrayBuffer;
}

export interface SegmentOpened extends SegmentHead {
  chunks: ChunkEntry[];
  open: boolean;
}

export interface OpenedFragment {
  k: number;
  startUs: number;
  durationUs: number;
  key: boolean;
  body: ArrayBuffer;
  times: Float64Array<ArrayBuffer>;
}

export interface ChunksOpened {
  fragments: OpenedFragment[];
  /** Numbers of the chunks that were changed or damaged since they were sealed. */
  damaged: number[];
}

/** What a look at the box's signed log came to. */
export interface LogLook {
  /** What is wrong with it, in a sentence; null where nothing is. */
  complaint: string | null;
  /** Whether new logs have begun since the last look, which go on from what was seen then. */
  renewed: boolean;
  /** How many entries the log has that is being written; null where there is none, or it is not believed. */
  entries: number | null;
  /** Whether there was anything to compare it with: this browser had seen it before. */
  compared: boolean;
}

/** Requests of the page, each with what comes back. */
export interface Calls {
  strength(passphrase: string): Promise<string>;
  prepareClaim(store: string, name: string, passphrase: string): Promise<Result<Kit>>;
  claim(code: string): Promise<Result<Entered>>;
  signIn(store: string, name: string, passphrase: string): Promise<Result<Entered>>;
  /** After a reload: null where this browser keeps no copy, so that the passphrase must be asked for. */
  reopen(store: string, name: string): Promise<Result<Entered | null>>;
  /** Forgets every secret, here and in this browser's storage. */
  close(): Promise<void>;
  openSegment(stream: string, segment: string): Promise<Result<SegmentOpened>>;
  /** Index of a segment that is still being written, read again. */
  refreshIndex(stream: string, segment: string): Promise<Result<{ chunks: ChunkEntry[]; open: boolean }>>;
  /** Compares the box's signed log with what this browser has seen of it. */
  lookAtLog(store: string): Promise<Result<LogLook>>;
  readChunks(stream: string, segment: string, chunks: ChunkEntry[]): Promise<Result<ChunksOpened>>;
}

export type CallName = keyof Calls;

export type ToWorker =
  | { kind: "call"; id: number; name: CallName; given: unknown[] }
  | { kind: "abort"; id: number }
  | { kind: "watch"; id: number; stream: string }
  | { kind: "unwatch"; id: number };

export type FromWorker =
  | { kind: "answer"; id: number; value: unknown }
  | { kind: "fault"; id: number; message: string }
  | { kind: "live"; id: number; event: LiveEvent };

export type LiveEvent =
  | { kind: "head"; head: SegmentHead }
  | { kind: "fragment"; fragment: OpenedFragment }
  /** The socket closed or never opened; the worker tries again by itself after `retryInMs`. */
  | { kind: "lost"; message: string; retryInMs: number }
  /** Nothing more comes until the page is reloaded. */
  | { kind: "stopped"; message: string };
