/** Reads segment after segment into the player's buffer, from one seek until the next. */
import type { ChunkEntry, SegmentEntry } from "../api/types";
import { type Result, isPassing } from "../api/result";
import { clamp } from "../timeline/scale";
import type { TimelineStore } from "../timeline/store";
import { atListedTime } from "./wall-clock";
import type { OpenedFragment, SegmentOpened } from "../vault/protocol";
import { vault } from "../vault/vault";
import type { MediaBuffer } from "./buffer";
import { whyUnplayable } from "./codec";
import { type Batch, aheadWantedS, firstBatch, leaveOut, nextBatch } from "./plan";
import type { Playback } from "./playback";
import type { Piece } from "./wall-clock";

const KEEP_BEHIND_S = 20;
const POLL_MS = 150;
/** How often a segment that is still being written is asked for more. */
const AT_EDGE_MS = 600;
/** How often a later segment is asked for where there is none. */
const NEXT_MS = 3000;
/** With less than this in front of the playhead all of it was shown. */
const SHOWN_S = 0.3;
const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 5000;
/** After so many segments in a row that do not open, the next will not either. */
const SHUT_MAX = 3;

/** What keeps it from reading on. `waiting`: it asks again by itself. */
export interface Halt {
  readonly kind: "waiting" | "error" | "unplayable";
  readonly message: string;
}

/** What became of a segment; null when the run is over. */
type Outcome = "played" | "nothing" | null;

export class Feeder {
  piece: Piece | null = null;
  /** The player's second up to which this run has appended. */
  appendedToS = 0;
  /** Nothing later was recorded (yet): it asks now and then. */
  atEnd = false;
  /** The first picture is in the buffer. */
  begun = false;
  halt: Halt | null = null;
  #awaitsKey = false;
  #shut = 0;
  readonly #controller = new AbortController();

  constructor(
    readonly stream: string,
    private readonly timelines: TimelineStore,
    private readonly player: Playback,
    readonly beganMs: number,
  ) {}

  abort(): void {
    this.#controller.abort();
  }

  get aborted(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Whether it still reads on: what is beyond its buffer comes by itself. */
  get alive(): boolean {
    return !this.aborted && (this.halt === null || this.halt.kind === "waiting");
  }

  /** Plays from an instant on; `find` says with which segment. */
  async run(find: () => Promise<Result<SegmentEntry | null>>, targetUs: number): Promise<void> {
    try {
      const found = await this.#ask(find);
      if (found?.kind !== "success") return;
      if (found.value) await this.#run(found.value, Math.max(targetUs, found.value.start_us));
      else this.player.foundNothing(this);
    } catch (error) {
      this.#stop("error", `This footage could not be played: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }

  async #run(first: SegmentEntry, targetUs: number): Promise<void> {
    let entry: SegmentEntry | null = first;
    let target: number | null = targetUs;
    while (entry && !this.aborted) {
      const outcome: Outcome = await this.#play(entry, target);
      if (outcome === null) return;
      // Nothing of it could be shown (its last instants were asked for): the next one begins the playing.
      if (outcome === "played") target = null;
      entry = await this.#next(entry, target === null);
    }
  }

  async #play(entry: SegmentEntry, target: number | null): Promise<Outcome> {
    const opened = await this.#ask(() => vault.attempt(this.#controller.signal, "openSegment", this.stream, entry.id));
    if (!opened) return null;
    if (opened.kind === "error") return this.#passOver(entry, opened.code, opened.message);
    this.#shut = 0;
    const why = whyUnplayable(opened.value.codecs);
    if (why !== null) return this.#stop("unplayable", why);
    if (target === null && !(await this.#isWithinReach(entry.start_us, opened.value.codecs))) return null;
    const segment = atListedTime(opened.value, entry.start_us);
    const buffer = await this.#begin(entry, segment, target !== null);
    return buffer && !this.aborted ? this.#feed(buffer, segment, target) : null;
  }

  /** A segment that was deleted meanwhile, or whose head is damaged. */
  #passOver(entry: SegmentEntry, code: string, message: string): Outcome {
    if (code !== "damaged") return "nothing";
    this.#shut += 1;
    if (this.#shut > SHUT_MAX) return this.#stop("error", message);
    this.player.leftOut(this, entry.start_us, entry.start_us + entry.duration_us);
    return "nothing";
  }

  /** What does not fit this buffer waits until all that is in it was shown. False when the run is over. */
  async #isWithinReach(us: number, codecs: string): Promise<boolean> {
    const fits = this.player.clock.reaches(us);
    if (fits && this.player.takes(codecs)) return true;
    while (this.appendedToS - this.player.video.currentTime > SHOWN_S) {
      if (!(await this.#sleep(POLL_MS))) return false;
    }
    // Years on, as when the box's clock was set, the player's seconds begin anew.
    if (!fits) this.player.seek(us);
    return fits && !this.aborted;
  }

  async #begin(entry: SegmentEntry, segment: SegmentOpened, fresh: boolean): Promise<MediaBuffer | null> {
    const buffer = await this.player.bufferFor(segment.codecs, fresh);
    if (this.aborted) return null;
    const offsetS = this.player.clock.offsetFor(segment.run, segment.anchorUs, this.piece);
    const startS = (segment.startUs - segment.anchorUs) / 1e6 + offsetS;
    this.piece = { segment: entry.id, run: segment.run, offsetS, anchorUs: segment.anchorUs, startS };
    this.#awaitsKey = false;
    if (fresh) this.player.clock.clear();
    this.player.clock.add(this.piece);
    await buffer.appendInit(segment.codecs, segment.init);
    return buffer;
  }

  /** Appends a segment's chunks, waiting whenever enough lies ahead. */
  async #feed(buffer: MediaBuffer, segment: SegmentOpened, targetUs: number | null): Promise<Outcome> {
    const offsetUs = targetUs === null ? null : targetUs - segment.startUs;
    let { chunks, open } = segment;
    let batch: Batch | null = offsetUs === null ? nextBatch(chunks, 0) : firstBatch(chunks, offsetUs);
    const last = chunks.at(-1);
    const isOver = offsetUs !== null && last !== undefined && last.start_us + last.duration_us <= offsetUs;
    if (offsetUs !== null && !open && isOver) return "nothing";
    let shown = targetUs === null;
    for (;;) {
      while (!batch && open) {
        if (!(await this.#sleep(AT_EDGE_MS))) return null;
        const from = chunks.length;
        const index = await this.#ask(() =>
          vault.attempt(this.#controller.signal, "refreshIndex", this.stream, segment.segment),
        );
        if (!index) return null;
        if (index.kind === "error") return shown ? "played" : "nothing";
        ({ chunks, open } = index.value);
        batch = shown || offsetUs === null ? nextBatch(chunks, from) : firstBatch(chunks, offsetUs);
      }
      if (!batch) return shown ? "played" : "nothing";
      const appended = await this.#read(buffer, segment, chunks.slice(batch.from, batch.to));
      if (appended === null) return null;
      if (!shown && appended > 0 && targetUs !== null) {
        shown = true;
        this.#show(buffer, targetUs);
      }
      if (!(await this.#waitForRoom(buffer))) return null;
      batch = nextBatch(chunks, batch.to);
    }
  }

  /** Reads chunks and appends those that open. How many there were; null when the run is over. */
  async #read(buffer: MediaBuffer, segment: SegmentOpened, wanted: ChunkEntry[]): Promise<number | null> {
    const read = await this.#ask(() =>
      vault.attempt(this.#controller.signal, "readChunks", this.stream, segment.segment, wanted),
    );
    if (!read) return null;
    if (read.kind === "error") return 0;
    const kept = leaveOut(wanted, new Set(read.value.damaged), this.#awaitsKey);
    this.#awaitsKey = kept.awaitsKey;
    for (const { startUs, endUs } of kept.leftOut) {
      this.player.leftOut(this, segment.startUs + startUs, segment.startUs + endUs);
    }
    const fragments = read.value.fragments.filter(({ k }) => kept.shown.has(k));
    await this.#append(buffer, segment, fragments);
    return this.aborted ? null : fragments.length;
  }

  async #append(buffer: MediaBuffer, segment: SegmentOpened, fragments: readonly OpenedFragment[]): Promise<void> {
    const piece = this.piece;
    for (const fragment of fragments) {
      if (this.aborted || !piece) return;
      this.player.pictures.add(
        `${segment.segment}/${fragment.k}`,
        Array.from(fragment.times, (time) => time + piece.offsetS),
      );
      await buffer.append(fragment.body, piece.offsetS, () => !this.aborted);
    }
    this.appendedToS = buffer.ranges.at(-1)?.endS ?? this.appendedToS;
  }

  #show(buffer: MediaBuffer, targetUs: number): void {
    const range = buffer.ranges[0];
    if (!this.piece) return;
    const targetS = this.player.clock.playerS(targetUs, this.piece);
    this.begun = true;
    this.player.begin(this, range ? clamp(targetS, range.startS + 0.001, range.endS - 0.05) : targetS, targetUs);
  }

  async #waitForRoom(buffer: MediaBuffer): Promise<boolean> {
    const { video, rate, pictures } = this.player;
    while (this.appendedToS - video.currentTime > aheadWantedS(rate.value, buffer.wantsMore)) {
      if (!(await this.#sleep(POLL_MS))) return false;
    }
    const behind = video.currentTime - KEEP_BEHIND_S;
    if (behind > (buffer.ranges[0]?.startS ?? Infinity) + 5) {
      await buffer.remove(0, behind);
      pictures.trim(behind);
    }
    return !this.aborted;
  }

  async #next(entry: SegmentEntry, begun: boolean): Promise<SegmentEntry | null> {
    for (;;) {
      const next = await this.#ask(() => this.timelines.segmentAfter(this.stream, entry));
      if (next?.kind !== "success") return null;
      this.atEnd = !next.value;
      if (next.value) return next.value;
      if (!begun) this.player.ended(this);
      if (!(await this.#sleep(NEXT_MS))) return null;
    }
  }

  /**
   * Asks again, ever less often, for as long as the box does not answer. What it answers in the end: a success, or that the
   * thing is gone or damaged; null when the run is over.
   */
  async #ask<T>(ask: () => Promise<Result<T>>): Promise<Exclude<Result<T>, { kind: "aborted" }> | null> {
    for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
      const answer = await ask();
      if (this.aborted || answer.kind === "aborted") return null;
      this.halt = null;
      if (answer.kind === "success" || answer.code === "damaged" || answer.code === "not-found") return answer;
      if (!isPassing(answer)) return this.#stop("error", answer.message);
      this.halt = { kind: "waiting", message: answer.message };
      if (!(await this.#sleep(waitMs))) return null;
    }
  }

  #stop(kind: Halt["kind"], message: string): null {
    if (!this.aborted) this.halt = { kind, message };
    return null;
  }

  #sleep(ms: number): Promise<boolean> {
    return new Promise((resolve) => setTimeout(() => resolve(!this.aborted), ms));
  }
}
