// Runs tests/data/log with noble: a second reader, written from docs/format.md, 9. `node log.mjs`

import { readFileSync, readdirSync } from "node:fs";
import { createPublicKey, verify as verifySignature } from "node:crypto";
import { fileURLToPath } from "node:url";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { expand } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes as join, hexToBytes, utf8ToBytes as utf8 } from "@noble/hashes/utils.js";

const base64 = (text) => new Uint8Array(Buffer.from(text, "base64"));
const same = (a, b) => bytesToHex(a) === bytesToHex(b);
const u64 = (n) => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(n));
  return bytes;
};
const nodeHash = (left, right) => sha256(join(Uint8Array.of(1), left, right));

function readKey(text) {
  const [name, id, ...rest] = text.split("+");
  const key = base64(rest.join("+"));
  const [, , store, log] = name.split("/");
  const right = key.length === 33 && key[0] === 1 && bytesToHex(sha256(join(utf8(`${name}\n`), key)).subarray(0, 4)) === id;
  const logId = sha256(join(utf8("hearthkeep/v1/log-id"), hexToBytes(store), key.subarray(1))).subarray(0, 16);
  if (!right || bytesToHex(logId) !== log) throw new Error("key");
  return { name, id, store: hexToBytes(store), log: logId, public: key.subarray(1) };
}

function readCheckpoint(note, key) {
  const end = note.lastIndexOf("\n\n") + 1;
  const [name, size, root] = note.slice(0, end).split("\n");
  if (end === 0 || name !== key.name || String(Number(size)) !== size) throw new Error("checkpoint");
  const jwk = { kty: "OKP", crv: "Ed25519", x: Buffer.from(key.public).toString("base64url") };
  for (const line of note.slice(end + 1).split("\n")) {
    const [dash, signer, signature] = line.split(" ");
    if (dash !== "—" || signer !== key.name) continue;
    const bytes = base64(signature);
    if (bytesToHex(bytes.subarray(0, 4)) !== key.id) continue;
    const isRight = verifySignature(null, utf8(note.slice(0, end)), createPublicKey({ key: jwk, format: "jwk" }), bytes.subarray(4));
    if (isRight) return { size: Number(size), root: base64(root) };
  }
  throw new Error("checkpoint");
}

function treeHash(leaves) {
  if (leaves.length === 0) return sha256(new Uint8Array());
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split)));
}

function openEntry(m, log, index, entry) {
  const key = expand(sha256, m, join(utf8("hearthkeep/v1/log"), log, entry.subarray(8, 24), u64(index)), 32);
  try {
    return chacha20poly1305(key, new Uint8Array(12), entry.subarray(0, 24)).decrypt(entry.subarray(24));
  } catch {
    return null;
  }
}

function say(fields, data) {
  let key, checkpoint;
  try {
    key = readKey(fields.key);
  } catch {
    return "key";
  }
  try {
    checkpoint = readCheckpoint(fields.checkpoint, key);
  } catch {
    return "checkpoint";
  }
  const [leaves, types] = [[], []];
  let at = 0;
  while (leaves.length < checkpoint.size && at + 24 <= data.length) {
    const n = new DataView(data.buffer, data.byteOffset).getUint32(at);
    const end = at + 24 + n;
    if (n < 17 || n > 65536 || end > data.length) break;
    const entry = data.subarray(at, end);
    const index = leaves.length;
    const record = openEntry(hexToBytes(fields.m), key.log, index, entry);
    if (record === null) return `entry ${index}`;
    const isFirst = record[0] === 1 && same(record.subarray(16, 32), key.store) && same(record.subarray(32, 64), key.public);
    if (index === 0 && !isFirst) return "first";
    leaves.push(sha256(join(Uint8Array.of(0), entry)));
    types.push(record[0]);
    at = end;
  }
  if (leaves.length < checkpoint.size || !same(treeHash(leaves), checkpoint.root)) return "root";
  return `whole records ${types.join(" ")}`;
}

/** RFC 9162, 2.1.4.2. */
function isConsistent(old, size, proof, oldRoot, root) {
  const path = (old & (old - 1)) === 0 ? [oldRoot, ...proof] : [...proof];
  let [at, last] = [old - 1, size - 1];
  while (at & 1) [at, last] = [at >> 1, last >> 1];
  if (path.length === 0) return false;
  let [was, now] = [path[0], path[0]];
  for (const other of path.slice(1)) {
    if (last === 0) return false;
    if (at & 1 || at === last) {
      [was, now] = [nodeHash(other, was), nodeHash(other, now)];
      while (at && !(at & 1)) [at, last] = [at >> 1, last >> 1];
    } else now = nodeHash(now, other);
    [at, last] = [at >> 1, last >> 1];
  }
  return last === 0 && same(was, oldRoot) && same(now, root);
}

function judge(fields) {
  const key = readKey(fields.key);
  const { size, root } = readCheckpoint(fields.checkpoint, key);
  const [name, oldSize, oldRoot] = fields.seen.split("\n");
  if (name !== key.name) return "other-log";
  const [old, was] = [Number(oldSize), base64(oldRoot)];
  if (size < old) return "rolled-back";
  if (size === old) return same(was, root) ? "same" : "forked";
  const proof = (fields.proof ?? "").split(" ").filter(Boolean).map(base64);
  return isConsistent(old, size, proof, was, root) ? "grown" : "forked";
}

const folder = fileURLToPath(new URL("../data/log/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".log"));
let wrong = 0;
for (const name of names) {
  const [top, body] = readFileSync(folder + name, "utf8").split("\n\n");
  const split = (line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim().replaceAll("\\n", "\n")];
  const fields = Object.fromEntries(top.split("\n").map(split));
  const said = say(fields, base64(body));
  const verdict = fields.seen === undefined ? undefined : judge(fields);
  if (said !== fields.expect || verdict !== fields.verdict) {
    wrong += 1;
    console.log(`${name}: expected '${fields.expect}' ${fields.verdict}, said '${said}' ${verdict}`);
  }
}
console.log(`${names.length - wrong} of ${names.length} vectors of the log read as they must`);
process.exitCode = wrong === 0 && names.length > 0 ? 0 : 1;
