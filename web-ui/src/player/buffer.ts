/** A MediaSource with one SourceBuffer, its operations one after another. */
import { mediaSource, mimeOf } from "./codec";

export interface Range {
  readonly startS: number;
  readonly endS: number;
}

/** Behind the playhead, when the browser says it is full. */
const KEEP_BEHIND_S = 3;
/** How often a full buffer is asked again whether it has room. */
const FULL_MS = 400;
/** With less than this ahead of the playhead there will never be room: one fragment is more than the browser takes. */
const AHEAD_MIN_S = 1;

export class MediaBuffer {
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;
  #codecs: string;

  private constructor(
    readonly video: HTMLVideoElement,
    private readonly source: MediaSource,
    private readonly buffer: SourceBuffer,
    codecs: string,
    private readonly url: string,
  ) {
    this.#codecs = codecs;
  }

  /** Takes the video element over. `live`: no end is known, so the browser plays what comes with little delay. */
  static async attach(video: HTMLVideoElement, codecs: string, live: boolean): Promise<MediaBuffer> {
    const Source = mediaSource();
    if (!Source) throw new Error("this browser has no Media Source Extensions");
    const source = new Source();
    const url = URL.createObjectURL(source);
    // A managed source opens only where the picture cannot be sent on to another screen.
    video.disableRemotePlayback = true;
    video.src = url;
    await new Promise((resolve) => source.addEventListener("sourceopen", resolve, { once: true }));
    const buffer = source.addSourceBuffer(mimeOf(codecs));
    buffer.mode = "segments";
    source.duration = live ? Infinity : 1e8;
    return new MediaBuffer(video, source, buffer, codecs, url);
  }

  /** Whether segments with these codecs can follow in this buffer: the number of tracks is fixed. */
  takes(codecs: string): boolean {
    const works = !this.#closed && this.source.readyState === "open" && this.video.error === null;
    return works && codecs.split(",").length === this.#codecs.split(",").length;
  }

  appendInit(codecs: string, init: ArrayBuffer): Promise<void> {
    return this.#do(() => {
      if (codecs !== this.#codecs) this.buffer.changeType(mimeOf(codecs));
      this.#codecs = codecs;
      this.buffer.appendBuffer(init);
    });
  }

  /** Waits for room where the browser has none; gives up, without appending, once `wanted` says no. */
  async append(fragment: ArrayBuffer, offsetS: number, wanted: () => boolean = () => true): Promise<void> {
    const act = () => {
      if (!wanted()) return;
      if (this.buffer.timestampOffset !== offsetS) this.buffer.timestampOffset = offsetS;
      this.buffer.appendBuffer(fragment);
    };
    for (let refused = 0; ; refused += 1) {
      if (refused > 1) await new Promise((resolve) => setTimeout(resolve, FULL_MS));
      try {
        return await this.#do(act);
      } catch (error) {
        if (!(error instanceof DOMException && error.name === "QuotaExceededError")) throw error;
        const aheadS = (this.ranges.at(-1)?.endS ?? 0) - this.video.currentTime;
        if (refused > 0 && aheadS < AHEAD_MIN_S) throw error;
        await this.remove(0, this.video.currentTime - KEEP_BEHIND_S);
      }
    }
  }

  remove(fromS: number, toS: number): Promise<void> {
    return this.#do(() => {
      if (toS <= fromS || this.buffer.buffered.length === 0) return;
      this.buffer.remove(fromS, toS);
    });
  }

  /** A managed source says when it wants data; every other always does. */
  get wantsMore(): boolean {
    return (this.source as { streaming?: boolean }).streaming ?? true;
  }

  get ranges(): Range[] {
    if (this.#closed || this.source.readyState === "closed") return [];
    const { buffered } = this.buffer;
    return Array.from({ length: buffered.length }, (_, i) => ({ startS: buffered.start(i), endS: buffered.end(i) }));
  }

  rangeAt(playerS: number, slackS = 0.05): Range | null {
    return this.ranges.find((range) => range.startS - slackS <= playerS && playerS < range.endS + slackS) ?? null;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    URL.revokeObjectURL(this.url);
    if (this.video.src === this.url) {
      this.video.removeAttribute("src");
      this.video.load();
    }
  }

  #do(act: () => void): Promise<void> {
    const done = this.#queue.then(() => {
      if (this.#closed || this.source.readyState === "closed") return;
      return new Promise<void>((resolve, reject) => {
        const end = () => {
          this.buffer.removeEventListener("updateend", end);
          this.buffer.removeEventListener("error", fail);
          resolve();
        };
        const fail = () => {
          this.buffer.removeEventListener("updateend", end);
          reject(new Error(this.video.error?.message || "the browser refused a fragment"));
        };
        this.buffer.addEventListener("updateend", end, { once: true });
        this.buffer.addEventListener("error", fail, { once: true });
        try {
          act();
          if (!this.buffer.updating) end();
        } catch (error) {
          this.buffer.removeEventListener("updateend", end);
          this.buffer.removeEventListener("error", fail);
          reject(error as Error);
        }
      });
    });
    this.#queue = done.catch(() => undefined);
    return done;
  }
}
