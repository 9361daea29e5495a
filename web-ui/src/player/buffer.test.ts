import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MediaBuffer } from "./buffer";

/** A browser's buffer that is full a number of times. */
class FakeBuffer extends EventTarget {
  mode = "";
  timestampOffset = 0;
  updating = false;
  full = 0;
  endS = 30;
  readonly appended: unknown[] = [];

  get buffered() {
    return { length: 1, start: () => 0, end: () => this.endS };
  }
  appendBuffer(bytes: unknown): void {
    if (this.full > 0) {
      this.full -= 1;
      throw new DOMException("full", "QuotaExceededError");
    }
    this.appended.push(bytes);
  }
  remove(): void {}
  changeType(): void {}
}

let made: FakeBuffer;
class FakeSource extends EventTarget {
  readyState = "closed";
  duration = 0;
  constructor() {
    super();
    queueMicrotask(() => {
      this.readyState = "open";
      this.dispatchEvent(new Event("sourceopen"));
    });
  }
  addSourceBuffer(): FakeBuffer {
    made = new FakeBuffer();
    return made;
  }
}

const video = () => ({ src: "", currentTime: 10, error: null, disableRemotePlayback: false }) as unknown as HTMLVideoElement;
const FRAGMENT = new ArrayBuffer(8);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("URL", { createObjectURL: () => "blob:1", revokeObjectURL: () => undefined });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a buffer that is full", () => {
  it("is waited for, however long", async () => {
    vi.stubGlobal("MediaSource", FakeSource);
    const buffer = await MediaBuffer.attach(video(), "avc1.640028", false);
    made.full = 25;
    const done = buffer.append(FRAGMENT, 0);
    await vi.advanceTimersByTimeAsync(30_000);
    await done;
    expect(made.appended).toEqual([FRAGMENT]);
  });

  it("is given up when nobody wants the fragment any more", async () => {
    vi.stubGlobal("MediaSource", FakeSource);
    const buffer = await MediaBuffer.attach(video(), "avc1.640028", false);
    made.full = 25;
    let wanted = true;
    const done = buffer.append(FRAGMENT, 0, () => wanted);
    await vi.advanceTimersByTimeAsync(1000);
    wanted = false;
    await vi.advanceTimersByTimeAsync(1000);
    await done;
    expect(made.appended).toEqual([]);
  });

  it("is an error where one fragment is more than it takes", async () => {
    vi.stubGlobal("MediaSource", FakeSource);
    const buffer = await MediaBuffer.attach(video(), "avc1.640028", false);
    [made.full, made.endS] = [25, 10];
    const done = expect(buffer.append(FRAGMENT, 0)).rejects.toThrow("full");
    await vi.advanceTimersByTimeAsync(5000);
    await done;
  });
});

it("an iPhone's managed source is used, and the picture kept on this screen", async () => {
  vi.stubGlobal("MediaSource", undefined);
  vi.stubGlobal("ManagedMediaSource", FakeSource);
  const shown = video();
  const buffer = await MediaBuffer.attach(shown, "avc1.640028", true);
  expect(shown.disableRemotePlayback).toBe(true);
  await buffer.append(FRAGMENT, 0);
  expect(made.appended).toEqual([FRAGMENT]);
});
