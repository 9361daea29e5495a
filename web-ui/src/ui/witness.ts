/** What this browser says of the box's signed log, look after look. Pure. */
import { sentence } from "../api/sentence";
import type { Result } from "../api/result";
import { clock, dateText } from "../timeline/day";
import type { LogLook } from "../vault/protocol";

export interface Witness {
  /** What the last look that came to an end found; null before the first one. */
  readonly look: LogLook | null;
  /** When that was. */
  readonly atMs: number;
  /** Whether a new log has begun since this page was opened, which goes on from what was seen before. */
  readonly renewed: boolean;
  /** Why looks fail since a time, which may be that of an earlier visit; null where the last one did not. */
  readonly failure: { readonly message: string; readonly sinceMs: number; readonly lastMs: number } | null;
}

export const UNSEEN: Witness = { look: null, atMs: 0, renewed: false, failure: null };

/** A box that answers everything but this for so long is told of: who hides a log that was changed may not answer at all. */
const UNANSWERED_MS_MAX = 5 * 60_000;

/** What is wrong: for anybody, and behind that for who knows the box well. */
export interface Complaint {
  readonly text: string;
  readonly detail: string;
}

export const RENEWED: Complaint = {
  text: "The box began a new record of what happens to footage since you last looked. That is so after its settings were lost or put back; if nobody did that, ask who could.",
  detail:
    "A new signed log has begun since this browser last looked. It goes on from the one that was seen here, as after the box’s state folder or its log was lost or put back.",
};

const CONTRADICTED =
  "The box does not show the same past as when you last looked. Somebody put back an older copy of it or of its disks, or footage may have been changed or removed. If you know of none of that, ask who could.";

/** `unansweredSinceMs`: since when looks have failed by what this browser remembers of its visits before. */
export function witnessed(
  before: Witness,
  looked: Result<LogLook>,
  nowMs: number,
  unansweredSinceMs: number | null = null,
): Witness {
  if (looked.kind === "success") {
    return { look: looked.value, atMs: nowMs, renewed: before.renewed || looked.value.renewed, failure: null };
  }
  if (looked.kind === "aborted") return before;
  const sinceMs = before.failure?.sinceMs ?? unansweredSinceMs ?? nowMs;
  return { ...before, failure: { message: looked.message, sinceMs, lastMs: nowMs } };
}

/** A time that was remembered as text; null where it is none, or one to come. */
export function rememberedTime(text: string | null, nowMs: number): number | null {
  const ms = text === null ? Number.NaN : Number(text);
  return Number.isSafeInteger(ms) && ms >= 0 && ms <= nowMs ? ms : null;
}

/** A time of day, with its date where it is not of today. */
function at(ms: number, nowMs: number): string {
  const [day, today] = [dateText(ms * 1000), dateText(nowMs * 1000)];
  return day === today ? clock(ms * 1000) : `${day}, ${clock(ms * 1000)},`;
}

/** What is wrong, to be seen from every view; null where nothing is. */
export function complaintOf({ look, renewed, failure }: Witness): Complaint | null {
  if (look?.complaint) return { text: CONTRADICTED, detail: sentence(look.complaint) };
  if (failure && failure.lastMs - failure.sinceMs >= UNANSWERED_MS_MAX) {
    const text = `This browser has not been able to check since ${at(failure.sinceMs, failure.lastMs)} whether footage was removed. Load the page again; where that does not help, look at the box.`;
    return { text, detail: `The box’s signed log: ${sentence(failure.message)}` };
  }
  return renewed ? RENEWED : null;
}

/** Where nothing is wrong, what was found. `isTroubled`: whether the box itself says that something is wrong with its log. */
export function wellText({ look, atMs, failure }: Witness, isTroubled: boolean): string {
  if (failure) return `It could not be checked just now: ${sentence(failure.message)}`;
  if (look === null) return "Not checked yet.";
  if (look.entries === null) return "The box has none yet.";
  const checked = `Checked at ${clock(atMs * 1000)}.`;
  if (isTroubled) return `The box says that something is wrong: it stands above. ${checked}`;
  return look.compared
    ? `All well: the box’s record of its footage goes on from what you saw when you last looked. ${checked}`
    : `All well: from now on this browser notices when the box’s record of its footage is changed. ${checked}`;
}
