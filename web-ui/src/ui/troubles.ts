/** What is wrong with the box, to be seen from every view. Pure. */
import { sentence } from "../api/sentence";
import type { BoxStatus, DiskFault, Stream } from "../api/types";
import type { Complaint } from "./witness";

/** For how long pictures of a camera are gathered before they are sealed, and for how long sealed ones before they are written. */
const GATHERED_MS = 500;
const BATCH_MS = 1500;

const CAMERA_LINES_MAX = 3;

const OWN_DISK =
  "The box’s own disk, where it keeps its settings and its index of footage, takes nothing. The cameras are recorded all the same. Ask who looks after the box to see to it soon: a card or disk that wears out becomes read-only, and is to be replaced.";

export interface Trouble {
  readonly kind: "clock" | "disk" | "camera" | "log" | "room";
  /** What is wrong and what to do, for anybody. */
  readonly text: string;
  /** What the box says of it, for who knows it well. */
  readonly detail?: string;
}

/** `complaint` is what this browser has to say of the box's signed log. */
export function troubles(
  status: BoxStatus | null,
  streams: readonly Stream[] | null,
  complaint: Complaint | null = null,
): Trouble[] {
  const seen: Trouble[] = complaint === null ? [] : [{ kind: "log", ...complaint }];
  return [...seen, ...clock(status), ...disks(status), ...log(status), ...room(status), ...cameras(streams ?? [])];
}

export const CLOCK_WRONG =
  "The box does not know what time it is: what it records now stands at a wrong time. Let it reach a time server, or set its clock.";

const clock = (status: BoxStatus | null): Trouble[] =>
  status && !status.clock_trusted ? [{ kind: "clock", text: CLOCK_WRONG }] : [];

const LOG_WRONG =
  "The box’s record of what happened to footage is not as it should be: a disk is missing or fails, or somebody removed footage or put back an older copy. If you know of none of that, ask who could.";

function log(status: BoxStatus | null): Trouble[] {
  const said = status?.log_troubles ?? [];
  return said.length === 0 ? [] : [{ kind: "log", text: LOG_WRONG, detail: said.map(sentence).join(" ") }];
}

/** For what there will not be room. */
function room(status: BoxStatus | null): Trouble[] {
  const told = [...(status?.disks ?? []).map(({ path, trouble }) => trouble && `${path}: ${trouble}`), ...(status?.forecast ?? []).map(({ trouble }) => trouble)];
  return told.flatMap((text): Trouble[] => (text ? [{ kind: "room", text: sentence(text) }] : []));
}

/** A disk as people call it: the end of where it is, as long as it must be for none of the others to have the same. */
export function diskName(path: string, all: readonly string[]): string {
  const parts = (of: string) => of.split("/").filter(Boolean);
  const own = parts(path);
  const others = all.filter((other) => other !== path).map(parts);
  const ending = (of: readonly string[], length: number) => of.slice(-length).join("/");
  for (let length = 1; length <= own.length; length += 1) {
    const name = ending(own, length);
    if (others.every((other) => ending(other, length) !== name)) return name;
  }
  return path;
}

/** What is wrong with a disk and what to do; `others` is what becomes of recording meanwhile. */
function faultText(fault: DiskFault | null, name: string, others: string): string {
  switch (fault) {
    case "absent":
      return `The disk ${name} is not there. Look whether it is plugged in and switched on. ${others}; it is used again by itself.`;
    case "full":
      return `The disk ${name} is full: other files take its room, and its oldest footage goes for new. Move those files elsewhere, or add a disk.`;
    case "limited":
      return `The disk ${name} takes no more, though it shows room: the files on it are too many, or a quota is used up. Ask who looks after the box to free inodes or to raise the quota, or add a disk.`;
    case "drain":
      return `The disk ${name} cannot be emptied as it should be. Do not take it out yet.`;
    case "misplaced":
      return `The disk ${name} is where another one was. All is recorded; ask who looks after the box to put the two back, or to tell it that they changed places.`;
    case "left-out":
      return `The disk ${name} is used no more, and what it has cannot be seen. Ask who looks after the box to put it back, or to give it up.`;
    default:
      return `Something is wrong with the disk ${name}. Look at its cable, its power and its health; where that does not help, use another one.`;
  }
}

function disks(status: BoxStatus | null): Trouble[] {
  const all = status?.disks ?? [];
  const others = all.some(({ state }) => state !== "absent")
    ? "The cameras record on without it meanwhile"
    : "Nothing is recorded until then";
  const paths = all.map(({ path }) => path);
  const found = all.flatMap(({ path, error, fault, slow, scrub }): Trouble[] => {
    const name = `“${diskName(path, paths)}”`;
    const wrong = faultText(fault, name, others);
    const damaged = `Something on the disk ${name} is damaged. The view “Box” says which. Where it becomes more, use another disk.`;
    const late = `The disk ${name} is slow: a power cut can cost more than the last 2.5 s. Look at its health, or use a faster one.`;
    return [
      ...(error ? [{ kind: "disk", text: wrong, detail: sentence(error) } as const] : []),
      ...(slow ? [{ kind: "disk", text: late, detail: sentence(`${path}: ${slow}`) } as const] : []),
      ...(scrub?.trouble ? [{ kind: "disk", text: damaged, detail: sentence(`${path}: ${scrub.trouble}`) } as const] : []),
    ];
  });
  if (status && status.strange_files > 0) found.push({ kind: "disk", text: STRANGE, detail: strangeText(status.strange_files) });
  if (status?.catalog_trouble) found.push({ kind: "disk", text: OWN_DISK, detail: sentence(status.catalog_trouble) });
  return found;
}

const STRANGE = "Something on the disks is not footage of this box, or is damaged. All other footage plays. Ask who looks after the box to check it.";

const strangeText = (files: number): string =>
  `${files === 1 ? "A file" : `${files} files`} on the disks cannot be read as footage of this box: damaged, moved here or from elsewhere. “hearthkeep check” on the box names each.`;

/** How soon footage is safe from a power cut: pictures are gathered and written in batches, and the disk takes its time too. */
export function safeText(fsyncMs: number | null): string {
  if (fsyncMs === null) return "Not measured yet.";
  const seconds = Math.ceil((GATHERED_MS + BATCH_MS + fsyncMs) / 100) / 10;
  return `What a camera sends is safe on a disk within ${seconds.toFixed(1)} s. A power cut costs no more than that.`;
}

/** One line for all cameras that have the same trouble; where many have many, their names. */
function cameras(streams: readonly Stream[]): Trouble[] {
  const found = new Map<string, { of: Set<string>; advice: string }>();
  for (const { camera, error } of streams) {
    if (!error) continue;
    const known = found.get(error.message) ?? { of: new Set<string>(), advice: error.advice };
    known.of.add(camera);
    found.set(error.message, known);
  }
  if (found.size <= CAMERA_LINES_MAX) {
    return [...found].map(([message, { of, advice }]) => ({ kind: "camera", text: `${[...of].join(", ")}: ${message}`, detail: advice }));
  }
  const all = new Set([...found.values()].flatMap(({ of }) => [...of]));
  return [{ kind: "camera", text: `${all.size} cameras are in trouble: ${[...all].join(", ")}.` }];
}
