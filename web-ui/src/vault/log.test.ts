import { beforeEach, expect, it, vi } from "vitest";
import { failure, success } from "../api/result";
import type { Core, LogHead, LogStep } from "./core";

const asked: string[] = [];
const proof = { hashes: ["AAAA", "BBBB"] };
let shown = success({ newest: { key: "k2", checkpoint: "new" }, before: [{ key: "k1", checkpoint: "old" }] });
vi.mock("../api/box", () => ({
  logs: async () => shown,
  logConsistency: async (...given: unknown[]) => (asked.push(`consistency ${given.join(" ")}`), success(proof)),
  logInclusion: async (...given: unknown[]) => (asked.push(`inclusion ${given.join(" ")}`), success(proof)),
  logEntries: async (...given: unknown[]) => (asked.push(`entries ${given.join(" ")}`), success(Uint8Array.of(7))),
}));
const kept = new Map<string, LogHead>();
vi.mock("./kept", () => ({
  seenLog: async (store: string) => kept.get(store),
  keepLog: async (store: string, head: LogHead) => void kept.set(store, head),
}));
const { look } = await import("./log");

/** A core that goes through these steps. */
function through(steps: LogStep[]): { core: Core; told: unknown[] } {
  const told: unknown[] = [];
  const next = (...given: unknown[]) => {
    told.push(given);
    return steps.shift() as LogStep;
  };
  return { core: { logBegin: next, logTell: next } as unknown as Core, told };
}

beforeEach(() => {
  asked.length = 0;
  kept.clear();
});

it("keeps what is shown first, and brings what the core asks for", async () => {
  const head = { key: "k2", note: "origin\n42\nroot\n" };
  const first = through([{ kind: "keep", head, causes: "" }]);
  expect(await look(first.core, "store")).toEqual(success({ complaint: null, renewed: false, entries: 42, compared: false }));
  expect(first.told).toEqual([[null, [{ key: "k1", note: "old" }, { key: "k2", note: "new" }]]]);
  expect(kept.get("store")).toEqual(head);

  const again = through([
    { kind: "first", log: "ab", size: 9 },
    { kind: "consistency", log: "cd", from: 3, to: 5 },
    { kind: "keep", head: { key: "k3", note: "newer" }, causes: "state-restored" },
  ]);
  expect(await look(again.core, "store")).toEqual(success({ complaint: null, renewed: true, entries: null, compared: true }));
  expect(asked).toEqual(["entries ab 0 1", "inclusion ab 0 9", "consistency cd 3 5"]);
  expect(again.told[1]).toEqual([Uint8Array.of(7), Uint8Array.of(0, 0, 0, 4, 16, 65)]);
  expect(kept.get("store")?.note).toBe("newer");
});

it("keeps what it saw where it complains, and says nothing where the box does not answer", async () => {
  const seen = { key: "k1", note: "seen" };
  kept.set("store", seen);
  const wrong = through([{ kind: "complain", sentence: "the signed log was rolled back" }]);
  expect(await look(wrong.core, "store")).toEqual(success({ complaint: "the signed log was rolled back", renewed: false, entries: null, compared: true }));
  expect(kept.get("store")).toEqual(seen);
  const away = failure("unreachable", "The box does not answer.");
  shown = away as unknown as typeof shown;
  expect(await look(wrong.core, "store")).toEqual(away);
});
