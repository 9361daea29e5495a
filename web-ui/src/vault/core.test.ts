import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { type ClaimMaterial, Core, CoreError } from "./core";

const MODULE = new URL("../wasm/hearthkeep.wasm", import.meta.url);
const STORE = "00112233445566778899aabbccddeeff";
const PASSPHRASE = "correct otter lamp seventeen";

const u32 = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
const hex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

/** The keyring of docs/format.md, section 3, as the box writes it after a claim. */
function keyring(made: ClaimMaterial): Uint8Array {
  const entry = (type: number, body: Uint8Array) => join(Uint8Array.of(type), u32(body.length), body);
  const content = join(
    new TextEncoder().encode("HKKEYR\r\n"),
    u32(0),
    u32(1),
    hex(STORE),
    u32(3),
    entry(1, made.statement),
    entry(2, join(u32(1), made.sealedSeed)),
    entry(3, join(u32(1), made.sealedMetadataKey)),
  );
  return join(content, createHash("sha256").update(content).digest());
}

// Built by `build.sh wasm`.
describe.skipIf(!existsSync(MODULE))("the core in WASM", () => {
  let core: Core;
  let made: ClaimMaterial;
  beforeEach(async () => {
    core = await Core.load(readFileSync(MODULE));
    made = core.prepareClaim(STORE, "Ada", PASSPHRASE);
  });

  it("claims, and is in", () => {
    expect(made.kitText).toBe(`AGE-SECRET-KEY-PQ-1${made.kitGroups.join("")}`);
    expect(made.kitGroups.map((group) => group.length)).toEqual([6, 6, 6, 6, 6, 6, 6, 6, 6, 4]);
    core.claimed();
    expect(core.openKeyring(keyring(made), STORE, made.verifyingKey)).toBe(1);
  });

  it("signs in with the passphrase and no other", () => {
    const derive = (passphrase: string) =>
      core.derive(passphrase, made.salt, made.memoryKib, made.passes, made.lanes);
    expect(derive(PASSPHRASE)).toEqual(made.auth);
    core.openIdentity(made.sealedIdentity, "Ada");
    expect(core.openKeyring(keyring(made), STORE, made.verifyingKey)).toBe(1);
    derive("another passphrase altogether");
    expect(() => core.openIdentity(made.sealedIdentity, "Ada")).toThrow(CoreError);
    derive(PASSPHRASE);
    expect(() => core.openIdentity(made.sealedIdentity, "Eve")).toThrow(CoreError);
  });

  it("refuses a box that asks for too little of the passphrase", () => {
    expect(() => core.derive(PASSPHRASE, made.salt, 1024, 1, 1)).toThrow(/weaker/);
  });

  it("comes back from the seed that the browser kept", () => {
    core.claimed();
    const seed = core.identitySeed();
    core.forget();
    expect(() => core.openKeyring(keyring(made), STORE, made.verifyingKey)).toThrow(/sign in again/);
    core.identityFromSeed(seed);
    expect(core.openKeyring(keyring(made), STORE, made.verifyingKey)).toBe(1);
  });

  it("refuses another root, another store, and a keyring that was changed", () => {
    core.claimed();
    const ring = keyring(made);
    expect(() => core.openKeyring(ring, STORE, new Uint8Array(32))).toThrow(/owner/);
    expect(() => core.openKeyring(ring, STORE.replace("0", "1"), made.verifyingKey)).toThrow(/another store/);
    const changed = ring.slice();
    changed[500] = (changed[500] ?? 0) ^ 1;
    expect(() => core.openKeyring(changed, STORE, made.verifyingKey)).toThrow(CoreError);
  });

  it("says what is wrong with a weak passphrase", () => {
    expect(core.strength("short")).toMatch(/at least 12/i);
    expect(core.strength(PASSPHRASE)).toBe("");
    expect(() => core.prepareClaim(STORE, "Ada", "passwordpassword")).toThrow(CoreError);
  });

  it("answers garbage with a sentence", () => {
    core.claimed();
    core.openKeyring(keyring(made), STORE, made.verifyingKey);
    expect(() => core.openSegment(new Uint8Array(300), STORE, STORE)).toThrow(CoreError);
    expect(() => core.openChunk(7, new Uint8Array(100))).toThrow(/closed/);
  });
});
