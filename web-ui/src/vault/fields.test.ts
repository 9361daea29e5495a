import { expect, it } from "vitest";
import { FieldReader, encodeFields } from "./fields";

it("fields are read as they were written", () => {
  const reader = new FieldReader(encodeFields(["front door – ü", 1_795_305_600_000_001, Uint8Array.of(1, 2, 3)]));
  expect(reader.text()).toBe("front door – ü");
  expect(reader.number()).toBe(1_795_305_600_000_001);
  expect(reader.bytes()).toEqual(Uint8Array.of(1, 2, 3));
  expect(() => reader.bytes()).toThrow();
});
