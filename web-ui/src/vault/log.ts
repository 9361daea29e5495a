/**
 * The box's signed log, against what this browser has seen of it before: a log that is shorter, or another one, is told.
 * Runs in the worker.
 */
import { fromBase64 } from "../api/base64";
import * as box from "../api/box";
import { type Failure, type Result, success } from "../api/result";
import type { Core, LogHead, LogStep } from "./core";
import * as kept from "./kept";
import type { LogLook } from "./protocol";

/** Looks once, and keeps what is new. */
export async function look(core: Core, store: string): Promise<Result<LogLook>> {
  const shown = await box.logs();
  if (shown.kind !== "success") return shown;
  const { newest, before } = shown.value;
  const heads = [...before, newest].map(({ key, checkpoint }): LogHead => ({ key, note: checkpoint }));
  const seen = (await kept.seenLog(store).catch(() => undefined)) ?? null;
  let step = core.logBegin(seen, heads);
  while (step.kind === "consistency" || step.kind === "first") {
    const told = await ask(step);
    if (told.kind !== "success") return told;
    step = core.logTell(told.value.first, told.value.hashes);
  }
  const compared = seen !== null;
  if (step.kind === "complain") return success({ complaint: step.sentence, renewed: false, entries: null, compared });
  if (step.kind === "keep" && step.head.note !== seen?.note) {
    // A browser that keeps nothing compares nothing; it has said so already.
    await kept.keepLog(store, step.head).catch(() => undefined);
  }
  if (step.kind === "none") return success({ complaint: null, renewed: false, entries: null, compared });
  return success({ complaint: null, renewed: step.causes !== "", entries: sizeOf(step.head), compared });
}

/** The second line of a checkpoint, which was verified. */
function sizeOf({ note }: LogHead): number | null {
  const size = Number(note.split("\n")[1]);
  return Number.isSafeInteger(size) ? size : null;
}

type Question = Extract<LogStep, { kind: "consistency" | "first" }>;
type Told = { readonly kind: "success"; readonly value: { first: Uint8Array; hashes: Uint8Array } };

async function ask(step: Question): Promise<Told | Exclude<Result<never>, { kind: "success" }> | Failure> {
  const none = new Uint8Array();
  if (step.kind === "consistency") {
    const proof = await box.logConsistency(step.log, step.from, step.to);
    return proof.kind === "success" ? { kind: "success", value: { first: none, hashes: joined(proof.value.hashes) } } : proof;
  }
  const first = await box.logEntries(step.log, 0, 1);
  if (first.kind !== "success") return first;
  const proof = await box.logInclusion(step.log, 0, step.size);
  return proof.kind === "success"
    ? { kind: "success", value: { first: first.value, hashes: joined(proof.value.hashes) } }
    : proof;
}

const joined = (hashes: readonly string[]): Uint8Array => Uint8Array.from(hashes.flatMap((hash) => [...fromBase64(hash)]));
