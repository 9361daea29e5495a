/** The vault's worker: the only place that holds keys, opens chunks and talks to the box about sealed bytes. */
import coreUrl from "../wasm/hearthkeep.wasm?url";
import { sentence } from "../api/sentence";
import { Core, CoreError } from "./core";
import * as kept from "./kept";
import { LiveWatch } from "./live";
import { look } from "./log";
import { People, type Who } from "./people";
import type { CallName, Calls, FromWorker, LiveEvent, ToWorker } from "./protocol";
import { Segments } from "./segments";

const NOT_LOADED =
  "The part of this page that opens footage could not be loaded. Check the network, and reload the page if this stays.";
const FAILED = "The part of this page that opens footage failed, and was started again. Reload the page if this stays.";
const AGAIN_MS = 3000;

/** All that lives in one instance of WASM. One that has failed is dropped, and the next call loads another. */
interface Inside {
  readonly core: Core;
  readonly people: People;
  readonly segments: Segments;
}

class NotLoaded extends Error {}

let loading: Promise<Inside> | null = null;
/** Who is in: an instance that comes after one that failed opens the identity kept for them, without asking. */
let entered: Who | null = null;
const aborts = new Map<number, AbortController>();
/** Watches asked for and not yet given up, by the stream; and those that run. */
const wanted = new Map<number, string>();
const watches = new Map<number, LiveWatch>();

function inside(): Promise<Inside> {
  loading ??= load().catch((error: unknown) => {
    loading = null;
    throw new NotLoaded(String(error));
  });
  return loading;
}

async function load(): Promise<Inside> {
  const core = await Core.load(fetch(coreUrl));
  const people = new People(core);
  if (entered) await people.reopen(entered.store, entered.name);
  return { core, people, segments: new Segments(core) };
}

type Handlers = {
  [N in CallName]: (given: Parameters<Calls[N]>, signal: AbortSignal) => ReturnType<Calls[N]>;
};

const handlers: Handlers = {
  strength: async ([passphrase]) => (await inside()).core.strength(passphrase),
  prepareClaim: async (given) => (await inside()).people.prepareClaim(...given),
  claim: async (given) => {
    const { people } = await inside();
    return remember(people, await people.claim(...given));
  },
  signIn: async (given) => {
    const { people } = await inside();
    return remember(people, await people.signIn(...given));
  },
  reopen: async (given) => {
    const { people } = await inside();
    return remember(people, await people.reopen(...given));
  },
  close,
  lookAtLog: async (given) => look((await inside()).core, ...given),
  openSegment: async (given, signal) => (await inside()).segments.open(...given, signal),
  refreshIndex: async (given, signal) => (await inside()).segments.refreshIndex(...given, signal),
  readChunks: async (given, signal) => (await inside()).segments.read(...given, signal),
};

function remember<T>(people: People, answer: T): T {
  entered = people.who;
  return answer;
}

/** Erases what is kept, also where there is no instance that could hold anything. */
async function close(): Promise<void> {
  for (const watch of watches.values()) watch.close();
  watches.clear();
  wanted.clear();
  for (const controller of aborts.values()) controller.abort();
  const held = loading;
  try {
    await kept.erase();
  } finally {
    entered = null;
    const loaded = await held?.catch(() => null);
    loaded?.segments.clear();
    loaded?.people.close();
  }
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "call") void answer(data.id, data.name, data.given);
  else if (data.kind === "abort") aborts.get(data.id)?.abort();
  else if (data.kind === "watch") {
    wanted.set(data.id, data.stream);
    void watch(data.id);
  } else {
    wanted.delete(data.id);
    watches.get(data.id)?.close();
    watches.delete(data.id);
  }
};

async function answer(id: number, name: CallName, given: unknown[]): Promise<void> {
  const controller = new AbortController();
  aborts.set(id, controller);
  try {
    const handle = handlers[name] as (given: unknown[], signal: AbortSignal) => Promise<unknown>;
    const value = await handle(given, controller.signal);
    post({ kind: "answer", id, value }, transferables(value));
  } catch (error) {
    post({ kind: "fault", id, message: words(error) });
    dropIfFailed(error);
  } finally {
    aborts.delete(id);
  }
}

function words(error: unknown): string {
  if (error instanceof CoreError) return sentence(error.message);
  if (error instanceof NotLoaded) return NOT_LOADED;
  return error instanceof WebAssembly.RuntimeError ? FAILED : sentence(String(error));
}

/** After a trap nothing that the instance holds can be relied on. */
function dropIfFailed(error: unknown): void {
  if (!(error instanceof WebAssembly.RuntimeError)) return;
  loading = null;
  for (const [id, running] of watches) {
    running.close();
    later(id, FAILED);
  }
  watches.clear();
}

async function watch(id: number): Promise<void> {
  let loaded: Inside;
  try {
    loaded = await inside();
  } catch (error) {
    return later(id, words(error));
  }
  const stream = wanted.get(id);
  if (stream === undefined) return;
  const tell = (event: LiveEvent) => post({ kind: "live", id, event }, transferables(event));
  watches.set(id, new LiveWatch(loaded.core, stream, tell, dropIfFailed));
}

function later(id: number, message: string): void {
  post({ kind: "live", id, event: { kind: "lost", message, retryInMs: AGAIN_MS } });
  setTimeout(() => void watch(id), AGAIN_MS);
}

function post(message: FromWorker, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}

/** Pictures are handed over, not copied. */
function transferables(value: unknown): Transferable[] {
  if (value instanceof ArrayBuffer) return [value];
  if (ArrayBuffer.isView(value)) return [value.buffer as ArrayBuffer];
  if (Array.isArray(value)) return value.flatMap(transferables);
  if (value && typeof value === "object") return Object.values(value).flatMap(transferables);
  return [];
}
