/** One stream shown live in a video element. */
import { type Signal, signal } from "@preact/signals";
import type { LiveEvent, OpenedFragment, SegmentHead } from "../vault/protocol";
import { vault } from "../vault/vault";
import { MediaBuffer } from "./buffer";
import { whyUnplayable } from "./codec";
import { LiveEdge } from "./live-edge";
import { type Piece, WallClock } from "./wall-clock";

export type LiveState =
  | { readonly kind: "connecting" }
  | { readonly kind: "playing" }
  | { readonly kind: "silent"; readonly seconds: number }
  /** It is tried again by itself. */
  | { readonly kind: "lost"; readonly message: string }
  /** It is not. */
  | { readonly kind: "stopped"; readonly message: string }
  | { readonly kind: "unplayable"; readonly message: string };

const SILENT_AFTER_S = 3;
const TICK_MS = 200;
const KEEP_S = 12;
/** How soon it is begun anew after the browser refused something, at first and at most. */
const AGAIN_MS = 1000;
const AGAIN_MS_MAX = 30_000;

export class LivePlayer {
  readonly state: Signal<LiveState> = signal({ kind: "connecting" });

  #buffer: MediaBuffer | null = null;
  #clock = new WallClock(0);
  #piece: Piece | null = null;
  #head: SegmentHead | null = null;
  #edge = new LiveEdge();
  #lastFragmentMs = 0;
  #lastTrimMs = 0;
  #work: Promise<void> = Promise.resolve();
  #closed = false;
  #unwatch: () => void = () => undefined;
  #againMs = AGAIN_MS;
  #again: ReturnType<typeof setTimeout> | undefined;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stalled = () => this.#edge.stalled();

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly stream: string,
  ) {
    video.addEventListener("waiting", this.#stalled);
    this.#watch();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  close(): void {
    this.#closed = true;
    this.#unwatch();
    clearTimeout(this.#again);
    clearInterval(this.#timer);
    this.video.removeEventListener("waiting", this.#stalled);
    this.#buffer?.close();
  }

  #watch(): void {
    let isCurrent = true;
    const unwatch = vault.watch(this.stream, (event) => {
      // Events wait for one another: a head's buffer must stand before its fragments come in.
      this.#work = this.#work
        .then(() => (isCurrent ? this.#take(event) : undefined))
        .catch((error: unknown) => {
          if (isCurrent) this.#fail(error);
        });
    });
    this.#unwatch = () => {
      isCurrent = false;
      unwatch();
    };
  }

  async #take(event: LiveEvent): Promise<void> {
    if (this.#closed) return;
    if (event.kind === "head") await this.#takeHead(event.head);
    else if (event.kind === "fragment") await this.#takeFragment(event.fragment);
    else {
      this.#head = null;
      this.state.value = { kind: event.kind, message: event.message };
    }
  }

  async #takeHead(head: SegmentHead): Promise<void> {
    const why = whyUnplayable(head.codecs);
    if (why !== null) {
      this.state.value = { kind: "unplayable", message: why };
      return;
    }
    // Another run may lie anywhere in time (the camera's clock may have been set): it gets a buffer of its own.
    if (!this.#buffer?.takes(head.codecs) || this.#piece?.run !== head.run) {
      this.#buffer?.close();
      this.#clock = new WallClock(head.anchorUs - 1e6);
      this.#piece = null;
      this.#buffer = await MediaBuffer.attach(this.video, head.codecs, true);
    }
    if (this.#closed) return this.#buffer.close();
    const offsetS = this.#clock.offsetFor(head.run, head.anchorUs, this.#piece);
    this.#piece = { segment: head.segment, run: head.run, anchorUs: head.anchorUs, offsetS, startS: 0 };
    this.#head = head;
    await this.#buffer.appendInit(head.codecs, head.init);
  }

  async #takeFragment(fragment: OpenedFragment): Promise<void> {
    const [buffer, piece] = [this.#buffer, this.#piece];
    if (!buffer || !piece || !this.#head) return;
    const now = performance.now();
    this.#lastFragmentMs = now;
    this.#edge.arrived(now, fragment.durationUs / 1e6);
    await buffer.append(fragment.body, piece.offsetS);
    if (this.state.value.kind !== "playing") this.state.value = { kind: "playing" };
    this.#steer();
    if (now - this.#lastTrimMs > 5000) {
      this.#lastTrimMs = now;
      this.#againMs = AGAIN_MS;
      await buffer.remove(0, this.video.currentTime - KEEP_S);
    }
  }

  #steer(): void {
    const last = this.#buffer?.ranges.at(-1);
    if (!last) return;
    const step = this.#edge.step({
      playingS: this.video.currentTime,
      bufferedStartS: last.startS,
      bufferedEndS: last.endS,
      rate: this.video.playbackRate,
    });
    if (step.kind === "jump") {
      this.video.currentTime = step.toS;
      this.video.playbackRate = 1;
    } else if (step.kind === "rate") this.video.playbackRate = step.rate;
    if (this.video.paused) void this.video.play().catch(() => undefined);
  }

  #tick(): void {
    const { kind } = this.state.value;
    if (kind !== "playing" && kind !== "silent") return;
    const seconds = Math.floor((performance.now() - this.#lastFragmentMs) / 1000);
    if (seconds >= SILENT_AFTER_S) this.state.value = { kind: "silent", seconds };
    else this.#steer();
  }

  /** The browser refused something. Nothing decodes before a head and a key frame, and joining anew brings both. */
  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#unwatch();
    this.#buffer?.close();
    this.#buffer = null;
    this.#piece = null;
    this.#head = null;
    const why = error instanceof Error ? error.message : String(error);
    this.state.value = { kind: "lost", message: `The picture could not be shown: ${why}.` };
    this.#again = setTimeout(() => this.#watch(), this.#againMs);
    this.#againMs = Math.min(this.#againMs * 2, AGAIN_MS_MAX);
  }
}
