/** Reads segment after segment into the player's buffer, from one seek until the next. */
import type { SegmentEntry } from "../api/types";
import type { Result } from "../api/result";
import { clamp } from "../timeline/scale";
import type { TimelineStore } from "../timeline/store";
import type { OpenedFragment, SegmentOpened } from "../vault/protocol";
import { vault } from "../vault/vault";
import type { MediaBuffer } from "./buffer";
import { whyUnplayable } from "./codec";
import { type Batch, aheadWantedS, firstBatch, nextBatch } from "./plan";
import type { Playback } from "./playback";
import type { Piece } from "./wall-clock";

const KEEP_BEHIND_S = 20;
const POLL_MS = 150;
/** How often a segment that is still being written is asked for more. */
const AT_EDGE_MS = 600;
/** How often a later segment is asked for where there is none. */
const NEXT_MS = 3000;
const RETRIES_MAX = 4;

export class Feeder {
  piece: Piece | null = null;
  /** The player's second up to which this run has appended. */
  appendedToS = 0;
  /** Nothing later was recorded (yet): it asks now and then. */
  atEnd = false;
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

  async run(first: SegmentEntry, targetUs: number): Promise<void> {
    try {
      await this.#run(first, targetUs);
    } catch (error) {
      this.player.fail(this, `This footage could not be played: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }

  async #run(first: SegmentEntry, targetUs: number): Promise<void> {
    let entry: SegmentEntry | null = first;
    let target: number | null = targetUs;
    let previous: Piece | null = null;
    while (entry && !this.aborted) {
      const segment = await this.#open(entry);
      if (!segment) return;
      const buffer = await this.#begin(entry, segment, previous, target !== null);
      if (!buffer || this.aborted) return;
      const done = await this.#feed(buffer, segment, target);
      if (!done) return;
      // Nothing of it could be shown (its last instants were asked for): the next one begins the playing.
      if (done === "played") target = null;
      previous = this.piece;
      entry = await this.#next(entry, target === null);
    }
  }

  async #open(entry: SegmentEntry): Promise<SegmentOpened | null> {
    const opened = await this.#retry(() => vault.attempt(this.#controller.signal, "openSegment", this.stream, entry.id));
    if (!opened) return null;
    const why = whyUnplayable(opened.codecs);
    if (why === null) return opened;
    this.player.fail(this, why, true);
    return null;
  }

  async #begin(
    entry: SegmentEntry,
    segment: SegmentOpened,
    previous: Piece | null,
    fresh: boolean,
  ): Promise<MediaBuffer | null> {
    const buffer = await this.player.bufferFor(segment.codecs, fresh);
    if (this.aborted) return null;
    const offsetS = this.player.clock.offsetFor(segment.run, segment.anchorUs, previous);
    const startS = (segment.startUs - segment.anchorUs) / 1e6 + offsetS;
    this.piece = { segment: entry.id, run: segment.run, offsetS, anchorUs: segment.anchorUs, startS };
    if (fresh) this.player.clock.clear();
    this.player.clock.add(this.piece);
    await buffer.appendInit(segment.codecs, segment.init);
    return buffer;
  }

  /** Appends a segment's chunks, waiting whenever enough lies ahead. Null when aborted or failed. */
  async #feed(buffer: MediaBuffer, segment: SegmentOpened, targetUs: number | null): Promise<"played" | "empty" | null> {
    const { startUs } = segment;
    let { chunks, open } = segment;
    let seeking = targetUs !== null;
    let batch: Batch | null =
      targetUs === null ? nextBatch(chunks, 0) : firstBatch(chunks, targetUs - startUs);
    const last = chunks.at(-1);
    const over = targetUs !== null && last !== undefined && startUs + last.start_us + last.duration_us <= targetUs;
    if (seeking && !open && (!batch || over)) return "empty";
    for (;;) {
      while (!batch && open) {
        if (!(await this.#sleep(AT_EDGE_MS))) return null;
        const from = chunks.length;
        const index = await this.#retry(() =>
          vault.attempt(this.#controller.signal, "refreshIndex", this.stream, segment.segment),
        );
        if (!index) return null;
        ({ chunks, open } = index);
        batch = seeking && targetUs !== null ? firstBatch(chunks, targetUs - startUs) : nextBatch(chunks, from);
      }
      if (!batch) return seeking ? "empty" : "played";
      const wanted = chunks.slice(batch.from, batch.to);
      const fragments = await this.#retry(() =>
        vault.attempt(this.#controller.signal, "readChunks", this.stream, segment.segment, wanted),
      );
      if (!fragments) return null;
      await this.#append(buffer, segment, fragments);
      if (this.aborted) return null;
      if (seeking && targetUs !== null && this.piece) {
        seeking = false;
        const range = buffer.ranges[0];
        const targetS = this.player.clock.playerS(targetUs, this.piece);
        this.player.begin(this, range ? clamp(targetS, range.startS + 0.001, range.endS - 0.05) : targetS);
      }
      if (!(await this.#waitForRoom(buffer))) return null;
      batch = nextBatch(chunks, batch.to);
    }
  }

  async #append(buffer: MediaBuffer, segment: SegmentOpened, fragments: OpenedFragment[]): Promise<void> {
    const piece = this.piece;
    for (const fragment of fragments) {
      if (this.aborted || !piece) return;
      this.player.pictures.add(
        `${segment.segment}/${fragment.k}`,
        Array.from(fragment.times, (time) => time + piece.offsetS),
      );
      await buffer.append(fragment.body, piece.offsetS);
    }
    this.appendedToS = buffer.ranges.at(-1)?.endS ?? this.appendedToS;
  }

  async #waitForRoom(buffer: MediaBuffer): Promise<boolean> {
    const { video, rate, pictures } = this.player;
    while (this.appendedToS - video.currentTime > aheadWantedS(rate.value)) {
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
      const next = await this.#retry(() => this.timelines.segmentAfter(this.stream, entry));
      this.atEnd = !next;
      if (next || this.aborted) return next;
      if (!begun) this.player.ended(this);
      if (!(await this.#sleep(NEXT_MS))) return null;
    }
  }

  /** Asks again a few times when the box does not answer; null when aborted, told, or nothing was found. */
  async #retry<T>(ask: () => Promise<Result<T>>): Promise<T | null> {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await ask();
      if (this.aborted || answer.kind === "aborted") return null;
      if (answer.kind === "success") return answer.value;
      if (answer.code !== "unreachable" || attempt > RETRIES_MAX) {
        this.player.fail(this, answer.message);
        this.abort();
        return null;
      }
      if (!(await this.#sleep(500 * attempt))) return null;
    }
  }

  #sleep(ms: number): Promise<boolean> {
    return new Promise((resolve) => setTimeout(() => resolve(!this.aborted), ms));
  }
}
