import { afterEach, describe, expect, it, vi } from "vitest";
import type { LiveEvent, ToWorker } from "./protocol";

class FakeWorker {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  onmessageerror: (() => void) | null = null;
  readonly told: ToWorker[] = [];
  postMessage(message: ToWorker): void {
    this.told.push(message);
  }
}
vi.stubGlobal("Worker", FakeWorker);
const { Vault } = await import("./vault");

afterEach(() => vi.restoreAllMocks());

const made = () => {
  const worker = new FakeWorker();
  return { worker, vault: new Vault(worker as unknown as Worker) };
};

describe("a worker that could not be loaded", () => {
  it("fails what waits for it, and all that is asked later", async () => {
    const { worker, vault } = made();
    const waiting = vault.attempt(null, "openSegment", "s", "1");
    worker.onerror?.();
    for (const answer of [await waiting, await vault.attempt(null, "openSegment", "s", "1")]) {
      expect(answer).toMatchObject({ kind: "error", code: "vault" });
    }
    await expect(vault.call("close")).rejects.toThrow("could not start");
  });

  it("is told to those who watch, whether they came before or after", async () => {
    const { worker, vault } = made();
    const events: LiveEvent[] = [];
    vault.watch("s", (event) => events.push(event));
    worker.onerror?.();
    vault.watch("s", (event) => events.push(event));
    await Promise.resolve();
    expect(events.map(({ kind }) => kind)).toEqual(["stopped", "stopped"]);
  });
});

it("a signal that outlives its calls is left without a trace of them", async () => {
  const { worker, vault } = made();
  const asker = new AbortController();
  for (let i = 0; i < 3; i += 1) {
    const answer = vault.attempt(asker.signal, "openSegment", "s", "1");
    const { id } = worker.told.at(-1) as { id: number };
    worker.onmessage?.({ data: { kind: "answer", id, value: { kind: "success", value: 1 } } });
    await answer;
  }
  asker.abort();
  expect(worker.told.filter(({ kind }) => kind === "abort")).toEqual([]);
});

it("a call that is given up is told to the worker", async () => {
  const { worker, vault } = made();
  const asker = new AbortController();
  void vault.attempt(asker.signal, "openSegment", "s", "1");
  asker.abort();
  expect(worker.told.map(({ kind }) => kind)).toEqual(["call", "abort"]);
});
