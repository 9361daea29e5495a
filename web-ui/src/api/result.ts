/** What a request came to. A union, so that no view forgets a case: the compiler asks for each. */
export type Result<T> = Success<T> | Aborted | Failure;

export interface Success<T> {
  readonly kind: "success";
  readonly value: T;
}
/** The caller itself gave up (a newer seek, a view that closed): there is nothing to say to anybody. */
export interface Aborted {
  readonly kind: "aborted";
}
export interface Failure {
  readonly kind: "error";
  /** HTTP status, or 0 where no answer came. */
  readonly status: number;
  /** The box's code ("signed-out"), or one of the page's own: "unreachable", "not-understood", "vault". */
  readonly code: string;
  /** A sentence that says what to do next. */
  readonly message: string;
  readonly retryAfterS?: number;
}

export const success = <T>(value: T): Success<T> => ({ kind: "success", value });
export const aborted: Aborted = { kind: "aborted" };
export const failure = (code: string, message: string, status = 0, retryAfterS?: number): Failure =>
  retryAfterS === undefined
    ? { kind: "error", status, code, message }
    : { kind: "error", status, code, message, retryAfterS };


/** Whether asking again later may help without anybody doing anything. */
export const isPassing = ({ code, status }: Failure): boolean =>
  code === "unreachable" || status === 429 || (status >= 502 && status <= 504);
