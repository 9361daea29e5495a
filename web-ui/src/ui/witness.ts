/** What this browser says of the box's signed log, look after look. Pure. */
import { sentence } from "../api/sentence";
import type { Result } from "../api/result";
import { clock } from "../timeline/day";
import type { LogLook } from "../vault/protocol";

export interface Witness {
  /** What the last look that came to an end found; null before the first one. */
  readonly look: LogLook | null;
  /** When that was. */
  readonly atMs: number;
  /** Whether a new log has begun since this page was opened, which goes on from what was seen before. */
  readonly renewed: boolean;
  /** Why looks fail since a time; null where the last one did not. */
  readonly failure: { readonly message: string; readonly sinceMs: number; readonly lastMs: number } | null;
}

export const UNSEEN: Witness = { look: null, atMs: 0, renewed: false, failure: null };

/** A box that answers everything but this for so long is told of: who hides a log that was changed may not answer at all. */
const UNANSWERED_MS_MAX = 5 * 60_000;

export const RENEWED =
  "A new signed log has begun since this browser last looked. It goes on from the one that was seen here, as after the box’s state folder or its log was lost or put back; if nobody did that, ask who could.";

export function witnessed(before: Witness, looked: Result<LogLook>, nowMs: number): Witness {
  if (looked.kind === "success") {
    return { look: looked.value, atMs: nowMs, renewed: before.renewed || looked.value.renewed, failure: null };
  }
  if (looked.kind === "aborted") return before;
  return { ...before, failure: { message: looked.message, sinceMs: before.failure?.sinceMs ?? nowMs, lastMs: nowMs } };
}

/** What is wrong, to be seen from every view; null where nothing is. */
export function complaintOf({ look, renewed, failure }: Witness): string | null {
  if (look?.complaint) return sentence(look.complaint);
  if (failure && failure.lastMs - failure.sinceMs >= UNANSWERED_MS_MAX) {
    return `This browser has not been able to check the box’s signed log since ${clock(failure.sinceMs * 1000)}: ${sentence(failure.message)}`;
  }
  return renewed ? RENEWED : null;
}

/** The same for the box's own view, where it is also said that all is well. */
export function witnessText(witness: Witness): string {
  const wrong = complaintOf(witness);
  if (wrong !== null) return wrong;
  const { look, failure } = witness;
  if (failure) return `It could not be checked just now: ${sentence(failure.message)}`;
  if (look === null) return "Not checked yet.";
  if (look.entries === null) return "The box has none.";
  const entries = look.entries === 1 ? "1 entry" : `${look.entries} entries`;
  const how = look.compared
    ? "and it goes on from what this browser saw before"
    : "and from now on this browser notices if it is cut short or rewritten";
  return `All well: ${entries}, ${how}. Checked at ${clock(witness.atMs * 1000)}.`;
}
