/** What is wrong with the box, to be seen from every view. Pure. */
import { sentence } from "../api/sentence";
import type { BoxStatus, Stream } from "../api/types";

/** Beyond this a power cut can cost more than 2.5 s of footage. */
const FSYNC_MS_MAX = 300;

const CAMERA_LINES_MAX = 3;

export interface Trouble {
  readonly kind: "clock" | "disk" | "camera" | "log" | "room";
  readonly text: string;
}

/** `complaint` is what this browser has to say of the box's signed log. */
export function troubles(
  status: BoxStatus | null,
  streams: readonly Stream[] | null,
  complaint: string | null = null,
): Trouble[] {
  const seen: Trouble[] = complaint === null ? [] : [{ kind: "log", text: complaint }];
  return [...seen, ...clock(status), ...disks(status), ...log(status), ...room(status), ...cameras(streams ?? [])];
}

export const CLOCK_WRONG =
  "The box does not know what time it is: what it records now stands at a wrong time. Let it reach a time server, or set its clock.";

const clock = (status: BoxStatus | null): Trouble[] =>
  status && !status.clock_trusted ? [{ kind: "clock", text: CLOCK_WRONG }] : [];

const log = (status: BoxStatus | null): Trouble[] =>
  (status?.log_troubles ?? []).map((text) => ({ kind: "log", text: sentence(text) }));

/** For what there will not be room. */
function room(status: BoxStatus | null): Trouble[] {
  const told = [...(status?.disks ?? []).map(({ path, trouble }) => trouble && `${path}: ${trouble}`), ...(status?.forecast ?? []).map(({ trouble }) => trouble)];
  return told.flatMap((text): Trouble[] => (text ? [{ kind: "room", text: sentence(text) }] : []));
}

function disks(status: BoxStatus | null): Trouble[] {
  const found = (status?.disks ?? []).flatMap(({ path, error, scrub }): Trouble[] => {
    const texts = [error, scrub?.trouble && `${path}: ${scrub.trouble}`];
    return texts.flatMap((text): Trouble[] => (text ? [{ kind: "disk", text: sentence(text) }] : []));
  });
  if (status && status.strange_files > 0) found.push({ kind: "disk", text: strangeText(status.strange_files) });
  const slow = status && slowText(status.fsync_p99_ms);
  return slow ? [...found, { kind: "disk", text: slow }] : found;
}

const strangeText = (files: number): string =>
  `${files === 1 ? "A file" : `${files} files`} on the disks cannot be read as footage of this box: damaged, moved here or from elsewhere. “hearthkeep check” on the box names each.`;

/** What a slow disk costs; null where it is fast enough, or nothing is known yet. */
export function slowText(fsyncMs: number | null): string | null {
  if (fsyncMs === null || fsyncMs <= FSYNC_MS_MAX) return null;
  return `A disk is slow: it takes ${Math.round(fsyncMs)} ms to make footage safe. A power cut can cost more than the last 2.5 s. Look at its health, or use a faster one.`;
}

/** One line for all cameras that have the same trouble; where many have many, their names. */
function cameras(streams: readonly Stream[]): Trouble[] {
  const names = new Map<string, Set<string>>();
  for (const { camera, error } of streams) {
    if (error) names.set(error.message, (names.get(error.message) ?? new Set()).add(camera));
  }
  if (names.size <= CAMERA_LINES_MAX) {
    return [...names].map(([message, of]) => ({ kind: "camera", text: `${[...of].join(", ")}: ${message}` }));
  }
  const all = new Set([...names.values()].flatMap((of) => [...of]));
  return [{ kind: "camera", text: `${all.size} cameras are in trouble: ${[...all].join(", ")}.` }];
}
