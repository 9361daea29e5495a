import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { LiveEvent } from "../vault/protocol";

const watches: { listen: (event: LiveEvent) => void; left: boolean }[] = [];
vi.mock("../vault/vault", () => ({
  vault: {
    watch(_: string, listen: (event: LiveEvent) => void) {
      const watch = { listen, left: false };
      watches.push(watch);
      return () => {
        watch.left = true;
      };
    },
  },
}));
vi.mock("./codec", () => ({ whyUnplayable: () => null }));
let refuses = false;
vi.mock("./buffer", () => ({
  MediaBuffer: {
    attach: async () => ({
      takes: () => true,
      appendInit: async () => undefined,
      append: async () => {
        if (refuses) throw new Error("it does not decode");
      },
      remove: async () => undefined,
      close: () => undefined,
      ranges: [],
    }),
  },
}));
const { LivePlayer } = await import("./live-player");

const head = { kind: "head", head: { run: "r", segment: "1", anchorUs: 0, codecs: "avc1", init: new ArrayBuffer(0) } } as unknown as LiveEvent;
const fragment = { kind: "fragment", fragment: { durationUs: 1e5, body: new ArrayBuffer(0) } } as unknown as LiveEvent;
const video = () => Object.assign(new EventTarget(), { currentTime: 0, playbackRate: 1, paused: false }) as unknown as HTMLVideoElement;

beforeEach(() => {
  vi.useFakeTimers();
  watches.length = 0;
});
afterEach(() => vi.useRealTimers());

it("joins anew after the browser refused a fragment, and shows what comes then", async () => {
  const player = new LivePlayer(video(), "s");
  const send = async (event: LiveEvent) => {
    watches.at(-1)?.listen(event);
    await vi.advanceTimersByTimeAsync(0);
  };
  await send(head);
  refuses = true;
  await send(fragment);
  expect(player.state.value).toMatchObject({ kind: "lost", message: expect.stringContaining("it does not decode") });
  expect(watches[0]?.left).toBe(true);
  refuses = false;
  await vi.advanceTimersByTimeAsync(1500);
  expect(watches.length).toBe(2);
  await send(head);
  await send(fragment);
  expect(player.state.value.kind).toBe("playing");
  player.close();
  expect(watches[1]?.left).toBe(true);
});

it("says that it has stopped, and does not try what cannot be", async () => {
  const player = new LivePlayer(video(), "s");
  watches[0]?.listen({ kind: "stopped", message: "Reload the page." });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(player.state.value).toEqual({ kind: "stopped", message: "Reload the page." });
  expect(watches.length).toBe(1);
  player.close();
});
