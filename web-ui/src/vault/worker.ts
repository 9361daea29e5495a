/** The vault's worker: the only place that holds keys, opens chunks and talks to the box about sealed bytes. */
import coreUrl from "../wasm/hearthkeep.wasm?url";
import { failure } from "../api/result";
import { Core, CoreError } from "./core";
import { LiveWatch } from "./live";
import type { CallName, Calls, FromWorker, ToWorker } from "./protocol";
import { People } from "./people";
import { Segments } from "./segments";
import { sentence } from "./sentence";

const core = Core.load(fetch(coreUrl));
const people = core.then((loaded) => new People(loaded));
const segments = core.then((loaded) => new Segments(loaded));
const aborts = new Map<number, AbortController>();
const watches = new Map<number, LiveWatch>();
/** Watches asked for and not yet given up, perhaps still waiting for WASM. */
const wanted = new Set<number>();

type Handlers = {
  [N in CallName]: (given: Parameters<Calls[N]>, signal: AbortSignal) => ReturnType<Calls[N]>;
};

const handlers: Handlers = {
  strength: async ([passphrase]) => (await core).strength(passphrase),
  prepareClaim: async (given) => (await people).prepareClaim(...given),
  claim: async (given) => (await people).claim(...given),
  signIn: async (given) => (await people).signIn(...given),
  reopen: async (given) => (await people).reopen(...given),
  close: async () => {
    for (const watch of watches.values()) watch.close();
    watches.clear();
    wanted.clear();
    for (const controller of aborts.values()) controller.abort();
    (await segments).clear();
    await (await people).close();
  },
  openSegment: async (given, signal) => (await segments).open(...given, signal),
  refreshIndex: async (given, signal) => (await segments).refreshIndex(...given, signal),
  readChunks: async (given, signal) => (await segments).read(...given, signal),
};

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "call") void answer(data.id, data.name, data.given);
  else if (data.kind === "abort") aborts.get(data.id)?.abort();
  else if (data.kind === "watch") void watch(data.id, data.stream);
  else {
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
    if (error instanceof CoreError) post({ kind: "answer", id, value: failure("vault", sentence(error.message)) });
    else post({ kind: "fault", id, message: String(error) });
  } finally {
    aborts.delete(id);
  }
}

async function watch(id: number, stream: string): Promise<void> {
  wanted.add(id);
  const loaded = await core;
  if (!wanted.has(id)) return;
  watches.set(
    id,
    new LiveWatch(loaded, stream, (event) => post({ kind: "live", id, event }, transferables(event))),
  );
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
