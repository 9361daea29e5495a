/**
 * The identity kept over a reload and for a second tab: sealed by a WebCrypto key that this browser made, that cannot be
 * extracted, and that lies beside it in IndexedDB. Erased at sign-out. Runs in the worker.
 *
 * What stays after sign-out is the root key of each store this browser has opened, and the newest checkpoint of its signed
 * log: a box that shows another root or an older log later is not the box it was.
 */
import type { LogHead } from "./core";

interface Kept {
  name: string;
  store: string;
  key: CryptoKey;
  nonce: Uint8Array<ArrayBuffer>;
  sealed: ArrayBuffer;
}

const IDENTITY = "identity";
const additionalData = (name: string, store: string) => new TextEncoder().encode(`hearthkeep/page/1\n${store}\n${name}`);

export async function keep(name: string, store: string, seed: Uint8Array<ArrayBuffer>): Promise<void> {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt(
    { name: "AES-GCM", iv: nonce, additionalData: additionalData(name, store) },
    key,
    seed,
  );
  await put("kept", IDENTITY, { name, store, key, nonce, sealed } satisfies Kept);
}

/** The identity's seed, or null where nothing (or another person's, or another store's) is kept. */
export async function reopen(name: string, store: string): Promise<Uint8Array<ArrayBuffer> | null> {
  const kept = await get<Kept>("kept", IDENTITY);
  if (!kept || kept.name !== name || kept.store !== store) return null;
  try {
    const seed = await crypto.subtle.decrypt(
      { name: "AES-GCM", iv: kept.nonce, additionalData: additionalData(name, store) },
      kept.key,
      kept.sealed,
    );
    return new Uint8Array(seed);
  } catch {
    return null;
  }
}

export async function erase(): Promise<void> {
  try {
    (await open()).close();
  } catch {
    // Where no storage opens, none holds anything.
    return;
  }
  await remove("kept", IDENTITY);
}

export const pinnedRoot = (store: string) => get<string>("roots", store);
export const pinRoot = (store: string, root: string) => put("roots", store, root);

/** The newest checkpoint of a store's signed log that this browser has seen. */
export const seenLog = (store: string) => get<LogHead>("logs", store);
export const keepLog = (store: string, head: LogHead) => put("logs", store, head);

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("hearthkeep", 2);
    request.onupgradeneeded = () => {
      const there = request.result.objectStoreNames;
      for (const name of ["kept", "roots", "logs"]) if (!there.contains(name)) request.result.createObjectStore(name);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB did not open"));
  });
}

async function run<T>(
  name: string,
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const database = await open();
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = database.transaction(name, mode);
      const request = act(transaction.objectStore(name));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("IndexedDB failed"));
    });
  } finally {
    database.close();
  }
}

const get = <T>(store: string, key: string) => run<T | undefined>(store, "readonly", (s) => s.get(key));
const put = async (store: string, key: string, value: unknown) => void (await run(store, "readwrite", (s) => s.put(value, key)));
const remove = async (store: string, key: string) => void (await run(store, "readwrite", (s) => s.delete(key)));
