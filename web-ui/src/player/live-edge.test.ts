import { describe, expect, it } from "vitest";
import { LiveEdge } from "./live-edge";

const measured = (behindS: number, rate = 1) => ({
  playingS: 100 - behindS,
  bufferedStartS: 90,
  bufferedEndS: 100,
  rate,
});

/** A player that is fed fragments of `everyS`, each `jitterS(i)` late; returns how far behind it ends up. */
function simulate(seconds: number, everyS: number, jitterS: (i: number) => number, firstBehindS: number) {
  const edge = new LiveEdge();
  let [playing, rate, end, next, stalls] = [0, 1, firstBehindS, 0, 0];
  for (let now = 0; now < seconds; now += 0.01) {
    while (next * everyS + jitterS(next) <= now) {
      edge.arrived(now * 1000, everyS);
      end += everyS;
      next += 1;
    }
    if (playing + 0.01 * rate <= end) playing += 0.01 * rate;
    else {
      stalls += 1;
      edge.stalled();
    }
    const step = edge.step({ playingS: playing, bufferedStartS: 0, bufferedEndS: end, rate });
    if (step.kind === "jump") [playing, rate] = [step.toS, 1];
    else if (step.kind === "rate") rate = step.rate;
  }
  return { behind: end - playing, stalls };
}

describe("the live edge", () => {
  it("jumps when far behind or outside of what is buffered", () => {
    expect(new LiveEdge().step(measured(5)).kind).toBe("jump");
    expect(new LiveEdge().step(measured(20)).kind).toBe("jump");
    expect(new LiveEdge().step(measured(-1)).kind).toBe("jump");
  });

  it("nudges when a little behind, and rests when near", () => {
    expect(new LiveEdge().step(measured(0.5))).toEqual({ kind: "rate", rate: 1.06 });
    expect(new LiveEdge().step(measured(1))).toEqual({ kind: "rate", rate: 1.2 });
    expect(new LiveEdge().step(measured(0.05))).toEqual({ kind: "rate", rate: 0.94 });
    expect(new LiveEdge().step(measured(0.2))).toEqual({ kind: "nothing" });
    expect(new LiveEdge().step(measured(0.15, 1.06))).toEqual({ kind: "rate", rate: 1 });
  });

  it("comes within 0.3 s with even fragments of 100 ms, without stalling", () => {
    const { behind, stalls } = simulate(20, 0.1, () => 0, 1.2);
    expect(behind).toBeLessThan(0.3);
    expect(stalls).toBeLessThan(5);
  });

  it("keeps a wider margin when fragments come unevenly", () => {
    const { behind } = simulate(30, 0.1, (i) => (i % 10 === 0 ? 0.25 : 0), 1);
    expect(behind).toBeGreaterThan(0.2);
    expect(behind).toBeLessThan(0.7);
  });
});
