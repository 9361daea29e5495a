/** Who is signed in, to which box, and which streams it has. */
import { signal } from "@preact/signals";
import * as box from "../api/box";
import type { Failure } from "../api/result";
import type { BoxState, Stream } from "../api/types";
import { TimelineStore } from "../timeline/store";
import { vault } from "../vault/vault";

export type Door =
  | { readonly kind: "opening" }
  | { readonly kind: "unreachable"; readonly message: string }
  | { readonly kind: "unclaimed"; readonly box: BoxState }
  | { readonly kind: "signed-out"; readonly box: BoxState; readonly note: string | null; readonly name: string }
  | { readonly kind: "open"; readonly box: BoxState; readonly name: string };

export const door = signal<Door>({ kind: "opening" });
export const streams = signal<readonly Stream[] | null>(null);
export const streamsFailure = signal<Failure | null>(null);
export const timelines = new TimelineStore();

const STREAMS_EVERY_MS = 5000;
const ELSEWHERE = "You signed out in another tab.";
const ENDED = "You were signed out. Sign in to go on.";
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
  const session = await box.session();
  if (session.kind !== "success") {
    door.value = signedOut(session.kind === "error" && session.status !== 401 ? session.message : null);
    return;
  }
  const { name } = session.value;
  const reopened = await vault.attempt(null, "reopen", state.value.store, name);
  if (reopened.kind === "success" && reopened.value) enter(state.value, name);
  else door.value = signedOut(reopened.kind === "error" ? reopened.message : null, name);
}

export function enter(state: BoxState, name: string): void {
  door.value = { kind: "open", box: { ...state, claimed: true }, name };
  void refreshStreams();
}

export async function signOut(): Promise<void> {
  await box.signOut();
  tabs.postMessage("signed-out");
  await leave(null);
}

async function leave(note: string | null): Promise<void> {
  const at = door.value;
  if (at.kind !== "open") return;
  streams.value = null;
  timelines.clear();
  door.value = { kind: "signed-out", box: at.box, note, name: at.name };
  await vault.call("close");
}

export async function refreshStreams(): Promise<void> {
  if (door.value.kind !== "open") return;
  const answer = await box.streams();
  if (answer.kind === "success") {
    streamsFailure.value = null;
    // The same list again must not make views begin anew.
    if (JSON.stringify(answer.value) !== JSON.stringify(streams.value)) streams.value = answer.value;
  } else if (answer.kind === "error") {
    if (answer.status === 401) await leave(ENDED);
    else streamsFailure.value = answer;
  }
}

setInterval(() => {
  if (document.visibilityState === "visible") void refreshStreams();
}, STREAMS_EVERY_MS);
