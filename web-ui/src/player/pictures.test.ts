import { expect, it } from "vitest";
import { Pictures } from "./pictures";

it("steps from picture to picture over fragments, and knows where the buffer ends", () => {
  const pictures = new Pictures();
  pictures.add("b", [1.0, 1.04, 1.08]);
  pictures.add("a", [0.88, 0.92, 0.96]);
  expect(pictures.step(0.961, 1)).toBe(1.0);
  expect(pictures.step(1.0, -1)).toBe(0.96);
  expect(pictures.step(1.03, 1)).toBe(1.04);
  expect(pictures.step(1.08, 1)).toBeNull();
  expect(pictures.step(0.88, -1)).toBeNull();
  pictures.trim(1.0);
  expect(pictures.step(1.0, -1)).toBeNull();
});
