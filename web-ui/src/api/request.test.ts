import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { requestBytes, requestJson } from "./request";
import { isPassing } from "./result";

const PATH = "https://box.local/api/v1/streams";
/** A body that ends in the middle, as when the network goes. */
const cut = () =>
  new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(10));
      controller.error(new TypeError("network error"));
    },
  });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const answering = (answer: (init: RequestInit) => Promise<Response>) =>
  vi.stubGlobal("fetch", (_: string, init: RequestInit) => answer(init));

/** Never answers, as a box that lost its power. */
const silent = (init: RequestInit) =>
  new Promise<Response>((_, reject) => init.signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError"))));

describe("a request", () => {
  it("that the network cut short is one that may be asked again", async () => {
    answering(async () => new Response(cut()));
    for (const answer of [await requestBytes(PATH), await requestJson(PATH)]) {
      expect(answer).toMatchObject({ kind: "error", code: "unreachable" });
      expect(answer.kind === "error" && isPassing(answer)).toBe(true);
    }
  });

  it("that is answered with something else than JSON is not understood", async () => {
    answering(async () => new Response("<html>"));
    const answer = await requestJson(PATH);
    expect(answer).toMatchObject({ kind: "error", code: "not-understood", status: 200 });
    expect(answer.kind === "error" && isPassing(answer)).toBe(false);
  });

  it("does not wait for ever", async () => {
    answering(silent);
    const answer = requestJson(PATH);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await answer).toMatchObject({ kind: "error", code: "unreachable" });
  });

  it("that its asker gave up is not an error", async () => {
    answering(silent);
    const asker = new AbortController();
    const answer = requestJson(PATH, { signal: asker.signal });
    asker.abort();
    expect(await answer).toEqual({ kind: "aborted" });
  });
});
