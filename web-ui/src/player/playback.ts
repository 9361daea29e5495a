/**
 * Footage of one stream played in a video element, from any instant on, over segments and gaps.
 *
 * A seek begins a `Run`: an abortable loop that opens segment after segment and appends chunks in front of the playhead.
 * The next seek aborts it. Nothing is shared between two runs but the buffer.
 */
import { type Signal, signal } from "@preact/signals";
import type { GapEntry, SegmentEntry } from "../api/types";
import type { Result } from "../api/result";
import { gapBetween } from "../timeline/coverage";
import { nowUs } from "../timeline/day";
import type { TimelineStore } from "../timeline/store";
import { MediaBuffer, type Range } from "./buffer";
import { Feeder, type Halt } from "./feeder";
import { INTO_PICTURE_S, Pictures } from "./pictures";
import { LeftOut, type Skipped } from "./skipped";
import { WallClock } from "./wall-clock";

export type PlaybackState =
  | { readonly kind: "idle" }
  | { readonly kind: "loading" }
  | { readonly kind: "ready" }
  /** Nothing later was recorded (yet). */
  | { readonly kind: "end" }
  | { readonly kind: "empty" }
  /** All that was read is shown, and nothing more can be: `waiting` goes on by itself. */
  | Halt;

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
  #leftOut = new LeftOut();
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
    clearInterval(this.#timer);
    this.#feeder?.abort();
    this.#buffer?.close();
  }

  /** Shows another stream at the instant that is shown now. */
  show(stream: string): void {
    if (stream === this.#stream) return;
    this.#stream = stream;
    this.#leftOut = new LeftOut();
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
    const stream = this.#stream;
    void feeder.run(() => this.#find(stream, us), us);
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

  /** The segment to begin with. Just before the live edge the newest will do, although it has not got there yet. */
  async #find(stream: string, us: number): Promise<Result<SegmentEntry | null>> {
    const found = await this.timelines.segmentFrom(stream, us);
    if (found.kind !== "success" || found.value || us < nowUs() - 20e6) return found;
    return this.timelines.segmentFrom(stream, us - 30e6);
  }

  #seekInBuffer(us: number): boolean {
    const feeder = this.#feeder;
    // A feeder that is dead would never read on from there.
    if (!feeder?.alive || !feeder.begun || feeder.stream !== this.#stream || !this.#buffer) return false;
    if (!["ready", "end", "waiting"].includes(this.state.value.kind)) return false;
    const target = this.#clock.playerSOf(us);
    const range = target === null ? null : this.#buffer.rangeAt(target, 0);
    if (target === null || !range || range.endS - target < 0.25 || feeder.appendedToS > range.endS + 1) return false;
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

  takes(codecs: string): boolean {
    return this.#buffer?.takes(codecs) ?? false;
  }

  async bufferFor(codecs: string, fresh: boolean): Promise<MediaBuffer> {
    if (this.#buffer?.takes(codecs) && this.#clock.reaches(this.wallUs.value)) {
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

  /** The first fragments of a run are in the buffer; `soughtUs` is the instant that was asked for. */
  begin(feeder: Feeder, targetS: number, soughtUs: number): void {
    if (feeder.aborted) return;
    this.#tellSkipped(soughtUs, this.#clock.wallUs(targetS), null);
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

  /** Nothing was recorded at the instant sought or after it. */
  foundNothing(feeder: Feeder): void {
    if (feeder.aborted) return;
    this.state.value = { kind: "empty" };
    this.video.pause();
  }

  /** These instants are damaged. It is told once playing has come to them. */
  leftOut(feeder: Feeder, fromUs: number, toUs: number): void {
    if (!feeder.aborted) this.#leftOut.add(fromUs, toUs);
  }

  #tick(): void {
    const feeder = this.#feeder;
    if (!feeder) return;
    const { kind } = this.state.value;
    if (kind === "ready" || kind === "end") {
      this.wallUs.value = this.#clock.wallUs(this.video.currentTime);
      this.#tellEnd(kind, feeder);
      if (this.playing.value) this.#jumpOverGap();
    }
    this.#tellHalt(feeder);
  }

  /** What keeps the feeder from reading on is told once all that it read is shown, and taken back when it reads on. */
  #tellHalt(feeder: Feeder): void {
    const { halt } = feeder;
    const state = this.state.value;
    if (!halt) {
      if (state.kind === "waiting") this.state.value = { kind: feeder.begun ? "ready" : "loading" };
      return;
    }
    if (state === halt || (feeder.begun && this.video.currentTime < feeder.appendedToS - END_S)) return;
    this.state.value = halt;
    if (halt.kind !== "unplayable") return;
    this.#buffer?.close();
    this.#buffer = null;
  }

  /** That nothing more was read does not end the playing: that all of it was shown does, until more is recorded. */
  #tellEnd(kind: "ready" | "end", feeder: Feeder): void {
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
    const gaps = this.#stream ? this.timelines.gapsAround(this.#stream, fromUs) : [];
    this.#tellSkipped(fromUs, toUs, toUs - fromUs > SKIP_SILENT_US ? gaps : null);
  }

  /** Says what was jumped over: a gap, where `gaps` may name its cause, or what is damaged. */
  #tellSkipped(fromUs: number, toUs: number, gaps: readonly GapEntry[] | null): void {
    const damagedUs = this.#leftOut.within(fromUs, toUs);
    if (gaps === null && damagedUs === 0) return;
    this.skipped.value = { fromUs, toUs, gap: gapBetween(gaps ?? [], fromUs, toUs), damagedUs };
  }
}
