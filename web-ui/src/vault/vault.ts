/** The page's end of the worker. */
import type { Result } from "../api/result";
import { aborted, failure } from "../api/result";
import type { CallName, Calls, FromWorker, LiveEvent, ToWorker } from "./protocol";

const STOPPED =
  "The part of this page that opens footage could not start. Reload it; if that does not help, this browser is too old.";

type ResultCall = {
  [N in CallName]: Awaited<ReturnType<Calls[N]>> extends Result<unknown> ? N : never;
}[CallName];

class Vault {
  readonly #worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "vault" });
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  readonly #watching = new Map<number, (event: LiveEvent) => void>();
  #next = 1;

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#receive(data);
    this.#worker.onerror = () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(STOPPED));
      this.#waiting.clear();
    };
  }

  call<N extends CallName>(name: N, ...given: Parameters<Calls[N]>): ReturnType<Calls[N]> {
    return this.#send(name, given) as ReturnType<Calls[N]>;
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
    this.#post({ kind: "watch", id, stream });
    return () => {
      this.#watching.delete(id);
      this.#post({ kind: "unwatch", id });
    };
  }

  #send(name: CallName, given: unknown[], signal: AbortSignal | null = null): Promise<unknown> {
    const id = this.#next++;
    const promise = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    signal?.addEventListener("abort", () => this.#post({ kind: "abort", id }), { once: true });
    this.#post({ kind: "call", id, name, given });
    return promise;
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    if (message.kind === "live") {
      this.#watching.get(message.id)?.(message.event);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.kind === "answer") waiting?.resolve(message.value as never);
    else waiting?.reject(new Error(message.message));
  }
}

export const vault = new Vault();
