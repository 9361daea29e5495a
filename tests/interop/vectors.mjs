// Runs tests/data/vectors with noble and typage: a second reader, written from docs/format.md.
// It has the generation's identity and M, and says of a file what the Rust core says. `node vectors.mjs`

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chacha20poly1305, xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { expand as hkdfExpand } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes as join, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { Decrypter } from "age-encryption";

const MAGIC = "89484b530d0a1a0a";
const END_MAGIC = "484b53454e440d0a";
const TAIL = 128;

const utf8 = (text) => utf8ToBytes(text);
const u8 = (n) => Uint8Array.of(n);
const u32 = (bytes, at) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
const u64Bytes = (n) => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(n));
  return bytes;
};
const same = (a, b) => bytesToHex(a) === bytesToHex(b);
const expand = (key, ...info) => hkdfExpand(sha256, key, join(...info), 32);
const leafOf = (data) => sha256(join(u8(0), data));

function open(cipher) {
  try {
    return cipher();
  } catch {
    return null;
  }
}

const unseal = (key, text, ad) => open(() => chacha20poly1305(key, new Uint8Array(12), ad).decrypt(text));
const xunseal = (key, text, ad) =>
  open(() => xchacha20poly1305(key, text.subarray(0, 24), ad).decrypt(text.subarray(24)));

class Refused extends Error {}

function refuseUnless(condition, reason) {
  if (!condition) throw new Refused(reason);
}

/** Header, envelope and chunk 0 at `at`; `keys` has the generation's identity and M. */
async function openHead(file, at, keys) {
  const header = file.subarray(at, at + 256);
  refuseUnless(header.length === 256 && bytesToHex(header.subarray(0, 8)) === MAGIC, "no header");
  refuseUnless(header[8] === 1, "unknown version");
  refuseUnless(header[9] === 1, "unknown suite");
  refuseUnless(header[10] >= 1 && header[10] <= 3, "unknown kind");
  refuseUnless(header[11] === 0 && header.subarray(240).every((byte) => byte === 0), "reserved bytes");
  const first = u32(header, 12);
  refuseUnless(first >= 256 && first <= 256 + 65536, "envelope too long");
  const step = Number(new DataView(header.buffer, header.byteOffset).getBigUint64(64));
  refuseUnless(step < 1 << 20, "step too large");

  const envelope = file.subarray(at + 256, at + first);
  const e = await openEnvelope(envelope, header, keys);
  let link = expand(e, utf8("hearthkeep/v1/chain"), header.subarray(32, 48), header.subarray(10, 11));
  for (let i = 0; i < step; i++) link = expand(link, utf8("hearthkeep/v1/next"));
  const segment = expand(link, utf8("hearthkeep/v1/segment"));
  const bound = header.subarray(0, 104);
  const both = hkdfExpand(sha256, segment, join(utf8("hearthkeep/v1/keys"), bound), 64);
  refuseUnless(same(both.subarray(32), header.subarray(104, 136)), "commitment");

  const block = expand(keys.m, utf8("hearthkeep/v1/block"), bound);
  const start = xunseal(block, header.subarray(136, 240), join(utf8("start"), header.subarray(0, 136)));
  refuseUnless(start !== null, "start block");
  const head = {
    key: both.subarray(0, 32),
    index: expand(keys.m, utf8("hearthkeep/v1/index"), bound),
    kind: header[10],
    block,
    header,
    first,
  };
  const chunk = openChunk(head, file, at + first, file.length);
  refuseUnless(chunk !== null && chunk.k === 0, "chunk 0");
  head.bytes = file.subarray(at, chunk.end);
  head.leaf = chunk.leaf;
  head.rootLeaf = leafOf(file.subarray(at, at + first));
  return head;
}

async function openEnvelope(envelope, header, keys) {
  const text = new TextDecoder("latin1").decode(envelope).split("\n---")[0];
  refuseUnless(text.split("\n-> ").length === 2, "stanzas");
  const decrypter = new Decrypter();
  decrypter.addIdentity(keys.generation);
  let plaintext;
  try {
    plaintext = await decrypter.decrypt(envelope);
  } catch {
    throw new Refused("envelope");
  }
  const place = [header.subarray(16, 48), header.subarray(10, 11), header.subarray(48, 64), header.subarray(72, 76)];
  const expected = join(utf8("hearthkeep/v1/epoch"), ...place);
  refuseUnless(plaintext.length === expected.length + 32, "envelope");
  refuseUnless(same(plaintext.subarray(0, expected.length), expected), "envelope of another place");
  return plaintext.subarray(expected.length);
}

/** The chunk at `at` if it opens, its index entry included; else null. */
function openChunk(head, file, at, end) {
  if (at + 105 > end) return null;
  const n = u32(file, at);
  const final = file[at + 4];
  const k = u32(file, at + 4) & 0xffffff;
  const sealedEnd = at + 56 + n;
  if (n < 17 || n > 1 << 24 || final > 1 || k >= 20000 || sealedEnd + 32 > end) return null;
  const leaf = leafOf(file.subarray(at, sealedEnd));
  if (!same(leaf, file.subarray(sealedEnd, sealedEnd + 32))) return null;
  const r = file.subarray(at + 8, at + 24);
  const key = expand(head.key, utf8("hearthkeep/v1/chunk"), r, u8(final), u64Bytes(k));
  const plain = unseal(key, file.subarray(at + 56, sealedEnd), file.subarray(at, at + 56));
  const entryKey = expand(head.index, utf8("chunk"), r, u64Bytes(k));
  const entry = unseal(entryKey, file.subarray(at + 24, at + 56), file.subarray(at, at + 24));
  if (plain === null || entry === null) return null;
  const expected = final ? 2 : k === 0 ? 0 : { 1: 1, 2: 4, 3: 3 }[head.kind];
  if (plain[0] !== expected || entry[13] !== expected || entry[12] > 1 || entry[14] || entry[15]) return null;
  return { at, k, final, body: plain.subarray(1), end: sealedEnd + 32, leaf };
}

function treeHash(leaves) {
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(join(u8(1), treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split))));
}

function parseTail(file) {
  const tail = file.subarray(Math.max(0, file.length - TAIL));
  if (tail.length < TAIL || bytesToHex(tail.subarray(0, 8)) !== END_MAGIC || u32(tail, 20) > 1) return null;
  const [footer, copy, chunks] = [u32(tail, 8), u32(tail, 12), u32(tail, 16)];
  return { bytes: tail, footer, copy, chunks, recovered: u32(tail, 20) === 1 };
}

async function openOrNull(file, at, keys) {
  try {
    return { head: await openHead(file, at, keys) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { error };
  }
}

/** Length of the head at the file's start, on the word of its own fields. */
function toldHeadLength(file) {
  if (file.length < 256 || bytesToHex(file.subarray(0, 8)) !== MAGIC) return null;
  const first = u32(file, 12);
  return first + 8 <= file.length ? first + 56 + u32(file, first) + 32 : null;
}

/** What is to be said of a file, and the fragments that open. */
async function read(file, keys) {
  const tail = parseTail(file);
  const first = await openOrNull(file, 0, keys);
  const told = toldHeadLength(file);
  const copyAt = [tail?.copy, told === null ? undefined : file.length - TAIL - told].find(
    (at) => at > 0 && at + 256 <= file.length && bytesToHex(file.subarray(at, at + 8)) === MAGIC,
  );
  const copy = copyAt === undefined ? undefined : (await openOrNull(file, copyAt, keys)).head;
  const head = first.head ?? copy;
  if (head === undefined) throw first.error;
  const end = copyAt ?? file.length - (tail ? TAIL : 0);

  const damage = [];
  const chunks = [];
  let [next, at, from] = [0, head.first, head.first];
  while (at < end) {
    const chunk = openChunk(head, file, at, end);
    if (chunk === null || chunk.k < next) {
      at += 1;
      continue;
    }
    if (chunk.k > Math.max(next, 1)) damage.push(span(Math.max(next, 1), chunk.k));
    else if (chunk.k === next && at > from) damage.push(`stray bytes before chunk ${chunk.k}`);
    chunks.push(chunk);
    [next, at, from] = [chunk.k + 1, chunk.end, chunk.end];
    if (chunk.final) break;
  }

  const complete = chunks.at(-1)?.final === 1;
  const endAd = tail && join(utf8("end"), head.header.subarray(0, 136), tail.bytes.subarray(0, 24));
  const endBlock = tail && xunseal(head.block, tail.bytes.subarray(24), endAd);
  let state = "torn";
  if (endBlock) state = tail.recovered ? "recovered" : "whole";
  else if (tail || copyAt !== undefined) state = complete ? "whole" : "recovered";
  if (state !== "torn") {
    const count = endBlock ? u32(endBlock, 16) : next;
    const expected = complete ? next : endBlock && !tail.recovered ? Math.max(count, next + 1) : count;
    if (next < expected) damage.push(span(next, expected));
    else if (from < end) damage.push(`stray bytes before chunk ${next}`);
  }

  const chunksAreWhole = damage.length === 0;
  const leaves = chunks.filter((chunk) => chunk.k > 0).map((chunk) => chunk.leaf);
  const addsUp = (candidate) =>
    candidate !== undefined && same(treeHash([candidate.rootLeaf, candidate.leaf, ...leaves]), endBlock.subarray(32));
  if (first.head === undefined) damage.push("head");
  else if ((tail || copyAt !== undefined) && (copy === undefined || !same(copy.bytes, first.head.bytes)))
    damage.push(endBlock && addsUp(copy) && !addsUp(first.head) ? "head" : "copy");
  const fits =
    tail && tail.copy === end && tail.chunks === next && tail.footer === (complete ? chunks.at(-1).at : 0);
  if (state !== "torn" && (!endBlock || (chunksAreWhole && !fits))) damage.push("tail");
  if (endBlock && chunksAreWhole && !addsUp(head) && !addsUp(copy)) damage.push("root");

  const isRight = ({ k, body }) => new TextDecoder().decode(body) === `fragment ${k}.`.repeat(4);
  const footage = chunks.filter((chunk) => chunk.k > 0 && !chunk.final && isRight(chunk)).map(({ k }) => k);
  return [[state, ...damage].join(", tampered at "), footage];
}

const span = (from, to) => (to === from + 1 ? `chunk ${from}` : `chunks ${from} to ${to - 1}`);

const folder = fileURLToPath(new URL("../data/vectors/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".vec"));
let wrong = 0;
for (const name of names) {
  const [top, body] = readFileSync(folder + name, "utf8").split("\n\n");
  const fields = Object.fromEntries(
    top.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const keys = { generation: fields.generation, m: hexToBytes(fields.m) };
  let result;
  try {
    result = await read(new Uint8Array(Buffer.from(body, "base64")), keys);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    result = ["refused", []];
  }
  const [said, footage] = result;
  if (said !== fields.expect || footage.join(" ") !== fields.footage) {
    wrong += 1;
    console.log(`${name}: expected '${fields.expect}' [${fields.footage}], said '${said}' [${footage.join(" ")}]`);
  }
}
console.log(`${names.length - wrong} of ${names.length} vectors read as they must`);
process.exitCode = wrong === 0 && names.length > 0 ? 0 : 1;
