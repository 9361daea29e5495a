import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { failure, success } from "../api/result";
import type { Core } from "./core";
import type { LiveEvent } from "./protocol";

let streams: unknown;
vi.mock("../api/box", () => ({ liveUrl: () => "wss://box/live", streams: () => Promise.resolve(streams) }));
const { LiveWatch } = await import("./live");

class FakeSocket {
  static all: FakeSocket[] = [];
  binaryType = "";
  onmessage: ((event: unknown) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  constructor() {
    FakeSocket.all.push(this);
  }
  close(): void {}
}

const watched = () => {
  const events: LiveEvent[] = [];
  const failures: unknown[] = [];
  const watch = new LiveWatch({} as Core, "s", (event) => events.push(event), (error) => failures.push(error));
  return { events, failures, watch };
};
const messages = (events: LiveEvent[]) => events.map((event) => (event.kind === "lost" ? event.message : event.kind));

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.all = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("silence", () => {
  it("of a camera that is off is no loss, and its socket stays for when it is back", async () => {
    streams = success([{ id: "s", state: "waiting" }]);
    const { events, watch } = watched();
    await vi.advanceTimersByTimeAsync(300_000);
    expect([events, FakeSocket.all.length]).toEqual([[], 1]);
    watch.close();
  });

  it("of a camera that is recorded is one", async () => {
    streams = success([{ id: "s", state: "recording" }]);
    const { events, watch } = watched();
    await vi.advanceTimersByTimeAsync(21_000);
    expect(messages(events)).toEqual(["The box sends nothing."]);
    expect(FakeSocket.all.length).toBe(2);
    watch.close();
  });

  it("of a box that is gone is one", async () => {
    streams = failure("unreachable", "gone");
    const { events, watch } = watched();
    await vi.advanceTimersByTimeAsync(21_000);
    expect(messages(events)).toEqual(["The connection to the box was lost."]);
    watch.close();
  });
});

it.each([
  [1013, "too slow: join again", "too slow for this live view"],
  [1008, "signed out", "not signed in"],
  [1001, "the stream has ended", "may be restarting"],
  [1006, "", "connection to the box was lost"],
])("close code %i is told in words for people", (code, reason, words) => {
  const { events, watch } = watched();
  FakeSocket.all[0]?.onclose?.({ code, reason });
  expect(messages(events)[0]).toContain(words);
  if (reason) expect(messages(events)[0]).not.toContain(reason);
  watch.close();
});
