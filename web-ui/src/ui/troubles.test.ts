import { describe, expect, it } from "vitest";
import type { BoxStatus, Stream } from "../api/types";
import { diskName, safeText, troubles } from "./troubles";

const well: BoxStatus = {
  state: "locked",
  version: "1",
  disks: [{ path: "/srv/footage", state: "in use", tier: "hot", free_bytes: 1, used_bytes: 1, drain: null, room_bytes: 2, held_bytes: 0, full_in_days: 3, trouble: null, error: null, fault: null, slow: null, scrub: null }],
  fingerprint: "AB",
  fsync_p99_ms: 12,
  clock_trusted: true,
  strange_files: 0,
  log_troubles: [],
  catalog_trouble: null,
  forecast: [],
};
const camera = (name: string, message: string | null, feed = "main") =>
  ({ id: name + feed, camera: name, feed, error: message === null ? null : { message, advice: "Do this." } }) as Stream;

describe("troubles", () => {
  it("are none while all is well, or nothing is known", () => {
    expect(troubles(well, [camera("door", null)])).toEqual([]);
    expect(troubles(null, null)).toEqual([]);
  });

  it("tell of the clock and of each disk", () => {
    const b = { path: "/srv/b", state: "absent", tier: "hot", free_bytes: null, used_bytes: 0, drain: null, room_bytes: null, held_bytes: 0, full_in_days: null, trouble: null, slow: null, scrub: null } as const;
    const disks = [...well.disks, { ...b, error: "/srv/b is not mounted", fault: "absent" as const }];
    const found = troubles({ ...well, disks, clock_trusted: false }, []);
    expect(found.map(({ kind }) => kind)).toEqual(["clock", "disk"]);
    expect(found[0]?.text).toContain("does not know what time it is");
    expect(found[1]?.text).toMatch(/^The disk “b” is not there\. .*plugged in.*record on without it/);
    expect(found[1]?.detail).toBe("/srv/b is not mounted.");
    expect(troubles({ ...well, disks: disks.slice(1) }, [])[0]?.text).toContain("Nothing is recorded until then");
    const failed = well.disks.map((disk) => ({ ...disk, error: "a write failed", fault: "failing" as const }));
    expect(troubles({ ...well, disks: failed }, [])).toEqual([
      { kind: "disk", text: expect.stringMatching(/^Something is wrong with the disk “footage”\./), detail: "A write failed." },
    ]);
    const slow = well.disks.map((disk) => ({ ...disk, slow: "it takes 900 ms" }));
    expect(troubles({ ...well, disks: slow }, [])).toEqual([
      { kind: "disk", text: expect.stringMatching(/^The disk “footage” is slow: .*faster one\.$/), detail: "/srv/footage: it takes 900 ms." },
    ]);
    expect(troubles({ ...well, strange_files: 2 }, [])[0]?.detail).toContain("2 files on the disks cannot be read");
    const forecast = [{ camera: "yard", bytes_per_day: 1, keep_days: 9, days: 2, trouble: 'camera "yard": 2 days' }];
    const late = well.disks.map((disk) => ({ ...disk, trouble: "held footage takes all" }));
    expect(troubles({ ...well, forecast, disks: late }, []).map(({ kind, text }) => [kind, text])).toEqual([
      ["room", "/srv/footage: held footage takes all."],
      ["room", 'Camera "yard": 2 days.'],
    ]);
    expect(troubles({ ...well, catalog_trouble: "it is in memory" }, [])).toEqual([
      { kind: "disk", text: expect.stringMatching(/^The box’s own disk, .* The cameras are recorded all the same\./), detail: "It is in memory." },
    ]);
    const log_troubles = ["the log was rolled back", "one more"];
    expect(troubles({ ...well, log_troubles }, [])).toEqual([
      { kind: "log", text: expect.stringContaining("record of what happened"), detail: "The log was rolled back. One more." },
    ]);
  });

  it.each([
    ["full", /^The disk “footage” is full: other files take its room, .* Move those files elsewhere, or add a disk\.$/],
    ["limited", /^The disk “footage” takes no more, though it shows room: .* free inodes or to raise the quota, or add a disk\.$/],
    ["drain", /^The disk “footage” cannot be emptied as it should be\./],
    ["misplaced", /^The disk “footage” is where another one was\. All is recorded;/],
    ["left-out", /^The disk “footage” is used no more, .* put it back, or to give it up\.$/],
  ] as const)("send nobody to the cable of a disk that is well: %s", (fault, text) => {
    const disks = well.disks.map((disk) => ({ ...disk, error: "it is so", fault }));
    expect(troubles({ ...well, disks }, [])).toEqual([{ kind: "disk", text: expect.stringMatching(text), detail: "It is so." }]);
    expect(troubles({ ...well, disks }, [])[0]?.text).not.toContain("cable");
  });

  it("call a disk by as much of its path as no other has", () => {
    const all = ["/mnt/disk1/footage", "/mnt/disk2/footage", "/srv/disk2/footage", "/srv/cold", "/", "/footage"];
    expect(all.map((path) => diskName(path, all))).toEqual(["disk1/footage", "mnt/disk2/footage", "srv/disk2/footage", "cold", "/", "/footage"]);
    expect(diskName("/mnt/disk1/footage/", ["/mnt/disk1/footage/"])).toBe("footage");
    const disks = ["/mnt/disk1/footage", "/mnt/disk2/footage"].map((path) => ({ ...well.disks[0]!, path, error: "it is so", fault: "full" as const }));
    expect(troubles({ ...well, disks }, []).map(({ text }) => text.match(/“(.*)”/)?.[1])).toEqual(["disk1/footage", "disk2/footage"]);
  });

  it("tell how soon footage is safe, with the time in which it is gathered", () => {
    expect(safeText(null)).toBe("Not measured yet.");
    expect(safeText(12)).toContain("within 2.1 s");
    expect(safeText(300)).toContain("within 2.3 s");
  });

  it("tell of damage that was found in the background", () => {
    const scrub = { state: "resting", percent: 100, begun_us: 1, finished_us: 2, damaged: 1, findings: [], trouble: "one of its files is damaged" } as const;
    const disks = well.disks.map((disk) => ({ ...disk, scrub: { ...scrub, findings: [] } }));
    expect(troubles({ ...well, disks }, [])).toEqual([
      { kind: "disk", text: expect.stringContaining("Something on the disk “footage” is damaged"), detail: "/srv/footage: one of its files is damaged." },
    ]);
  });

  it("put cameras with one trouble on one line, each once", () => {
    const off = "The camera cannot be reached.";
    const all = [camera("door", off), camera("door", off, "sub"), camera("yard", off), camera("gate", "Wrong password."), camera("a", null)];
    expect(troubles(well, all).map(({ text }) => text)).toEqual([`door, yard: ${off}`, "gate: Wrong password."]);
  });

  it("name the cameras only where many have each its own", () => {
    const all = ["a", "b", "c", "d"].map((name) => camera(name, `rtsp://${name} cannot be reached.`));
    expect(troubles(well, all).map(({ text }) => text)).toEqual(["4 cameras are in trouble: a, b, c, d."]);
  });
});
