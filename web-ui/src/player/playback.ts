/**
 * Footage of one stream played in a video element, from any instant on, over segments and gaps.
 *
 * A seek begins a `Run`: an abortable loop that opens segment after segment and appends chunks in front of the playhead.
 * The next seek aborts it. Nothing is shared between two runs but the buffer.
 */
import { type Signal, signal } from "@preact/signals";
import type { GapEntry, SegmentEntry } from "../api/types";
import { type Result, success } from "../api/result";
import { gapBetween } from "../timeline/coverage";
import { nowUs } from "../timeline/day";
import type { TimelineStore } from "../timeline/store";
import { MediaBuffer, type Range } from "./buffer";
import { Feeder } from "./feeder";
import { INTO_PICTURE_S, Pictures } from "./pictures";
import { WallClock } from "./wall-clock";

export type PlaybackState =
  | { readonly kind: "idle" }
  | { readonly kind: "loading" }
  | { readonly kind: "ready" }
  /** Nothing later was recorded (yet). */
  | { readonly kind: "end" }
  | { readonly kind: "empty" }
  | { readonly kind: "error"; readonly message: string }
  | { readonly kind: "unplayable"; readonly message: string };

/** A gap that playing jumped over. */
export interface Skipped {
  readonly fromUs: number;
  readonly toUs: number;
  readonly gap: GapEntry | null;
}

export const RATES = [0.5, 1, 2, 4, 8] as const;
const TICK_MS = 100;
/** Seams shorter than this are jumped over without a word. */
const SKIP_SILENT_US = 1_500_000;
const MUTED_ABOVE_RATE = 2;
/** Playing stops this close to the last picture, or nearer. */
const END_S = 0.2;
/** No new picture this long after a seek: it is the one that was shown. */
const SAME_PICTURE_MS = 60;
/** The player's seconds count from this long before the first seek: nothing before second 0 can be shown. */
const ORIGIN_BEFORE_US = 30 * 86_400e6;

export class Playback {
  readonly state: Signal<PlaybackState> = signal({ kind: "idle" });
  readonly wallUs: Signal<number>;
  readonly playing = signal(false);
  readonly rate = signal(1);
  readonly muted = signal(true);
  readonly skipped = signal<Skipped | null>(null);
  /** From a seek to its picture on the screen. */
  // Not rounded: two seeks that took as long are still two values, and each one is shown anew.
  readonly firstPictureMs = signal<number | null>(null);

  readonly pictures = new Pictures();
  #stream: string | null = null;
  #buffer: MediaBuffer | null = null;
  #clock = new WallClock(0);
  #feeder: Feeder | null = null;
  #wanted: number | null = null;
  #closed = false;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(
    readonly video: HTMLVideoElement,
    readonly timelines: TimelineStore,
    startUs: number,
  ) {
    this.wallUs = signal(startUs);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    video.muted = true;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#feeder?.abort();
    this.#buffer?.close();
  }

  /** Shows another stream at the instant that is shown now. */
  show(stream: string): void {
    if (stream === this.#stream) return;
    this.#stream = stream;
    this.seek(this.wallUs.value);
  }

  get stream(): string | null {
    return this.#stream;
  }

  /** While the cursor is dragged: one seek after another, each to the newest instant asked for. */
  scrub(us: number): void {
    this.wallUs.value = us;
    if (this.state.value.kind === "loading") this.#wanted = us;
    else this.seek(us);
  }

  seek(us: number): void {
    this.#wanted = null;
    this.wallUs.value = us;
    this.skipped.value = null;
    if (this.#stream === null) return;
    if (this.#seekInBuffer(us)) return;
    this.#feeder?.abort();
    this.state.value = { kind: "loading" };
    this.firstPictureMs.value = null;
    const feeder = new Feeder(this.#stream, this.timelines, this, performance.now());
    this.#feeder = feeder;
    void this.#start(feeder, us);
  }

  play(): void {
    this.playing.value = true;
    void this.video.play().catch(() => undefined);
  }

  pause(): void {
    this.playing.value = false;
    this.video.pause();
  }

  setRate(rate: number): void {
    this.rate.value = rate;
    this.video.playbackRate = rate;
    this.#applySound();
  }

  setMuted(muted: boolean): void {
    this.muted.value = muted;
    this.#applySound();
  }

  /** Shows the next picture, or the one before. */
  step(by: 1 | -1): void {
    this.pause();
    if (this.state.value.kind === "loading") return;
    const target = this.pictures.step(this.video.currentTime, by);
    if (target === null) {
      if (by < 0) this.seek(this.wallUs.value - 100_000);
      return;
    }
    this.video.currentTime = target + INTO_PICTURE_S;
    this.wallUs.value = this.#clock.wallUs(target);
  }

  #applySound(): void {
    this.video.muted = this.muted.value || this.rate.value > MUTED_ABOVE_RATE;
  }

  async #start(feeder: Feeder, us: number): Promise<void> {
    const found = await this.#find(feeder.stream, us);
    if (feeder.aborted) return;
    if (found.kind === "error") return this.fail(feeder, found.message);
    if (found.kind === "aborted") return;
    if (!found.value) {
      this.state.value = { kind: "empty" };
      this.video.pause();
      return;
    }
    await feeder.run(found.value, Math.max(us, found.value.start_us));
  }

  /** The segment to begin with. Just before the live edge the newest will do, although it has not got there yet. */
  async #find(stream: string, us: number): Promise<Result<SegmentEntry | null>> {
    const now = nowUs();
    const found = await this.timelines.segmentFrom(stream, us, now);
    if (found.kind !== "success" || found.value || us < now - 20e6) return found;
    return this.timelines.segmentFrom(stream, us - 30e6, now).then((r) => (r.kind === "success" ? success(r.value) : r));
  }

  #seekInBuffer(us: number): boolean {
    const piece = this.#feeder?.piece;
    if (!piece || !this.#buffer || this.#feeder?.stream !== this.#stream || this.state.value.kind === "loading") return false;
    const target = this.#clock.playerSOf(us);
    const range = target === null ? null : this.#buffer.rangeAt(target, 0);
    if (target === null || !range || range.endS - target < 0.25 || this.#feeder.appendedToS > range.endS + 1) return false;
    const beganMs = performance.now();
    this.firstPictureMs.value = null;
    this.video.currentTime = target;
    this.state.value = { kind: "ready" };
    this.#whenShown(() => {
      this.firstPictureMs.value = performance.now() - beganMs;
    });
    return true;
  }

  // What the feeder asks of the player.

  async bufferFor(codecs: string, fresh: boolean): Promise<MediaBuffer> {
    if (this.#buffer?.takes(codecs) && this.#clock.originUs < this.wallUs.value) {
      if (fresh) await this.#buffer.remove(0, Infinity);
    } else {
      this.#buffer?.close();
      this.#clock = new WallClock(this.wallUs.value - ORIGIN_BEFORE_US);
      this.#buffer = await MediaBuffer.attach(this.video, codecs, false);
    }
    if (fresh) this.pictures.clear();
    return this.#buffer;
  }

  get clock(): WallClock {
    return this.#clock;
  }

  /** The first fragments of a run are in the buffer. */
  begin(feeder: Feeder, targetS: number): void {
    if (feeder.aborted) return;
    this.video.currentTime = targetS;
    this.video.playbackRate = this.rate.value;
    this.#whenShown(() => {
      if (feeder.aborted) return;
      this.firstPictureMs.value = performance.now() - feeder.beganMs;
      this.state.value = { kind: "ready" };
      if (this.#wanted !== null) this.seek(this.#wanted);
    });
    if (this.playing.value) void this.video.play().catch(() => undefined);
  }

  /** Calls back once the picture sought is on the screen; at once after the seek when it was there already. */
  #whenShown(shown: () => void): void {
    let told = false;
    const tell = () => {
      if (!told) shown();
      told = true;
    };
    this.video.requestVideoFrameCallback(tell);
    this.video.addEventListener("seeked", () => setTimeout(tell, SAME_PICTURE_MS), { once: true });
  }

  /** Nothing was recorded after the instant sought. */
  ended(feeder: Feeder): void {
    if (!feeder.aborted) this.state.value = { kind: "end" };
  }

  fail(feeder: Feeder, message: string, unplayable = false): void {
    if (feeder.aborted || this.#closed) return;
    this.state.value = { kind: unplayable ? "unplayable" : "error", message };
    this.video.pause();
    if (unplayable) {
      this.#buffer?.close();
      this.#buffer = null;
    }
  }

  #tick(): void {
    const state = this.state.value;
    if (state.kind !== "ready" && state.kind !== "end") return;
    this.wallUs.value = this.#clock.wallUs(this.video.currentTime);
    this.#tellEnd(state.kind);
    if (this.playing.value) this.#jumpOverGap();
  }

  /** That nothing more was read does not end the playing: that all of it was shown does, until more is recorded. */
  #tellEnd(kind: "ready" | "end"): void {
    const feeder = this.#feeder;
    if (!feeder) return;
    if (kind === "end" && !feeder.atEnd) this.state.value = { kind: "ready" };
    const shown = feeder.atEnd && this.video.currentTime > feeder.appendedToS - END_S;
    if (kind === "ready" && this.playing.value && shown) this.state.value = { kind: "end" };
  }

  #jumpOverGap(): void {
    const buffer = this.#buffer;
    if (!buffer) return;
    const { ranges } = buffer;
    const at = this.video.currentTime;
    const current = ranges.find((range) => range.startS - 0.05 <= at && at < range.endS - 0.12);
    if (current) return;
    const next: Range | undefined = ranges.find((range) => range.startS > at);
    if (!next) return;
    const [fromUs, toUs] = [this.#clock.wallUs(at), this.#clock.wallUs(next.startS)];
    this.video.currentTime = next.startS + INTO_PICTURE_S;
    if (this.video.paused) void this.video.play().catch(() => undefined);
    if (toUs - fromUs > SKIP_SILENT_US && this.#stream) {
      this.skipped.value = { fromUs, toUs, gap: gapBetween(this.timelines.gapsAround(this.#stream, fromUs), fromUs, toUs) };
    }
  }
}
