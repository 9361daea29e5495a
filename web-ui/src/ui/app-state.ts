/** Who is signed in, to which box, and which streams it has. */
import { signal } from "@preact/signals";
import * as box from "../api/box";
import type { Failure } from "../api/result";
import type { BoxState, BoxStatus, Hold, Stream } from "../api/types";
import { TimelineStore } from "../timeline/store";
import type { Entered } from "../vault/protocol";
import { vault } from "../vault/vault";
import { remember, remembered } from "./memory";
import { UNSEEN, type Witness, rememberedTime, witnessed } from "./witness";

export type Door =
  | { readonly kind: "opening" }
  | { readonly kind: "unreachable"; readonly message: string }
  | { readonly kind: "unclaimed"; readonly box: BoxState }
  | { readonly kind: "signed-out"; readonly box: BoxState; readonly note: string | null; readonly name: string }
  | { readonly kind: "open"; readonly box: BoxState; readonly name: string };

export const door = signal<Door>({ kind: "opening" });
export const streams = signal<readonly Stream[] | null>(null);
export const streamsFailure = signal<Failure | null>(null);
export const status = signal<BoxStatus | null>(null);
export const holds = signal<readonly Hold[]>([]);
/** This browser could not keep the identity: after a reload the passphrase is asked for again. */
export const isNotKept = signal(false);
/** What this browser, which may have seen the box's signed log before, has to say of it now. */
export const witness = signal<Witness>(UNSEEN);
export const timelines = new TimelineStore();

const REFRESH_EVERY_MS = 5000;
/** As often as the box signs it while there is something new. */
const LOOK_AT_LOG_EVERY_MS = 60_000;
/** After a look that failed: a box that has just started has not read its log yet. */
const LOOK_AGAIN_MS = 5000;
const ELSEWHERE = "You signed out in another tab.";
const ENDED = "You were signed out. Sign in to go on.";
const UNTOLD =
  "Your key is erased in this browser. The box could not be told that you signed out, so it still counts you as signed in; this page tells it as soon as it answers.";
const NOT_ERASED =
  "The copy of your key in this browser could not be erased. Delete this site’s data in the browser’s settings.";
/** The box has still to be told of a sign-out. */
const OWED = "hearthkeep-sign-out-owed";
/** Since when a store's box has not answered for its signed log, over visits that are shorter than it may take. */
const unansweredKey = (store: string): string => `hearthkeep-log-unanswered-${store}`;
const tabs = new BroadcastChannel("hearthkeep");

tabs.onmessage = ({ data }: MessageEvent<string>) => {
  if (data === "signed-out" && door.value.kind === "open") void leave(ELSEWHERE);
};

/** Finds out where one stands: unclaimed box, signed out, or in again after a reload. */
export async function arrive(): Promise<void> {
  if (!globalThis.isSecureContext || !globalThis.WebAssembly) {
    door.value = {
      kind: "unreachable",
      message: "This page opens footage only over HTTPS and in a current browser: use the https:// address of the box.",
    };
    return;
  }
  const state = await box.state();
  if (state.kind === "aborted") return;
  if (state.kind === "error") {
    door.value = { kind: "unreachable", message: state.message };
    return;
  }
  if (!state.value.claimed) {
    door.value = { kind: "unclaimed", box: state.value };
    return;
  }
  const signedOut = (note: string | null, name = ""): Door => ({ kind: "signed-out", box: state.value, note, name });
  if (!(await tellSignOut())) {
    door.value = signedOut(UNTOLD);
    return;
  }
  const session = await box.session();
  if (session.kind !== "success") {
    // What was kept for a session that has ended is not kept longer than the session.
    const note = session.kind === "error" && session.status === 401 ? await erase() : null;
    door.value = signedOut(session.kind === "error" && session.status !== 401 ? session.message : note);
    return;
  }
  const { name } = session.value;
  const reopened = await vault.attempt(null, "reopen", state.value.store, name);
  if (reopened.kind === "success" && reopened.value) enter(state.value, reopened.value);
  else door.value = signedOut(reopened.kind === "error" ? reopened.message : null, name);
}

export function enter(state: BoxState, { name, kept }: Entered): void {
  // Signing in has ended the session before it.
  remember(OWED, null);
  isNotKept.value = !kept;
  door.value = { kind: "open", box: { ...state, claimed: true }, name };
  void refresh();
  void lookAtLog();
}

/** To the sign-in, with what there is to say. */
export function toSignIn(state: BoxState, note: string, name = ""): void {
  door.value = { kind: "signed-out", box: { ...state, claimed: true }, note, name };
}

export async function signOut(): Promise<void> {
  remember(OWED, "1");
  tabs.postMessage("signed-out");
  const told = tellSignOut();
  await leave(null);
  if (!(await told) && door.value.kind === "signed-out") door.value = { ...door.value, note: UNTOLD };
}

/** Tells the box of a sign-out that it does not know of yet. False when it still does not. */
async function tellSignOut(): Promise<boolean> {
  if (remembered(OWED) === null) return true;
  const answer = await box.signOut();
  if (answer.kind !== "success" && !(answer.kind === "error" && answer.status === 401)) return false;
  remember(OWED, null);
  return true;
}

async function leave(note: string | null): Promise<void> {
  const at = door.value;
  if (at.kind !== "open") return;
  streams.value = null;
  status.value = null;
  holds.value = [];
  witness.value = UNSEEN;
  timelines.clear();
  door.value = { kind: "signed-out", box: at.box, note, name: at.name };
  const fault = await erase();
  if (fault && door.value.kind === "signed-out") door.value = { ...door.value, note: fault };
}

/** Erases what this browser holds of the identity; what to say when it could not. */
const erase = (): Promise<string | null> =>
  vault.call("close").then(
    () => null,
    () => NOT_ERASED,
  );

const awayOf = ({ disks }: BoxStatus): string =>
  disks
    .filter((disk) => disk.state === "absent")
    .map((disk) => disk.path)
    .join();

async function refresh(): Promise<void> {
  if (door.value.kind === "signed-out") return owed(door.value);
  if (door.value.kind !== "open") return;
  const [listed, told] = await Promise.all([box.streams(), box.status(), loadHolds()]);
  if (door.value.kind !== "open") return;
  if (told.kind === "success") {
    // Footage comes and goes with its disk.
    if (status.value && awayOf(told.value) !== awayOf(status.value)) timelines.doubt();
    status.value = told.value;
  }
  if (listed.kind === "success") {
    streamsFailure.value = null;
    // The same list again must not make views begin anew.
    if (JSON.stringify(listed.value) !== JSON.stringify(streams.value)) streams.value = listed.value;
  } else if (listed.kind === "error") {
    if (listed.status === 401) await leave(ENDED);
    else streamsFailure.value = listed;
  }
}

/** What is kept; while the box cannot tell, what it told last. */
export async function loadHolds(): Promise<void> {
  const told = await box.holds();
  if (told.kind !== "success" || door.value.kind !== "open") return;
  if (JSON.stringify(told.value) !== JSON.stringify(holds.value)) holds.value = told.value;
}

async function lookAtLog(): Promise<void> {
  const at = door.value;
  if (at.kind !== "open") return;
  const looked = await vault.attempt(null, "lookAtLog", at.box.store);
  if (door.value.kind !== "open" || looked.kind === "aborted") return;
  const [key, nowMs] = [unansweredKey(at.box.store), Date.now()];
  witness.value = witnessed(witness.value, looked, nowMs, rememberedTime(remembered(key), nowMs));
  const { failure } = witness.value;
  remember(key, failure && String(failure.sinceMs));
  clearTimeout(lookAgain);
  if (looked.kind === "error") lookAgain = setTimeout(() => void lookAtLog(), LOOK_AGAIN_MS);
}

let lookAgain: ReturnType<typeof setTimeout> | undefined;

async function owed(at: Door & { kind: "signed-out" }): Promise<void> {
  if ((await tellSignOut()) && door.value === at && at.note === UNTOLD) door.value = { ...at, note: null };
}

setInterval(() => {
  if (document.visibilityState === "visible") void refresh();
}, REFRESH_EVERY_MS);

setInterval(() => {
  if (document.visibilityState === "visible" && witness.value.failure === null) void lookAtLog();
}, LOOK_AT_LOG_EVERY_MS);
