/**
 * hearthkeep-format in WASM, by the plain interface of web-ui/wasm: one exchange buffer, one function to call.
 * Lives in the worker; no other file touches the module's memory.
 */
import { type Field, FieldReader, encodeFields } from "./fields";

interface Exports {
  memory: WebAssembly.Memory;
  exchange(length: number): number;
  call(operation: number, length: number): number;
  answer(): number;
}

/** Numbers of the operations; web-ui/wasm/src/lib.rs has the same table. */
const OPERATION = {
  strength: 1,
  prepareClaim: 2,
  claimed: 3,
  derive: 4,
  openIdentity: 5,
  identitySeed: 6,
  identityFromSeed: 7,
  openKeyring: 8,
  openSegment: 9,
  closeSegment: 10,
  openChunk: 11,
  forget: 12,
  logBegin: 13,
  logTell: 14,
} as const;

/** Bytes that could not be opened, with the core's own words. */
export class CoreError extends Error {
  override name = "CoreError";
}

export interface ClaimMaterial {
  recipient: string;
  verifyingKey: Uint8Array;
  salt: Uint8Array;
  memoryKib: number;
  passes: number;
  lanes: number;
  auth: Uint8Array;
  sealedIdentity: Uint8Array;
  statement: Uint8Array;
  sealedSeed: Uint8Array;
  sealedMetadataKey: Uint8Array;
  metadataKey: Uint8Array;
  kitText: string;
  kitGroups: string[];
  /** Of the owner's verifying key, to be compared by eye. */
  fingerprint: string;
}

export interface OpenedSegment {
  handle: number;
  headBytes: number;
  run: string;
  anchorUs: number;
  /** Wall time of its first sample; chunks' times count from it. */
  startUs: number;
  init: Uint8Array<ArrayBuffer>;
  /** RFC 6381, comma-separated, pictures first. */
  codecs: string;
  width: number;
  height: number;
}

export const CHUNK_FRAGMENT = 1;

export interface OpenedChunk {
  k: number;
  type: number;
  startUs: number;
  durationUs: number;
  key: boolean;
  body: Uint8Array<ArrayBuffer>;
  /** Presentation times of its pictures in seconds of the run, ascending. */
  times: Float64Array<ArrayBuffer>;
}

/** A signed log's key and newest checkpoint. */
export interface LogHead {
  readonly key: string;
  readonly note: string;
}

/** What an examination of the log has to know next, or comes to. */
export type LogStep =
  | { readonly kind: "consistency"; readonly log: string; readonly from: number; readonly to: number }
  | { readonly kind: "first"; readonly log: string; readonly size: number }
  /** To be kept; `causes` says why new logs have begun since, and is empty where none has. */
  | { readonly kind: "keep"; readonly head: LogHead; readonly causes: string }
  | { readonly kind: "complain"; readonly sentence: string }
  | { readonly kind: "none" };

export class Core {
  private constructor(private readonly exports: Exports) {}

  static async load(module: Promise<Response> | BufferSource): Promise<Core> {
    let memory: WebAssembly.Memory | undefined;
    const imports = {
      host: {
        random(address: number, length: number) {
          if (!memory) throw new Error("WASM asked for randomness before it was ready");
          crypto.getRandomValues(new Uint8Array(memory.buffer as ArrayBuffer, address, length));
        },
      },
    };
    const { instance } =
      module instanceof Promise
        ? await WebAssembly.instantiateStreaming(module, imports)
        : await WebAssembly.instantiate(module, imports);
    const exports = instance.exports as unknown as Exports;
    memory = exports.memory;
    return new Core(exports);
  }

  /** Why the passphrase is too weak; empty when it is strong enough. */
  strength(passphrase: string): string {
    return this.#call(OPERATION.strength, [passphrase]).text();
  }

  /** Makes the owner, the kit and generation 1. They stay inside until `claimed` or `forget`. */
  prepareClaim(store: string, name: string, passphrase: string): ClaimMaterial {
    const r = this.#call(OPERATION.prepareClaim, [store, name, passphrase]);
    return {
      recipient: r.text(),
      verifyingKey: r.bytes(),
      salt: r.bytes(),
      memoryKib: r.number(),
      passes: r.number(),
      lanes: r.number(),
      auth: r.bytes(),
      sealedIdentity: r.bytes(),
      statement: r.bytes(),
      sealedSeed: r.bytes(),
      sealedMetadataKey: r.bytes(),
      metadataKey: r.bytes(),
      kitText: r.text(),
      kitGroups: r.text().split(" "),
      fingerprint: r.text(),
    };
  }

  /** The box took the claim: the owner made by `prepareClaim` is now who opens. */
  claimed(): void {
    this.#call(OPERATION.claimed, []);
  }

  /** Argon2id: takes about half a second. Returns the half that may be sent; the other stays inside. */
  derive(passphrase: string, salt: Uint8Array, memoryKib: number, passes: number, lanes: number): Uint8Array {
    return this.#call(OPERATION.derive, [passphrase, salt, memoryKib, passes, lanes]).bytes();
  }

  openIdentity(sealed: Uint8Array, name: string): void {
    this.#call(OPERATION.openIdentity, [sealed, name]);
  }

  /** The identity itself, to be wrapped for this browser's own storage and wiped at once. */
  identitySeed(): Uint8Array<ArrayBuffer> {
    return this.#call(OPERATION.identitySeed, []).bytes();
  }

  identityFromSeed(seed: Uint8Array): void {
    this.#call(OPERATION.identityFromSeed, [seed]);
  }

  /** Opens the keyring and checks its signed chain from `root` on. Returns the newest generation. */
  openKeyring(keyring: Uint8Array, store: string, root: Uint8Array): number {
    return this.#call(OPERATION.openKeyring, [keyring, store, root]).number();
  }

  /** Opens a segment's head (header, envelope, chunk 0); refuses one of another stream or segment. */
  openSegment(head: Uint8Array, stream: string, segment: string): OpenedSegment {
    const r = this.#call(OPERATION.openSegment, [head, stream, segment]);
    return {
      handle: r.number(),
      headBytes: r.number(),
      run: r.text(),
      anchorUs: r.number(),
      startUs: r.number(),
      init: r.bytes(),
      codecs: r.text(),
      width: r.number(),
      height: r.number(),
    };
  }

  closeSegment(handle: number): void {
    this.#call(OPERATION.closeSegment, [handle]);
  }

  /** Opens a chunk in place in WASM's memory: one copy in, one out. */
  openChunk(handle: number, chunk: Uint8Array): OpenedChunk {
    const r = this.#call(OPERATION.openChunk, [handle, chunk]);
    const [k, type, startUs, durationUs, key] = [r.number(), r.number(), r.number(), r.number(), r.number()];
    const [offset, length] = [r.number(), r.number()];
    const times = r.numbers();
    const body = new Uint8Array(this.exports.memory.buffer as ArrayBuffer, this.exports.exchange(0) + offset, length);
    return { k, type, startUs, durationUs, key: key !== 0, body: body.slice(), times };
  }

  /** Begins to compare the logs that the box shows, oldest first, with what was seen before. */
  logBegin(seen: LogHead | null, shown: readonly LogHead[]): LogStep {
    const heads = shown.flatMap(({ key, note }) => [key, note]);
    return logStep(this.#call(OPERATION.logBegin, [seen?.key ?? "", seen?.note ?? "", shown.length, ...heads]));
  }

  /** Goes on with what was asked for. */
  logTell(first: Uint8Array, hashes: Uint8Array): LogStep {
    return logStep(this.#call(OPERATION.logTell, [first, hashes]));
  }

  /** Drops every secret. */
  forget(): void {
    this.#call(OPERATION.forget, []);
  }

  #call(operation: number, fields: readonly Field[]): FieldReader {
    const given = encodeFields(fields);
    const address = this.exports.exchange(given.length);
    new Uint8Array(this.exports.memory.buffer, address, given.length).set(given);
    // A passphrase or a seed may stand in the copy made here.
    if (operation !== OPERATION.openChunk) given.fill(0);
    const length = this.exports.call(operation, given.length);
    const answer = new Uint8Array(this.exports.memory.buffer, this.exports.answer(), Math.abs(length));
    if (length < 0) throw new CoreError(new TextDecoder().decode(answer.slice()));
    const copy = answer.slice();
    if (operation === OPERATION.identitySeed) answer.fill(0);
    return new FieldReader(copy);
  }
}

function logStep(r: FieldReader): LogStep {
  const kind = r.text();
  switch (kind) {
    case "consistency":
      return { kind, log: r.text(), from: r.number(), to: r.number() };
    case "first":
      return { kind, log: r.text(), size: r.number() };
    case "keep":
      return { kind, head: { key: r.text(), note: r.text() }, causes: r.text() };
    case "complain":
      return { kind, sentence: r.text() };
    default:
      return { kind: "none" };
  }
}
