import { type Failure, type Result, aborted, failure, success } from "./result";

const UNREACHABLE = "The box does not answer. Check that it is switched on and that this device is on the same network.";
const NOT_UNDERSTOOD = "The box gave an answer this page does not understand. Reload the page: the box may have been updated.";

/** How long the box may take to begin an answer, and then to send all of it. A network that is gone says nothing. */
const ANSWER_MS_MAX = 15_000;
const BODY_MS_MAX = 30_000;

interface Options {
  method?: "GET" | "POST";
  body?: unknown;
  /** First and last byte, both included. */
  range?: readonly [number, number];
  signal?: AbortSignal | undefined;
}

export function requestJson<T>(path: string, options: Options = {}): Promise<Result<T>> {
  return request(path, options, (response) => response.json() as Promise<T>);
}

export function requestNothing(path: string, options: Options = {}): Promise<Result<null>> {
  return request(path, options, () => Promise.resolve(null));
}

export function requestBytes(path: string, options: Options = {}): Promise<Result<Uint8Array<ArrayBuffer>>> {
  return request(path, options, async (response) => {
    let bytes = new Uint8Array(await response.arrayBuffer());
    // A cache or proxy may answer a range with the whole.
    if (options.range && response.status === 200) bytes = bytes.slice(options.range[0], options.range[1] + 1);
    return bytes;
  });
}

async function request<T>(path: string, options: Options, read: (response: Response) => Promise<T>): Promise<Result<T>> {
  const headers = new Headers();
  if (options.body !== undefined) headers.set("Content-Type", "application/json");
  if (options.range) headers.set("Range", `bytes=${options.range[0]}-${options.range[1]}`);
  const limit = new AbortController();
  const giveUp = () => limit.abort();
  options.signal?.addEventListener("abort", giveUp);
  let timer = setTimeout(giveUp, ANSWER_MS_MAX);
  const init: RequestInit = { method: options.method ?? "GET", headers, credentials: "same-origin", redirect: "error" };
  init.signal = limit.signal;
  if (options.body !== undefined) init.body = JSON.stringify(options.body);
  let status = 0;
  try {
    if (options.signal?.aborted) return aborted;
    const response = await fetch(path, init);
    clearTimeout(timer);
    timer = setTimeout(giveUp, BODY_MS_MAX);
    status = response.status;
    if (!response.ok) return await readFailure(response);
    return success(await read(response));
  } catch (error) {
    if (options.signal?.aborted) return aborted;
    // JSON that is none; whatever else goes wrong is the way to the box.
    if (error instanceof SyntaxError) return failure("not-understood", NOT_UNDERSTOOD, status);
    return failure("unreachable", UNREACHABLE);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", giveUp);
  }
}

async function readFailure(response: Response): Promise<Failure> {
  const seconds = Number(response.headers.get("Retry-After"));
  const retryAfterS = Number.isFinite(seconds) && seconds > 0 ? seconds : undefined;
  let error: { code?: unknown; message?: unknown } | undefined;
  try {
    error = ((await response.json()) as { error?: typeof error }).error;
  } catch {
    // A proxy's own error page: the status is all there is.
  }
  const code = typeof error?.code === "string" ? error.code : `http-${response.status}`;
  const message = typeof error?.message === "string" ? error.message : NOT_UNDERSTOOD;
  return failure(code, message, response.status, retryAfterS);
}
