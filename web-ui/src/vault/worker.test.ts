import { beforeEach, describe, expect, it, vi } from "vitest";
import { success } from "../api/result";
import type { FromWorker } from "./protocol";

let loads = 0;
let isLoadable = true;
vi.mock("./core", () => ({
  CoreError: class CoreError extends Error {},
  Core: {
    load: async () => {
      loads += 1;
      if (!isLoadable) throw new TypeError("Failed to fetch");
      return {
        strength(passphrase: string) {
          if (passphrase === "trap") throw new WebAssembly.RuntimeError("unreachable");
          return "";
        },
      };
    },
  },
}));
const reopened: string[] = [];
vi.mock("./people", () => ({
  People: class {
    who: unknown = null;
    async signIn(store: string, name: string) {
      this.who = { store, name };
      return success({ name, kept: true });
    }
    async reopen(store: string, name: string) {
      reopened.push(`${store}/${name}`);
      return success({ name, kept: true });
    }
    close() {}
  },
}));
let erased = 0;
vi.mock("./kept", () => ({ erase: async () => void (erased += 1) }));
vi.mock("./live", () => ({ LiveWatch: class { close() {} } }));
vi.mock("../api/box", () => ({}));

const said: FromWorker[] = [];
const scope = { onmessage: (_: { data: unknown }) => undefined, postMessage: (message: FromWorker) => said.push(message) };
vi.stubGlobal("self", scope);
vi.stubGlobal("fetch", () => Promise.resolve(new Response()));

let id = 0;
async function call(name: string, ...given: unknown[]): Promise<FromWorker> {
  id += 1;
  scope.onmessage({ data: { kind: "call", id, name, given } });
  return vi.waitFor(() => {
    const answer = said.find((message) => message.id === id && message.kind !== "live");
    if (!answer) throw new Error("no answer yet");
    return answer;
  });
}

beforeEach(async () => {
  vi.resetModules();
  await import("./worker");
  [loads, isLoadable, erased] = [0, true, 0];
  [said.length, reopened.length] = [0, 0];
});

describe("an instance that has failed", () => {
  it("is told in words and replaced at the next call", async () => {
    expect(await call("strength", "trap")).toMatchObject({ kind: "fault", message: expect.stringContaining("started again") });
    expect(await call("strength", "fine")).toMatchObject({ kind: "answer", value: "" });
    expect(loads).toBe(2);
  });

  it("lets who was in go on in the next one, and nobody who has left", async () => {
    await call("signIn", "store", "Ada", "a passphrase");
    await call("strength", "trap");
    await call("strength", "fine");
    expect(reopened).toEqual(["store/Ada"]);
    await call("close");
    await call("strength", "trap");
    await call("strength", "fine");
    expect(reopened).toEqual(["store/Ada"]);
  });

  it("is told to who watches", async () => {
    scope.onmessage({ data: { kind: "watch", id: 1000, stream: "s" } });
    await call("strength", "fine");
    await call("strength", "trap");
    expect(said.filter((message) => message.kind === "live").map(({ id: of }) => of)).toEqual([1000]);
  });
});

describe("an instance that does not load", () => {
  it("is told in words, and loaded by the next call that finds it", async () => {
    isLoadable = false;
    expect(await call("strength", "fine")).toMatchObject({ kind: "fault", message: expect.stringContaining("could not be loaded") });
    isLoadable = true;
    expect(await call("strength", "fine")).toMatchObject({ kind: "answer" });
  });

  it("keeps nobody from erasing what this browser holds", async () => {
    isLoadable = false;
    await call("strength", "fine");
    expect(await call("close")).toMatchObject({ kind: "answer" });
    expect(erased).toBe(1);
  });
});
