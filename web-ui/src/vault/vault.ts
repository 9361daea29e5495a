/** The page's end of the worker. */
import type { Result } from "../api/result";
import { aborted, failure } from "../api/result";
import type { CallName, Calls, FromWorker, LiveEvent, ToWorker } from "./protocol";

const STOPPED =
  "The part of this page that opens footage could not start. Reload the page; if that does not help, this browser is too old.";

type ResultCall = {
  [N in CallName]: Awaited<ReturnType<Calls[N]>> extends Result<unknown> ? N : never;
}[CallName];

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Vault {
  readonly #waiting = new Map<number, Waiting>();
  readonly #watching = new Map<number, (event: LiveEvent) => void>();
  #next = 1;
  #isDead = false;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#receive(data);
    worker.onerror = () => this.#die();
    worker.onmessageerror = () => this.#die();
  }

  call<N extends CallName>(name: N, ...given: Parameters<Calls[N]>): ReturnType<Calls[N]> {
    return this.#send(name, given, null) as ReturnType<Calls[N]>;
  }

  /** A call that answers with a result and can be given up; whatever else goes wrong is a failure too. */
  async attempt<N extends ResultCall>(
    signal: AbortSignal | null,
    name: N,
    ...given: Parameters<Calls[N]>
  ): Promise<Awaited<ReturnType<Calls[N]>>> {
    type Answer = Awaited<ReturnType<Calls[N]>>;
    if (signal?.aborted) return aborted as Answer;
    try {
      return (await this.#send(name, given, signal)) as Answer;
    } catch (error) {
      return failure("vault", error instanceof Error ? error.message : STOPPED) as Answer;
    }
  }

  /** Watches a stream until the function returned is called. */
  watch(stream: string, listen: (event: LiveEvent) => void): () => void {
    const id = this.#next++;
    this.#watching.set(id, listen);
    if (this.#isDead) queueMicrotask(() => this.#watching.get(id)?.({ kind: "stopped", message: STOPPED }));
    else this.#post({ kind: "watch", id, stream });
    return () => {
      this.#watching.delete(id);
      this.#post({ kind: "unwatch", id });
    };
  }

  async #send(name: CallName, given: unknown[], signal: AbortSignal | null): Promise<unknown> {
    if (this.#isDead) throw new Error(STOPPED);
    const id = this.#next++;
    const giveUp = () => this.#post({ kind: "abort", id });
    signal?.addEventListener("abort", giveUp);
    try {
      return await new Promise<unknown>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#post({ kind: "call", id, name, given });
      });
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  #post(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    if (message.kind === "live") {
      this.#watching.get(message.id)?.(message.event);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.kind === "answer") waiting?.resolve(message.value);
    else waiting?.reject(new Error(message.message));
  }

  /** The worker could not be loaded, or failed beyond what it can tell: nothing that is asked of it is ever answered. */
  #die(): void {
    this.#isDead = true;
    for (const { reject } of this.#waiting.values()) reject(new Error(STOPPED));
    this.#waiting.clear();
    for (const listen of this.#watching.values()) listen({ kind: "stopped", message: STOPPED });
  }
}

export const vault = new Vault(new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "vault" }));
